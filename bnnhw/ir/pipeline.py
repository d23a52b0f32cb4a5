"""The chain of library modules that an integer network and a design stand for.

Emission prints it, the schedule reads its beats, an estimate sums its costs: they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import ceil
from zlib import crc32

from bnnhw.ir import design as d
from bnnhw.ir.contents import head_fields, words
from bnnhw.ir.encoding import Encoding, Format, Integers, signed_bits
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.hardware import (
    Gate,
    Headed,
    affine_terms,
    gate,
    gives_levels,
    gives_numbers,
    head_form,
    head_range,
    index_bits,
    number_bits,
    plane_terms,
    popcount_form,
)
from bnnhw.ir.heads import Fixed, Sums
from bnnhw.ir.instances import Instance, Memory, Pipeline, Stream, Wire
from bnnhw.ir.integer import PORT, Network
from bnnhw.ir.layers import Add, Concat, Gather, Layer, MatVec, Multiply, Pool, Requantise, SumPool, Table
from bnnhw.ir.wiring import Wiring, entries, literal, styled

MAX_LITERAL_BITS = 32_768
"""What every tool takes."""
OVERFLOWS = {"saturate": 0, "zero": 1, "wrap": 2}
"""Values of the RTL parameter."""


def pipeline(net: Network, design: d.Design) -> Pipeline:
    """The pipeline of a design that `bnnhw.ir.design.check` accepts."""
    d.check(net, design)
    build, taps = Parts(net, design.logic), dict[str, Instance]()
    ends = {PORT: build.entrance(design.input_lanes)}
    for layer in net.layers:
        inputs = tuple(ends[name].pop(0) for name in net.inputs_of(layer))
        end = build.layer(layer, design[layer.name], inputs)
        taps[layer.name] = build.instances[-1]
        ends[layer.name] = build.published(layer, design[layer.name], end)
    build.exit(ends[net.layers[-1].name][0], design.output_lanes)
    return Pipeline(tuple(build.instances), taps, build.control(design))


class Parts(Wiring):
    """Adds the instances of a network's layers, each as its folding says."""

    def __init__(self, net: Network, logic: d.Logic) -> None:
        super().__init__()
        self.net, self.logic = net, logic

    def entrance(self, lanes: int) -> list[Wire]:
        """The input port of `lanes` elements a beat; a wire for each of its readers."""
        c, rows, columns = self.net.port.shape
        elements = c * rows * columns
        bits, code = d.port_bits(self.net.x), self.net.x
        end = self.edge("bnn_frame", "input_frame", Stream(elements, elements, lanes, 1, bits), ())
        if any(isinstance(layer, MatVec) and layer.writable for layer in self.net.layers):
            s = end.stream
            parameters: dict[str, int | str] = {"DATA_W": s.width, "N_BEATS": s.beats, "BEAT_W": index_bits(s.beats)}
            end = self.add("bnn_hold", "input_hold", PORT, parameters, (end,), s, s.beats)
        end = self.queue(PORT, "input_fifo", end, 2)
        if bits > 1 and (isinstance(code, Encoding) or bits > code.bits):
            end = self.planes(PORT, "input", end, code.planes)
        if isinstance(code, Integers) and bits > code.bits:
            end = self.whole(PORT, "input", end)
        return self.forked(PORT, "input", end, len(self.net.readers[PORT]))

    def published(self, layer: Layer, f: d.Folding, end: Wire) -> list[Wire]:
        """A layer's output behind its queue; a wire for each of its readers."""
        end = self.queue(layer.name, f"{layer.name}_fifo", end, f.fifo_words)
        return self.forked(layer.name, layer.name, end, len(self.net.readers[layer.name]))

    def exit(self, end: Wire, lanes: int) -> None:
        """The output port of `lanes` elements a beat."""
        end = self.adapt(PORT, "output", end, end.stream.elements, lanes)
        self.edge("bnn_last", "output_last", end.stream, (end,))

    def identity(self, design: d.Design) -> int:
        """What tells this hardware from other: all its modules, and all weights and heads that are not written."""
        found = crc32(self.net.name.encode())
        for i in self.instances:
            found = crc32(repr((i.name, i.module, sorted(i.parameters.items()))).encode(), found)
            if i.memory is not None and not i.writable:
                found = crc32(words(self.net[i.layer], design[i.layer], i).tobytes(), found)
            if i.product is not None:
                found = crc32(i.product.weights.values.tobytes() + i.product.head.per_class.tobytes(), found)
        return found

    def control(self, design: d.Design) -> Instance | None:
        """The registers by which the memories are written that may be; None without any."""
        written = [i for i in self.instances if i.writable]
        if not written:
            return None
        widths, depths = [word_bits(i) for i in written], [int(i.parameters["N_WORDS"]) for i in written]
        address = index_bits(max(depths))
        parameters: dict[str, int | str] = {
            "N_MEMORIES": len(written), "DATA_W": 32 * ceil(max(widths) / 32), "ADDR_W": address, "MEMORY_W": index_bits(len(written)),
            "WORDS": literal(depths, address + 1), "IDENTITY": self.identity(design),
        }  # fmt: skip
        return Instance("bnn_control", "control", PORT, parameters, (), Stream(1, 1, 1), 0)

    def layer(self, layer: Layer, f: d.Folding, ends: tuple[Wire, ...]) -> Wire:
        """The instances of one layer, behind what feeds it."""
        match layer:
            case MatVec():
                return self.matvec(layer, f, self.vectors(layer, f, self.windows(layer, f, ends[0])))
            case Gather():
                return self.gather(layer, f, self.vectors(layer, f, self.windows(layer, f, ends[0])))
            case Pool():
                return self.pool(layer, f, ends[0])
            case SumPool():
                return self.sum_pool(layer, f, ends[0])
            case Requantise():
                end = self.adapt(layer.name, f"{layer.name}_in", ends[0], layer.shape[0], f.lanes)
                return self.head(layer, f, layer.shape[0] // f.lanes, end)
            case Table():
                return self.table(layer, f, ends[0])
        a, b = (self.queue(layer.name, f"{layer.name}_{side}_fifo", end, words) for side, end, words in zip("ab", ends, f.queue_words, strict=True))
        return self.join(layer, f, a, b)

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

    def windows(self, layer: MatVec | Gather, f: d.Folding, end: Wire) -> Wire:
        """The windows of a product's inputs, `f.lanes` of them a beat."""
        end = self.bits(layer, end)
        return self.sliding(layer, f, end) if d.windowed(layer) else end

    def bits(self, layer: MatVec | Gather, end: Wire) -> Wire:
        """A product's inputs in planes."""
        return self.planes(layer.name, layer.name, end) if isinstance(layer, MatVec) and isinstance(layer.x, Integers) else end

    def sliding(self, layer: MatVec | Gather, f: d.Folding, end: Wire) -> Wire:
        """The sliding window of a product."""
        pad_bits = 0 if isinstance(layer, Gather) else _code_bits(layer.x, layer.window.pad_level)
        return (self.line_buffer if d.line_buffered(layer, f) else self.window)(layer, f, end, pad_bits)

    def vectors(self, layer: MatVec | Gather, f: d.Folding, end: Wire) -> Wire:
        """A product's inputs, `f.simd` of a window a beat, or one for lookups; unrolled, all of all groups."""
        if f.implementation is d.Implementation.UNROLLED:
            taps = layer.window.fan_in * layer.window.groups
            return self.adapt(layer.name, f"{layer.name}_simd", end, taps, taps)
        vector, simd = (layer.window.fan_in, 1) if isinstance(layer, Gather) else (layer.window.fan_in // d.segments(layer), f.simd)
        return self.adapt(layer.name, f"{layer.name}_simd", end, vector, simd)

    def entering(self, layer: MatVec, simd: int) -> Wire:
        """What `vectors` gives, of no instance."""
        w, segments = layer.window, d.segments(layer)
        vector = w.fan_in // segments
        return Wire("", Stream(w.out_pixels * w.groups * segments * vector, vector, simd, layer.x.planes))

    def matvec(self, layer: MatVec, f: d.Folding, end: Wire) -> Wire:
        """The product of a layer and its head, behind what feeds it."""
        if f.implementation is d.Implementation.UNROLLED:
            return self.unrolled(layer, f, end)
        return self.head(layer, f, layer.window.groups * d.row_folds(layer, f), self.totals(layer, f, end))

    def totals(self, layer: MatVec, f: d.Folding, end: Wire) -> Wire:
        """A folded product before its head, behind what feeds it."""
        w, form, name = layer.window, popcount_form(layer), layer.name
        segments = d.segments(layer)
        rows, turns, beats = d.row_folds(layer, f), d.plane_folds(layer, f), d.segment_folds(layer, f)
        work, input_turns = d.compute_beats(layer, f), d.input_turns(layer, f)
        if rows * turns > 1:
            end = self.replay(name, end, segments * beats, rows * turns, work // input_turns, f.replay_memory)
        elif input_turns > 1:
            end = self.queue(name, f"{name}_turns_fifo", end, 2)  # so that the next beat is made ready during the turns
        if input_turns > 1:
            end = self.turns(name, end, f.input_planes, input_turns, work)
        x = end.stream
        pe, count_bits = f.pe * f.planes, f.simd.bit_length()
        sum_bits = sum_width(layer, f.simd)
        words = d.weight_words(layer, f)
        coeffs = padded(form.coeffs, input_turns * x.planes)
        parameters: dict[str, int | str] = {
            "PE": pe, "SIMD": f.simd, "PLANES": x.planes, "N_TURNS": input_turns, "GATE": int(gate(layer)), "N_BEATS": beats, "N_WORDS": words,
            "COUNT_W": count_bits, "SUM_W": sum_bits, "COEFFS": literal(coeffs, sum_bits), "TURN_W": index_bits(input_turns),
            "BEAT_W": index_bits(beats), "ADDR_W": index_bits(words), **styled(f.weight_memory), **self.popcounts(f, words, layer.writable),
            **_writable(layer.writable),
        }  # fmt: skip
        outputs = layer.weights.outputs
        m = Stream(work // (beats * input_turns) * pe, pe, pe, 1, sum_bits)
        end = self.add("bnn_matvec", f"{name}_matvec", name, parameters, (end,), m, work, memory=Memory.WEIGHTS, writable=layer.writable)
        per_group = outputs // w.groups
        sums = Stream(outputs * w.out_pixels, per_group, f.pe, 1, sum_bits)
        if layer.partial is not None:
            end = self.affine(f"{name}_partial", layer, f, end, w.groups * rows * segments, layer.partial.fixed, Memory.PARTIAL)
            m = replace(sums, elem_bits=form.sum_bits)
            end = self.accumulate(name, end, m, f.pe, 1, segments, [1] * segments)
        elif layer.weights.planes > 1:
            if form.shared:
                scales = [int(s) for s in form.scale[:, 0]]
                scales += [0] * (turns * f.planes - len(scales))
            else:
                scales = [1] * (turns * f.planes)
                end = self.affine(f"{name}_scale", layer, f, end, w.groups * rows * turns, None, Memory.SCALE)
            end = self.accumulate(name, end, sums, f.pe, f.planes, turns, scales)
        else:
            end = Wire(end.source, sums)
        return end

    def unrolled(self, layer: MatVec, f: d.Folding, end: Wire) -> Wire:
        """An unrolled product with its thresholds, or with its totals and their head behind them."""
        outputs, pixels, name = layer.weights.outputs, layer.window.out_pixels, layer.name
        planes, bits = (layer.out.planes, 1) if gives_levels(layer) else (1, number_bits(layer))
        parameters: dict[str, int | str] = {"LATENCY": f.registers + 1, "LOGIC": str(self.logic.of_netlists)}
        m = Stream(outputs * pixels, outputs, outputs, planes, bits)
        end = self.add("bnn_unrolled", f"{name}_unrolled", name, parameters, (end,), m, pixels, product=layer)
        if not gives_levels(layer) and not gives_numbers(layer):
            return self.head(layer, f, 1, end, Memory.TOTAL)
        last = gives_numbers(layer) and layer is self.net.layers[-1]
        return self.pad(name, name, end, outputs, outputs, d.port_bits(layer.out)) if last else end

    def popcounts(self, f: d.Folding, words: int, writable: bool) -> dict[str, int | str]:
        """Parameters of the popcounts, where they are not plain and at once; plain are those of one lane, and of constant weights, which tools fold."""
        parameters: dict[str, int | str] = {"LATENCY": f.registers} if f.registers else {}
        if f.joint:
            return parameters | {"JOINT": 1, "LOGIC": str(self.logic)}
        plain = (words == 1 and not writable) or f.simd == 1 or self.logic is d.Logic.PLAIN
        return parameters if plain else parameters | {"LOGIC": str(self.logic)}

    def gather(self, layer: Gather, f: d.Folding, end: Wire) -> Wire:
        """The lookups of a layer and its head, behind what feeds them."""
        w, name = layer.window, layer.name
        rows, terms, work = d.row_folds(layer, f), layer.index.shape[1], d.compute_beats(layer, f)
        low, high = layer.total_range
        bits = max(signed_bits(int(low.min()), int(high.max()) + 1), end.stream.elem_bits)
        parameters: dict[str, int | str] = {
            "PE": f.pe, "IN_W": end.stream.elem_bits, "SUM_W": bits, "N_ELEMENTS": w.fan_in, "N_TERMS": terms, "N_WORDS": rows * terms,
            "INDEX_W": index_bits(w.fan_in), "TERM_W": index_bits(terms), "ADDR_W": index_bits(rows * terms), "FILL_W": index_bits(2 * w.fan_in + 1),
        }  # fmt: skip
        m = Stream(len(layer.index) * w.out_pixels, len(layer.index), f.pe, 1, bits)
        beats = max(work, w.out_pixels * w.fan_in)
        end = self.add("bnn_gather", f"{name}_gather", name, parameters, (end,), m, beats, memory=Memory.WEIGHTS)
        return self.head(layer, f, rows, end)

    def head(self, layer: Headed, f: d.Folding, folds: int, end: Wire, memory: Memory = Memory.HEAD) -> Wire:
        """Thresholds or affine behind totals, with their tables of border classes."""
        if isinstance(layer.head, Sums):
            return self.affine(f"{layer.name}_affine", layer, f, end, folds, layer.head.fixed, memory)
        s, code = end.stream, layer.head.code
        toggles = [sum(int(a != b) << q for q, (a, b) in enumerate(zip(*pair, strict=True))) for pair in pairwise(code.codebook)]
        parameters = self.addresses(layer, s.lanes, folds) | {
            "SUM_W": s.elem_bits, "LIMIT_W": max(s.elem_bits, head_form(layer, memory).sum_bits), "N_LIMITS": code.levels - 1, "FLIPS": int(layer.head.flip is not None), "PLANES": code.planes,
            "START": literal([int(b) for b in code.codebook[0]], 1), "TOGGLES": literal(toggles, code.planes),
        }  # fmt: skip
        m = Stream(s.elements, s.vector, s.lanes, code.planes)
        return self.meeting("bnn_threshold", f"{layer.name}_threshold", layer, f, parameters, end, m, memory)

    def meeting(
        self, module: str, name: str, layer: Headed, f: d.Folding, parameters: dict[str, int | str], end: Wire, m: Stream, memory: Memory
    ) -> Wire:
        """A module in which each beat meets a word of a head's memory."""
        writable = isinstance(layer, MatVec) and layer.writable
        varying = None if writable else sum(field.varying for field in head_fields(layer, f, memory, parameters))
        parameters |= _writable(writable)
        return self.add(module, name, layer.name, parameters, (end,), m, end.stream.beats, memory=memory, varying=varying, writable=writable)

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
            parameters["ROW_BASE"] = literal([c * len(column_classes[1]) * folds for c in row_classes[0]], addr)
            parameters["COL_BASE"] = literal([c * folds for c in column_classes[0]], addr)
        return parameters

    def affine(self, name: str, layer: Headed, f: d.Folding, end: Wire, folds: int, fixed: Fixed | None, memory: Memory) -> Wire:
        """Scale, bias and format of each beat; `memory` tells which of the layer's."""
        s = end.stream
        scale, bias = affine_terms(layer, memory)
        scale_bits = signed_bits(int(scale.min()), int(scale.max()))
        bias_bits = signed_bits(int(bias.min()), int(bias.max()))
        writable = isinstance(layer, MatVec) and layer.writable
        if writable:  # room for what is not known yet
            scale_bits, bias_bits = (8 * ceil((bits + 1) / 8) for bits in (scale_bits, bias_bits))
        head = memory in (Memory.HEAD, Memory.TOTAL)
        parameters = self.addresses(layer, s.lanes, folds, len(bias) if head else 1)
        if memory is Memory.SCALE:
            out_bits = exact = s.elem_bits
        else:
            last = head and layer is self.net.layers[-1]
            code = Integers(fixed.low, fixed.high) if fixed is not None else layer.out
            assert isinstance(code, Integers)
            out_bits = d.port_bits(layer.out) if last else (layer.out.bits if head and isinstance(layer.out, Integers) else code.bits)
            exact = max(_affine_bits(layer, memory), out_bits, s.elem_bits, scale_bits, bias_bits)
            if writable:
                exact = max(exact, s.elem_bits + scale_bits, bias_bits + 1)
        low, high = (fixed.low, fixed.high) if fixed is not None else (0, 0)
        exact = max(exact, signed_bits(low, high))
        overflow = fixed.overflow if fixed is not None else "wrap"
        parameters |= {
            "SUM_W": s.elem_bits, "SCALE_W": scale_bits, "BIAS_W": bias_bits, "EXACT_W": exact, "OUT_W": out_bits,
            "WRAP_W": out_bits if fixed is None else min(out_bits, signed_bits(low, high)),
            "SHIFT": fixed.shift if fixed is not None else 0, "OVERFLOW": OVERFLOWS[overflow],
            "LOW": literal([low], exact), "HIGH": literal([high], exact),
        }  # fmt: skip
        m = Stream(s.elements, s.vector, s.lanes, 1, out_bits)
        return self.meeting("bnn_affine", name, layer, f, parameters, end, m, memory)

    def table(self, layer: Table, f: d.Folding, end: Wire) -> Wire:
        end = self.adapt(layer.name, f"{layer.name}_in", end, layer.shape[0], f.lanes)
        s = end.stream
        parameters: dict[str, int | str] = {"LANES": f.lanes, "IN_W": s.elem_bits, "OUT_W": layer.out.bits}
        m = Stream(s.elements, s.vector, s.lanes, 1, layer.out.bits)
        return self.add("bnn_table", f"{layer.name}_table", layer.name, parameters, (end,), m, s.beats, memory=Memory.ENTRIES)

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


def word_bits(i: Instance) -> int:
    """Bits of a word of a memory that is written at run time."""
    p = {name: value for name, value in i.parameters.items() if isinstance(value, int)}
    match i.module:
        case "bnn_matvec":
            return p["PE"] * p["SIMD"] * (2 if p["GATE"] == Gate.MASKED else 1)
        case "bnn_threshold":
            return p["PE"] * (p["N_LIMITS"] * p["LIMIT_W"] + p["FLIPS"])
        case "bnn_affine":
            return p["PE"] * (p["BIAS_W"] + p["SCALE_W"])
    raise AssertionError(i.module)


def _writable(writable: bool) -> dict[str, int | str]:
    """The parameter of a memory that is written at run time."""
    return {"WRITABLE": 1} if writable else {}


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
    return {"ORDER": 2, "RANK_W": bits, "RANKS": literal(ranks, bits)}


def sum_width(layer: MatVec, simd: int) -> int:
    """Bits of a product's sums. They wrap on the way, so every step of theirs has the bits of the widest."""
    form = popcount_form(layer)
    return max(form.sum_bits, form.scale_bits, _segment_bits(layer), simd.bit_length() + 1)


def sum_coeffs(layer: MatVec, simd: int) -> tuple[int, ...]:
    """Coefficients of the planes as a product's sums have them: they wrap."""
    bits, coeffs = sum_width(layer, simd), popcount_form(layer).coeffs
    return tuple(entries(literal(coeffs, bits), bits, len(coeffs)))


def padded(coeffs: Sequence[int], count: int) -> list[int]:
    """Coefficients, and 0 for the planes that there are not."""
    return [*coeffs, *[0] * (count - len(coeffs))]


def _segment_bits(layer: MatVec) -> int:
    """Bits of the popcount sum of one partial sum; 0 where they are not narrowed."""
    if layer.partial is None:
        return 0
    coeffs, _, _ = plane_terms(layer)
    reach = layer.partial.taps * sum(abs(c) for c in coeffs)
    return signed_bits(-reach, reach)


def _affine_bits(layer: MatVec | Gather | Requantise, memory: Memory) -> int:
    """Bits of the exact numbers of an affine, before they are narrowed."""
    if memory is Memory.PARTIAL:
        assert isinstance(layer, MatVec)
        reach = layer.weights.values.shape[1] * max(abs(layer.x.low), abs(layer.x.high))
        return signed_bits(-reach, reach)
    assert isinstance(layer.head, Sums)
    exact = layer.head.exact_range(*head_range(layer))
    return signed_bits(*exact)
