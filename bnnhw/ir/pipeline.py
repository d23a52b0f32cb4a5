"""The chain of library modules that an integer network and a design stand for.

Emission prints it, the schedule reads its beats, an estimate sums its costs: they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, gcd

from bnnhw.ir import design as d
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.hardware import index_bits, popcount_affine, popcount_form, signed_bits
from bnnhw.ir.integer import Layer, MatVec, Network, Pool

MAX_LITERAL_BITS = 32_768
"""What every tool takes."""
PORT = ""
"""Stands for the layer of instances that serve the input or output port."""


@dataclass(frozen=True)
class Stream:
    """Elements on the wire: `elements` a frame in vectors; a vector's last beat may be short."""

    elements: int
    vector: int
    lanes: int
    planes: int = 1
    elem_bits: int = 1
    """Bits of an element in one plane."""

    @property
    def width(self) -> int:
        """Bits of a beat."""
        return self.lanes * self.planes * self.elem_bits

    @property
    def beats(self) -> int:
        """Beats of a frame."""
        return self.elements // self.vector * ceil(self.vector / self.lanes)

    @property
    def even(self) -> bool:
        """Whether no beat is short."""
        return self.vector % self.lanes == 0


@dataclass(frozen=True)
class Instance:
    """One library module: parameters as numbers, `beats` cycles of work a frame."""

    module: str
    name: str
    layer: str
    """The layer it serves; PORT at the ends."""
    parameters: dict[str, int | str]
    s: Stream
    m: Stream
    beats: int
    memory: str | None = None
    """`weights` or `head`: which of the layer's parameters its FILE holds."""


@dataclass(frozen=True)
class Pipeline:
    """Instances in stream order. The first guards the input port, the last marks the output port's frames."""

    instances: tuple[Instance, ...]
    taps: dict[str, Instance] = field(default_factory=dict)
    """Per layer, the instance that its output leaves."""

    @property
    def interval(self) -> int:
        """Cycles from frame to frame when neither side stalls."""
        return max(i.beats for i in self.instances)

    @property
    def bottleneck(self) -> Instance:
        """The first instance that needs the whole interval."""
        return max(self.instances, key=lambda i: i.beats)

    @property
    def source(self) -> Stream:
        """The input port."""
        return self.instances[0].s

    @property
    def sink(self) -> Stream:
        """The output port."""
        return self.instances[-1].m


def pipeline(net: Network, design: d.Design) -> Pipeline:
    """The pipeline of a design that `bnnhw.ir.design.check` accepts."""
    d.check(net, design)
    c, rows, columns = net.port.shape
    elements = c * rows * columns
    port = Stream(elements, elements, design.input_lanes, 1, net.x.planes)
    chain: list[Instance] = [_edge("bnn_frame", "input_frame", port)]
    chain += _queue(PORT, "input_fifo", port, 2)
    if net.x.planes > 1:
        planar = Stream(elements, elements, port.lanes, net.x.planes)
        chain.append(Instance("bnn_planes", "input_planes", PORT, {"LANES": port.lanes, "PLANES": net.x.planes}, port, planar, planar.beats))
    taps: dict[str, Instance] = {}
    for layer in net.layers:
        f = design[layer.name]
        chain += _matvec(layer, f, chain[-1].m) if isinstance(layer, MatVec) else _pool(layer, f, chain[-1].m)
        taps[layer.name] = chain[-1]
        chain += _queue(layer.name, f"{layer.name}_fifo", chain[-1].m, f.fifo_words)
    last = chain[-1].m
    chain += _adapt(PORT, "output", last, last.elements, design.output_lanes)
    chain.append(_edge("bnn_last", "output_last", chain[-1].m))
    return Pipeline(tuple(chain), taps)


def _edge(module: str, name: str, s: Stream) -> Instance:
    tail = s.elements - (s.beats - 1) * s.lanes
    keep = (1 << ceil(tail * s.elem_bits / 8)) - 1
    parameters: dict[str, int | str] = {"DATA_W": s.width, "N_BEATS": s.beats, "KEEP": keep, "BEAT_W": index_bits(s.beats)}
    if module == "bnn_frame":
        parameters["TAIL_W"] = tail * s.elem_bits
    return Instance(module, name, PORT, parameters, s, s, s.beats)


def _queue(layer: str, name: str, s: Stream, words: int) -> Iterator[Instance]:
    yield Instance("bnn_fifo", name, layer, {"DATA_W": s.width, "N_WORDS": words, "ADDR_W": index_bits(words)}, s, s, s.beats)


