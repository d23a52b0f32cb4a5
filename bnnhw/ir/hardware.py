"""A layer's arithmetic as the matrix-vector unit does it: popcounts with coefficients, constants folded away."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache, reduce
from math import gcd

import numpy as np

from bnnhw.ir.encoding import I64, Alphabet, Integers, signed_bits
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.heads import Sums, Thresholds
from bnnhw.ir.instances import Memory
from bnnhw.ir.layers import Gather, MatVec, Requantise

Headed = MatVec | Gather | Requantise


class Gate(IntEnum):
    """What a lane does with a weight's bits and an input bit before they are counted."""

    XNOR = 0
    """Bipolar weights: one bit each."""
    AND = 1
    """Unipolar weights: one bit each."""
    MASKED = 2
    """Bipolar weights, some of them 0: a sign and a mask bit each."""


def gate(layer: MatVec) -> Gate:
    """The gate of a layer's lanes."""
    w = layer.weights
    if w.alphabet is Alphabet.UNIPOLAR:
        return Gate.AND
    return Gate.XNOR if w.mask is None else Gate.MASKED


@dataclass(frozen=True, eq=False)
class PopcountForm:
    """dot[o] = factor[o] * sum_p scale[p, o] * sum_q coeffs[q] * popcount(gate(w[p, o], x_q)) + constant[o].

    One row of `coeffs` and `scale` serves all outputs where `shared`. The double sum is what hardware adds up.
    """

    coeffs: tuple[int, ...]
    """[Q]"""
    scale: I64
    """[P, O]; 1 where there is one plane."""
    factor: I64
    """[O], positive"""
    constant: I64
    """[O]"""
    low: I64
    """[O] least sum."""
    high: I64
    """[O] greatest sum."""

    @property
    def sum_bits(self) -> int:
        """Bits of a signed number that holds every sum and the threshold that no sum reaches."""
        return signed_bits(int(self.low.min()), int(self.high.max()) + 1)

    @property
    def scale_bits(self) -> int:
        """Bits of a signed number that holds every scale."""
        return signed_bits(int(self.scale.min()), int(self.scale.max()))

    @property
    def shared(self) -> bool:
        """Whether all outputs have the same scales."""
        return bool((self.scale == self.scale[:, :1]).all())


