"""The integer network: the contract that golden, RTL and netlist meet bit for bit. No floats."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64, U8, Encoding, Format, Integers
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.topology import Shape
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Bool, Window

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


PORT = ""
"""Stands for the input port among a layer's inputs."""


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

    def __post_init__(self) -> None:
        b, (o, k) = len(self.window.inside), self.weights.bits.shape[1:]
        if k != self.window.fan_in or o % self.window.groups:
            raise BnnhwError(
                f"layer {self.name!r}: weights {(o, k)} do not fit fan-in {self.window.fan_in} in groups of {self.window.groups}; check its sizes"
            )
        if self.partial and k % self.partial.taps:
            raise BnnhwError(f"layer {self.name!r}: partial sums of {self.partial.taps} inputs do not divide its fan-in {k}; choose a divisor")
        _check_head(self.name, self.head, o, b)

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
        return _head_format(self.head, self.dot_range)

    @cached_property
    def dot_range(self) -> tuple[I64, I64]:
        """[O] least and [O] greatest total that these weights can give."""
        seen = _seen(self.x, self.window)
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
        _check_head(self.name, self.head, len(self.index), 1)

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
        return _head_format(self.head, self.total_range)


@dataclass(frozen=True, eq=False)
class Requantise(_OnePerPixel):
    """A head on a stream of integers: thresholds, or an affine in a fixed-point format."""

    name: str
    x: Integers
    shape: Shape
    head: Head
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_head(self.name, self.head, self.shape[0], 1)

    @cached_property
    def out(self) -> Format:
        """Format of the output."""
        ends = np.full((2, self.shape[0]), [[self.x.low], [self.x.high]], np.int64)
        return _head_format(self.head, (ends[0], ends[1]))


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
        taps = self.window.taps
        return Integers(min(taps * self.x.low, self.x.low), max(taps * self.x.high, self.x.high))


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


def _check_head(name: str, head: Head, outputs: int, classes: int) -> None:
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


def _head_format(head: Head, total_range: tuple[I64, I64]) -> Format:
    return head.code if isinstance(head, Thresholds) else head.integers(*total_range)


def span(weights: I64, low: int, high: int) -> tuple[I64, I64]:
    """[O] least and [O] greatest product of weights [O, K] with inputs between `low` and `high`."""
    positive = np.maximum(weights, 0).sum(1)
    negative = weights.sum(1) - positive
    return positive * low + negative * high, positive * high + negative * low


@dataclass(frozen=True)
class InputPort:
    """What a frame is before it becomes levels: raw integers, and the rule that maps them to levels."""

    shape: Shape
    raw: str
    """uint8, int8 or bipolar (-1, +1)."""
    threshold: int | None = None
    """Pixels of at least this value are +1, others -1; None where every raw value is a level."""

    @property
    def dtype(self) -> type[np.integer]:
        """NumPy type of raw frames."""
        return np.uint8 if self.raw == "uint8" else np.int8

    def levels(self, frames: NDArray[np.integer]) -> U8:
        """[N, C, H, W] level indices of raw frames of any shape with the same size per frame."""
        x = np.asarray(frames)
        if x.ndim < 2 or prod(x.shape[1:]) != prod(self.shape):
            raise BnnhwError(f"frames of shape {x.shape[1:]} do not fit the input {self.shape}; give [N, {', '.join(map(str, self.shape))}]")
        if not np.issubdtype(x.dtype, np.integer):
            raise BnnhwError(f"frames of type {x.dtype} are not {self.raw}; quantise them first")
        low, high = {"uint8": (0, 255), "int8": (-128, 127), "bipolar": (-1, 1)}[self.raw]
        if x.size and (x.min() < low or x.max() > high or (self.raw == "bipolar" and (x == 0).any())):
            raise BnnhwError(f"frames hold values from {x.min()} to {x.max()}, the input is {self.raw}; check the preprocessing")
        x = x.reshape(len(x), *self.shape)
        if self.threshold is not None:
            return (x >= self.threshold).astype(np.uint8)
        if self.raw == "bipolar":
            return (x > 0).astype(np.uint8)
        return (x.astype(np.int16) - low).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in execution order; each names the layers that feed it, or follows the one before."""

    name: str
    port: InputPort
    x: Encoding
    layers: tuple[Layer, ...]
    label: str = "argmax"
    """`argmax`: first largest output; `highest_bit`: the highest output that is set, 0 if none."""
    classes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        made: dict[str, tuple[Shape, Format]] = {PORT: (self.port.shape, self.x)}
        for layer in self.layers:
            names = self.inputs_of(layer)
            for name, (shape, code) in zip(names, layer.sources, strict=True):
                if name not in made:
                    raise BnnhwError(f"layer {layer.name!r}: takes {name!r}, which does not stand before it; reorder the layers")
                if made[name] != (shape, code):
                    raise BnnhwError(f"layer {layer.name!r}: takes {shape}, the layer before gives {made[name][0]}; shapes and encodings must agree")
            made[layer.name] = layer.out_shape, layer.out
        unread = set(made) - {name for layer in self.layers for name in self.inputs_of(layer)} - {self.layers[-1].name}
        if unread:
            raise BnnhwError(f"layer {sorted(unread)[0]!r}: nothing reads its output; remove it or make it the last")

    def __getitem__(self, name: str) -> Layer:
        """The layer of that name."""
        return next(layer for layer in self.layers if layer.name == name)

    @cached_property
    def _before(self) -> dict[str, str]:
        names = [PORT, *(layer.name for layer in self.layers)]
        return dict(zip(names[1:], names[:-1], strict=True))

    def inputs_of(self, layer: Layer) -> tuple[str, ...]:
        """Names of the layers that feed `layer`; PORT for the input."""
        return layer.inputs or (self._before[layer.name],)

    @cached_property
    def readers(self) -> dict[str, tuple[str, ...]]:
        """Per layer, and for PORT, the layers that read it, in order; a layer that reads it twice stands twice."""
        found: dict[str, list[str]] = {name: [] for name in (PORT, *self._before)}
        for layer in self.layers:
            for name in self.inputs_of(layer):
                found[name].append(layer.name)
        return {name: tuple(readers) for name, readers in found.items()}

    @property
    def weight_bits(self) -> int:
        """Bits of weights, and of lookups, in all layers."""
        weights = sum(layer.weights.stored_bits for layer in self.layers if isinstance(layer, MatVec))
        return weights + sum(layer.stored_bits for layer in self.layers if isinstance(layer, Gather))

    def labels(self, outputs: NDArray[np.integer]) -> I64:
        """[N] class of outputs [N, O, 1, 1] or [N, O]."""
        flat = outputs.reshape(len(outputs), prod(outputs.shape[1:]))
        if self.label == "highest_bit":
            flat = np.where(flat > 0, np.arange(flat.shape[1]) + 1, 0)
        return flat.argmax(1)

    def __str__(self) -> str:
        lines = [f"network {self.name}: {self.port.raw} {'x'.join(map(str, self.port.shape))}"]
        for layer in self.layers:
            shapes = " and ".join("x".join(map(str, shape)) for shape, _ in layer.sources)
            what = f", kernel {layer.window.kernel[0]}x{layer.window.kernel[1]}" if isinstance(layer, Windowed) else ""
            fed = f" from {', '.join(name or 'the input' for name in layer.inputs)}" if layer.inputs else ""
            lines.append(f"  {layer.name}: {type(layer).__name__} {shapes} -> {'x'.join(map(str, layer.out_shape))}{what}{fed}")
        return "\n".join(lines)
