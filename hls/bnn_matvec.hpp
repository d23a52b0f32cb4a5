// Folded matrix-vector unit of bit planes: PE rows (outputs, or planes of them) at a time, SIMD inputs a beat.
// sum[pe] = sum over N_BEATS inputs, each in N_TURNS beats, and planes q of COEFFS[turn][q] * popcount(gate(weight[pe], x[q]))
// One beat a cycle. Weight words in the order: row fold, then beat; lane 0 of PE 0 in the low bit, masks above a PE's signs.
#pragma once
#include "bnn_popcount.hpp"

template <class P, int WORDS>
void bnn_matvec(hls::stream<ap_uint<P::PLANES * P::SIMD>> &s, hls::stream<ap_uint<P::PE * P::SUM_W>> &m, const uint64_t (&weights)[P::N_WORDS][WORDS]) {
#pragma HLS array_reshape variable = weights complete dim = 2
  constexpr int PE_W = P::GATE == 2 ? 2 * P::SIMD : P::SIMD;
  constexpr int TAIL = P::SIMD % 64 == 0 ? 64 : P::SIMD % 64;  // lanes in a row's last word
  static_assert(WORDS == bnn_words(P::PE * PE_W), "the memory has other words");
  int64_t sum[P::PE];
#pragma HLS array_partition variable = sum complete
  int addr = 0, beat = 0, turn = 0;
  for (int64_t n = 0; n < int64_t(P::M_BEATS) * P::N_BEATS * P::N_TURNS; n++) {
#pragma HLS pipeline II = 1 style = flp
    uint64_t x[bnn_words(P::PLANES * P::SIMD)];
    bnn_split(s.read(), x);
    for (int p = 0; p < P::PE; p++) {
#pragma HLS unroll
      int64_t partial = 0;
      for (int q = 0; q < P::PLANES; q++) {
#pragma HLS unroll
        int count = 0;
        for (int i = 0; i < P::SIMD; i += 64) {
#pragma HLS unroll
          const bool whole = P::SIMD - i >= 64;
          const uint64_t bits = whole ? bnn_get<64>(x, q * P::SIMD + i) : bnn_get<TAIL>(x, q * P::SIMD + i);
          const uint64_t sign = whole ? bnn_get<64>(weights[addr], p * PE_W + i) : bnn_get<TAIL>(weights[addr], p * PE_W + i);
          uint64_t hits = P::GATE == 1 ? bits & sign : ~(bits ^ sign) & bnn_mask(whole ? 64 : TAIL);
          if (P::GATE == 2) hits &= whole ? bnn_get<64>(weights[addr], p * PE_W + P::SIMD + i) : bnn_get<TAIL>(weights[addr], p * PE_W + P::SIMD + i);
          count += whole ? bnn_popcount<64>(hits) : bnn_popcount<TAIL>(hits);
        }
        partial += P::COEFFS[turn * P::PLANES + q] * count;
      }
      sum[p] = bnn_wrapped<P::SUM_W>(beat == 0 && turn == 0 ? partial : sum[p] + partial);
    }
    if (++turn == P::N_TURNS) {
      turn = 0;
      addr = addr == P::N_WORDS - 1 ? 0 : addr + 1;
      if (++beat == P::N_BEATS) {
        beat = 0;
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
