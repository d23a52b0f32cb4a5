// Product of two streams of signed numbers: m[i] = a[i] * b[i], or a[i] * b[0] where b is shared. One beat a cycle.
#pragma once
#include "bnn_bits.hpp"

template <class P>
void bnn_multiply(
    hls::stream<ap_uint<P::LANES * P::A_W>> &a, hls::stream<ap_uint<(P::B_SHARED ? 1 : P::LANES) * P::B_W>> &b, hls::stream<ap_uint<P::LANES * P::OUT_W>> &m) {
  for (int n = 0; n < P::M_BEATS; n++) {
#pragma HLS pipeline II = 1 style = flp
    uint64_t x[bnn_words(P::LANES * P::A_W)], z[bnn_words((P::B_SHARED ? 1 : P::LANES) * P::B_W)], y[bnn_words(P::LANES * P::OUT_W)] = {};
    bnn_split(a.read(), x);
    bnn_split(b.read(), z);
    for (int i = 0; i < P::LANES; i++) {
#pragma HLS unroll
      const uint64_t left = uint64_t(bnn_get_signed<P::A_W>(x, i * P::A_W)), right = uint64_t(bnn_get_signed<P::B_W>(z, P::B_SHARED ? 0 : i * P::B_W));
      bnn_put<P::OUT_W>(y, i * P::OUT_W, left * right);
    }
    m.write(bnn_joined<P::LANES * P::OUT_W>(y));
  }
}
