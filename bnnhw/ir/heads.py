"""What stands behind the totals of a layer: thresholds, or integer sums in a fixed-point format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64, U8, Encoding, Format, Integers
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.window import Bool

Overflow = Literal["saturate", "zero", "wrap"]


@dataclass(frozen=True)
class Fixed:
    """A fixed-point format to narrow to: x >> shift, then what overflow says beyond `low` and `high`."""

    shift: int
    low: int
    high: int
    overflow: Overflow = "saturate"

    def __post_init__(self) -> None:
        if self.shift < 0 or self.low > self.high or (self.overflow == "wrap" and (self.low != -self.high - 1 or self.low & self.high)):
            raise BnnhwError(f"fixed-point format {self} cannot be; give a shift of 0 or more, low <= high, and two's complement limits to wrap in")

    def apply(self, x: I64) -> I64:
        """Narrowed numbers."""
        x = x >> self.shift
        match self.overflow:
            case "saturate":
                return np.clip(x, self.low, self.high)
            case "zero":
                return np.where((x < self.low) | (x > self.high), 0, x)
            case "wrap":
                return (x - self.low) % (self.high - self.low + 1) + self.low

    def range_of(self, low: int, high: int) -> tuple[int, int]:
        """Bounds of what numbers between `low` and `high` become."""
        low, high = low >> self.shift, high >> self.shift
        if self.low <= low and high <= self.high:
            return low, high
        if self.overflow == "saturate":
            return min(max(low, self.low), self.high), max(min(high, self.high), self.low)
        return min(self.low, 0), max(self.high, 0)


@dataclass(frozen=True, eq=False)
class Thresholds:
    """level = number of k with (total >= values[class, o, k]) xor flip[o]."""

    values: I64
    """[B, O, L-1], rising along the last axis, falling where flipped; B is 1, or the window's border classes."""
    code: Encoding
    flip: Bool | None = None
    """[O] outputs whose level falls with the total; None where none does."""

    @property
    def per_class(self) -> I64:
        """What differs between border classes."""
        return self.values

    def level(self, total: NDArray[np.integer], rows: NDArray) -> U8:
        """Levels of totals [..., O] under thresholds [..., O, L-1]."""
        level = np.zeros(total.shape, np.uint8)
        for k in range(self.values.shape[2]):
            level += (total >= rows[..., k]) if self.flip is None else (total >= rows[..., k]) ^ self.flip
        return level


@dataclass(frozen=True, eq=False)
class Sums:
    """out = scale[o] * total + bias[class, o], in units of 2**-fraction_bits of the trained value, then narrowed."""

    scale: I64
    """[O]"""
    bias: I64
    """[B, O]; B is 1, or the window's border classes."""
    fraction_bits: int = 0
    fixed: Fixed | None = None

    @property
    def per_class(self) -> I64:
        """What differs between border classes."""
        return self.bias

    def out(self, total: NDArray[np.integer], bias: I64) -> I64:
        """Numbers of totals [..., O] under biases [..., O]."""
        x = total.astype(np.int64) * self.scale + bias
        return x if self.fixed is None else self.fixed.apply(x)

    def exact_range(self, low: I64, high: I64) -> tuple[int, int]:
        """Bounds of what totals between `low` and `high` [O] become before they are narrowed."""
        ends = np.stack([low, high])[:, None] * self.scale + self.bias
        return int(ends.min()), int(ends.max())

    def integers(self, low: I64, high: I64) -> Integers:
        """What totals between `low` and `high` [O] become."""
        bounds = self.exact_range(low, high)
        return Integers(*(bounds if self.fixed is None else self.fixed.range_of(*bounds)))


Head = Thresholds | Sums


@dataclass(frozen=True)
class Partial:
    """Sums of every `taps` inputs are narrowed before they are added."""

    taps: int
    fixed: Fixed


def check_head(name: str, head: Head, outputs: int, classes: int) -> None:
    """Refuse a head that does not fit its layer."""
    if isinstance(head, Sums) and head.scale.shape != (outputs,):
        raise BnnhwError(f"layer {name!r}: {head.scale.shape} scales for {outputs} outputs; give one each")
    per_class = head.per_class
    if per_class.shape[1] != outputs:
        raise BnnhwError(f"layer {name!r}: head {per_class.shape} does not fit {outputs} outputs; check its sizes")
    if per_class.shape[0] not in (1, classes):
        raise BnnhwError(f"layer {name!r}: {per_class.shape[0]} border classes given, the window has {classes}; give 1 or {classes}")
    if isinstance(head, Thresholds) and per_class.shape[2] != head.code.levels - 1:
        raise BnnhwError(
            f"layer {name!r}: {per_class.shape[2]} thresholds need {per_class.shape[2] + 1} levels, "
            f"its encoding has {head.code.levels}; use uint({per_class.shape[2].bit_length()})"
        )


def head_format(head: Head, total_range: tuple[I64, I64]) -> Format:
    """Format of what a head gives for totals between two bounds [O]."""
    return head.code if isinstance(head, Thresholds) else head.integers(*total_range)


def span(weights: I64, low: int, high: int) -> tuple[I64, I64]:
    """[O] least and [O] greatest product of weights [O, K] with inputs between `low` and `high`."""
    positive = np.maximum(weights, 0).sum(1)
    negative = weights.sum(1) - positive
    return positive * low + negative * high, positive * high + negative * low
