"""Tensors of a foreign network while it is being recognised: integers of a stream, and what was done to them since."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir import graph as g
from bnnhw.ir.encoding import I64
from bnnhw.ir.topology import INPUT
from bnnhw.ir.window import Shape, slide
from bnnhw.lower import exact as x


class Problem(Exception):
    """What is wrong with a node, and the remedy."""


@dataclass(eq=False)
class Product:
    """A convolution or dense layer that is not written yet: whether its sums stay sums depends on who reads them."""

    spec: dict[str, Any]
    source: str
    weights: I64
    meaning: x.Affine
    """Of its sums."""
    exact: bool
    """Whether a framework's float32 sums have no rounding."""
    fan_in: int
    margin: int | float = 0
    """What stands around the map, in integers or between them."""
    written: str | None = None


@dataclass(frozen=True, eq=False)
class PendingPool:
    """A max pool after the first `at` pieces."""

    at: int
    pool: g.MaxPool
    name: str


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor: elements of a stream of integers, and what was done to them since."""

    stream: str
    shape: Shape
    ids: I64
    pieces: tuple[x.Piece, ...]
    ends: tuple[int, int]
    """No integer is less, or greater."""
    levels: tuple[int, ...] | None = None
    """The integers, where they are levels."""
    product: Product | None = None
    pools: tuple[PendingPool, ...] = ()
    tensors: tuple[str, ...] = ()
    """Names since the stream."""
    node: str = ""
    """What gave the last of them."""
    out: Shape = field(default=(0, 0, 0))
    """Shape behind the pools."""
    padded: g.Pad | None = None
    """A margin around it."""
    error: float = 0.0
    """By how much, in integers, the stream may miss them: where scales had no common unit and were rounded to one."""

    @property
    def carried(self) -> bool:
        """Whether the stream holds exactly this tensor."""
        exact = not self.error and not self.pools and self.padded is None and all(isinstance(p, x.Affine) for p in self.pieces)
        return exact and bool(self.stream) and (self.stream != INPUT or self.levels is not None)

    @property
    def channels(self) -> int:
        return self.shape[0]

    def after(self, piece: x.Piece) -> Value:
        """With one more piece; affine ones melt together where no pool stands between."""
        old = self.pieces
        between = bool(self.pools) and self.pools[-1].at == len(old)
        if old and not between and isinstance(piece, x.Affine) and isinstance(old[-1], x.Affine):
            return replace(self, pieces=(*old[:-1], old[-1].then(piece)))
        return replace(self, pieces=(*old, piece))


@dataclass(frozen=True, eq=False)
class Operand:
    """A product's input: real = unit * multiple[c] * integer + offset[c]."""

    stream: str
    shape: Shape
    unit: Fraction
    multiple: I64
    offset: x.Fractions
    ends: tuple[int, int]

    def margin(self, real: Fraction) -> int | float:
        """The integer, or number, that stands for a real one."""
        found = {(real - o) / (self.unit * int(m)) for o, m in zip(self.offset, self.multiple, strict=True)}
        if len(found) > 1:
            raise Problem("pads what has another scale or offset in each channel; pad after one normalisation for all, or with the offset")
        at = found.pop()
        return int(at) if at.denominator == 1 else float(at)


def plain_ids(value: Value) -> I64:
    """Places of a product's own output."""
    assert value.product is not None
    return np.arange(prod(value.shape)).reshape(value.shape if value.product.spec["type"] == "conv" else value.shape[:1])


def margins_of(padded: g.Pad) -> tuple[int, int, int, int]:
    """Margins of a map."""
    found = padded.around
    if found is None:
        raise Problem("takes channels that are padded; pad rows and columns")
    return found


def per_channel(value: Value, given: NDArray) -> x.Fractions:
    """[C] a constant that spreads over the tensor. Errors: Problem where it differs within a channel."""
    shape = value.ids.shape
    try:
        spread = np.broadcast_to(given, (1, *shape) if np.ndim(given) > len(shape) else shape).reshape(-1)
    except ValueError:
        raise Problem(f"its constant {np.shape(given)} does not spread over {shape}; mend the model") from None
    channel = (value.ids // prod(value.out[1:])).ravel()
    if not np.isfinite(spread).all():
        raise Problem("has a constant that is infinite or no number; mend the model")
    found = np.zeros(value.out[0])
    found[channel] = spread
    if (found[channel] != spread).any():
        raise Problem("its constant differs within a channel, which no threshold of a channel can hold; use one for each channel")
    return x.fractions(found)


def normalised(value: Value, norm: g.BatchNorm) -> x.Affine:
    """A batch norm over the channels of a value."""
    spread = (-1, *[1] * (value.ids.ndim - 1))
    given = (norm.weight, norm.bias, norm.mean, norm.var)
    if len({len(v) for v in given}) > 1 or not all(np.isfinite(v).all() for v in given):
        raise Problem("has parameters of different lengths, or that are no numbers; mend the model")
    if len(norm.mean) != len(value.ids):
        raise Problem(f"has {len(norm.mean)} channels, its input {len(value.ids)}; mend the model")
    try:
        piece = x.normalisation(norm)
    except ValueError:
        raise Problem("a variance and eps are 0, or less; mend the model") from None
    places = per_channel(value, np.arange(len(norm.mean), dtype=np.float64).reshape(spread))
    index = [int(p) for p in places]
    return x.Affine(piece.factor[index], piece.addend[index])


def as_map(value: Value) -> Value:
    """With the elements of its stream in their own order, as a map."""
    c, rows, columns = value.out
    shapes = (value.out, *([(c, columns)] if rows == 1 else []), *([(c,)] if rows * columns == 1 else []))
    if value.ids.shape not in shapes or (value.ids.ravel() != np.arange(value.ids.size)).any():
        raise Problem("takes a map, its input is transposed or reshaped into none; give [N, C, rows, columns]")
    return value


def ranked(ids: I64, rank: int) -> I64:
    """Elements of a map [C, rows, columns] as [C, columns] or [C], as its input was."""
    c, rows, columns = ids.shape
    if rank == 2 and rows == 1:
        return ids.reshape(c, columns)
    return ids.reshape(c) if rank == 1 and rows * columns == 1 else ids


def slid(shape: Shape, kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int, int, int]) -> Shape:
    c, rows, columns = shape
    if min(*kernel, *stride) < 1:
        raise Problem(f"has a kernel {kernel} and stride {stride}; give 1 or more")
    out = (c, slide(rows, kernel[0], stride[0], 1, pad[0], pad[2]), slide(columns, kernel[1], stride[1], 1, pad[1], pad[3]))
    if min(out) < 1:
        raise Problem(f"its kernel {kernel} does not fit a map of {rows}x{columns}; mend the model")
    return out


def within(value: Value, clip: g.Clip) -> bool:
    """Whether a clip changes nothing, as levels lie within its ends."""
    meaning = x.composed(value.pieces, value.channels)
    if value.levels is None or meaning is None:
        return False
    reals = [f * level + a for f, a in zip(meaning.factor, meaning.addend, strict=True) for level in (value.levels[0], value.levels[-1])]
    return bool(clip.low <= min(reals) and max(reals) <= clip.high)
