"""The design: how an integer network is folded onto hardware. Small, readable, editable."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import Layer, MatVec, Network, Pool


@dataclass(frozen=True)
class Folding:
    """Parallelism of one layer. A pool has lanes only; a layer without a sliding window has no lanes."""

    name: str
    pe: int = 1
    """Outputs computed together."""
    simd: int = 1
    """Inputs that each of them takes a cycle."""
    lanes: int = 0
    """Channels in a word of the sliding window's buffer, a divisor of a group's channels; 0 without a window."""
    buffer_words: int = 0
    """Words of that buffer, a power of two; 0 without a window."""
    fifo_words: int = 2
    """Words of the queue behind the layer."""


@dataclass(frozen=True)
class Design:
    """Everything that, with the integer network, fixes the generated files."""

    network: str
    clock_mhz: float
    input_lanes: int
    """Elements of one beat of the input port; their bits must fill whole bytes."""
    output_lanes: int
    """Elements of one beat of the output port; their bits must fill whole bytes."""
    layers: tuple[Folding, ...]

    def __getitem__(self, name: str) -> Folding:
        """Folding of the layer of that name."""
        return next(f for f in self.layers if f.name == name)


def windowed(layer: Layer) -> bool:
    """Whether the layer needs a sliding window in front."""
    return isinstance(layer, Pool) or not layer.window.whole


def row_folds(layer: MatVec, folding: Folding) -> int:
    """Beats of one group's outputs."""
    return ceil(layer.weights.outputs // layer.window.groups / folding.pe)


def input_folds(layer: MatVec, folding: Folding) -> int:
    """Beats of one output's inputs."""
    return ceil(layer.window.fan_in / folding.simd)


def compute_beats(layer: MatVec, folding: Folding) -> int:
    """Cycles that the matrix-vector unit takes for a frame."""
    w = layer.window
    return w.groups * row_folds(layer, folding) * input_folds(layer, folding) * w.out_pixels


def window_beats(layer: Layer, lanes: int) -> int:
    """Words that leave the sliding window for a frame, one a cycle."""
    w = layer.window
    return w.out_pixels * w.taps * w.shape[0] // lanes


def input_beats(layer: Layer, lanes: int) -> int:
    """Words that enter the sliding window for a frame."""
    c, rows, columns = layer.window.shape
    return rows * columns * c // lanes


def window_channels(layer: Layer) -> int:
    """Channels that a word of the sliding window must divide."""
    return layer.window.shape[0] if isinstance(layer, Pool) else layer.window.group_channels


def buffer_rows(layer: Layer) -> int:
    """Rows that the sliding window holds so that neither side waits for the other longer than the schedule says.

    One window and the rows by which the next differs; at a frame's end, its last window and the next frame's first.
    """
    w = layer.window
    reach = w.dilation[0] * (w.kernel[0] - 1) + 1
    last_top = (w.out_rows - 1) * w.stride[0] - w.pad[0]
    at_end = w.shape[1] - max(last_top, 0) + max(min(reach - w.pad[0], w.shape[1]), 1)
    return max(min(reach, w.shape[1]) + w.stride[0], at_end)


def least_buffer_words(layer: Layer, lanes: int) -> int:
    """Words below which the sliding window could not hold one window position."""
    w = layer.window
    reach = min(w.dilation[0] * (w.kernel[0] - 1) + 1, w.shape[1])
    return reach * w.shape[2] * w.shape[0] // lanes


def check(net: Network, design: Design) -> None:
    """Refuse a design that cannot exist: BnnhwError naming layer, rule, value and remedy."""
    if [f.name for f in design.layers] != [layer.name for layer in net.layers]:
        raise BnnhwError(f"design: its layers are not those of network {net.name!r} in order; regenerate it")
    if design.clock_mhz <= 0:
        raise BnnhwError(f"design: clock {design.clock_mhz} MHz is not positive; give MHz")
    last_bits = 8 if net.layers[-1].code is None else 1
    ports = (
        ("input", design.input_lanes, net.x.planes, prod(net.port.shape)),
        ("output", design.output_lanes, last_bits, prod(net.layers[-1].out_shape)),
    )
    for what, lanes, bits, elements in ports:
        step = 8 // bits
        most = max(64, -(-elements // step) * step)  # a bus is often wider than a tiny frame
        if lanes < 1 or lanes % step or lanes > most:
            raise BnnhwError(f"design: {what} lanes {lanes} of {bits} bits cannot be; give a multiple of {step} up to {most}")
    for layer, f in zip(net.layers, design.layers, strict=True):
        _check_folding(layer, f)


def _check_folding(layer: Layer, f: Folding) -> None:
    w = layer.window
    limits = []
    if isinstance(layer, MatVec):
        # Up to twice the layer's size, the surplus being neutral lanes: published foldings have such.
        limits = [("pe", f.pe, 2 * layer.weights.outputs // w.groups), ("simd", f.simd, 2 * w.fan_in)]
    for what, value, most in [*limits, ("fifo", f.fifo_words, 1 << 20)]:
        least = 2 if what == "fifo" else 1
        if not least <= value <= most:
            raise BnnhwError(f"layer {f.name!r}: {what} {value} cannot be; give {least} to {most}")
    if not windowed(layer):
        if f.lanes or f.buffer_words:
            raise BnnhwError(f"layer {f.name!r}: lanes and buffer belong to a sliding window, it has none; remove them")
        return
    channels = window_channels(layer)
    if f.lanes < 1 or channels % f.lanes:
        raise BnnhwError(f"layer {f.name!r}: lanes {f.lanes} do not divide {channels} channels; give a divisor")
    least = least_buffer_words(layer, f.lanes)
    if f.buffer_words < least or f.buffer_words & (f.buffer_words - 1):
        raise BnnhwError(f"layer {f.name!r}: buffer {f.buffer_words} must be a power of two of at least {least} words; enlarge it")
