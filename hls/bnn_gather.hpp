// Sums of looked-up numbers: sum[pe] = sum over N_TERMS of sign[pe] * s[index[pe]], PE rows at a time.
// One number of a vector a cycle in, then one term of PE rows a cycle.
// A word of the memory holds {minus, use, index} of each PE, PE 0 in the low bits, in the order (row fold, term).
#pragma once
#include "bnn_bits.hpp"

template <class P, int WORDS>
void bnn_gather(hls::stream<ap_uint<P::IN_W>> &s, hls::stream<ap_uint<P::PE * P::SUM_W>> &m, const uint64_t (&terms)[P::N_WORDS][WORDS]) {
#pragma HLS array_reshape variable = terms complete dim = 2
  constexpr int TERM_W = P::INDEX_W + 2, FOLDS = P::N_WORDS / P::N_TERMS;
  static_assert(WORDS == bnn_words(P::PE * TERM_W), "the memory has other words");
  ap_int<P::IN_W> vector[P::PE][P::N_ELEMENTS];  // one for each row that looks something up
#pragma HLS array_partition variable = vector complete dim = 1
  int64_t sum[P::PE];
#pragma HLS array_partition variable = sum complete
  for (int n = 0; n < P::M_BEATS; n += FOLDS) {
    for (int i = 0; i < P::N_ELEMENTS; i++) {
#pragma HLS pipeline II = 1 style = flp
      const ap_int<P::IN_W> number = s.read();
      for (int p = 0; p < P::PE; p++) {
#pragma HLS unroll
        vector[p][i] = number;
      }
    }
    int term = 0;
    for (int addr = 0; addr < P::N_WORDS; addr++) {
#pragma HLS pipeline II = 1 style = flp
      for (int p = 0; p < P::PE; p++) {
#pragma HLS unroll
        const uint64_t code = bnn_get<TERM_W>(terms[addr], p * TERM_W);
        const bool use = code >> P::INDEX_W & 1, minus = code >> (P::INDEX_W + 1) & 1;
        const int64_t number = use ? vector[p][code & bnn_mask(P::INDEX_W)].to_int64() : 0;
        sum[p] = bnn_wrapped<P::SUM_W>((term == 0 ? 0 : sum[p]) + (minus ? -number : number));
      }
      if (++term == P::N_TERMS) {
        term = 0;
        uint64_t y[bnn_words(P::PE * P::SUM_W)] = {};
        for (int p = 0; p < P::PE; p++) {
#pragma HLS unroll
          bnn_put<P::SUM_W>(y, p * P::SUM_W, uint64_t(sum[p]));
        }
        m.write(bnn_joined<P::PE * P::SUM_W>(y));
      }
    }
  }
}
