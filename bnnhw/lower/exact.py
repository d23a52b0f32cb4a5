"""Exact arithmetic on what a framework does to a sum before it quantises it: affine pieces, clips and quantisers, as fractions.

Square roots of variances are taken to 200 bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, gcd, isfinite, isqrt, lcm

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir import graph as g
from bnnhw.ir.encoding import I64

Fractions = NDArray[np.object_]
"""[C] of Fraction."""
ROOT_BITS = 200
NEVER = 1 << 60
"""A limit that no sum reaches; its negative one every sum passes."""


def fractions(values: NDArray) -> Fractions:
    """The floats, or integers, as they are."""
    return np.array([Fraction(v) for v in np.asarray(values).ravel().tolist()], object).reshape(np.shape(values))


@dataclass(frozen=True, eq=False)
class Affine:
    """factor * x + addend for each channel."""

    factor: Fractions
    addend: Fractions

    @staticmethod
    def of(channels: int, factor: Fraction | int = 1, addend: Fraction | int = 0) -> Affine:
        """The same for all channels."""
        return Affine(np.array([Fraction(factor)] * channels, object), np.array([Fraction(addend)] * channels, object))

    def then(self, after: Affine) -> Affine:
        """Both, one behind the other."""
        return Affine(self.factor * after.factor, self.addend * after.factor + after.addend)

    @property
    def sign(self) -> I64:
        """[C] of the slopes."""
        return np.array([(f > 0) - (f < 0) for f in self.factor], np.int64)


Piece = Affine | g.Clip


def normalisation(norm: g.BatchNorm) -> Affine:
    """A batch norm as an affine piece. Errors: ValueError for a variance below 0, or 0 with eps 0."""
    weight, bias, mean, var = (fractions(v) for v in (norm.weight, norm.bias, norm.mean, norm.var))
    factor = weight * np.array([1 / _root(v + Fraction(norm.eps)) for v in var], object)
    return Affine(factor, bias - mean * factor)


def _root(x: Fraction) -> Fraction:
    """The square root, to ROOT_BITS bits."""
    if x <= 0:
        raise ValueError
    bits = ROOT_BITS + max(0, x.denominator.bit_length() - x.numerator.bit_length())
    return Fraction(isqrt((x.numerator << (2 * bits)) // x.denominator), 1 << bits)


@dataclass(frozen=True)
class Step:
    """Passed by x > at, or x >= at where `closed`."""

    at: Fraction
    closed: bool

    def passed(self, x: Fraction) -> bool:
        """Whether a number passes."""
        return x > self.at or (self.closed and x == self.at)


Quantiser = g.Quantise | g.Bipolar | g.Truncate | g.Round


def steps(quantiser: Quantiser, scale: Fraction, ends: tuple[int, int]) -> tuple[list[int], list[Step]]:
    """Values in units of the output's scale, rising, and the step in x before each but the first; `scale` is that of its channel."""
    match quantiser:
        case g.Bipolar(zero_to=0):
            return [-1, 0, 1], [Step(Fraction(0), True), Step(Fraction(0), False)]
        case g.Bipolar(zero_to=zero_to):
            return [-1, 1], [Step(Fraction(0), zero_to > 0)]
        case g.Round(rounding=rounding):
            return list(range(ends[0], ends[1] + 1)), [_rounded(rounding, level) for level in range(ends[0] + 1, ends[1] + 1)]
        case g.Truncate():
            levels = range(ends[0] + 1, ends[1] + 1)
            inner = (_rounded("ROUND", _least(_rounded(quantiser.rounding, level), quantiser.divisor)) for level in levels)
            return [level - quantiser.zero_out for level in range(ends[0], ends[1] + 1)], [_scaled(s, scale, quantiser.zero) for s in inner]
        case g.Quantise():
            if quantiser.bits == 1 and quantiser.signed:  # as QONNX' executor has it
                return [-1 - quantiser.zero, 1 - quantiser.zero], [Step(-Fraction(quantiser.zero) * scale, True)]
            return [level - quantiser.zero for level in range(ends[0], ends[1] + 1)], [
                _scaled(_rounded(quantiser.rounding, level), scale, quantiser.zero) for level in range(ends[0] + 1, ends[1] + 1)
            ]


