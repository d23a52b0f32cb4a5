// Integer affine of each row in a fixed-point format: m[pe] = overflow((scale[pe] * sum[pe] + bias[pe]) >> SHIFT).
// One beat a cycle. A word of the memory holds {bias, scale} of each PE, PE 0 in the low bits.
#pragma once
#include "bnn_fold_address.hpp"

template <class P, int WORDS>
void bnn_affine(hls::stream<ap_uint<P::PE * P::SUM_W>> &s, hls::stream<ap_uint<P::PE * P::OUT_W>> &m, const uint64_t (&terms)[P::N_WORDS][WORDS]) {
#pragma HLS array_reshape variable = terms complete dim = 2
  constexpr int WORD_W = P::BIAS_W + P::SCALE_W;
  static_assert(WORDS == bnn_words(P::PE * WORD_W), "the memory has other words");
  bnn_fold_address<P> at;
  for (int n = 0; n < P::M_BEATS; n++) {
#pragma HLS pipeline II = 1 style = flp
    uint64_t x[bnn_words(P::PE * P::SUM_W)], y[bnn_words(P::PE * P::OUT_W)] = {};
    bnn_split(s.read(), x);
    const int addr = at.addr();
    for (int p = 0; p < P::PE; p++) {
#pragma HLS unroll
      const ap_int<P::EXACT_W> sum = bnn_get_signed<P::SUM_W>(x, p * P::SUM_W), scale = bnn_get_signed<P::SCALE_W>(terms[addr], p * WORD_W),
                               bias = bnn_get_signed<P::BIAS_W>(terms[addr], p * WORD_W + P::SCALE_W), low = P::LOW, high = P::HIGH;
      const ap_int<P::EXACT_W> exact = sum * scale + bias;
      const ap_int<P::EXACT_W> kept = exact >> P::SHIFT;
      ap_int<P::OUT_W> result;
      if (P::OVERFLOW_AS == 2)
        result = ap_int<P::WRAP_W>(kept);
      else if (kept < low)
        result = P::OVERFLOW_AS == 0 ? ap_int<P::OUT_W>(low) : ap_int<P::OUT_W>(0);
      else if (kept > high)
        result = P::OVERFLOW_AS == 0 ? ap_int<P::OUT_W>(high) : ap_int<P::OUT_W>(0);
      else
        result = kept;
      bnn_put<P::OUT_W>(y, p * P::OUT_W, uint64_t(result.to_int64()));
    }
    m.write(bnn_joined<P::PE * P::OUT_W>(y));
    at.step();
  }
}
