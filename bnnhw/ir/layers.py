"""The layers of the integer network: what each reads, what it computes, and the shape and format of what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64, Alphabet, Format, Integers
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.heads import Head, Partial, check_head, head_format, span
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Shape, Window


class _OverWindow:
    """Reads one stream through a window."""

    x: Format
    window: Window

    @property
    def sources(self) -> tuple[tuple[Shape, Format], ...]:
        """Shape and format of each input."""
        return ((self.window.shape, self.x),)


class _Channelwise(_OverWindow):
    """Gives each channel of its input, reduced."""

    @property
    def out_shape(self) -> Shape:
        """Channels, rows, columns of the output."""
        return self.window.shape[0], self.window.out_rows, self.window.out_columns


class _PerPixel:
    """Gives a number for each of its first input's."""

    shape: Shape

    @property
    def out_shape(self) -> Shape:
        """Channels, rows, columns of the output."""
        return self.shape


class _OnePerPixel(_PerPixel):
    """The same, of one input."""

    x: Integers

    @property
    def sources(self) -> tuple[tuple[Shape, Format], ...]:
        """Shape and format of each input."""
        return ((self.shape, self.x),)


@dataclass(frozen=True, eq=False)
class MatVec(_OverWindow):
    """A convolution or dense layer: dot products over a window, then thresholds or integer sums."""

    name: str
    x: Format
    window: Window
    weights: Weights
    head: Head
    partial: Partial | None = None
    inputs: tuple[str, ...] = ()
    """Layers that feed it; empty: the one before."""
    writable: bool = False
    """Whether its weights and head may be written while it runs: then ranges are those of any weights."""

    def __post_init__(self) -> None:
        b, (o, k) = len(self.window.inside), self.weights.bits.shape[1:]
        if k != self.window.fan_in or o % self.window.groups:
            raise BnnhwError(
                f"layer {self.name!r}: weights {(o, k)} do not fit fan-in {self.window.fan_in} in groups of {self.window.groups}; check its sizes"
            )
        if self.partial and k % self.partial.taps:
            raise BnnhwError(f"layer {self.name!r}: partial sums of {self.partial.taps} inputs do not divide its fan-in {k}; choose a divisor")
        check_head(self.name, self.head, o, b)

    @property
    def border_classes(self) -> int:
        """B: sets of thresholds or biases, 1 where the margin makes no difference."""
        return len(self.head.per_class)

    @property
    def out_shape(self) -> Shape:
        """Channels, rows, columns of the output."""
        return self.weights.outputs, self.window.out_rows, self.window.out_columns

    @cached_property
    def out(self) -> Format:
        """Format of the output."""
        return head_format(self.head, self.dot_range)

    @cached_property
    def dot_range(self) -> tuple[I64, I64]:
        """[O] least and [O] greatest total that these weights can give."""
        seen = _seen(self.x, self.window)
        if self.writable:
            scale, least = self.weights.scale, -1 if self.weights.alphabet is Alphabet.BIPOLAR else 0
            values = np.stack([np.minimum(least * scale, scale).sum(0), np.maximum(least * scale, scale).sum(0)])
            ends = values[:, None] * np.array(seen)[None, :, None] * self.window.fan_in
            return np.minimum(ends.min((0, 1)), 0), np.maximum(ends.max((0, 1)), 0)
        if self.partial is None:
            return span(self.weights.values, *seen)
        parts = self.weights.values.reshape(self.weights.outputs, -1, self.partial.taps)
        bounds = [self._narrowed(*span(parts[:, s], *seen)) for s in range(parts.shape[1])]
        low, high = np.sum(bounds, axis=0)
        return low, high

    def _narrowed(self, low: I64, high: I64) -> tuple[I64, I64]:
        assert self.partial is not None
        ends = [self.partial.fixed.range_of(int(a), int(b)) for a, b in zip(low, high, strict=True)]
        return np.array([a for a, _ in ends]), np.array([b for _, b in ends])

    @cached_property
    def window_weights(self) -> I64:
        """[O, taps * channels] weights of all that a window shows, pixel by pixel: 0 for other groups' channels."""
        w, outputs = self.window, self.weights.outputs
        full = np.zeros((w.groups, outputs // w.groups, w.taps, w.groups, w.group_channels), np.int64)
        each = self.weights.values.reshape(w.groups, -1, w.taps, w.group_channels)
        full[np.arange(w.groups), :, :, np.arange(w.groups)] = each
        return full.reshape(outputs, -1)

    @cached_property
    def tap_sums(self) -> I64:
        """[O, taps, group channels] weights by tap, for what is known to be constant under a tap."""
        return self.weights.values.reshape(-1, self.window.taps, self.window.group_channels)


@dataclass(frozen=True, eq=False)
class Gather(_OverWindow):
    """total[o] = sum over j of sign[o, j] * (the number at index[o, j] of the window): sums of shared products."""

    name: str
    x: Integers
    window: Window
    index: I64
    """[O, J] places in the window, ordered (row, column, channel)."""
    sign: NDArray[np.int8]
    """[O, J] -1, 0 or +1."""
    head: Head
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        w = self.window
        if w.groups != 1 or self.index.shape != self.sign.shape or self.index.min() < 0 or self.index.max() >= w.fan_in:
            raise BnnhwError(f"layer {self.name!r}: its lookups do not lie in a window of {w.fan_in} numbers; check its index")
        check_head(self.name, self.head, len(self.index), 1)

    @property
    def out_shape(self) -> Shape:
        """Channels, rows, columns of the output."""
        return len(self.index), self.window.out_rows, self.window.out_columns

    @property
    def stored_bits(self) -> int:
        """Bits that hold the lookups: a place, whether it counts, and its sign each."""
        return self.index.size * (max(1, (self.window.fan_in - 1).bit_length()) + 2)

    @cached_property
    def total_range(self) -> tuple[I64, I64]:
        """[O] least and [O] greatest total."""
        return span(self.sign.astype(np.int64), *_seen(self.x, self.window))

    @cached_property
    def out(self) -> Format:
        """Format of the output."""
        return head_format(self.head, self.total_range)


@dataclass(frozen=True, eq=False)
class Requantise(_OnePerPixel):
    """A head on a stream of integers: thresholds, or an affine in a fixed-point format."""

    name: str
    x: Integers
    shape: Shape
    head: Head
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_head(self.name, self.head, self.shape[0], 1)

    @cached_property
    def out(self) -> Format:
        """Format of the output."""
        ends = np.full((2, self.shape[0]), [[self.x.low], [self.x.high]], np.int64)
        return head_format(self.head, (ends[0], ends[1]))


@dataclass(frozen=True, eq=False)
class Pool(_Channelwise):
    """Maximum over a window, channel by channel; the margin holds the lowest level."""

    name: str
    x: Format
    window: Window
    """With as many groups as channels, and pad_level 0; without a margin for integers."""
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.x, Integers) and any(self.window.pad):
            raise BnnhwError(f"layer {self.name!r}: a padded max pool of integers is not generated; pool without pad or after the activation")

    @property
    def out(self) -> Format:
        """Format of the output."""
        return self.x


@dataclass(frozen=True, eq=False)
class SumPool(_Channelwise):
    """Sum over a window, channel by channel: an average pool whose division the next layer carries. The margin adds 0."""

    name: str
    x: Integers
    window: Window
    """With as many groups as channels."""
    inputs: tuple[str, ...] = ()

    @property
    def out(self) -> Integers:
        """Format of the output."""
        counts = self.window.inside.sum(1)
        least, most = int(counts.min()), int(counts.max())
        return Integers(min(least * self.x.low, most * self.x.low), max(least * self.x.high, most * self.x.high))


@dataclass(frozen=True, eq=False)
class Add(_PerPixel):
    """(a << shifts[0]) + (b << shifts[1]), element by element."""

    name: str
    xs: tuple[Integers, Integers]
    shape: Shape
    shifts: tuple[int, int]
    inputs: tuple[str, ...]

    @property
    def sources(self) -> tuple[tuple[Shape, Format], ...]:
        """Shape and format of each input."""
        return (self.shape, self.xs[0]), (self.shape, self.xs[1])

    @property
    def out(self) -> Integers:
        """Format of the output."""
        (a, b), (s, t) = self.xs, self.shifts
        return Integers((a.low << s) + (b.low << t), (a.high << s) + (b.high << t))


@dataclass(frozen=True, eq=False)
class Multiply(_PerPixel):
    """a * b; b has a's shape, one channel for all (a map), or one pixel for all (a scale per channel)."""

    name: str
    xs: tuple[Integers, Integers]
    shape: Shape
    b_shape: Shape
    inputs: tuple[str, ...]

    def __post_init__(self) -> None:
        c, rows, columns = self.shape
        if self.b_shape not in (self.shape, (1, rows, columns), (c, 1, 1)):
            raise BnnhwError(f"layer {self.name!r}: {self.b_shape} does not spread over {self.shape}; give one channel, one pixel or the same shape")

    @property
    def sources(self) -> tuple[tuple[Shape, Format], ...]:
        """Shape and format of each input."""
        return (self.shape, self.xs[0]), (self.b_shape, self.xs[1])

    @property
    def out(self) -> Integers:
        """Format of the output."""
        a, b = self.xs
        ends = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
        return Integers(min(ends), max(ends))


@dataclass(frozen=True, eq=False)
class Table(_OnePerPixel):
    """A function of one number by lookup: entries[x - x.low]."""

    name: str
    x: Integers
    shape: Shape
    entries: I64
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.x.bits > MAX_TABLE_BITS or len(self.entries) != self.x.high - self.x.low + 1:
            raise BnnhwError(
                f"layer {self.name!r}: a table of {len(self.entries)} entries for numbers of {self.x.bits} bits; narrow its input to {MAX_TABLE_BITS} bits"
            )

    @property
    def out(self) -> Integers:
        """Format of the output."""
        return Integers(int(self.entries.min()), int(self.entries.max()))


@dataclass(frozen=True, eq=False)
class Concat:
    """Channels of one stream after those of another; codes must be the same, integers may differ in range."""

    name: str
    xs: tuple[Format, Format]
    shapes: tuple[Shape, Shape]
    inputs: tuple[str, ...]

    def __post_init__(self) -> None:
        a, b = self.xs
        if a != b and not (isinstance(a, Integers) and isinstance(b, Integers)):
            raise BnnhwError(
                f"layer {self.name!r}: its inputs have different encodings, {a.planes} and {b.planes} bits; concatenate before the activation"
            )

    @property
    def sources(self) -> tuple[tuple[Shape, Format], ...]:
        """Shape and format of each input."""
        return tuple(zip(self.shapes, self.xs, strict=True))

    @property
    def out_shape(self) -> Shape:
        """Channels, rows, columns of the output."""
        (a, rows, columns), (b, _, _) = self.shapes
        return a + b, rows, columns

    @property
    def out(self) -> Format:
        """Format of the output."""
        a, b = self.xs
        if isinstance(a, Integers) and isinstance(b, Integers):
            return Integers(min(a.low, b.low), max(a.high, b.high))
        return a


Windowed = MatVec | Gather | Pool | SumPool
Layer = MatVec | Gather | Requantise | Pool | SumPool | Add | Multiply | Table | Concat
MAX_TABLE_BITS = 12


def _seen(x: Format, window: Window) -> tuple[int, int]:
    """Least and greatest number under a window: a margin of integers holds `pad_level` itself."""
    if isinstance(x, Integers) and any(window.pad):
        return min(x.low, window.pad_level), max(x.high, window.pad_level)
    return x.low, x.high
