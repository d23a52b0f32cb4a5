"""The integer network: the contract that golden, RTL and netlist meet bit for bit. No floats."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64, U8, Alphabet, Encoding
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.topology import Shape, slide

Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Window:
    """Which inputs one output sees. A dense layer sees the whole map; taps run (row, column, channel)."""

    shape: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    """top, left, bottom, right."""
    pad_level: int = 0
    """The level that stands in the margin; what it adds beyond the trained meaning, the head takes back."""
    groups: int = 1

    @staticmethod
    def dense(shape: Shape) -> Window:
        """The window of a dense layer over `shape`."""
        return Window(shape, shape[1:])

    @property
    def out_rows(self) -> int:
        """Rows of the output map."""
        return slide(self.shape[1], self.kernel[0], self.stride[0], self.dilation[0], self.pad[0], self.pad[2])

    @property
    def out_columns(self) -> int:
        """Columns of the output map."""
        return slide(self.shape[2], self.kernel[1], self.stride[1], self.dilation[1], self.pad[1], self.pad[3])

    @property
    def out_pixels(self) -> int:
        """Positions of the window."""
        return self.out_rows * self.out_columns

    @property
    def taps(self) -> int:
        """Pixels under the window."""
        return self.kernel[0] * self.kernel[1]

    @property
    def group_channels(self) -> int:
        """Input channels of one group."""
        return self.shape[0] // self.groups

    @property
    def fan_in(self) -> int:
        """K: inputs of one output."""
        return self.taps * self.group_channels

    @property
    def whole(self) -> bool:
        """Whether the stream of pixels already is the stream of windows, in order and each pixel once."""
        one_by_one = self.kernel == (1, 1) and self.stride == (1, 1)
        whole_map = self.kernel == self.shape[1:] and self.groups == 1
        return not any(self.pad) and self.dilation_is_free and (one_by_one or whole_map)

    @property
    def dilation_is_free(self) -> bool:
        """Whether dilation moves no tap."""
        return all(d == 1 or k == 1 for d, k in zip(self.dilation, self.kernel, strict=True))

    @cached_property
    def row_classes(self) -> tuple[tuple[int, ...], Bool]:
        """Border class of each output row, and per class which kernel rows lie inside the map."""
        return _classes(self.out_rows, self.shape[1], self.kernel[0], self.stride[0], self.dilation[0], self.pad[0])

    @cached_property
    def column_classes(self) -> tuple[tuple[int, ...], Bool]:
        """As `row_classes`, for columns."""
        return _classes(self.out_columns, self.shape[2], self.kernel[1], self.stride[1], self.dilation[1], self.pad[1])

    @cached_property
    def inside(self) -> Bool:
        """[B, taps]: per border class (row class major) which taps lie inside the map."""
        rows, columns = self.row_classes[1], self.column_classes[1]
        both = rows[:, None, :, None] & columns[None, :, None, :]
        return both.reshape(len(rows) * len(columns), self.taps)

    @cached_property
    def class_map(self) -> I64:
        """[out_rows, out_columns] border class of every output pixel."""
        rows, columns = np.array(self.row_classes[0]), np.array(self.column_classes[0])
        return rows[:, None] * len(self.column_classes[1]) + columns[None, :]


def _classes(out: int, size: int, kernel: int, stride: int, dilation: int, before: int) -> tuple[tuple[int, ...], Bool]:
    at = np.arange(out)[:, None] * stride - before + np.arange(kernel) * dilation
    seen: dict[tuple[bool, ...], int] = {}
    index = tuple(seen.setdefault(tuple(row), len(seen)) for row in ((at >= 0) & (at < size)).tolist())
    return index, np.array(list(seen), bool)


@dataclass(frozen=True, eq=False)
class Weights:
    """Weight planes: value[o, k] = sum_p scale[p, o] * symbol(bits[p, o, k]), 0 where the mask is 0."""

    alphabet: Alphabet
    bits: U8
    """[P, O, K]"""
    scale: I64
    """[P, O]"""
    mask: U8 | None = None
    """[P, O, K]; None where every weight counts."""

    @staticmethod
    def binary(signs: NDArray[np.integer]) -> Weights:
        """One bipolar plane from signs [O, K]; +1 is bit 1."""
        return Weights(Alphabet.BIPOLAR, (signs > 0).astype(np.uint8)[None], np.ones((1, len(signs)), np.int64))

    @property
    def outputs(self) -> int:
        """O."""
        return self.bits.shape[1]

    @property
    def is_binary(self) -> bool:
        """Whether the values are just -1 and +1."""
        one_plane = self.alphabet is Alphabet.BIPOLAR and len(self.bits) == 1 and self.mask is None
        return one_plane and bool((self.scale == 1).all())

    @cached_property
    def values(self) -> I64:
        """[O, K] integer weights."""
        low, high = self.alphabet.value
        planes = np.where(self.bits == 1, np.int64(high), np.int64(low))
        if self.mask is not None:
            planes *= self.mask
        return (planes * self.scale[:, :, None]).sum(0)


@dataclass(frozen=True, eq=False)
class Thresholds:
    """level = number of k with dot >= values[class, o, k]."""

    values: I64
    """[B, O, L-1], rising along the last axis; B is 1, or the window's border classes."""
    code: Encoding


