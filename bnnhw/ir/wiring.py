"""Chains of library modules: each with its parameters, behind what it reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from math import ceil, gcd
from typing import Any

from bnnhw.ir import design as d
from bnnhw.ir.encoding import signed_bits
from bnnhw.ir.hardware import index_bits
from bnnhw.ir.instances import Instance, Stream, Wire
from bnnhw.ir.integer import PORT
from bnnhw.ir.layers import Pool, SumPool, Windowed
from bnnhw.ir.window import Raster


class Wiring:
    """Adds instances one behind the other; every method returns the wire that leaves the last."""

    def __init__(self) -> None:
        self.instances: list[Instance] = []

    def add(
        self, module: str, name: str, layer: str, parameters: dict[str, int | str], reads: tuple[Wire, ...], m: Stream, beats: int, **more: Any
    ) -> Wire:
        """A new instance."""
        self.instances.append(Instance(module, name, layer, parameters, reads, m, beats, **more))
        return Wire(name, m)

    def edge(self, module: str, name: str, s: Stream, reads: tuple[Wire, ...]) -> Wire:
        """The module at a port: `bnn_frame` at the input, `bnn_last` at the output."""
        tail = s.elements - (s.beats - 1) * s.lanes
        keep = (1 << ceil(tail * s.elem_bits / 8)) - 1
        parameters: dict[str, int | str] = {"DATA_W": s.width, "N_BEATS": s.beats, "KEEP": keep, "BEAT_W": index_bits(s.beats)}
        if module == "bnn_frame":
            parameters["TAIL_W"] = tail * s.elem_bits
        return self.add(module, name, PORT, parameters, reads, s, s.beats)

    def queue(self, layer: str, name: str, end: Wire, words: int) -> Wire:
        """A queue of `words` beats."""
        s = end.stream
        return self.add("bnn_fifo", name, layer, {"DATA_W": s.width, "N_WORDS": words, "ADDR_W": index_bits(words)}, (end,), s, s.beats)

    def forked(self, layer: str, name: str, end: Wire, readers: int) -> list[Wire]:
        """A wire for each of `readers`, through a fork where there are several."""
        if readers < 2:
            return [end]
        s = end.stream
        fork = self.add("bnn_fork", f"{name}_fork", layer, {"DATA_W": s.width, "N_OUT": readers}, (end,), s, s.beats, branches=readers)
        return [Wire(fork.source, s, branch) for branch in range(readers)]

    def planes(self, layer: str, name: str, end: Wire, bits: int | None = None) -> Wire:
        """The low bits of elements, or all, to planes: wires only."""
        s, low = end.stream, bits or end.stream.elem_bits
        m = Stream(s.elements, s.vector, s.lanes, low)
        return self.add("bnn_planes", f"{name}_planes", layer, {"LANES": s.lanes, "PLANES": low, "ELEM_W": s.elem_bits}, (end,), m, m.beats)

    def whole(self, layer: str, name: str, end: Wire) -> Wire:
        """Planes to whole elements: the same wires the other way round."""
        s = end.stream
        m = Stream(s.elements, s.vector, s.lanes, 1, s.planes)
        return self.add("bnn_planes", f"{name}_whole", layer, {"LANES": s.planes, "PLANES": s.lanes, "ELEM_W": s.lanes}, (end,), m, m.beats)

    def adapt(self, layer: str, name: str, end: Wire, vector: int, lanes: int) -> Wire:
        """Width converters to vectors of `vector` elements, `lanes` a beat.

        Two where both sides have short beats at different places: in between, beats that fit both.
        """
        s = end.stream
        period = converter_period(s, vector, lanes)
        if period == 0:
            return end
        if one_beat(s, vector, lanes):
            return self.pad(layer, name, end, vector, lanes, s.elem_bits)
        if period is not None:
            return self.gearbox(layer, name, end, period, lanes, vector)
        common = gcd(s.vector, vector)
        between = max(n for n in range(1, min(common, max(s.lanes, lanes)) + 1) if common % n == 0)
        if s.lanes != between or not s.even:
            end = self.gearbox(layer, f"{name}_even", end, s.vector, between, s.vector)
        return self.adapt(layer, name, end, vector, lanes)

    def pad(self, layer: str, name: str, end: Wire, vector: int, lanes: int, elem_bits: int) -> Wire:
        """Vectors of one beat, before and behind, in other lanes or of wider elements: wires only."""
        s = end.stream
        parameters: dict[str, int | str] = {
            "PLANES": s.planes, "S_ELEM_W": s.elem_bits, "M_ELEM_W": elem_bits, "N_IN": s.lanes, "N_OUT": lanes, "N_USED": vector,
        }  # fmt: skip
        m = Stream(s.elements, vector, lanes, s.planes, elem_bits)
        return self.add("bnn_pad", f"{name}_pad", layer, parameters, (end,), m, m.beats)

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
            **styled(f.window_memory),
        }  # fmt: skip
        m = Stream(w.out_pixels * w.taps * channels, w.taps * channels // groups, f.lanes, s.planes, s.elem_bits)
        beats = max(d.input_beats(layer, f.lanes), d.window_beats(layer, f.lanes))
        return self.add("bnn_window", f"{layer.name}_window", layer.name, parameters, (end,), m, beats)

    def line_buffer(self, layer: Windowed, f: d.Folding, end: Wire, pad_bits: int) -> Wire:
        """The sliding window that gives each window in one beat, and before it the width converter and the queue of what comes during margins."""
        w = layer.window
        channels, rows, columns = w.shape
        end = self.adapt(layer.name, f"{layer.name}_in", end, channels, channels)
        s, raster = end.stream, Raster.of(w)
        lines = w.dilation[0] * (w.kernel[0] - 1)
        parameters: dict[str, int | str] = {
            "LANES": channels, "PLANES": s.planes * s.elem_bits, "ROWS": rows, "COLS": columns, "OUT_COLS": w.out_columns,
            "KERNEL_Y": w.kernel[0], "KERNEL_X": w.kernel[1], "STRIDE_Y": w.stride[0], "STRIDE_X": w.stride[1],
            "DILATION_Y": w.dilation[0], "DILATION_X": w.dilation[1], "PAD_Y": w.pad[0], "PAD_X": w.pad[1], "TAIL_Y": raster.below, "TAIL_X": raster.right,
            "PAD_BITS": pad_bits, "INDEX_W": index_bits(max(raster.rows, raster.columns, *w.stride, lines) + 1),
            "ADDR_W": index_bits(columns), **styled(f.window_memory),
        }  # fmt: skip
        taps = w.taps * channels
        m = Stream(w.out_pixels * taps, taps, taps, s.planes, s.elem_bits)
        if raster.beats > rows * columns:
            end = self.queue(layer.name, f"{layer.name}_lines_fifo", end, max(2, raster.beats - rows * columns))
        return self.add("bnn_line_buffer", f"{layer.name}_lines", layer.name, parameters, (end,), m, raster.beats)

    def accumulate(self, layer: str, end: Wire, m: Stream, pe: int, lanes: int, parts: int, scales: list[int]) -> Wire:
        """Weighted sums over `lanes` neighbours and `parts` beats; scales [parts * lanes]."""
        scale_bits = signed_bits(min(scales), max(scales))
        m = replace(m, elem_bits=max(m.elem_bits, end.stream.elem_bits, scale_bits))
        parameters: dict[str, int | str] = {
            "PE": pe, "N_LANES": lanes, "N_PARTS": parts, "IN_W": end.stream.elem_bits, "OUT_W": m.elem_bits,
            "SCALE_W": scale_bits, "SCALES": literal(scales, scale_bits), "PART_W": index_bits(parts),
        }  # fmt: skip
        return self.add("bnn_accumulate", f"{layer}_accumulate", layer, parameters, (end,), m, end.stream.beats)

    def replay(self, layer: str, end: Wire, words: int, passes: int, beats: int, style: d.MemoryStyle = d.MemoryStyle.AUTO) -> Wire:
        """Each vector of `words` words `passes` times, from a memory of that style."""
        s = end.stream
        parameters: dict[str, int | str] = {
            "DATA_W": s.width, "N_WORDS": words, "N_PASSES": passes, "ADDR_W": index_bits(2 * words), "PASS_W": index_bits(passes),
            **styled(style),
        }  # fmt: skip
        return self.add("bnn_replay", f"{layer}_replay", layer, parameters, (end,), replace(s, elements=s.elements * passes), beats)

    def turns(self, layer: str, end: Wire, planes: int, turns: int, beats: int) -> Wire:
        """The planes of each beat, `planes` at a time."""
        s = end.stream
        parameters: dict[str, int | str] = {
            "LANES": s.lanes, "S_PLANES": s.planes, "M_PLANES": planes, "N_TURNS": turns, "TURN_W": index_bits(turns),
        }  # fmt: skip
        return self.add("bnn_turns", f"{layer}_turns", layer, parameters, (end,), replace(s, elements=s.elements * turns, planes=planes), beats)


def converter_period(s: Stream, vector: int, lanes: int) -> int | None:
    """Elements after which the converter to vectors of `vector` elements, `lanes` a beat, starts afresh; 0 where none is needed, None where two are."""
    same_ends = s.vector == vector
    if s.lanes == lanes and (same_ends or (s.even and vector % lanes == 0)):
        return 0
    if same_ends or (s.vector % lanes == 0 and vector % lanes == 0):
        return s.vector
    return vector if s.even and vector % s.lanes == 0 else None


def one_beat(s: Stream, vector: int, lanes: int) -> bool:
    """Whether vectors are one beat before and behind a converter to `lanes` a beat."""
    return s.vector == vector and vector <= min(s.lanes, lanes)


def styled(memory: d.MemoryStyle) -> dict[str, int | str]:
    """The parameter of a memory's style, where one is asked for."""
    return {} if memory is d.MemoryStyle.AUTO else {"STYLE": f'"{memory}"'}


def literal(entries: Sequence[int], bits: int, width: int | None = None) -> str:
    """A literal of entries of `bits` bits, the first in the low ones; `width` bits wide where given."""
    value = sum((e & ((1 << bits) - 1)) << (i * bits) for i, e in enumerate(entries))
    return f"{len(entries) * bits if width is None else width}'h{value:x}"


def entries(literal: int | str, bits: int, count: int) -> list[int]:
    """The signed numbers of a Verilog literal."""
    value = literal if isinstance(literal, int) else int(re.sub(r".*'h", "", literal), 16)
    found = [(value >> (i * bits)) & ((1 << bits) - 1) for i in range(count)]
    return [n - (1 << bits) if n >> (bits - 1) else n for n in found]
