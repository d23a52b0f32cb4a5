// Test bench of a generated network: sends frames, compares what comes out; the number of frames that differ.
// Beats are words of 64 bits; those of the last beat's bytes that belong to the frame are kept.
#pragma once
#include <cstdio>

#include "bnn_axis.hpp"

template <int S_W, int M_W, int FRAMES, int BEATS_IN, int BEATS_OUT>
int bnn_testbench(
    void (*top)(hls::stream<bnn_axis<S_W>> &, hls::stream<bnn_axis<M_W>> &, ap_uint<1> &), const uint64_t (&input)[FRAMES][BEATS_IN][bnn_words(S_W)],
    const uint64_t (&output)[FRAMES][BEATS_OUT][bnn_words(M_W)], int keep_in, int keep_out) {
  hls::stream<bnn_axis<S_W>> s;
  hls::stream<bnn_axis<M_W>> m;
  int wrong = 0;
  for (int frame = 0; frame < FRAMES; frame++) {
    for (int n = 0; n < BEATS_IN; n++) {
      bnn_axis<S_W> word;
      word.data = bnn_joined<S_W>(input[frame][n]);
      word.last = n == BEATS_IN - 1;
      word.keep = word.strb = bnn_keep<S_W / 8>(word.last, keep_in);
      s.write(word);
    }
    ap_uint<1> err = 0;
    top(s, m, err);
    bool equal = err == 0;
    for (int n = 0; n < BEATS_OUT; n++) {
      const bnn_axis<M_W> word = m.read();
      const bool last = n == BEATS_OUT - 1;
      equal = equal && word.data == bnn_joined<M_W>(output[frame][n]) && word.last == last && word.keep == bnn_keep<M_W / 8>(last, keep_out);
    }
    if (!equal) std::printf("frame %d differs\n", frame);
    wrong += !equal;
  }
  std::printf("%d of %d frames are equal\n", FRAMES - wrong, FRAMES);
  return wrong;
}
