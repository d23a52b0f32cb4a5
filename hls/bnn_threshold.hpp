// Thresholds of each row: level[pe] = number of k with (sum[pe] >= limit[pe][k]) xor flip[pe], in its code.
// One beat a cycle. A word of the memory holds, PE 0 in the low bits, N_LIMITS limits, reached in order, and the flip.
#pragma once
#include "bnn_fold_address.hpp"

template <class P, int WORDS>
void bnn_threshold(hls::stream<ap_uint<P::PE * P::SUM_W>> &s, hls::stream<ap_uint<P::PLANES * P::PE>> &m, const uint64_t (&limits)[P::N_WORDS][WORDS]) {
#pragma HLS array_reshape variable = limits complete dim = 2
  constexpr int WORD_W = P::N_LIMITS * P::LIMIT_W + P::FLIPS;
  static_assert(WORDS == bnn_words(P::PE * WORD_W), "the memory has other words");
  bnn_fold_address<P> at;
  for (int n = 0; n < P::M_BEATS; n++) {
#pragma HLS pipeline II = 1 style = flp
    uint64_t x[bnn_words(P::PE * P::SUM_W)], y[bnn_words(P::PLANES * P::PE)] = {};
    bnn_split(s.read(), x);
    const int addr = at.addr();
    for (int p = 0; p < P::PE; p++) {
#pragma HLS unroll
      const int64_t sum = bnn_get_signed<P::SUM_W>(x, p * P::SUM_W);
      const bool flip = P::FLIPS == 1 && bnn_get<1>(limits[addr], p * WORD_W + WORD_W - 1);
      bool code[P::PLANES];
      for (int q = 0; q < P::PLANES; q++) code[q] = P::START >> q & 1;
      for (int k = 0; k < P::N_LIMITS; k++) {
#pragma HLS unroll
        const bool reached = (sum >= bnn_get_signed<P::LIMIT_W>(limits[addr], p * WORD_W + k * P::LIMIT_W)) != flip;
        for (int q = 0; q < P::PLANES; q++) code[q] ^= reached && (P::TOGGLES[k] >> q & 1);
      }
      for (int q = 0; q < P::PLANES; q++) bnn_put<1>(y, q * P::PE + p, code[q]);
    }
    m.write(bnn_joined<P::PLANES * P::PE>(y));
    at.step();
  }
}
