"""The design: how an integer network is folded onto hardware. Small, readable, editable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil, gcd, prod

from bnnhw.ir.encoding import Format, Integers
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import Network
from bnnhw.ir.layers import Concat, Gather, Layer, MatVec, Pool, Requantise, SumPool, Windowed
from bnnhw.ir.window import Raster


class MemoryStyle(StrEnum):
    """What a memory is made of; the value stands in design files and in the Verilog."""

    AUTO = "auto"
    """As synthesis likes."""
    BLOCK = "block"
    DISTRIBUTED = "distributed"
    """LUTs."""


class Logic(StrEnum):
    """What popcounts are made of; the value stands in design files and in the Verilog."""

    PLAIN = "plain"
    """As synthesis maps a loop."""
    LUT6 = "lut6"
    """Netlists of LUTs of up to six inputs."""
    LUT4 = "lut4"
    """Netlists of LUTs of up to four inputs."""
    CARRY = "carry"
    """Netlists of LUTs of up to six inputs and counters on carry chains, which Xilinx' families have primitives for."""

    @property
    def of_netlists(self) -> Logic:
        """That of what always is a netlist."""
        return Logic.LUT6 if self is Logic.PLAIN else self


class Implementation(StrEnum):
    """How a product is made; the value stands in design files."""

    FOLDED = "folded"
    """PE and SIMD, weights from a memory."""
    UNROLLED = "unrolled"
    """Weights are logic: all outputs of a window in one cycle."""


MOST_DMA_BITS = 1024
"""Of a beat of Xilinx' AXI DMA."""
MOST_REGISTERS = 32
"""In a popcount, one behind the other."""
MEMORIES = ("weight_memory", "window_memory", "replay_memory")
"""Fields of a folding that say what a memory is made of."""


@dataclass(frozen=True)
class Folding:
    """Parallelism of one layer. Products have PE, SIMD and planes, lookups PE, what works element by element lanes."""

    name: str
    pe: int = 1
    """Outputs computed together."""
    simd: int = 1
    """Inputs that each of them takes a cycle."""
    planes: int = 1
    """Weight planes of an output computed together."""
    input_planes: int = 0
    """Input planes taken together; 0 for all."""
    lanes: int = 0
    """Channels in a word of the sliding window's buffer, or elements a cycle: a divisor of the channels; 0 where neither is."""
    buffer_words: int = 0
    """Words of that buffer, a power of two; 0 without a window, and with a line buffer."""
    registers: int = 0
    """Pipeline registers in the popcounts of a product, or in an unrolled one before the last."""
    fifo_words: int = 2
    """Words of the queue behind the layer."""
    queue_words: tuple[int, ...] = ()
    """Words of the queue before each input, where there are two."""
    weight_memory: MemoryStyle = MemoryStyle.AUTO
    """Of a product's weights."""
    window_memory: MemoryStyle = MemoryStyle.AUTO
    """Of the sliding window's buffer."""
    replay_memory: MemoryStyle = MemoryStyle.AUTO
    """Of the memory that sends a product's inputs again for every output."""
    implementation: Implementation = Implementation.FOLDED
    """Of a product; unrolled, its PE are all outputs and its SIMD all inputs of each."""
    joint: bool = False
    """Whether a folded product sums its input planes together, in one netlist, instead of their popcounts."""


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
    logic: Logic = Logic.LUT6
    """Of the popcounts."""

    def __getitem__(self, name: str) -> Folding:
        """Folding of the layer of that name."""
        return next(f for f in self.layers if f.name == name)


def unrolled(layer: MatVec, folding: Folding) -> Folding:
    """The folding of an unrolled product: everything at once."""
    return replace(
        folding,
        pe=layer.weights.outputs,
        simd=layer.window.fan_in,
        planes=layer.weights.planes,
        input_planes=0,
        implementation=Implementation.UNROLLED,
        fifo_words=max(folding.fifo_words, Raster.of(layer.window).pause) if has_lines(layer) else folding.fifo_words,
    )


