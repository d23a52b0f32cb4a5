// Guards the input: every frame leaves with exactly N_BEATS beats, whatever came.
// A frame that ends early is filled up with zeros, one that goes on is cut; either, or a wrong
// keep, sets err for this frame. Bits behind the frame's end become 0, as in every stream.
#pragma once
#include "bnn_axis.hpp"

template <class P>
void bnn_frame(hls::stream<bnn_axis<P::DATA_W>> &s, hls::stream<ap_uint<P::DATA_W>> &m, ap_uint<1> &err) {
  bool ended = false, wrong = false;
  for (int n = 0; n < P::N_BEATS; n++) {
#pragma HLS pipeline II = 1 style = flp
    const bool last = n == P::N_BEATS - 1;
    ap_uint<P::DATA_W> beat = 0;
    if (!ended) {
      const bnn_axis<P::DATA_W> word = s.read();
      beat = word.data;
      ended = word.last;
      wrong = wrong || ended != last || word.keep != bnn_keep<P::DATA_W / 8>(last, P::KEEP_BYTES);
      if (last && P::TAIL_W < P::DATA_W) beat &= ap_uint<P::DATA_W>(-1) >> (P::DATA_W - P::TAIL_W);
    }
    m.write(beat);
  }
  while (!ended) {
#pragma HLS pipeline II = 1 style = flp
    ended = s.read().last;
  }
  err = wrong;
}
