// Sends each vector of N_WORDS words N_PASSES times. One word a cycle out.
#pragma once
#include "bnn_bits.hpp"

template <class P>
void bnn_replay(hls::stream<ap_uint<P::DATA_W>> &s, hls::stream<ap_uint<P::DATA_W>> &m) {
  ap_uint<P::DATA_W> vector[P::N_WORDS];
  int word = 0, pass = 0;
  for (int n = 0; n < P::M_BEATS; n++) {
#pragma HLS pipeline II = 1 style = flp
    const ap_uint<P::DATA_W> beat = pass == 0 ? s.read() : vector[word];
    if (pass == 0) vector[word] = beat;
    m.write(beat);
    if (++word == P::N_WORDS) {
      word = 0;
      pass = pass == P::N_PASSES - 1 ? 0 : pass + 1;
    }
  }
}
