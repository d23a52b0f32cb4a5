// Transposes a stream's beats from element-major to plane-major: wires only.
// m[q * LANES + i] = s[i * PLANES + q]
#pragma once
#include "bnn_bits.hpp"

template <class P>
void bnn_planes(hls::stream<ap_uint<P::LANES * P::PLANES>> &s, hls::stream<ap_uint<P::LANES * P::PLANES>> &m) {
  for (int n = 0; n < P::M_BEATS; n++) {
#pragma HLS pipeline II = 1 style = flp
    uint64_t x[bnn_words(P::LANES * P::PLANES)], y[bnn_words(P::LANES * P::PLANES)] = {};
    bnn_split(s.read(), x);
    for (int i = 0; i < P::LANES; i++) {
#pragma HLS unroll
      for (int q = 0; q < P::PLANES; q++) bnn_put<1>(y, q * P::LANES + i, bnn_get<1>(x, i * P::PLANES + q));
    }
    m.write(bnn_joined<P::LANES * P::PLANES>(y));
  }
}
