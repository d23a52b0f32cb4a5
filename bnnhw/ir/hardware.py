"""A layer's arithmetic as the matrix-vector unit does it: popcounts with coefficients, constants folded away."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import gcd

import numpy as np

from bnnhw.ir.encoding import I64, Alphabet
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import MatVec, Sums, Thresholds


@dataclass(frozen=True, eq=False)
class PopcountForm:
    """dot[o] = divisor * sum_q coeffs[q] * popcount(w[o] xnor x_q) + constant[o]."""

    coeffs: tuple[int, ...]
    """[Q]"""
    divisor: int
    constant: I64
    """[O]"""
    low: I64
    """[O] least weighted popcount."""
    high: I64
    """[O] greatest weighted popcount."""

    @property
    def sum_bits(self) -> int:
        """Bits of a signed number that holds every sum and the threshold that no sum reaches."""
        return signed_bits(int(self.low.min()), int(self.high.max()) + 1)


def popcount_form(layer: MatVec) -> PopcountForm:
    """The popcount form of a layer with one-bit weights; BnnhwError for others.

    A bipolar plane gives 2p - K, a unipolar one p - (number of negative weights), p the popcount.
    """
    if not layer.weights.is_binary:
        raise BnnhwError(f"layer {layer.name!r}: hardware is generated for one-bit weights only; binarise it")
    k, scale = layer.window.fan_in, np.array(layer.x.scale, np.int64)
    ones = layer.weights.bits[0].sum(1, dtype=np.int64)
    if layer.x.alphabet is Alphabet.BIPOLAR:
        coeffs, constant = 2 * scale, np.full(len(ones), -k * scale.sum())
    else:
        coeffs, constant = scale, -(k - ones) * scale.sum()
    constant = constant + layer.x.offset * (2 * ones - k)
    divisor = reduce(gcd, (int(c) for c in coeffs))
    low, high = layer.dot_range
    return PopcountForm(tuple(int(c) // divisor for c in coeffs), divisor, constant, (low - constant) // divisor, (high - constant) // divisor)


def popcount_thresholds(layer: MatVec, form: PopcountForm) -> I64:
    """[B, O] least weighted popcount at which each output is 1; high + 1 where it never is."""
    assert isinstance(layer.head, Thresholds)
    if layer.head.values.shape[2] != 1:
        raise BnnhwError(f"layer {layer.name!r}: hardware is generated for one threshold a channel, it has {layer.head.values.shape[2]}; use sign")
    limits = -((form.constant - layer.head.values[..., 0]) // form.divisor)
    return np.clip(limits, form.low, form.high + 1)


def popcount_affine(layer: MatVec, form: PopcountForm) -> tuple[I64, I64]:
    """Scale [O] and bias [B, O] that turn a weighted popcount into the layer's sum."""
    assert isinstance(layer.head, Sums)
    return layer.head.scale * form.divisor, layer.head.bias + layer.head.scale * form.constant


def signed_bits(low: int, high: int) -> int:
    """Bits of a two's complement number that holds `low` and `high`."""
    return max(low.bit_length() if low >= 0 else (~low).bit_length(), high.bit_length() if high >= 0 else (~high).bit_length()) + 1


def index_bits(count: int) -> int:
    """Bits of an index below `count`, at least 1."""
    return max(1, (count - 1).bit_length())
