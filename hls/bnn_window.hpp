// Sliding window: a raster of pixels in, the words under each window position out.
// Order: output row, output column, group, kernel row, kernel column, word. One word a cycle.
// A word of the margin has PAD_BITS[q] in every lane of plane q. The buffer is a ring of
// 2**ADDR_W words addressed by position in the frame; a word is read some cycles after it was written at the earliest,
// so that the loop can be a pipeline. What comes in waits for nothing that can go out.
#pragma once
#include "bnn_bits.hpp"

template <class P>
void bnn_window(hls::stream<ap_uint<P::PLANES * P::LANES>> &s, hls::stream<ap_uint<P::PLANES * P::LANES>> &m) {
  constexpr int PIXEL = P::N_GROUPS * P::N_WORDS, ROW = P::COLS * PIXEL, FRAME = P::ROWS * ROW, DEPTH = 1 << P::ADDR_W;
  constexpr int64_t COUNT = int64_t(P::OUT_ROWS) * P::OUT_COLS * P::N_GROUPS * P::KERNEL_Y * P::KERNEL_X * P::N_WORDS;
  // Moves of the read position when a counter advances and all within it start again.
  constexpr int SPAN = (P::KERNEL_Y - 1) * P::DILATION_Y * ROW + (P::KERNEL_X - 1) * P::DILATION_X * PIXEL + P::N_WORDS - 1;
  constexpr int TO_COL = P::DILATION_X * PIXEL - (P::N_WORDS - 1);
  constexpr int TO_ROW = P::DILATION_Y * ROW - (P::KERNEL_X - 1) * P::DILATION_X * PIXEL - (P::N_WORDS - 1);
  constexpr int TO_GROUP = P::N_WORDS - SPAN;
  constexpr int TO_RIGHT = P::STRIDE_X * PIXEL - (P::N_GROUPS - 1) * P::N_WORDS - SPAN;
  constexpr int TO_DOWN = P::STRIDE_Y * ROW - (P::OUT_COLS - 1) * P::STRIDE_X * PIXEL - (P::N_GROUPS - 1) * P::N_WORDS - SPAN;
  constexpr int TOP = -P::PAD_Y * ROW, START = TOP - P::PAD_X * PIXEL;
  // The same for the tap's row and column.
  constexpr int X_BACK = (P::KERNEL_X - 1) * P::DILATION_X, Y_BACK = (P::KERNEL_Y - 1) * P::DILATION_Y;
  constexpr int LAG = 4;  // cycles from write to read
  ap_uint<P::PLANES * P::LANES> ring[DEPTH], margin = 0;
#pragma HLS dependence variable = ring type = inter direction = RAW distance = 4 true
  int before[LAG] = {};  // words written before this cycle, and before those that came before it
#pragma HLS array_partition variable = before complete
  for (int q = 0; q < P::PLANES; q++)
    if (P::PAD_BITS >> q & 1) margin |= (~ap_uint<P::PLANES * P::LANES>(0) >> ((P::PLANES - 1) * P::LANES)) << (q * P::LANES);
  int written = 0, word = 0, kx = 0, ky = 0, group = 0, ox = 0;
  int x = -P::PAD_X, y = -P::PAD_Y, at = START, top = TOP;  // of the tap; words before `top` are free
  for (int64_t sent = 0; sent < COUNT || written < FRAME;) {
#pragma HLS pipeline II = 1 style = flp
    const bool on_map = x >= 0 && x < P::COLS && y >= 0 && y < P::ROWS;
    const bool arrived = sent < COUNT && (!on_map || at < before[LAG - 1]);
    const bool room = sent == COUNT || written - (top < 0 ? 0 : top) < DEPTH;
    for (int n = LAG - 1; n > 0; n--) {
#pragma HLS unroll
      before[n] = before[n - 1];
    }
    if (arrived) {
      m.write(on_map ? ring[at % DEPTH] : margin);
      sent++;
      int step = 1;
      if (++word == P::N_WORDS) {
        word = 0;
        step = TO_COL;
        x += P::DILATION_X;
        if (++kx == P::KERNEL_X) {
          kx = 0;
          step = TO_ROW;
          x -= P::DILATION_X + X_BACK;
          y += P::DILATION_Y;
          if (++ky == P::KERNEL_Y) {
            ky = 0;
            step = TO_GROUP;
            y -= P::DILATION_Y + Y_BACK;
            if (++group == P::N_GROUPS) {
              group = 0;
              step = TO_RIGHT;
              x += P::STRIDE_X;
              if (++ox == P::OUT_COLS) {
                ox = 0;
                step = TO_DOWN;
                x = -P::PAD_X;
                y += P::STRIDE_Y;
                top += P::STRIDE_Y * ROW;
              }
            }
          }
        }
      }
      at += step;
    }
    if (written < FRAME && room && (!arrived || !s.empty())) {
      ring[written % DEPTH] = s.read();
      written++;
    }
    before[0] = written;
  }
}