def unrolled_obstacle(layer: MatVec) -> str | None:
    """What is in the way of unrolling a layer; None where nothing but its size may be."""
    if layer.partial is not None:
        return "its partial sums are narrowed"
    if layer.writable:
        return "its weights are written at run time"
    return "its windows are in groups, and their margin wider than their reach" if layer.window.groups > 1 and not _whole_windows(layer) else None


def _whole_windows(layer: MatVec) -> bool:
    """Whether windows can come whole, all groups at once."""
    w = layer.window
    return w.whole or all(w.pad[axis] <= w.dilation[axis] * (w.kernel[axis] - 1) for axis in (0, 1))


def check_unrolled(layer: Layer) -> None:
    """Refuse what cannot be unrolled: BnnhwError naming the layer and what is in the way."""
    if not isinstance(layer, MatVec):
        raise BnnhwError(f"layer {layer.name!r}: a layer of kind {type(layer).__name__} cannot be unrolled; remove implementation")
    reason = unrolled_obstacle(layer)
    if reason is not None:
        raise BnnhwError(f"layer {layer.name!r}: {reason}, it cannot be unrolled; use implementation: folded")


def has_lines(layer: Layer) -> bool:
    """Whether a product, unrolled, has a line buffer for its sliding window: unless its margin is wider than the window's reach."""
    return isinstance(layer, MatVec) and not layer.window.whole and unrolled_obstacle(layer) is None and _whole_windows(layer)


def line_buffered(layer: Layer, f: Folding) -> bool:
    """Whether a folding gives a product a line buffer."""
    return f.implementation is Implementation.UNROLLED and has_lines(layer)


