// A function of each number by lookup in a memory: m[i] = entry[s[i]].
// One beat a cycle; entries lie at the number's bits read without a sign.
#pragma once
#include "bnn_bits.hpp"

template <class P, int WORDS>
void bnn_table(hls::stream<ap_uint<P::LANES * P::IN_W>> &s, hls::stream<ap_uint<P::LANES * P::OUT_W>> &m, const uint64_t (&entries)[1 << P::IN_W][WORDS]) {
#pragma HLS array_reshape variable = entries complete dim = 2
  static_assert(WORDS == bnn_words(P::OUT_W), "the memory has other words");
  for (int n = 0; n < P::M_BEATS; n++) {
#pragma HLS pipeline II = 1 style = flp
    uint64_t x[bnn_words(P::LANES * P::IN_W)], y[bnn_words(P::LANES * P::OUT_W)] = {};
    bnn_split(s.read(), x);
    for (int i = 0; i < P::LANES; i++) {
#pragma HLS unroll
      bnn_put<P::OUT_W>(y, i * P::OUT_W, bnn_get<P::OUT_W>(entries[bnn_get<P::IN_W>(x, i * P::IN_W)], 0));
    }
    m.write(bnn_joined<P::LANES * P::OUT_W>(y));
  }
}
