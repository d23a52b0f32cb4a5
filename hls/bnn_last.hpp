// Marks the last beat of every frame: last, and keep of its bytes.
#pragma once
#include "bnn_axis.hpp"

template <class P>
void bnn_last(hls::stream<ap_uint<P::DATA_W>> &s, hls::stream<bnn_axis<P::DATA_W>> &m) {
  for (int n = 0; n < P::N_BEATS; n++) {
#pragma HLS pipeline II = 1 style = flp
    bnn_axis<P::DATA_W> word;
    word.data = s.read();
    word.last = n == P::N_BEATS - 1;
    word.keep = word.strb = bnn_keep<P::DATA_W / 8>(word.last, P::KEEP_BYTES);
    m.write(word);
  }
}