def frame_lanes(bits: int, elements: int) -> int:
    """Lanes of a port whose one beat is a frame: its elements of `bits` bits in bytes, of which there is a power of two, as buses have them."""
    octets = -(-elements * bits // 8)
    return (8 << (octets - 1).bit_length()) // bits


def windowed(layer: Layer) -> bool:
    """Whether the layer needs a sliding window in front."""
    if isinstance(layer, Pool | SumPool):
        return True
    return isinstance(layer, MatVec | Gather) and not layer.window.whole


def elementwise(layer: Layer) -> bool:
    """Whether the layer works on single elements, without a window."""
    return not isinstance(layer, Windowed)


def groups_in_turn(layer: MatVec | Gather, folding: Folding) -> int:
    """Groups that a product takes one after the other: unrolled, it takes all at once."""
    return 1 if folding.implementation is Implementation.UNROLLED else layer.window.groups


def row_folds(layer: MatVec | Gather, folding: Folding) -> int:
    """Beats of one group's outputs."""
    return ceil(layer.out_shape[0] // layer.window.groups / folding.pe)


def plane_folds(layer: MatVec, folding: Folding) -> int:
    """Turns in which an output's weight planes are computed."""
    return ceil(layer.weights.planes / folding.planes)


def input_turns(layer: MatVec, folding: Folding) -> int:
    """Turns in which an input's planes are taken."""
    return ceil(layer.x.planes / (folding.input_planes or layer.x.planes))


def segments(layer: MatVec) -> int:
    """Partial sums of one output, 1 where they are not narrowed."""
    return 1 if layer.partial is None else layer.window.fan_in // layer.partial.taps


def segment_folds(layer: MatVec, folding: Folding) -> int:
    """Beats of one partial sum's inputs."""
    return ceil(layer.window.fan_in // segments(layer) / folding.simd)


def input_folds(layer: MatVec, folding: Folding) -> int:
    """Beats of one output's inputs."""
    return segments(layer) * segment_folds(layer, folding) * input_turns(layer, folding)


def compute_beats(layer: MatVec | Gather, folding: Folding) -> int:
    """Cycles that the matrix-vector unit, or the lookups, take for a frame."""
    groups, w = groups_in_turn(layer, folding), layer.window
    per_output = layer.index.shape[1] if isinstance(layer, Gather) else plane_folds(layer, folding) * input_folds(layer, folding)
    return groups * row_folds(layer, folding) * per_output * w.out_pixels


def window_beats(layer: Windowed, lanes: int) -> int:
    """Words that leave the sliding window for a frame, one a cycle."""
    w = layer.window
    return w.out_pixels * w.taps * w.shape[0] // lanes


def input_beats(layer: Windowed, lanes: int) -> int:
    """Words that enter the sliding window for a frame."""
    c, rows, columns = layer.window.shape
    return rows * columns * c // lanes


def element_beats(layer: Layer, lanes: int) -> int:
    """Cycles of a layer that takes `lanes` elements each."""
    return prod(layer.out_shape) // lanes


def lane_channels(layer: Layer) -> int:
    """Channels that a word of the sliding window, or a cycle's elements, must divide."""
    match layer:
        case MatVec():
            return layer.window.group_channels
        case Concat():
            return gcd(layer.shapes[0][0], layer.shapes[1][0])
        case _:
            return layer.sources[0][0][0]


def port_bits(code: Format) -> int:
    """Bits of an element at a port: numbers in whole bytes, levels in a power of two."""
    return next(b for b in (8, 16, 32, 64) if b >= code.bits) if isinstance(code, Integers) else 1 << (code.planes - 1).bit_length()


def buffer_rows(layer: Windowed) -> int:
    """Rows that the sliding window holds so that neither side waits for the other longer than the schedule says.

    One window and the rows by which the next differs; at a frame's end, its last window and the next frame's first.
    """
    w = layer.window
    reach = w.dilation[0] * (w.kernel[0] - 1) + 1
    last_top = (w.out_rows - 1) * w.stride[0] - w.pad[0]
    at_end = w.shape[1] - max(last_top, 0) + max(min(reach - w.pad[0], w.shape[1]), 1)
    return max(min(reach, w.shape[1]) + w.stride[0], at_end)


def buffer_words(layer: Windowed, lanes: int) -> int:
    """Words of `lanes` elements that the sliding window holds so that neither side waits."""
    c, _, columns = layer.window.shape
    words = buffer_rows(layer) * columns * c // lanes
    return 1 << max(1, (words - 1).bit_length())


def least_buffer_words(layer: Windowed, lanes: int) -> int:
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
    last = net.layers[-1]
    if isinstance(last.out, Integers) and not isinstance(last, MatVec | Gather | Requantise):
        raise BnnhwError(
            f"layer {last.name!r}: a network ends in a layer with a head, this is of kind {type(last).__name__}; add a sign or a fixed layer"
        )
    if not isinstance(last.out, Integers) and last.out.planes > 1:
        raise BnnhwError(
            f"layer {last.name!r}: a network ends in sums or single bits, this gives levels of {last.out.planes}; end with a dense layer"
        )
    ports = (
        ("input", design.input_lanes, port_bits(net.x), prod(net.port.shape)),
        ("output", design.output_lanes, port_bits(last.out), prod(last.out_shape)),
    )
    for what, lanes, bits, elements in ports:
        step, most = max(1, 8 // bits), max(64, frame_lanes(bits, elements))  # a bus is often wider than a tiny frame
        if lanes < 1 or lanes % step or lanes > most:
            raise BnnhwError(f"design: {what} lanes {lanes} of {bits} bits cannot be; give a multiple of {step} up to {most}")
    for layer, f in zip(net.layers, design.layers, strict=True):
        _check_folding(layer, f)
        reason = joint_obstacle(layer, f, design.logic) if f.joint else None
        if reason is not None:
            raise BnnhwError(f"layer {f.name!r}: {reason}, it has no joint sum; remove joint")


def joint_obstacle(layer: Layer, f: Folding, logic: Logic) -> str | None:
    """What is in the way of summing a layer's input planes together; None where nothing is."""
    if not isinstance(layer, MatVec) or f.implementation is Implementation.UNROLLED:
        return "it is no folded product"
    if layer.x.planes == 1:
        return "its input has one plane"
    if input_turns(layer, f) > 1:
        return f"its {layer.x.planes} input planes come in {input_turns(layer, f)} turns"
    if weight_words(layer, f) == 1:
        return "its weights are one word"
    return "logic is plain" if logic is Logic.PLAIN else None


def may_be_joint(layer: MatVec, f: Folding, logic: Logic) -> bool:
    """Whether a product can sum its input planes together."""
    return joint_obstacle(layer, f, logic) is None


def weight_words(layer: MatVec, f: Folding) -> int:
    """Words of the memory of a folded product's weights."""
    return layer.window.groups * row_folds(layer, f) * plane_folds(layer, f) * segments(layer) * segment_folds(layer, f)


def _check_folding(layer: Layer, f: Folding) -> None:
    pause = Raster.of(layer.window).pause if isinstance(layer, MatVec) and line_buffered(layer, f) else 0
    limits = [("fifo", f.fifo_words, max(2, pause), 1 << 20)]
    if isinstance(layer, MatVec | Gather):
        # Up to twice the layer's size, the surplus being neutral lanes: published foldings have such.
        limits.append(("pe", f.pe, 1, 2 * layer.out_shape[0] // groups_in_turn(layer, f)))
    if isinstance(layer, MatVec):
        limits.append(("simd", f.simd, 1, 2 * layer.window.fan_in // segments(layer)))
        limits.append(("planes", f.planes, 1, layer.weights.planes))
        limits.append(("input_planes", f.input_planes, 0, layer.x.planes))
    limits.append(("registers", f.registers, 0, MOST_REGISTERS if isinstance(layer, MatVec) else 0))
    limits += [("queues", words, 2, 1 << 20) for words in f.queue_words]
    for what, value, least, most in limits:
        if not least <= value <= most:
            raise BnnhwError(f"layer {f.name!r}: {what} {value} cannot be; give {least} to {most}")
    for what, there in zip(MEMORIES, (isinstance(layer, MatVec), windowed(layer), isinstance(layer, MatVec)), strict=True):
        style = getattr(f, what)
        if style is not MemoryStyle.AUTO and not there:
            raise BnnhwError(f"layer {f.name!r}: {what} {style.value!r} has no meaning for a layer of kind {type(layer).__name__}; remove it")
    if f.implementation is Implementation.UNROLLED:
        check_unrolled(layer)
        for what, memory in (("weight_memory", "memory of weights"), ("replay_memory", "memory that sends inputs again")):
            if getattr(f, what) is not MemoryStyle.AUTO:
                raise BnnhwError(f"layer {f.name!r}: unrolled it has no {memory}; remove {what}")
    joins = len(layer.sources) > 1
    if len(f.queue_words) != (len(layer.sources) if joins else 0):
        raise BnnhwError(f"layer {f.name!r}: {len(f.queue_words)} queues for {len(layer.sources)} inputs; give one each where there are two")
    if line_buffered(layer, f):
        channels = layer.sources[0][0][0]
        if f.lanes != channels or f.buffer_words:
            raise BnnhwError(f"layer {f.name!r}: unrolled it has a line buffer of {channels} lanes; remove lanes and buffer")
        return
    if not windowed(layer) and f.buffer_words:
        raise BnnhwError(f"layer {f.name!r}: lanes and buffer belong to a sliding window, it has none; remove them")
    if not windowed(layer) and not elementwise(layer):
        if f.lanes:
            raise BnnhwError(f"layer {f.name!r}: lanes and buffer belong to a sliding window, it has none; remove them")
        return
    channels = lane_channels(layer)
    if f.lanes < 1 or channels % f.lanes:
        raise BnnhwError(f"layer {f.name!r}: lanes {f.lanes} do not divide {channels} channels; give a divisor")
    if windowed(layer):
        assert isinstance(layer, Windowed)
        least = least_buffer_words(layer, f.lanes)
        if f.buffer_words < least or f.buffer_words & (f.buffer_words - 1):
            raise BnnhwError(f"layer {f.name!r}: buffer {f.buffer_words} must be a power of two of at least {least} words; enlarge it")
