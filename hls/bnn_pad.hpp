// Vectors of one beat in more lanes or fewer, of wider elements or not: wires only.
// Lanes beyond a vector's end become zeros; elements that get wider keep their sign. Plane-major.
#pragma once
#include "bnn_bits.hpp"

template <class P>
void bnn_pad(hls::stream<ap_uint<P::PLANES * P::N_IN * P::S_ELEM_W>> &s, hls::stream<ap_uint<P::PLANES * P::N_OUT * P::M_ELEM_W>> &m) {
  for (int n = 0; n < P::M_BEATS; n++) {
#pragma HLS pipeline II = 1 style = flp
    uint64_t x[bnn_words(P::PLANES * P::N_IN * P::S_ELEM_W)], y[bnn_words(P::PLANES * P::N_OUT * P::M_ELEM_W)] = {};
    bnn_split(s.read(), x);
    for (int q = 0; q < P::PLANES; q++) {
#pragma HLS unroll
      for (int i = 0; i < P::N_USED; i++)
        bnn_put<P::M_ELEM_W>(y, (q * P::N_OUT + i) * P::M_ELEM_W, uint64_t(bnn_get_signed<P::S_ELEM_W>(x, (q * P::N_IN + i) * P::S_ELEM_W)));
    }
    m.write(bnn_joined<P::PLANES * P::N_OUT * P::M_ELEM_W>(y));
  }
}