@lru_cache(maxsize=64)
def plane_terms(layer: MatVec) -> tuple[tuple[int, ...], int, I64]:
    """Coefficients [Q] over their divisor, and the constant [P, O, S] of each plane's sum over each segment of inputs.

    A plane pair gives 2p - n behind bipolar inputs and p - (n - plus) behind unipolar ones: p the popcount,
    n the weights that count, plus those with bit 1. S is 1 without partial sums.
    """
    w = layer.weights
    counted = w.bits if w.alphabet is Alphabet.UNIPOLAR else np.ones_like(w.bits)
    counted = counted if w.mask is None else counted & w.mask
    segments = 1 if layer.partial is None else layer.window.fan_in // layer.partial.taps
    n, plus = (m.reshape(*m.shape[:2], segments, -1).sum(3, dtype=np.int64) for m in (counted, counted & w.bits))
    x = layer.x
    bipolar = x.alphabet is Alphabet.BIPOLAR
    coeffs = [(2 if bipolar else 1) * s for s in x.scale]
    divisor = reduce(gcd, coeffs, 0)
    values = plus if w.alphabet is Alphabet.UNIPOLAR else 2 * plus - n
    constant = x.offset * values - (n if bipolar else n - plus) * sum(x.scale)
    return tuple(c // divisor for c in coeffs), divisor, constant


@lru_cache(maxsize=64)
def popcount_form(layer: MatVec) -> PopcountForm:
    """The popcount form of a layer."""
    scale = layer.weights.scale
    o = layer.weights.outputs
    coeffs, divisor, terms = plane_terms(layer)
    low, high = layer.dot_range
    if layer.partial is not None:
        if len(scale) > 1 or (scale != 1).any():
            raise BnnhwError(
                f"layer {layer.name!r}: partial sums are narrowed for one weight plane of scale 1 only, it has {len(scale)} of {np.unique(scale).tolist()}; use binary or ternary weights"
            )
        one = np.ones(o, np.int64)
        return PopcountForm(coeffs, scale, one, 0 * one, low, high)
    if (scale[0] <= 0).any() and len(scale) == 1:
        raise BnnhwError(f"layer {layer.name!r}: a single weight plane with a scale of {scale.min()}; negate its bits")
    common = np.maximum(np.gcd.reduce(scale, axis=0), 1)
    constant = (scale[:, :, None] * terms).sum((0, 2))
    factor, scale = common * divisor, scale // common
    if layer.writable:  # any counts that there can be
        reach = layer.window.fan_in * scale[:, None, :] * np.array(coeffs)[None, :, None]
        return PopcountForm(coeffs, scale, factor, constant, np.minimum(reach, 0).sum((0, 1)), np.maximum(reach, 0).sum((0, 1)))
    return PopcountForm(coeffs, scale, factor, constant, (low - constant) // factor, (high - constant) // factor)


def gives_levels(layer: MatVec) -> bool:
    """Whether an unrolled product compares its totals itself: its thresholds are the same at every place."""
    return isinstance(layer.head, Thresholds) and len(layer.head.per_class) == 1


def gives_numbers(layer: MatVec) -> bool:
    """Whether the totals of an unrolled product are its outputs, but for a constant that is the same at every place."""
    head = layer.head
    return isinstance(head, Sums) and head.fixed is None and len(head.per_class) == 1 and (head.scale == 1).all()


def number_bits(layer: MatVec) -> int:
    """Bits of each number that an unrolled product gives: its output, or a total for the head behind."""
    if gives_numbers(layer):
        assert isinstance(layer.out, Integers)
        return layer.out.bits
    low, high = layer.dot_range
    return signed_bits(int(low.min()), int(high.max()))


@lru_cache(maxsize=64)
def head_form(layer: Headed, memory: Memory = Memory.HEAD) -> PopcountForm:
    """The form of the totals that a head sees: popcounts behind a folded product, the numbers themselves elsewhere."""
    if isinstance(layer, MatVec) and memory is not Memory.TOTAL:
        return popcount_form(layer)
    low, high = head_range(layer)
    one = np.ones(len(low), np.int64)
    return PopcountForm((1,), one[None], one, 0 * one, low, high)


@lru_cache(maxsize=64)
def head_range(layer: Headed) -> tuple[I64, I64]:
    """[O] least and greatest total before the head."""
    match layer:
        case MatVec():
            return layer.dot_range
        case Gather():
            return layer.total_range
        case _:
            return np.full(layer.shape[0], layer.x.low, np.int64), np.full(layer.shape[0], layer.x.high, np.int64)


@lru_cache(maxsize=64)
def affine_terms(layer: Headed, memory: Memory) -> tuple[I64, I64]:
    """Scale [n] and bias [B, n] of an affine of the layer: its HEAD, also behind a TOTAL, the SCALE of its planes, or what makes a PARTIAL sum.

    n is O for the head, P * O (plane major) for the scales, S * O (segment major) for partial sums.
    """
    form = head_form(layer)
    if memory is Memory.TOTAL:
        assert isinstance(layer.head, Sums)
        return layer.head.scale, layer.head.bias
    if memory is Memory.HEAD:
        assert isinstance(layer.head, Sums)
        return popcount_affine(layer.head, form)
    assert isinstance(layer, MatVec)
    if memory is Memory.SCALE:
        return form.scale.reshape(-1), np.zeros((1, form.scale.size), np.int64)
    _, divisor, terms = plane_terms(layer)
    constant = terms[0].T.reshape(-1)
    return np.full(len(constant), divisor, np.int64), constant[None]


@lru_cache(maxsize=64)
def popcount_thresholds(head: Thresholds, form: PopcountForm) -> I64:
    """[B, O, L-1] least sum at which each threshold is reached; high + 1 where it never is."""
    limits = -((form.constant[:, None] - head.values) // form.factor[:, None])
    return np.clip(limits, form.low[:, None], form.high[:, None] + 1)


def popcount_affine(head: Sums, form: PopcountForm) -> tuple[I64, I64]:
    """Scale [O] and bias [B, O] that turn a sum of popcounts into the layer's number."""
    return head.scale * form.factor, head.bias + head.scale * form.constant


def index_bits(count: int) -> int:
    """Bits of an index below `count`, at least 1."""
    return max(1, (count - 1).bit_length())
