// Beats of two streams in turn: N_A of a, then N_B of b, numbers widened by their sign where OUT_W is more. One beat a cycle.
#pragma once
#include "bnn_bits.hpp"

template <class P>
void bnn_concat(hls::stream<ap_uint<P::LANES * P::A_W>> &a, hls::stream<ap_uint<P::LANES * P::B_W>> &b, hls::stream<ap_uint<P::LANES * P::OUT_W>> &m) {
  int beat = 0;
  for (int n = 0; n < P::M_BEATS; n++) {
#pragma HLS pipeline II = 1 style = flp
    uint64_t x[bnn_words(P::LANES * P::A_W)] = {}, z[bnn_words(P::LANES * P::B_W)] = {}, y[bnn_words(P::LANES * P::OUT_W)] = {};
    const bool from_b = beat >= P::N_A;
    if (from_b)
      bnn_split(b.read(), z);
    else
      bnn_split(a.read(), x);
    for (int i = 0; i < P::LANES; i++) {
#pragma HLS unroll
      bnn_put<P::OUT_W>(y, i * P::OUT_W, uint64_t(from_b ? bnn_get_signed<P::B_W>(z, i * P::B_W) : bnn_get_signed<P::A_W>(x, i * P::A_W)));
    }
    m.write(bnn_joined<P::LANES * P::OUT_W>(y));
    beat = beat == P::N_A + P::N_B - 1 ? 0 : beat + 1;
  }
}
