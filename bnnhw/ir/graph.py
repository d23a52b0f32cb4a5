"""A network as its framework computes it: real operations on real tensors, before anything is made of integers.

What front ends read from foreign files; `bnnhw.lower.recognise` finds the integer network in it. Shapes are without the batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64

F64 = NDArray[np.float64]
Sizes = tuple[int, ...]

ROUNDINGS = ("ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "ROUND_TO_ZERO", "HALF_UP", "HALF_DOWN")
"""Modes of QONNX; ROUND and HALF_EVEN are one, DOWN and ROUND_TO_ZERO as well."""


@dataclass(frozen=True, eq=False)
class Codes:
    """A constant as integers times scales that spread over them, both exact."""

    integers: I64
    scale: F64

    @property
    def real(self) -> F64:
        """The numbers, rounded to float64."""
        return self.integers * self.scale


@dataclass(frozen=True, eq=False)
class Quantise:
    """round(clip(x / scale + zero)) - zero, times scale; `bits` and the flags give the clip's ends."""

    scale: F64
    """One, or one a channel: spreads over the tensor."""
    zero: int
    bits: int
    signed: bool = True
    narrow: bool = False
    rounding: str = "ROUND"

    @property
    def ends(self) -> tuple[int, int]:
        """Least and greatest integer."""
        high = (1 << (self.bits - int(self.signed))) - 1
        if self.signed:
            return -high - (not self.narrow), high
        return 0, high - self.narrow


@dataclass(frozen=True, eq=False)
class Bipolar:
    """-scale or +scale by the sign; `zero_to` says what 0 becomes: -1, 0 or 1."""

    scale: F64
    zero_to: int = 1


@dataclass(frozen=True, eq=False)
class Truncate:
    """QONNX' Trunc: round(x / scale + zero), over `divisor`, clipped to `ends` if given, rounded, less zero_out, times scale_out."""

    scale: float
    zero: int
    divisor: int
    rounding: str
    zero_out: int
    scale_out: float
    ends: tuple[int, int] | None


@dataclass(frozen=True)
class Round:
    """To integers, by one of ROUNDINGS."""

    rounding: str


@dataclass(frozen=True, eq=False)
class Conv:
    """Cross-correlation of a map [C, rows, columns] with weights [O, C / groups, kernel rows, kernel columns]."""

    weights: Codes | F64
    bias: F64 | None
    stride: tuple[int, int]
    pad: tuple[int, int, int, int]
    """top, left, bottom, right; of zeros."""
    dilation: tuple[int, int]
    groups: int


@dataclass(frozen=True, eq=False)
class Dense:
    """Product of the last axis with weights [O, K]."""

    weights: Codes | F64
    bias: F64 | None


@dataclass(frozen=True, eq=False)
class Scale:
    """Times a constant, or over it."""

    factor: F64
    divide: bool = False


@dataclass(frozen=True, eq=False)
class Shift:
    """Plus a constant."""

    addend: F64


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """(x - mean) / sqrt(var + eps) * weight + bias for each channel, the first axis."""

    weight: F64
    bias: F64
    mean: F64
    var: F64
    eps: float


@dataclass(frozen=True)
class Clip:
    """min(max(x, low), high); a ReLU has no upper end."""

    low: float
    high: float


@dataclass(frozen=True)
class MaxPool:
    """Largest of each window; margins never win."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True)
class AveragePool:
    """Mean of each window, in which margins count as 0."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True)
class Pad:
    """Margins of one value, (before, after) for each axis."""

    pads: tuple[tuple[int, int], ...]
    value: float

    @property
    def around(self) -> tuple[int, int, int, int] | None:
        """top, left, bottom, right of a map [C, rows, columns] or line [C, columns]; None where channels are padded."""
        (channels, *ends), rank = self.pads, len(self.pads)
        if rank not in (2, 3) or channels != (0, 0):
            return None
        (top, bottom), (left, right) = ends if rank == 3 else ((0, 0), ends[0])
        return top, left, bottom, right


@dataclass(frozen=True)
class Add:
    """Sum of two tensors."""

    negate: bool = False
    """Whether the second is taken off."""


@dataclass(frozen=True)
class Concat:
    """Tensors one behind the other along the channels."""


@dataclass(frozen=True)
class Reshape:
    """The same numbers in another shape."""

    shape: Sizes


@dataclass(frozen=True)
class Transpose:
    """Axes in another order."""

    order: Sizes


@dataclass(frozen=True)
class Rank:
    """Softmax, argmax and the like behind the outputs: the label stays the first largest."""


Operation = (
    Quantise
    | Bipolar
    | Truncate
    | Round
    | Conv
    | Dense
    | Scale
    | Shift
    | BatchNorm
    | Clip
    | MaxPool
    | AveragePool
    | Pad
    | Add
    | Concat
    | Reshape
    | Transpose
    | Rank
)


@dataclass(frozen=True, eq=False)
class Node:
    """An operation and the names of the tensors around it."""

    operation: Operation
    name: str
    """What its framework calls it."""
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in an order in which they can run."""

    name: str
    source: str
    """Where it came from, for messages."""
    input: str
    shape: Sizes
    nodes: tuple[Node, ...]
    output: str
    classes: tuple[str, ...] | None = None
    uses: dict[str, int] = field(init=False)
    """Readers of each tensor; the network's end is one."""

    def __post_init__(self) -> None:
        count = {self.output: 1}
        for node in self.nodes:
            for name in node.inputs:
                count[name] = count.get(name, 0) + 1
        object.__setattr__(self, "uses", count)
