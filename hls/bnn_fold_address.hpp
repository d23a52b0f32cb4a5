// Address of a head's parameters: the beat within the pixel, and where the pixel's border class begins.
// Advances by one beat with every step; pixels run in rows.
#pragma once
#include "bnn_bits.hpp"

template <class P>
class bnn_fold_address {
  int fold = 0, row = 0, col = 0;

 public:
  int addr() const {
#pragma HLS inline
    return P::N_CLASSES == 1 ? fold : P::ROW_BASE[row] + P::COL_BASE[col] + fold;
  }
  void step() {
#pragma HLS inline
    if (++fold < P::N_FOLDS) return;
    fold = 0;
    if (P::N_CLASSES == 1) return;
    if (++col < P::OUT_COLS) return;
    col = 0;
    row = row == P::OUT_ROWS - 1 ? 0 : row + 1;
  }
};
