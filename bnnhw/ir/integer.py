"""The integer network: the contract that golden, RTL and netlist meet bit for bit. No floats."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64, Format
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.layers import Gather, Layer, MatVec, Windowed
from bnnhw.ir.window import Shape

PORT = ""
"""Stands for the input port among a layer's inputs."""
MAX_LEVEL = 255
"""Of the input's levels; more are numbers."""


RAW: dict[str, type[np.integer]] = {"uint8": np.uint8, "int8": np.int8, "bipolar": np.int8, "uint16": np.uint16, "int16": np.int16}
"""NumPy type of raw frames of each kind; bipolar ones hold -1 and +1."""


@dataclass(frozen=True)
class InputPort:
    """What a frame is before it becomes levels: raw integers, and the rule that maps them to levels."""

    shape: Shape
    raw: str
    """A key of RAW."""
    steps: tuple[int, ...] | None = None
    """The level is the number of these that a raw value is not below; None where every raw value is a level or number of its own."""
    range: tuple[int, int] | None = None
    """Least and greatest raw value, where not those of its type."""
    real: tuple[float, float] | None = None
    """Unit and offset of the real numbers, unit * integer + offset, that the integers stand for; what rounds frames of floats."""

    @property
    def dtype(self) -> type[np.integer]:
        """NumPy type of raw frames."""
        return RAW[self.raw]

    @property
    def ends(self) -> tuple[int, int]:
        """Least and greatest raw value."""
        if self.raw == "bipolar":
            return -1, 1
        info = np.iinfo(self.dtype)
        return self.range or (int(info.min), int(info.max))

    def rounded(self, frames: NDArray) -> NDArray[np.integer]:
        """Raw frames of frames of real numbers, to the nearest, half to even, and the ends; integers stay. Errors: BnnhwError."""
        x = np.asarray(frames)
        if np.issubdtype(x.dtype, np.integer) or x.dtype == bool:
            return x.astype(np.int8) if x.dtype == bool else x
        if not np.issubdtype(x.dtype, np.floating) or self.real is None:
            raise BnnhwError(f"frames of type {x.dtype} are not {self.raw}; quantise them first")
        if not np.isfinite(x).all():
            raise BnnhwError("frames hold NaN or infinity; mend the data")
        unit, offset = self.real
        scaled = (x.astype(np.float64) - offset) / unit
        if self.raw == "bipolar":
            return np.where(scaled >= 0, 1, -1).astype(np.int8)
        return np.clip(np.rint(scaled), *self.ends).astype(self.dtype)

    def levels(self, frames: NDArray) -> NDArray[np.integer]:
        """[N, C, H, W] level indices, or numbers beyond 8 bits, of raw frames of any shape with the same size per frame."""
        x = np.asarray(frames)
        if x.ndim < 2 or prod(x.shape[1:]) != prod(self.shape):
            raise BnnhwError(f"frames of shape {x.shape[1:]} do not fit the input {self.shape}; give [N, {', '.join(map(str, self.shape))}]")
        x = self.rounded(x)
        low, high = self.ends
        if x.size and (x.min() < low or x.max() > high or (self.raw == "bipolar" and (x == 0).any())):
            raise BnnhwError(f"frames hold values from {x.min()} to {x.max()}, the input is {self.raw}, {low} to {high}; check the preprocessing")
        x = x.reshape(len(x), *self.shape)
        if self.steps is not None:
            return np.searchsorted(np.array(self.steps), x, side="right").astype(np.uint8)
        if self.raw == "bipolar":
            return (x > 0).astype(np.uint8)
        return x.astype(np.int64) if high - low > MAX_LEVEL else (x.astype(np.int16) - low).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in execution order; each names the layers that feed it, or follows the one before."""

    name: str
    port: InputPort
    x: Format
    """An encoding up to 8 bits, else integers."""
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
