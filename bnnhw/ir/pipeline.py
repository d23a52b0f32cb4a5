"""The chain of library modules that an integer network and a design stand for.

Emission prints it, the schedule reads its beats, an estimate sums its costs: they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import ceil, gcd
from typing import Any

from bnnhw.ir import design as d
from bnnhw.ir.encoding import Format, Integers, signed_bits
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.hardware import affine_terms, gate, head_form, head_range, index_bits, plane_terms, popcount_form
from bnnhw.ir.integer import (
    PORT,
    Add,
    Concat,
    Fixed,
    Gather,
    Layer,
    MatVec,
    Multiply,
    Network,
    Pool,
    Requantise,
    SumPool,
    Sums,
    Table,
    Windowed,
)  # fmt: skip

MAX_LITERAL_BITS = 32_768
"""What every tool takes."""
OVERFLOWS = {"saturate": 0, "zero": 1, "wrap": 2}
"""Values of the RTL parameter."""


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
class Wire:
    """A stream that leaves an instance; `branch` where it is one of a fork's."""

    source: str
    stream: Stream
    branch: int | None = None


@dataclass(frozen=True)
class Instance:
    """One library module: parameters as numbers, `beats` cycles of work a frame."""

    module: str
    name: str
    layer: str
    """The layer it serves; PORT at the ends."""
    parameters: dict[str, int | str]
    reads: tuple[Wire, ...]
    """None for the guard of the input port."""
    m: Stream
    beats: int
    memory: str | None = None
    """What its FILE holds, where it has one."""
    branches: int = 0
    """Streams out of a fork, 0 for one plain stream."""


@dataclass(frozen=True)
class Pipeline:
    """Instances, each behind those it reads. The first guards the input port, the last marks the output port's frames."""

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
        return self.instances[0].m

    @property
    def sink(self) -> Stream:
        """The output port."""
        return self.instances[-1].m


def pipeline(net: Network, design: d.Design) -> Pipeline:
    """The pipeline of a design that `bnnhw.ir.design.check` accepts."""
    d.check(net, design)
    c, rows, columns = net.port.shape
    elements = c * rows * columns
    build = _Builder(net, design)
    end = build.edge("bnn_frame", "input_frame", Stream(elements, elements, design.input_lanes, 1, net.x.planes), ())
    end = build.queue(PORT, "input_fifo", end, 2)
    if net.x.planes > 1:
        end = build.planes(PORT, "input", end)
    build.publish(PORT, "input", end)
    for layer in net.layers:
        end = build.layer(layer)
        build.taps[layer.name] = build.instances[-1]
        build.publish(layer.name, layer.name, build.queue(layer.name, f"{layer.name}_fifo", end, design[layer.name].fifo_words))
    (last,) = build.ends[net.layers[-1].name]
    last = build.adapt(PORT, "output", last, last.stream.elements, design.output_lanes)
    build.edge("bnn_last", "output_last", last.stream, (last,))
    return Pipeline(tuple(build.instances), build.taps)


