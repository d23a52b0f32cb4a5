// The words of AXI4-Stream ports.
#pragma once
#include "bnn_bits.hpp"
#if __has_include(<ap_axi_sdata.h>)
#include <ap_axi_sdata.h>
#else
// What C simulation needs of Vitis' ap_axi_sdata.h where that is not there.
template <int D, int U, int TI, int TD>
struct ap_axiu {
  static_assert(U == 0 && TI == 0 && TD == 0, "no user, id and destination");
  ap_uint<D> data;
  ap_uint<(D + 7) / 8> keep, strb;
  ap_uint<1> last;
};
#endif

template <int W>
using bnn_axis = ap_axiu<W, 0, 0, 0>;

// Bytes of a word that are kept: all, or so many of a frame's last word.
template <int BYTES>
ap_uint<BYTES> bnn_keep(bool last, int bytes) {
#pragma HLS inline
  const ap_uint<BYTES> all = -1;
  return last ? ap_uint<BYTES>(all >> (BYTES - bytes)) : all;
}
