// Bits in words of 64: what streams and memories hold, where the library computes with it.
#pragma once
#include <ap_int.h>
#include <hls_stream.h>

#include <cstdint>

// Words of 64 bits that hold so many.
constexpr int bnn_words(int bits) { return (bits + 63) / 64; }

// The lowest `bits` bits set.
constexpr uint64_t bnn_mask(int bits) { return bits >= 64 ? ~uint64_t(0) : (uint64_t(1) << bits) - 1; }

// W bits, at most 64, from bit `at` on.
template <int W, int N>
uint64_t bnn_get(const uint64_t (&words)[N], int at) {
#pragma HLS inline
  static_assert(W <= 64, "a field has at most 64 bits");
  const int word = at / 64, low = at % 64;
  uint64_t found = words[word] >> low;
  if (N > 1 && low + W > 64) found |= words[word + 1] << (64 - low);
  return found & bnn_mask(W);
}

// The same as a number in two's complement.
template <int W, int N>
int64_t bnn_get_signed(const uint64_t (&words)[N], int at) {
#pragma HLS inline
  const uint64_t found = bnn_get<W>(words, at), sign = uint64_t(1) << (W - 1);
  return int64_t((found ^ sign) - sign);
}

// The lowest W bits of a number as a number, so that it needs no more.
template <int W>
int64_t bnn_wrapped(int64_t value) {
#pragma HLS inline
  const uint64_t sign = uint64_t(1) << (W - 1);
  return int64_t(((uint64_t(value) & bnn_mask(W)) ^ sign) - sign);
}

// Write W bits, at most 64, from bit `at` on, where there are zeros.
template <int W, int N>
void bnn_put(uint64_t (&words)[N], int at, uint64_t value) {
#pragma HLS inline
  static_assert(W <= 64, "a field has at most 64 bits");
  const int word = at / 64, low = at % 64;
  value &= bnn_mask(W);
  words[word] |= value << low;
  if (N > 1 && low + W > 64) words[word + 1] |= value >> (64 - low);
}

// A beat to words.
template <int W>
void bnn_split(const ap_uint<W> &beat, uint64_t (&words)[bnn_words(W)]) {
#pragma HLS inline
  for (int n = 0; n < bnn_words(W); n++) {
#pragma HLS unroll
    const int high = 64 * n + 63 < W ? 64 * n + 63 : W - 1;
    words[n] = beat.range(high, 64 * n).to_uint64();
  }
}

// Words to a beat.
template <int W>
ap_uint<W> bnn_joined(const uint64_t (&words)[bnn_words(W)]) {
#pragma HLS inline
  ap_uint<W> beat = 0;
  for (int n = 0; n < bnn_words(W); n++) {
#pragma HLS unroll
    const int high = 64 * n + 63 < W ? 64 * n + 63 : W - 1;
    beat.range(high, 64 * n) = words[n];
  }
  return beat;
}

// Fields of F bits one behind the other from bit `from` of `s` to bit `to` of `m`.
template <int F, int COUNT, int A, int B>
void bnn_copy(const uint64_t (&s)[A], int from, uint64_t (&m)[B], int to) {
#pragma HLS inline
  for (int n = 0; n < F * COUNT; n += 64) {
#pragma HLS unroll
    if (F * COUNT - n >= 64)
      bnn_put<64>(m, to + n, bnn_get<64>(s, from + n));
    else
      bnn_put<(F * COUNT) % 64 == 0 ? 64 : (F * COUNT) % 64>(m, to + n, bnn_get<(F * COUNT) % 64 == 0 ? 64 : (F * COUNT) % 64>(s, from + n));
  }
}