def _scaled(step: Step, scale: Fraction, zero: int) -> Step:
    return Step((step.at - zero) * scale, step.closed)


def _least(step: Step, divisor: int) -> int:
    """The least integer that, over the divisor, passes."""
    at = step.at * divisor
    return ceil(at) if step.closed else floor(at) + 1


def _rounded(mode: str, level: int) -> Step:
    """Where rounding first gives `level` or more."""
    half, whole = Fraction(2 * level - 1, 2), Fraction(level)
    match mode:
        case "ROUND" | "HALF_EVEN":
            return Step(half, level % 2 == 0)
        case "CEIL":
            return Step(whole - 1, False)
        case "FLOOR":
            return Step(whole, True)
        case "UP":
            return Step(whole - 1, False) if level > 0 else Step(whole, True)
        case "DOWN" | "ROUND_TO_ZERO":
            return Step(whole, True) if level > 0 else Step(whole - 1, False)
        case "HALF_UP":
            return Step(half, level > 0)
        case "HALF_DOWN":
            return Step(half, level <= 0)
    raise AssertionError(mode)


def limit(step: Step, pieces: tuple[Piece, ...], channel: int) -> tuple[int, Step | None]:
    """Least rising total of a channel that passes, and the exact place; +-NEVER, None where no total or each passes.

    The total counts negative where the slopes of the pieces multiply to less than 0.
    """
    at, closed, upward = step.at, step.closed, True
    for piece in reversed(pieces):
        if isinstance(piece, g.Clip):
            decided = _clipped(piece, at, closed, upward)
            if decided is not None:
                return (-NEVER if decided else NEVER), None
            continue
        factor, addend = piece.factor[channel], piece.addend[channel]
        if factor == 0:
            passes = (addend > at if upward else addend < at) or (closed and addend == at)
            return (-NEVER if passes else NEVER), None
        at = (at - addend) / factor
        upward ^= bool(factor < 0)
    if not upward:
        at = -at
    return max(-NEVER, min(NEVER, ceil(at) if closed else floor(at) + 1)), Step(at, closed)


def _clipped(clip: g.Clip, at: Fraction, closed: bool, upward: bool) -> bool | None:
    """Whether clipped numbers always pass, or never; None where it depends on the number."""
    low, high = (Fraction(v) if isfinite(v) else v for v in (clip.low, clip.high))
    if not upward:  # x < at, or x <= at: mirror
        low, high, at = -high, -low, -at
    if low > at or (closed and low == at):
        return True
    if high < at or (not closed and high == at):
        return False
    return None


def rising(pieces: tuple[Piece, ...], channels: int) -> I64:
    """[C] sign of the slopes of all pieces together."""
    sign = np.ones(channels, np.int64)
    for piece in pieces:
        if isinstance(piece, Affine):
            sign *= piece.sign
    return sign


def composed(pieces: tuple[Piece, ...], channels: int) -> Affine | None:
    """All pieces as one affine; None with a clip among them."""
    whole = Affine.of(channels)
    for piece in pieces:
        if isinstance(piece, g.Clip):
            return None
        whole = whole.then(piece)
    return whole


def common_unit(values: Iterable[Fraction]) -> Fraction:
    """The largest number of which all are whole multiples; 0 if all are 0."""
    distinct = {abs(v) for v in values}
    below = lcm(*(v.denominator for v in distinct))
    return Fraction(gcd(*(v.numerator * (below // v.denominator) for v in distinct)), below)


def reached(pieces: tuple[Piece, ...], channels: int, ends: tuple[int, int]) -> tuple[Fraction, Fraction]:
    """Least and greatest number that totals from `ends[0]` to `ends[1]` become in any channel."""
    found = []
    for c in range(channels):
        for end in ends:
            y = Fraction(end)
            for piece in pieces:
                if isinstance(piece, Affine):
                    y = piece.factor[c] * y + piece.addend[c]
                    continue
                y = max(y, Fraction(piece.low)) if isfinite(piece.low) else y
                y = min(y, Fraction(piece.high)) if isfinite(piece.high) else y
            found.append(y)
    return min(found), max(found)


def rounded(mode: str, x: Fraction) -> int:
    """The integer that a mode of rounding gives."""
    level = floor(x) - 1
    while _rounded(mode, level + 1).passed(x):
        level += 1
    return level
