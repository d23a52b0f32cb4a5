"""Integer dot products of a layer, exact by construction: packed popcounts, or products proved to fit."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bnnhw.golden.windows import pad, taps
from bnnhw.ir.encoding import Alphabet, Encoding, numbers
from bnnhw.ir.layers import MatVec

BLOCK, RUN = 1 << 16, 1 << 12
"""Partial sums held at once by the popcount loop, so that they stay in cache, and the longest run of them."""


def dot_products(layer: MatVec, x: NDArray[np.integer]) -> NDArray[np.integer]:
    """[N, out rows, out columns, O] totals for maps [N, H, W, C] of levels or integers."""
    if _packs(layer):
        return _popcount(layer, x)
    return _product(layer, x)


def _packs(layer: MatVec) -> bool:
    if not isinstance(layer.x, Encoding) or layer.partial is not None:
        return False
    one_bit = layer.x.planes == 1 and layer.x.alphabet is Alphabet.BIPOLAR and layer.x.scale == (1,) and layer.x.offset == 0
    return one_bit and layer.weights.is_binary and layer.window.groups == 1 and layer.window.fan_in >= 32


def _pack(bits: NDArray) -> NDArray[np.uint64]:
    """[..., words] little-endian words of bits [..., C]; spare bits are 0."""
    packed = np.packbits(bits, axis=-1, bitorder="little")
    spare = -packed.shape[-1] % 8
    if spare:
        packed = np.concatenate([packed, np.zeros((*packed.shape[:-1], spare), np.uint8)], axis=-1)
    return packed.view("<u8")


@lru_cache(maxsize=256)
def _packed_weights(layer: MatVec) -> NDArray[np.uint64]:
    """[taps * words, O]"""
    w = layer.window
    bits = layer.weights.bits[0].reshape(-1, w.taps, w.shape[0])
    return np.ascontiguousarray(_pack(bits).reshape(len(bits), -1).T)


def _popcount(layer: MatVec, x: NDArray[np.integer]) -> NDArray[np.int32]:
    """K - 2 * popcount(xor)."""
    w, weights = layer.window, _packed_weights(layer)
    columns = np.concatenate(taps(_pack(pad(x, w)), w), axis=-1).reshape(-1, len(weights))
    differing = _differing(np.ascontiguousarray(columns.T), weights)
    dot = np.subtract(w.fan_in, np.multiply(differing, 2, dtype=np.int32))
    return dot.reshape(len(x), w.out_rows, w.out_columns, layer.weights.outputs)


def _differing(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.unsignedinteger]:
    """[M, N] bits in which columns of `a` [words, M] and of `b` [words, N] differ; the longer side runs innermost."""
    if a.shape[1] > b.shape[1]:
        return _differing(b, a).T
    m, n = a.shape[1], b.shape[1]
    found = np.empty((m, n), np.uint16 if len(a) < 1 << 10 else np.uint32)
    wide = min(n, RUN)
    high = max(1, BLOCK // max(wide, 1))
    differ, counts = np.empty((high, wide), np.uint64), np.empty((high, wide), np.uint8)
    for left in range(0, n, RUN):
        for top in range(0, m, high):
            total = found[top : top + high, left : left + RUN]
            rows, columns = total.shape
            d, c = differ[:rows, :columns], counts[:rows, :columns]
            total[...] = 0
            for j in range(len(a)):
                np.bitwise_xor(a[j, top : top + rows, None], b[j, left : left + columns], out=d)
                np.bitwise_count(d, out=c)
                np.add(total, c, out=total)
    return found


@lru_cache(maxsize=256)
def _matrix(layer: MatVec) -> NDArray:
    """[groups, K, M] weights in the narrowest type that holds every partial sum exactly."""
    most = max(abs(layer.x.low), abs(layer.x.high))
    bound = int(np.abs(layer.weights.values).sum(1).max(initial=0)) * most
    dtype = np.float32 if bound < 1 << 24 else np.float64 if bound < 1 << 53 else np.int64
    g = layer.window.groups
    return np.ascontiguousarray(layer.weights.values.reshape(g, -1, layer.window.fan_in).transpose(0, 2, 1).astype(dtype))


def _product(layer: MatVec, x: NDArray[np.integer]) -> NDArray[np.integer]:
    w, matrix = layer.window, _matrix(layer)
    values = numbers(layer.x, pad(x, w)).astype(matrix.dtype)
    grouped = [t.reshape(*t.shape[:3], w.groups, w.group_channels) for t in taps(values, w)]
    stacked = np.stack(grouped, axis=-2)
    rows = stacked.reshape(-1, w.groups, w.fan_in).transpose(1, 0, 2)
    if layer.partial is None:
        dot = rows @ matrix
    else:
        step = layer.partial.taps
        pieces = range(0, w.fan_in, step)
        dot = np.sum([layer.partial.fixed.apply((rows[..., k : k + step] @ matrix[:, k : k + step]).astype(np.int64)) for k in pieces], axis=0)
    return dot.transpose(1, 0, 2).reshape(len(x), w.out_rows, w.out_columns, layer.weights.outputs).astype(np.int64)
