// Transposes a stream's beats from element-major to plane-major: wires only.
// m[q * LANES + i] = s[i * ELEM_W + q], the low PLANES bits of each element
#pragma once
#include "bnn_bits.hpp"

template <class P>
void bnn_planes(hls::stream<ap_uint<P::LANES * P::ELEM_W>> &s, hls::stream<ap_uint<P::LANES * P::PLANES>> &m) {
  for (int n = 0; n < P::M_BEATS; n++) {
#pragma HLS pipeline II = 1 style = flp
    uint64_t x[bnn_words(P::LANES * P::ELEM_W)], y[bnn_words(P::LANES * P::PLANES)] = {};
    bnn_split(s.read(), x);
    for (int i = 0; i < P::LANES; i++) {
#pragma HLS unroll
      for (int q = 0; q < P::PLANES; q++) bnn_put<1>(y, q * P::LANES + i, bnn_get<1>(x, i * P::ELEM_W + q));
    }
    m.write(bnn_joined<P::LANES * P::PLANES>(y));
  }
}
