// Sum of two streams of signed numbers: m[i] = (a[i] << A_SHIFT) + (b[i] << B_SHIFT). One beat a cycle.
#pragma once
#include "bnn_bits.hpp"

template <class P>
void bnn_add(hls::stream<ap_uint<P::LANES * P::A_W>> &a, hls::stream<ap_uint<P::LANES * P::B_W>> &b, hls::stream<ap_uint<P::LANES * P::OUT_W>> &m) {
  for (int n = 0; n < P::M_BEATS; n++) {
#pragma HLS pipeline II = 1 style = flp
    uint64_t x[bnn_words(P::LANES * P::A_W)], z[bnn_words(P::LANES * P::B_W)], y[bnn_words(P::LANES * P::OUT_W)] = {};
    bnn_split(a.read(), x);
    bnn_split(b.read(), z);
    for (int i = 0; i < P::LANES; i++) {
#pragma HLS unroll
      const uint64_t left = uint64_t(bnn_get_signed<P::A_W>(x, i * P::A_W)), right = uint64_t(bnn_get_signed<P::B_W>(z, i * P::B_W));
      bnn_put<P::OUT_W>(y, i * P::OUT_W, (left << P::A_SHIFT) + (right << P::B_SHIFT));
    }
    m.write(bnn_joined<P::LANES * P::OUT_W>(y));
  }
}
