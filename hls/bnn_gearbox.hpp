// Stream width converter: vectors of elements, N_IN lanes a beat in, N_OUT lanes a beat out.
// max(beats in, beats out) cycles a vector; a vector's last beat is filled up with zeros.
// Plane-major, element 0 of a beat in the low bits; lanes beyond a vector's end are ignored.
#pragma once
#include "bnn_bits.hpp"

template <class P>
void bnn_gearbox(hls::stream<ap_uint<P::PLANES * P::N_IN * P::ELEM_W>> &s, hls::stream<ap_uint<P::PLANES * P::N_OUT * P::ELEM_W>> &m) {
  constexpr int IN_W = P::N_IN * P::ELEM_W, OUT_W = P::N_OUT * P::ELEM_W, HELD_W = IN_W + OUT_W;
  // Beats of a vector out, and its last beat in with the zeros behind it.
  constexpr int BEATS_OUT = ((P::N_BEATS - 1) * P::N_IN + P::N_TAIL + P::N_OUT - 1) / P::N_OUT, LAST = BEATS_OUT * P::N_OUT - (P::N_BEATS - 1) * P::N_IN;
  ap_uint<HELD_W> held[P::PLANES];
#pragma HLS array_partition variable = held complete
  for (int q = 0; q < P::PLANES; q++) held[q] = 0;
  int fill = 0, beat = 0, left = P::M_BEATS / BEATS_OUT * P::N_BEATS;  // elements held, beat of its vector and beats still to come
  for (int n = 0; n < P::M_BEATS;) {
#pragma HLS pipeline II = 1 style = flp
    if (fill >= P::N_OUT) {
      ap_uint<P::PLANES * OUT_W> y;
      for (int q = 0; q < P::PLANES; q++) {
#pragma HLS unroll
        y.range(q * OUT_W + OUT_W - 1, q * OUT_W) = held[q].range(OUT_W - 1, 0);
        held[q] >>= OUT_W;
      }
      m.write(y);
      n++;
      fill -= P::N_OUT;
    }
    if (left > 0 && (fill < P::N_OUT || (fill == P::N_OUT && !s.empty()))) {
      const bool last = beat == P::N_BEATS - 1;
      const ap_uint<P::PLANES * IN_W> x = s.read();
      for (int q = 0; q < P::PLANES; q++) {
#pragma HLS unroll
        ap_uint<IN_W> part = x.range(q * IN_W + IN_W - 1, q * IN_W);
        if (last && P::N_TAIL < P::N_IN) part &= ap_uint<IN_W>(-1) >> ((P::N_IN - P::N_TAIL) * P::ELEM_W);
        held[q] |= ap_uint<HELD_W>(part) << (fill * P::ELEM_W);
      }
      fill += last ? LAST : P::N_IN;
      beat = last ? 0 : beat + 1;
      left--;
    }
  }
}
