// Number of ones among at most 64 bits: tables of six inputs, which are LUTs, and adders behind them.
#pragma once
#include "bnn_bits.hpp"

constexpr uint8_t BNN_ONES[64] = {
    0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 1, 2, 2, 3, 2, 3, 3, 4, 2, 3, 3, 4, 3, 4, 4, 5,
    1, 2, 2, 3, 2, 3, 3, 4, 2, 3, 3, 4, 3, 4, 4, 5, 2, 3, 3, 4, 3, 4, 4, 5, 3, 4, 4, 5, 4, 5, 5, 6};

template <int N_BITS>
int bnn_popcount(uint64_t bits) {
#pragma HLS inline
#pragma HLS bind_storage variable = BNN_ONES type = rom_np impl = lutram
  int count = 0;
  for (int n = 0; n < N_BITS; n += 6) {
#pragma HLS unroll
    count += BNN_ONES[bits >> n & 63];
  }
  return count;
}
