// Maximum of N_TAPS consecutive beats, lane by lane; codes compare as numbers, signed or not, or by their ranks.
// One beat a cycle in.
#pragma once
#include "bnn_bits.hpp"

template <class P>
void bnn_pool(hls::stream<ap_uint<P::PLANES * P::LANES>> &s, hls::stream<ap_uint<P::PLANES * P::LANES>> &m) {
  uint64_t best[P::LANES];
#pragma HLS array_partition variable = best complete
  int tap = 0;
  for (int64_t n = 0; n < int64_t(P::M_BEATS) * P::N_TAPS; n++) {
#pragma HLS pipeline II = 1 style = flp
    uint64_t x[bnn_words(P::PLANES * P::LANES)], y[bnn_words(P::PLANES * P::LANES)] = {};
    bnn_split(s.read(), x);
    for (int i = 0; i < P::LANES; i++) {
#pragma HLS unroll
      uint64_t next = 0;
      for (int q = 0; q < P::PLANES; q++) next |= bnn_get<1>(x, q * P::LANES + i) << q;
      const uint64_t held = tap == 0 ? 0 : best[i];
      bool greater = next > held;
      if (P::ORDER == 1) greater = (next ^ uint64_t(1) << (P::PLANES - 1)) > (held ^ uint64_t(1) << (P::PLANES - 1));
      if (P::ORDER == 2) greater = P::RANKS[next] > P::RANKS[held];
      best[i] = tap == 0 || greater ? next : held;
      for (int q = 0; q < P::PLANES; q++) bnn_put<1>(y, q * P::LANES + i, best[i] >> q);
    }
    if (++tap == P::N_TAPS) {
      tap = 0;
      m.write(bnn_joined<P::PLANES * P::LANES>(y));
    }
  }
}