class _Builder:
    """Adds instances one behind the other; every method returns the wire that leaves the last."""

    def __init__(self, net: Network, design: d.Design) -> None:
        self.net, self.design = net, design
        self.instances: list[Instance] = []
        self.taps: dict[str, Instance] = {}
        self.ends: dict[str, list[Wire]] = {}
        """Per layer, and for PORT, the streams that its readers have still to take."""

    def add(
        self, module: str, name: str, layer: str, parameters: dict[str, int | str], reads: tuple[Wire, ...], m: Stream, beats: int, **more: Any
    ) -> Wire:
        self.instances.append(Instance(module, name, layer, parameters, reads, m, beats, **more))
        return Wire(name, m)

    def edge(self, module: str, name: str, s: Stream, reads: tuple[Wire, ...]) -> Wire:
        tail = s.elements - (s.beats - 1) * s.lanes
        keep = (1 << ceil(tail * s.elem_bits / 8)) - 1
        parameters: dict[str, int | str] = {"DATA_W": s.width, "N_BEATS": s.beats, "KEEP": keep, "BEAT_W": index_bits(s.beats)}
        if module == "bnn_frame":
            parameters["TAIL_W"] = tail * s.elem_bits
        return self.add(module, name, PORT, parameters, reads, s, s.beats)

    def queue(self, layer: str, name: str, end: Wire, words: int) -> Wire:
        s = end.stream
        return self.add("bnn_fifo", name, layer, {"DATA_W": s.width, "N_WORDS": words, "ADDR_W": index_bits(words)}, (end,), s, s.beats)

    def publish(self, layer: str, name: str, end: Wire) -> None:
        """Offer a layer's output to its readers, through a fork where there are several."""
        readers = self.net.readers[layer]
        if len(readers) < 2:
            self.ends[layer] = [end]
            return
        s, n = end.stream, len(readers)
        fork = self.add("bnn_fork", f"{name}_fork", layer, {"DATA_W": s.width, "N_OUT": n}, (end,), s, s.beats, branches=n)
        self.ends[layer] = [Wire(fork.source, s, branch) for branch in range(n)]

    def planes(self, layer: str, name: str, end: Wire) -> Wire:
        """Elements of several bits to planes: wires only."""
        s = end.stream
        m = Stream(s.elements, s.vector, s.lanes, s.elem_bits)
        return self.add("bnn_planes", f"{name}_planes", layer, {"LANES": s.lanes, "PLANES": s.elem_bits}, (end,), m, m.beats)

    def whole(self, layer: str, name: str, end: Wire) -> Wire:
        """Planes to whole elements: the same wires the other way round."""
        s = end.stream
        m = Stream(s.elements, s.vector, s.lanes, 1, s.planes)
        return self.add("bnn_planes", f"{name}_whole", layer, {"LANES": s.planes, "PLANES": s.lanes}, (end,), m, m.beats)

    def adapt(self, layer: str, name: str, end: Wire, vector: int, lanes: int) -> Wire:
        """Width converters to vectors of `vector` elements, `lanes` a beat.

        Two where both sides have short beats at different places: in between, beats that fit both.
        """
        s = end.stream
        same_ends = s.vector == vector
        if s.lanes == lanes and (same_ends or (s.even and vector % lanes == 0)):
            return end
        if same_ends or (s.vector % lanes == 0 and vector % lanes == 0):
            return self.gearbox(layer, name, end, s.vector, lanes, vector)
        if s.even and vector % s.lanes == 0:
            return self.gearbox(layer, name, end, vector, lanes, vector)
        common = gcd(s.vector, vector)
        between = max(n for n in range(1, min(common, max(s.lanes, lanes)) + 1) if common % n == 0)
        if s.lanes != between or not s.even:
            end = self.gearbox(layer, f"{name}_even", end, s.vector, between, s.vector)
        return self.adapt(layer, name, end, vector, lanes)

    def gearbox(self, layer: str, name: str, end: Wire, period: int, lanes: int, vector: int) -> Wire:
        """A width converter that starts afresh every `period` elements."""
        s = end.stream
        beats_in, beats_out = ceil(period / s.lanes), ceil(period / lanes)
        grain = gcd(s.lanes, lanes)
        parameters: dict[str, int | str] = {
            "ELEM_W": s.elem_bits, "PLANES": s.planes, "N_IN": s.lanes, "N_OUT": lanes, "N_BEATS": beats_in,
            "N_TAIL": period - (beats_in - 1) * s.lanes, "GRAIN": grain, "BEAT_W": index_bits(beats_in),
            "FILL_W": index_bits((s.lanes + 2 * lanes) // grain + 1),
        }  # fmt: skip
        m = Stream(s.elements, vector, lanes, s.planes, s.elem_bits)
        return self.add("bnn_gearbox", f"{name}_gearbox", layer, parameters, (end,), m, s.elements // period * max(beats_in, beats_out))

    def layer(self, layer: Layer) -> Wire:
        """The instances of one layer, behind what feeds it."""
        f = self.design[layer.name]
        ends = tuple(self.ends[name].pop(0) for name in self.net.inputs_of(layer))
        match layer:
            case MatVec():
                return self.matvec(layer, f, ends[0])
            case Gather():
                return self.gather(layer, f, ends[0])
            case Pool():
                return self.pool(layer, f, ends[0])
            case SumPool():
                return self.sum_pool(layer, f, ends[0])
            case Requantise():
                end = self.adapt(layer.name, f"{layer.name}_in", ends[0], layer.shape[0], f.lanes)
                return self.head(layer, f.lanes, layer.shape[0] // f.lanes, end)
            case Table():
                return self.table(layer, f, ends[0])
        a, b = (self.queue(layer.name, f"{layer.name}_{side}_fifo", end, words) for side, end, words in zip("ab", ends, f.queue_words, strict=True))
        return self.join(layer, f, a, b)

    def window(self, layer: Windowed, f: d.Folding, end: Wire, pad_bits: int) -> Wire:
        """The sliding window and the width converter before it."""
        w = layer.window
        channels = w.shape[0]
        end = self.adapt(layer.name, f"{layer.name}_in", end, channels, f.lanes)
        s = end.stream
        groups = channels // f.lanes if isinstance(layer, Pool | SumPool) else w.groups
        words = channels // groups // f.lanes
        row = w.shape[2] * channels // f.lanes
        reach = (w.shape[1] + w.pad[0] + w.pad[2] + w.stride[0] + w.dilation[0] * w.kernel[0] + 1) * row + f.buffer_words
        index = max(w.shape[1] + w.pad[0] + w.pad[2], w.shape[2] + w.pad[1] + w.pad[3], groups, words, *w.kernel)
        index += max(w.stride[0], w.stride[1]) + max(w.dilation[0] * w.kernel[0], w.dilation[1] * w.kernel[1])
        parameters: dict[str, int | str] = {
            "LANES": f.lanes, "PLANES": s.planes * s.elem_bits, "N_GROUPS": groups, "N_WORDS": words,
            "ROWS": w.shape[1], "COLS": w.shape[2], "OUT_ROWS": w.out_rows, "OUT_COLS": w.out_columns,
            "KERNEL_Y": w.kernel[0], "KERNEL_X": w.kernel[1], "STRIDE_Y": w.stride[0], "STRIDE_X": w.stride[1],
            "DILATION_Y": w.dilation[0], "DILATION_X": w.dilation[1], "PAD_Y": w.pad[0], "PAD_X": w.pad[1],
            "PAD_BITS": pad_bits,
            "ADDR_W": index_bits(f.buffer_words), "POS_W": signed_bits(-reach, 2 * reach), "INDEX_W": signed_bits(-index, index),
        }  # fmt: skip
        m = Stream(w.out_pixels * w.taps * channels, w.taps * channels // groups, f.lanes, s.planes, s.elem_bits)
        beats = max(d.input_beats(layer, f.lanes), d.window_beats(layer, f.lanes))
        return self.add("bnn_window", f"{layer.name}_window", layer.name, parameters, (end,), m, beats)

    def pool(self, layer: Pool, f: d.Folding, end: Wire) -> Wire:
        integers = isinstance(layer.x, Integers)
        if integers:
            end = self.planes(layer.name, layer.name, end)
        end = self.window(layer, f, end, _code_bits(layer.x, layer.window.pad_level))
        c, w, s = layer.window.shape[0], layer.window, end.stream
        m = Stream(c * w.out_pixels, c, f.lanes, s.planes)
        parameters: dict[str, int | str] = {
            "LANES": f.lanes, "PLANES": s.planes, "N_TAPS": w.taps, "TAP_W": index_bits(w.taps), **_order(layer.name, layer.x),
        }  # fmt: skip
        end = self.add("bnn_pool", f"{layer.name}_pool", layer.name, parameters, (end,), m, self.instances[-1].beats)
        return self.whole(layer.name, layer.name, end) if integers else end

    def sum_pool(self, layer: SumPool, f: d.Folding, end: Wire) -> Wire:
        end = self.window(layer, f, end, 0)
        c, w = layer.window.shape[0], layer.window
        m = Stream(c * w.out_pixels, c, f.lanes, 1, layer.out.bits)
        return self.accumulate(layer.name, end, m, f.lanes, 1, w.taps, [1] * w.taps)

    def accumulate(self, layer: str, end: Wire, m: Stream, pe: int, lanes: int, parts: int, scales: list[int]) -> Wire:
        """Weighted sums over `lanes` neighbours and `parts` beats; scales [parts * lanes]."""
        scale_bits = signed_bits(min(scales), max(scales))
        m = replace(m, elem_bits=max(m.elem_bits, end.stream.elem_bits, scale_bits))
        parameters: dict[str, int | str] = {
            "PE": pe, "N_LANES": lanes, "N_PARTS": parts, "IN_W": end.stream.elem_bits, "OUT_W": m.elem_bits,
            "SCALE_W": scale_bits, "SCALES": _table(scales, scale_bits), "PART_W": index_bits(parts),
        }  # fmt: skip
        return self.add("bnn_accumulate", f"{layer}_accumulate", layer, parameters, (end,), m, end.stream.beats)

    def replay(self, layer: str, end: Wire, words: int, passes: int, beats: int) -> Wire:
        """Each vector of `words` words `passes` times."""
        s = end.stream
        parameters: dict[str, int | str] = {
            "DATA_W": s.width, "N_WORDS": words, "N_PASSES": passes, "ADDR_W": index_bits(2 * words), "PASS_W": index_bits(passes),
        }  # fmt: skip
        return self.add("bnn_replay", f"{layer}_replay", layer, parameters, (end,), replace(s, elements=s.elements * passes), beats)

    def turns(self, layer: str, end: Wire, planes: int, turns: int, beats: int) -> Wire:
        """The planes of each beat, `planes` at a time."""
        s = end.stream
        parameters: dict[str, int | str] = {
            "LANES": s.lanes, "S_PLANES": s.planes, "M_PLANES": planes, "N_TURNS": turns, "TURN_W": index_bits(turns),
        }  # fmt: skip
        return self.add("bnn_turns", f"{layer}_turns", layer, parameters, (end,), replace(s, planes=planes), beats)

    def matvec(self, layer: MatVec, f: d.Folding, end: Wire) -> Wire:
        w, form, name = layer.window, popcount_form(layer), layer.name
        if isinstance(layer.x, Integers):
            end = self.planes(name, name, end)
        if d.windowed(layer):
            end = self.window(layer, f, end, _code_bits(layer.x, w.pad_level))
        segments = d.segments(layer)
        end = self.adapt(name, f"{name}_simd", end, w.fan_in // segments, f.simd)
        rows, turns, beats = d.row_folds(layer, f), d.plane_folds(layer, f), d.segment_folds(layer, f)
        work, input_turns = d.compute_beats(layer, f), d.input_turns(layer, f)
        if rows * turns > 1:
            end = self.replay(name, end, segments * beats, rows * turns, work // input_turns)
        elif input_turns > 1:
            end = self.queue(name, f"{name}_turns_fifo", end, 2)  # so that the next beat is made ready during the turns
        if input_turns > 1:
            end = self.turns(name, end, f.input_planes, input_turns, work)
        x = end.stream
        pe, count_bits = f.pe * f.planes, f.simd.bit_length()
        # Sums wrap on the way, so every step of theirs has the bits of the widest.
        sum_bits = max(form.sum_bits, form.scale_bits, _segment_bits(layer), count_bits + 1)
        words = w.groups * rows * turns * segments * beats
        coeffs = [*form.coeffs, *[0] * (input_turns * x.planes - len(form.coeffs))]
        parameters: dict[str, int | str] = {
            "PE": pe, "SIMD": f.simd, "PLANES": x.planes, "N_TURNS": input_turns, "GATE": int(gate(layer)), "N_BEATS": beats, "N_WORDS": words,
            "COUNT_W": count_bits, "SUM_W": sum_bits, "COEFFS": _table(coeffs, sum_bits), "TURN_W": index_bits(input_turns),
            "BEAT_W": index_bits(beats), "ADDR_W": index_bits(words),
        }  # fmt: skip
        outputs = layer.weights.outputs
        m = Stream(work // (beats * input_turns) * pe, pe, pe, 1, sum_bits)
        end = self.add("bnn_matvec", f"{name}_matvec", name, parameters, (end,), m, work, memory="weights")
        per_group = outputs // w.groups
        sums = Stream(outputs * w.out_pixels, per_group, f.pe, 1, sum_bits)
        if layer.partial is not None:
            end = self.affine(f"{name}_partial", layer, end, f.pe, w.groups * rows * segments, layer.partial.fixed, "partial")
            m = replace(sums, elem_bits=form.sum_bits)
            end = self.accumulate(name, end, m, f.pe, 1, segments, [1] * segments)
        elif layer.weights.planes > 1:
            if form.shared:
                scales = [int(s) for s in form.scale[:, 0]]
                scales += [0] * (turns * f.planes - len(scales))
            else:
                scales = [1] * (turns * f.planes)
                end = self.affine(f"{name}_scale", layer, end, pe, w.groups * rows * turns, None, "scale")
            end = self.accumulate(name, end, sums, f.pe, f.planes, turns, scales)
        else:
            end = Wire(end.source, sums)
        return self.head(layer, f.pe, w.groups * rows, end)

    def gather(self, layer: Gather, f: d.Folding, end: Wire) -> Wire:
        w, name = layer.window, layer.name
        if d.windowed(layer):
            end = self.window(layer, f, end, 0)
        end = self.adapt(name, f"{name}_simd", end, w.fan_in, 1)
        rows, terms, work = d.row_folds(layer, f), layer.index.shape[1], d.compute_beats(layer, f)
        low, high = layer.total_range
        bits = max(signed_bits(int(low.min()), int(high.max()) + 1), end.stream.elem_bits)
        parameters: dict[str, int | str] = {
            "PE": f.pe, "IN_W": end.stream.elem_bits, "SUM_W": bits, "N_ELEMENTS": w.fan_in, "N_TERMS": terms, "N_WORDS": rows * terms,
            "INDEX_W": index_bits(w.fan_in), "TERM_W": index_bits(terms), "ADDR_W": index_bits(rows * terms), "FILL_W": index_bits(2 * w.fan_in + 1),
        }  # fmt: skip
        m = Stream(len(layer.index) * w.out_pixels, len(layer.index), f.pe, 1, bits)
        beats = max(work, w.out_pixels * w.fan_in)
        end = self.add("bnn_gather", f"{name}_gather", name, parameters, (end,), m, beats, memory="weights")
        return self.head(layer, f.pe, rows, end)

    def head(self, layer: MatVec | Gather | Requantise, pe: int, folds: int, end: Wire) -> Wire:
        """Thresholds or affine behind totals, with their tables of border classes."""
        if isinstance(layer.head, Sums):
            return self.affine(f"{layer.name}_affine", layer, end, pe, folds, layer.head.fixed, "head")
        s, code = end.stream, layer.head.code
        toggles = [sum(int(a != b) << q for q, (a, b) in enumerate(zip(*pair, strict=True))) for pair in pairwise(code.codebook)]
        parameters = self.addresses(layer, pe, folds) | {
            "SUM_W": s.elem_bits, "LIMIT_W": max(s.elem_bits, head_form(layer).sum_bits), "N_LIMITS": code.levels - 1, "FLIPS": int(layer.head.flip is not None), "PLANES": code.planes,
            "START": _table([int(b) for b in code.codebook[0]], 1), "TOGGLES": _table(toggles, code.planes),
        }  # fmt: skip
        m = Stream(s.elements, s.vector, s.lanes, code.planes)
        return self.add("bnn_threshold", f"{layer.name}_threshold", layer.name, parameters, (end,), m, s.beats, memory="head")

    def addresses(self, layer: Layer, pe: int, folds: int, per_class: int | None = None) -> dict[str, int | str]:
        """Parameters of a head that tell which of its words belongs to a beat."""
        if per_class is None:
            per_class = len(layer.head.per_class) if isinstance(layer, MatVec) else 1
        _, rows, columns = layer.out_shape
        words = folds * per_class
        addr = index_bits(words)
        parameters: dict[str, int | str] = {
            "PE": pe, "N_FOLDS": folds, "N_WORDS": words, "OUT_ROWS": rows, "OUT_COLS": columns,
            "ADDR_W": addr, "INDEX_W": index_bits(max(rows, columns) + 1), "N_CLASSES": per_class,
        }  # fmt: skip
        if per_class > 1:
            assert isinstance(layer, MatVec)
            row_classes, column_classes = layer.window.row_classes, layer.window.column_classes
            if max(rows, columns) * addr > MAX_LITERAL_BITS:
                raise BnnhwError(
                    f"layer {layer.name!r}: a padded map of {rows}x{columns} is too large for its table of borders; use pad_value -1 or 1"
                )
            parameters["ROW_BASE"] = _table([c * len(column_classes[1]) * folds for c in row_classes[0]], addr)
            parameters["COL_BASE"] = _table([c * folds for c in column_classes[0]], addr)
        return parameters

    def affine(self, name: str, layer: MatVec | Gather | Requantise, end: Wire, pe: int, folds: int, fixed: Fixed | None, memory: str) -> Wire:
        """Scale, bias and format of each beat; `memory` tells which of the layer's."""
        s = end.stream
        scale, bias = affine_terms(layer, memory)
        scale_bits = signed_bits(int(scale.min()), int(scale.max()))
        bias_bits = signed_bits(int(bias.min()), int(bias.max()))
        parameters = self.addresses(layer, pe, folds, len(bias) if memory == "head" else 1)
        if memory == "scale":
            out_bits = exact = s.elem_bits
        else:
            last = memory == "head" and layer is self.net.layers[-1]
            code = Integers(fixed.low, fixed.high) if fixed is not None else layer.out
            assert isinstance(code, Integers)
            out_bits = d.port_bits(layer.out) if last else (layer.out.bits if memory == "head" and isinstance(layer.out, Integers) else code.bits)
            exact = max(_affine_bits(layer, memory), out_bits, s.elem_bits, scale_bits, bias_bits)
        low, high = (fixed.low, fixed.high) if fixed is not None else (0, 0)
        exact = max(exact, signed_bits(low, high))
        overflow = fixed.overflow if fixed is not None else "wrap"
        parameters |= {
            "SUM_W": s.elem_bits, "SCALE_W": scale_bits, "BIAS_W": bias_bits, "EXACT_W": exact, "OUT_W": out_bits,
            "WRAP_W": out_bits if fixed is None else min(out_bits, signed_bits(low, high)),
            "SHIFT": fixed.shift if fixed is not None else 0, "OVERFLOW": OVERFLOWS[overflow],
            "LOW": _table([low], exact), "HIGH": _table([high], exact),
        }  # fmt: skip
        m = Stream(s.elements, s.vector, s.lanes, 1, out_bits)
        return self.add("bnn_affine", name, layer.name, parameters, (end,), m, s.beats, memory=memory)

    def table(self, layer: Table, f: d.Folding, end: Wire) -> Wire:
        end = self.adapt(layer.name, f"{layer.name}_in", end, layer.shape[0], f.lanes)
        s = end.stream
        parameters: dict[str, int | str] = {"LANES": f.lanes, "IN_W": s.elem_bits, "OUT_W": layer.out.bits}
        m = Stream(s.elements, s.vector, s.lanes, 1, layer.out.bits)
        return self.add("bnn_table", f"{layer.name}_table", layer.name, parameters, (end,), m, s.beats, memory="entries")

    def join(self, layer: Add | Multiply | Concat, f: d.Folding, a: Wire, b: Wire) -> Wire:
        """The two-input modules, each input in words of the layer's lanes."""
        c, rows, columns = layer.out_shape
        a = self.adapt(layer.name, f"{layer.name}_a", a, layer.sources[0][0][0], f.lanes)
        shared = isinstance(layer, Multiply) and layer.b_shape[0] == 1 < c
        b = self.adapt(layer.name, f"{layer.name}_b", b, layer.sources[1][0][0], 1 if shared else f.lanes)
        m = (
            Stream(c * rows * columns, c, f.lanes, 1, layer.out.bits)
            if isinstance(layer.out, Integers)
            else replace(a.stream, elements=c * rows * columns, vector=c)
        )
        widths: dict[str, int | str] = {"LANES": f.lanes, "A_W": a.stream.elem_bits, "B_W": b.stream.elem_bits, "OUT_W": m.elem_bits}
        match layer:
            case Add():
                parameters = widths | {"A_SHIFT": layer.shifts[0], "B_SHIFT": layer.shifts[1]}
                return self.add("bnn_add", f"{layer.name}_add", layer.name, parameters, (a, b), m, m.beats)
            case Multiply():
                if shared and c > f.lanes:
                    b = self.replay(layer.name, b, 1, c // f.lanes, m.beats)
                elif layer.b_shape != layer.shape and not shared:
                    b = self.replay(layer.name, b, c // f.lanes, rows * columns, m.beats)
                return self.add("bnn_multiply", f"{layer.name}_multiply", layer.name, widths | {"B_SHARED": int(shared)}, (a, b), m, m.beats)
            case Concat():
                words = [shape[0] // f.lanes for shape in layer.shapes]
                parameters = {
                    "LANES": f.lanes * m.planes, "A_W": a.stream.elem_bits, "B_W": b.stream.elem_bits, "OUT_W": m.elem_bits,
                    "N_A": words[0], "N_B": words[1], "BEAT_W": index_bits(sum(words)),
                }  # fmt: skip
                return self.add("bnn_concat", f"{layer.name}_concat", layer.name, parameters, (a, b), m, m.beats)


def _code_bits(code: Format, level: int) -> int:
    """The bits of a level as a number, plane 0 in the low bit; an integer's own bits."""
    if isinstance(code, Integers):
        return level & ((1 << code.bits) - 1)
    return sum(int(b) << q for q, b in enumerate(code.codebook[level]))


def _order(layer: str, code: Format) -> dict[str, int | str]:
    """How a pool compares codes: as numbers where these rise with the level, else by rank."""
    if isinstance(code, Integers):
        return {"ORDER": 1, "RANK_W": 1, "RANKS": 0}
    codes = [_code_bits(code, level) for level in range(code.levels)]
    half = 1 << (code.planes - 1)
    for order, seen in enumerate((codes, [c ^ half for c in codes])):
        if seen == sorted(seen):
            return {"ORDER": order, "RANK_W": 1, "RANKS": 0}
    ranks = [0] * (1 << code.planes)
    for level, c in enumerate(codes):
        ranks[c] = level
    bits = index_bits(code.levels)
    if len(ranks) * bits > MAX_LITERAL_BITS:
        raise BnnhwError(
            f"layer {layer!r}: a table of {len(ranks) * bits} bits orders its {code.planes} planes, at most {MAX_LITERAL_BITS} fit; pool before the activation"
        )
    return {"ORDER": 2, "RANK_W": bits, "RANKS": _table(ranks, bits)}


def _segment_bits(layer: MatVec) -> int:
    """Bits of the popcount sum of one partial sum; 0 where they are not narrowed."""
    if layer.partial is None:
        return 0
    coeffs, _, _ = plane_terms(layer)
    reach = layer.partial.taps * sum(abs(c) for c in coeffs)
    return signed_bits(-reach, reach)


def _affine_bits(layer: MatVec | Gather | Requantise, memory: str) -> int:
    """Bits of the exact numbers of an affine, before they are narrowed."""
    if memory == "partial":
        assert isinstance(layer, MatVec)
        reach = layer.weights.values.shape[1] * max(abs(layer.x.low), abs(layer.x.high))
        return signed_bits(-reach, reach)
    assert isinstance(layer.head, Sums)
    exact = layer.head.exact_range(*head_range(layer))
    return signed_bits(*exact)


def _table(entries: list[int], bits: int) -> str:
    """A literal of entries of `bits` bits, the first in the low ones."""
    value = sum((e & ((1 << bits) - 1)) << (i * bits) for i, e in enumerate(entries))
    return f"{len(entries) * bits}'h{value:x}"
