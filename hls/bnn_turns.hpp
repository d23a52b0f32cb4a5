// Sends the planes of each beat in N_TURNS beats of M_PLANES planes, the lowest first; planes beyond S_PLANES are 0.
// One beat a cycle out.
#pragma once
#include "bnn_bits.hpp"

template <class P>
void bnn_turns(hls::stream<ap_uint<P::S_PLANES * P::LANES>> &s, hls::stream<ap_uint<P::M_PLANES * P::LANES>> &m) {
  uint64_t x[bnn_words(P::N_TURNS * P::M_PLANES * P::LANES)] = {};
#pragma HLS array_partition variable = x complete
  int turn = 0;
  for (int n = 0; n < P::M_BEATS; n++) {
#pragma HLS pipeline II = 1 style = flp
    if (turn == 0) bnn_split(ap_uint<P::N_TURNS * P::M_PLANES * P::LANES>(s.read()), x);
    uint64_t y[bnn_words(P::M_PLANES * P::LANES)] = {};
    bnn_copy<P::LANES, P::M_PLANES>(x, turn * P::M_PLANES * P::LANES, y, 0);
    m.write(bnn_joined<P::M_PLANES * P::LANES>(y));
    turn = turn == P::N_TURNS - 1 ? 0 : turn + 1;
  }
}
