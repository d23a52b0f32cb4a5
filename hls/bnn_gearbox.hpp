// Stream width converter: vectors of elements, N_IN lanes a beat in, N_OUT lanes a beat out.
// max(beats in, beats out) cycles a vector; a vector's last beat is filled up with zeros.
// Plane-major, element 0 of a beat in the low bits; lanes beyond a vector's end are ignored.
#pragma once
#include "bnn_bits.hpp"

template <class P>
void bnn_gearbox(hls::stream<ap_uint<P::PLANES * P::N_IN * P::ELEM_W>> &s, hls::stream<ap_uint<P::PLANES * P::N_OUT * P::ELEM_W>> &m) {
  constexpr int IN_W = P::N_IN * P::ELEM_W, OUT_W = P::N_OUT * P::ELEM_W, HELD_W = IN_W + OUT_W;
  ap_uint<HELD_W> held[P::PLANES];
#pragma HLS array_partition variable = held complete
  for (int q = 0; q < P::PLANES; q++) held[q] = 0;
  int fill = 0, taken = 0;  // elements held, beats taken of this vector
  for (int n = 0; n < P::M_BEATS;) {
#pragma HLS pipeline II = 1
    if (fill < P::N_OUT && taken < P::N_BEATS) {
      const bool last = taken == P::N_BEATS - 1;
      const ap_uint<P::PLANES * IN_W> x = s.read();
      for (int q = 0; q < P::PLANES; q++) {
#pragma HLS unroll
        ap_uint<IN_W> beat = x.range(q * IN_W + IN_W - 1, q * IN_W);
        if (last && P::N_TAIL < P::N_IN) beat &= ap_uint<IN_W>(-1) >> ((P::N_IN - P::N_TAIL) * P::ELEM_W);
        held[q] |= ap_uint<HELD_W>(beat) << (fill * P::ELEM_W);
      }
      fill += last ? P::N_TAIL : P::N_IN;
      taken++;
    }
    if (fill >= P::N_OUT || taken == P::N_BEATS) {
      ap_uint<P::PLANES * OUT_W> y;
      for (int q = 0; q < P::PLANES; q++) {
#pragma HLS unroll
        y.range(q * OUT_W + OUT_W - 1, q * OUT_W) = held[q].range(OUT_W - 1, 0);
        held[q] >>= OUT_W;
      }
      m.write(y);
      n++;
      fill = fill > P::N_OUT ? fill - P::N_OUT : 0;
      if (fill == 0 && taken == P::N_BEATS) taken = 0;
    }
  }
}