@dataclass(frozen=True, eq=False)
class Sums:
    """out = scale[o] * dot + bias[class, o], in units of 2**-fraction_bits of the trained sum."""

    scale: I64
    """[O]"""
    bias: I64
    """[B, O]; B is 1, or the window's border classes."""
    fraction_bits: int = 0


@dataclass(frozen=True, eq=False)
class MatVec:
    """A convolution or dense layer: dot products over a window, then thresholds or integer sums."""

    name: str
    x: Encoding
    window: Window
    weights: Weights
    head: Thresholds | Sums

    def __post_init__(self) -> None:
        b, (o, k) = len(self.window.inside), self.weights.values.shape
        per_class = self._per_class
        if isinstance(self.head, Sums) and self.head.scale.shape != (o,):
            raise BnnhwError(f"layer {self.name!r}: {self.head.scale.shape} scales for {o} outputs; give one each")
        if k != self.window.fan_in or per_class.shape[1] != o or o % self.window.groups:
            raise BnnhwError(f"layer {self.name!r}: weights {(o, k)} do not fit fan-in {self.window.fan_in} and head {per_class.shape}")
        if per_class.shape[0] not in (1, b):
            raise BnnhwError(f"layer {self.name!r}: {per_class.shape[0]} border classes given, the window has {b}; give 1 or {b}")
        if isinstance(self.head, Thresholds) and per_class.shape[2] != self.head.code.levels - 1:
            raise BnnhwError(
                f"layer {self.name!r}: {per_class.shape[2]} thresholds need {per_class.shape[2] + 1} levels, "
                f"its encoding has {self.head.code.levels}; use uint({per_class.shape[2].bit_length()})"
            )

    @property
    def _per_class(self) -> I64:
        return self.head.values if isinstance(self.head, Thresholds) else self.head.bias

    @property
    def border_classes(self) -> int:
        """B: sets of thresholds or biases, 1 where the margin makes no difference."""
        return len(self._per_class)

    @property
    def out_shape(self) -> Shape:
        """Channels, rows, columns of the output."""
        return self.weights.outputs, self.window.out_rows, self.window.out_columns

    @property
    def code(self) -> Encoding | None:
        """Encoding of the output; None for sums."""
        return self.head.code if isinstance(self.head, Thresholds) else None

    @cached_property
    def dot_range(self) -> tuple[I64, I64]:
        """[O] least and [O] greatest dot product that these weights can give."""
        return span(self.weights.values, int(self.x.values[0]), int(self.x.values[-1]))

    @property
    def out_range(self) -> tuple[int, int]:
        """Least and greatest sum, for a layer that ends in sums."""
        assert isinstance(self.head, Sums)
        ends = np.stack(self.dot_range)[:, None] * self.head.scale + self.head.bias
        return int(ends.min()), int(ends.max())

    @cached_property
    def tap_sums(self) -> I64:
        """[O, taps, group channels] weights by tap, for what is known to be constant under a tap."""
        return self.weights.values.reshape(-1, self.window.taps, self.window.group_channels)


@dataclass(frozen=True, eq=False)
class Pool:
    """Maximum over a window, channel by channel; the margin holds the lowest level."""

    name: str
    x: Encoding
    window: Window
    """With as many groups as channels, and pad_level 0."""

    @property
    def out_shape(self) -> Shape:
        """Channels, rows, columns of the output."""
        return self.window.shape[0], self.window.out_rows, self.window.out_columns

    @property
    def code(self) -> Encoding:
        """Encoding of the output."""
        return self.x


Layer = MatVec | Pool


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
    """Layers in execution order, each fed by the one before."""

    name: str
    port: InputPort
    x: Encoding
    layers: tuple[Layer, ...]
    label: str = "argmax"
    """`argmax`: first largest output; `highest_bit`: the highest output that is set, 0 if none."""
    classes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        shape, code = self.port.shape, self.x
        for layer in self.layers:
            if layer.window.shape != shape or layer.x != code:
                raise BnnhwError(f"layer {layer.name!r}: takes {layer.window.shape}, the layer before gives {shape}; shapes and encodings must agree")
            if layer.code is None and layer is not self.layers[-1]:
                raise BnnhwError(f"layer {layer.name!r}: only the last layer may give sums; add an activation")
            shape, code = layer.out_shape, layer.code or code

    def __getitem__(self, name: str) -> Layer:
        """The layer of that name."""
        return next(layer for layer in self.layers if layer.name == name)

    @property
    def weight_bits(self) -> int:
        """One-bit weights in all layers."""
        return sum(layer.weights.bits.size for layer in self.layers if isinstance(layer, MatVec))

    def labels(self, outputs: NDArray[np.integer]) -> I64:
        """[N] class of outputs [N, O, 1, 1] or [N, O]."""
        flat = outputs.reshape(len(outputs), prod(outputs.shape[1:]))
        if self.label == "highest_bit":
            flat = np.where(flat > 0, np.arange(flat.shape[1]) + 1, 0)
        return flat.argmax(1)

    def __str__(self) -> str:
        lines = [f"network {self.name}: {self.port.raw} {'x'.join(map(str, self.port.shape))}"]
        for layer in self.layers:
            w = layer.window
            what = f"sums over {w.fan_in}" if isinstance(layer, MatVec) else "max"
            lines.append(
                f"  {layer.name}: {'x'.join(map(str, w.shape))} -> {'x'.join(map(str, layer.out_shape))}, {what}, kernel {w.kernel[0]}x{w.kernel[1]}"
            )
        return "\n".join(lines)
