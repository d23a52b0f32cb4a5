// Sends each beat to every one of N_OUT readers. One beat a cycle.
#pragma once
#include "bnn_bits.hpp"

template <class P>
void bnn_fork(hls::stream<ap_uint<P::DATA_W>> &s, hls::stream<ap_uint<P::DATA_W>> (&m)[P::N_OUT]) {
  for (int n = 0; n < P::M_BEATS; n++) {
#pragma HLS pipeline II = 1 style = flp
    const ap_uint<P::DATA_W> beat = s.read();
    for (int reader = 0; reader < P::N_OUT; reader++) {
#pragma HLS unroll
      m[reader].write(beat);
    }
  }
}