def _adapt(layer: str, name: str, s: Stream, vector: int, lanes: int) -> list[Instance]:
    """Width converters from `s` to vectors of `vector` elements, `lanes` a beat.

    Two where both sides have short beats at different places: in between, beats that fit both.
    """
    same_ends = s.vector == vector
    if s.lanes == lanes and (same_ends or (s.even and vector % lanes == 0)):
        return []
    if same_ends or (s.vector % lanes == 0 and vector % lanes == 0):
        return [_gearbox(layer, name, s, s.vector, lanes, vector)]
    if s.even and vector % s.lanes == 0:
        return [_gearbox(layer, name, s, vector, lanes, vector)]
    common = gcd(s.vector, vector)
    between = max(n for n in range(1, min(common, max(s.lanes, lanes)) + 1) if common % n == 0)
    first = [_gearbox(layer, f"{name}_even", s, s.vector, between, s.vector)] if s.lanes != between or not s.even else []
    return first + _adapt(layer, name, first[-1].m if first else s, vector, lanes)


def _gearbox(layer: str, name: str, s: Stream, period: int, lanes: int, vector: int) -> Instance:
    """A width converter that starts afresh every `period` elements."""
    beats_in, beats_out = ceil(period / s.lanes), ceil(period / lanes)
    grain = gcd(s.lanes, lanes)
    parameters: dict[str, int | str] = {
        "ELEM_W": s.elem_bits, "PLANES": s.planes, "N_IN": s.lanes, "N_OUT": lanes, "N_BEATS": beats_in,
        "N_TAIL": period - (beats_in - 1) * s.lanes, "GRAIN": grain, "BEAT_W": index_bits(beats_in),
        "FILL_W": index_bits((s.lanes + 2 * lanes) // grain + 1),
    }  # fmt: skip
    m = Stream(s.elements, vector, lanes, s.planes, s.elem_bits)
    return Instance("bnn_gearbox", f"{name}_gearbox", layer, parameters, s, m, s.elements // period * max(beats_in, beats_out))


def _window(layer: Layer, f: d.Folding, s: Stream) -> list[Instance]:
    """The sliding window and the width converter before it."""
    w = layer.window
    channels = w.shape[0]
    chain = _adapt(layer.name, f"{layer.name}_in", s, channels, f.lanes)
    groups = channels // f.lanes if isinstance(layer, Pool) else w.groups
    words = channels // groups // f.lanes
    row = w.shape[2] * channels // f.lanes
    reach = (w.shape[1] + w.pad[0] + w.pad[2] + w.stride[0] + w.dilation[0] * w.kernel[0] + 1) * row + f.buffer_words
    index = max(w.shape[1] + w.pad[0] + w.pad[2], w.shape[2] + w.pad[1] + w.pad[3], groups, words, *w.kernel)
    index += max(w.stride[0], w.stride[1]) + max(w.dilation[0] * w.kernel[0], w.dilation[1] * w.kernel[1])
    parameters: dict[str, int | str] = {
        "LANES": f.lanes, "PLANES": s.planes, "N_GROUPS": groups, "N_WORDS": words,
        "ROWS": w.shape[1], "COLS": w.shape[2], "OUT_ROWS": w.out_rows, "OUT_COLS": w.out_columns,
        "KERNEL_Y": w.kernel[0], "KERNEL_X": w.kernel[1], "STRIDE_Y": w.stride[0], "STRIDE_X": w.stride[1],
        "DILATION_Y": w.dilation[0], "DILATION_X": w.dilation[1], "PAD_Y": w.pad[0], "PAD_X": w.pad[1],
        "PAD_BITS": sum(int(b) << q for q, b in enumerate(layer.x.codebook[w.pad_level])),
        "ADDR_W": index_bits(f.buffer_words), "POS_W": signed_bits(-reach, 2 * reach), "INDEX_W": signed_bits(-index, index),
    }  # fmt: skip
    seen = w.out_pixels * w.taps * channels
    m = Stream(seen, w.taps * channels // groups, f.lanes, s.planes)
    beats = max(d.input_beats(layer, f.lanes), d.window_beats(layer, f.lanes))
    return [*chain, Instance("bnn_window", f"{layer.name}_window", layer.name, parameters, (chain[-1].m if chain else s), m, beats)]


def _pool(layer: Pool, f: d.Folding, s: Stream) -> list[Instance]:
    chain = _window(layer, f, s)
    c, w = layer.window.shape[0], layer.window
    m = Stream(c * w.out_pixels, c, f.lanes, s.planes)
    parameters: dict[str, int | str] = {"LANES": f.lanes, "PLANES": s.planes, "N_TAPS": w.taps, "TAP_W": index_bits(w.taps)}
    return [*chain, Instance("bnn_pool", f"{layer.name}_pool", layer.name, parameters, chain[-1].m, m, chain[-1].beats)]


def _matvec(layer: MatVec, f: d.Folding, s: Stream) -> list[Instance]:
    w, form = layer.window, popcount_form(layer)
    chain = _window(layer, f, s) if d.windowed(layer) else []
    chain += _adapt(layer.name, f"{layer.name}_simd", chain[-1].m if chain else s, w.fan_in, f.simd)
    x = chain[-1].m if chain else s
    rows, beats = d.row_folds(layer, f), d.input_folds(layer, f)
    work = d.compute_beats(layer, f)
    if rows > 1:
        replayed: dict[str, int | str] = {
            "DATA_W": x.width, "N_WORDS": beats, "N_PASSES": rows, "ADDR_W": index_bits(2 * beats), "PASS_W": index_bits(rows),
        }  # fmt: skip
        chain.append(Instance("bnn_replay", f"{layer.name}_replay", layer.name, replayed, x, x, work))
    count_bits = f.simd.bit_length()
    sum_bits = max(form.sum_bits, count_bits + 1)
    coeffs = sum((c & ((1 << sum_bits) - 1)) << (q * sum_bits) for q, c in enumerate(form.coeffs))
    words = w.groups * rows * beats
    parameters: dict[str, int | str] = {
        "PE": f.pe, "SIMD": f.simd, "PLANES": x.planes, "N_BEATS": beats, "N_WORDS": words, "COUNT_W": count_bits, "SUM_W": sum_bits,
        "COEFFS": f"{x.planes * sum_bits}'h{coeffs:x}", "BEAT_W": index_bits(beats), "ADDR_W": index_bits(words),
    }  # fmt: skip
    outputs = layer.weights.outputs
    sums = Stream(outputs * w.out_pixels, outputs // w.groups, f.pe, 1, sum_bits)
    chain.append(Instance("bnn_matvec", f"{layer.name}_matvec", layer.name, parameters, x, sums, work, "weights"))
    return [*chain, _head(layer, f, sums)]


def _head(layer: MatVec, f: d.Folding, s: Stream) -> Instance:
    """Thresholds or affine behind the sums, with their tables of border classes."""
    w = layer.window
    folds = w.groups * d.row_folds(layer, f)
    per_class = layer.border_classes
    words = folds * per_class
    addr = index_bits(words)
    parameters: dict[str, int | str] = {
        "PE": f.pe, "SUM_W": s.elem_bits, "N_FOLDS": folds, "N_WORDS": words, "OUT_ROWS": w.out_rows, "OUT_COLS": w.out_columns,
        "ADDR_W": addr, "INDEX_W": index_bits(max(w.out_rows, w.out_columns) + 1), "N_CLASSES": per_class,
        
    }  # fmt: skip
    if per_class > 1:
        rows, columns = w.row_classes, w.column_classes
        if max(w.out_rows, w.out_columns) * addr > MAX_LITERAL_BITS:
            raise BnnhwError(
                f"layer {layer.name!r}: a padded map of {w.out_rows}x{w.out_columns} is too large for its table of borders; use pad_value -1 or 1"
            )
        parameters["ROW_BASE"] = _table([c * len(columns[1]) * folds for c in rows[0]], addr)
        parameters["COL_BASE"] = _table([c * folds for c in columns[0]], addr)
    if layer.code is not None:
        m = Stream(s.elements, s.vector, s.lanes, layer.code.planes)
        return Instance("bnn_threshold", f"{layer.name}_threshold", layer.name, parameters, s, m, s.beats, "head")
    scale, bias = popcount_affine(layer, popcount_form(layer))
    scale_bits = signed_bits(int(scale.min()), int(scale.max()))
    needed = max(signed_bits(*layer.out_range), signed_bits(int(bias.min()), int(bias.max())), s.elem_bits, scale_bits)
    out_bits = next(b for b in (8, 16, 32, 64) if b >= needed)
    parameters |= {"SCALE_W": scale_bits, "OUT_W": out_bits}
    return Instance(
        "bnn_affine", f"{layer.name}_affine", layer.name, parameters, s, Stream(s.elements, s.vector, s.lanes, 1, out_bits), s.beats, "head"
    )


def _table(entries: list[int], bits: int) -> str:
    value = sum(e << (i * bits) for i, e in enumerate(entries))
    return f"{len(entries) * bits}'h{value:x}"
