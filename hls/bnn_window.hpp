// Sliding window: a raster of pixels in, the words under each window position out.
// Order: output row, output column, group, kernel row, kernel column, word. One word a cycle.
// A word of the margin has PAD_BITS[q] in every lane of plane q. The buffer is a ring of
// 2**ADDR_W words addressed by position in the frame.
#pragma once
#include "bnn_bits.hpp"

template <class P>
void bnn_window(hls::stream<ap_uint<P::PLANES * P::LANES>> &s, hls::stream<ap_uint<P::PLANES * P::LANES>> &m) {
  constexpr int PIXEL = P::N_GROUPS * P::N_WORDS, ROW = P::COLS * PIXEL, FRAME = P::ROWS * ROW, DEPTH = 1 << P::ADDR_W;
  constexpr int COUNT = P::OUT_ROWS * P::OUT_COLS * P::N_GROUPS * P::KERNEL_Y * P::KERNEL_X * P::N_WORDS;
  ap_uint<P::PLANES * P::LANES> ring[DEPTH], margin = 0;
#pragma HLS dependence variable = ring inter false
  for (int q = 0; q < P::PLANES; q++)
    if (P::PAD_BITS >> q & 1) margin |= (~ap_uint<P::PLANES * P::LANES>(0) >> ((P::PLANES - 1) * P::LANES)) << (q * P::LANES);
  int written = 0, sent = 0, word = 0, kx = 0, ky = 0, group = 0, ox = 0, oy = 0;
  while (sent < COUNT || written < FRAME) {
#pragma HLS pipeline II = 1
    const int x = ox * P::STRIDE_X - P::PAD_X + kx * P::DILATION_X, y = oy * P::STRIDE_Y - P::PAD_Y + ky * P::DILATION_Y;
    const bool on_map = x >= 0 && x < P::COLS && y >= 0 && y < P::ROWS;
    const int at = (y * P::COLS + x) * PIXEL + group * P::N_WORDS + word;
    const int top = (oy * P::STRIDE_Y - P::PAD_Y) * ROW, freed = top < 0 ? 0 : top;
    const bool arrived = sent < COUNT && (!on_map || at < written);
    if (arrived) {
      m.write(on_map ? ring[at % DEPTH] : margin);
      sent++;
      if (++word == P::N_WORDS) {
        word = 0;
        if (++kx == P::KERNEL_X) {
          kx = 0;
          if (++ky == P::KERNEL_Y) {
            ky = 0;
            if (++group == P::N_GROUPS) {
              group = 0;
              if (++ox == P::OUT_COLS) {
                ox = 0;
                oy++;
              }
            }
          }
        }
      }
    }
    if (written < FRAME && (sent == COUNT || written - freed < DEPTH)) {
      ring[written % DEPTH] = s.read();
      written++;
    }
  }
}
