// Weighted sums of signed numbers: m[pe] = sum over N_PARTS beats and N_LANES lanes of SCALES[part][lane] * s[pe][lane].
// One beat a cycle in. Lane 0 of PE 0 in the low bits. Sums wrap on the way, not at the end.
#pragma once
#include "bnn_bits.hpp"

template <class P>
void bnn_accumulate(hls::stream<ap_uint<P::PE * P::N_LANES * P::IN_W>> &s, hls::stream<ap_uint<P::PE * P::OUT_W>> &m) {
  int64_t sum[P::PE];
#pragma HLS array_partition variable = sum complete
  int part = 0;
  for (int64_t n = 0; n < int64_t(P::M_BEATS) * P::N_PARTS; n++) {
#pragma HLS pipeline II = 1 style = flp
    uint64_t x[bnn_words(P::PE * P::N_LANES * P::IN_W)];
    bnn_split(s.read(), x);
    for (int p = 0; p < P::PE; p++) {
#pragma HLS unroll
      int64_t partial = part == 0 ? 0 : sum[p];
      for (int l = 0; l < P::N_LANES; l++) {
#pragma HLS unroll
        partial += P::SCALES[part * P::N_LANES + l] * bnn_get_signed<P::IN_W>(x, (p * P::N_LANES + l) * P::IN_W);
      }
      sum[p] = bnn_wrapped<P::OUT_W>(partial);
    }
    if (++part == P::N_PARTS) {
      part = 0;
      uint64_t y[bnn_words(P::PE * P::OUT_W)] = {};
      for (int p = 0; p < P::PE; p++) {
#pragma HLS unroll
        bnn_put<P::OUT_W>(y, p * P::OUT_W, uint64_t(sum[p]));
      }
      m.write(bnn_joined<P::PE * P::OUT_W>(y));
    }
  }
}
