"""Every design of a network as a graph: a path from the input port to the output port is a design, its length the costs.

A node is what the layers still to come can see of those before: the streams that are open. An edge is one choice that leads
from there to the next node. Its costs are bounds from below until somebody needs them exactly.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product
from math import ceil, inf, log2, prod
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.estimate.features import ALIKE, mux_luts
from bnnhw.estimate.memories import LUT_RAMS, Kind, block_roms, memory
from bnnhw.estimate.power import switched_picojoules
from bnnhw.estimate.resources import BUILT, Cost, ProductBound, cost, least_converters
from bnnhw.ir import design as d
from bnnhw.ir.encoding import I64
from bnnhw.ir.hardware import Gate, gate, popcount_form
from bnnhw.ir.instances import Instance, Stream, Wire
from bnnhw.ir.integer import PORT, Network
from bnnhw.ir.layers import Gather, Layer, MatVec, Windowed
from bnnhw.ir.pipeline import Parts, padded, sum_coeffs, sum_width
from bnnhw.ir.wiring import converter_period, literal, one_beat
from bnnhw.lutmap.dot import least_luts as least_dot
from bnnhw.lutmap.fabric import FABRICS
from bnnhw.lutmap.layer import predicted_luts
from bnnhw.schedule.folding import ceilings, input_lanes, output_lanes
from bnnhw.schedule.queues import Waits, words_of_pixel
from bnnhw.schedule.stages import JOINT, joint, may_have_lines, may_unroll, most_registers, popcount_registers, registers

KINDS = ("luts", "flip_flops", "block_rams", "dsps", "switched")
"""Costs of an edge, in this order; the last one picojoules of a frame without the clock's."""
ASKED = (d.MemoryStyle.BLOCK, d.MemoryStyle.DISTRIBUTED)
"""Styles of a product's memories that are tried; what tools do on their own is one of them."""
ALL = 16
"""PE and SIMD up to which every number is tried; above, those that are the least for their number of turns."""
UNROLLED_LEAST = 0.5
"""Part of the LUTs predicted for an unrolled layer below which a search does not look."""
UNROLLED_REGISTERS = 0.2
"""Its flip-flops for one of these LUTs, likewise, where there are registers after every one; fewer where there are fewer of them."""
UNROLLED_SMALL = 2_000
"""Predicted LUTs below which nothing is taken to be known: neurons that are constant may be most of them, and to build them takes no time."""
WHOLE = 0
"""In the place of a stream, or of its SIMD: windows that a line buffer gives whole."""
PRODUCT_FIELDS = ("implementation", "pe", "planes", "input_planes", "joint", "registers", "fifo_words", "weight_memory", "replay_memory")
"""What a folding says of a product itself."""
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Open:
    """A layer's output that some layers have still to read."""

    name: str
    stream: Stream
    readers: int
    words: int
    """Words of one of its pixels, at most."""


State = tuple[object, ...]
"""A node: the streams that are open, the one that is being read last."""


@dataclass(frozen=True)
class Way:
    """What an edge stands for."""

    fields: dict[str, Any]
    """Fields of the layer's folding that it fixes."""
    key: object
    """Edges of the same key cost the same."""
    build: Callable[[Parts], Wire]
    """Adds its instances."""
    behind: Callable[[Stream], Way] | None = None
    """From the stream that leaves them to others that belong to it, and are the same for many."""


class Stage:
    """The edges from one row of nodes to the next, sorted by the node behind them."""

    def __init__(self, layer: str, nodes: Sequence[State], tails: I64, heads: I64, bounds: F64, beats: I64, way: Callable[[int], Way]) -> None:
        """`nodes`: those behind; `bounds` [edges, kinds]; `way`: from the number of an edge, before it is sorted."""
        self.layer, self.nodes, self.way = layer, nodes, way
        self.number = np.argsort(heads, kind="stable")
        self.tails, self.heads, self.costs, self.beats = tails[self.number], heads[self.number], bounds[self.number], beats[self.number]
        self.priced = np.zeros(len(heads), bool)
        self.first = np.flatnonzero(np.diff(self.heads, prepend=-1))
        """First edge to each node."""
        self.by_tail = np.argsort(self.tails, kind="stable")
        self.first_from = np.flatnonzero(np.diff(self.tails[self.by_tail], prepend=-1))
        self.left = self.tails[self.by_tail][self.first_from]
        """Nodes before that have an edge."""

    def head_of(self, edge: int) -> int:
        """The node behind an edge."""
        return int(self.heads[edge])

    def fields(self, edge: int) -> dict[str, Any]:
        """Fields of the layer's folding that an edge fixes."""
        return self.way(int(self.number[edge])).fields


class Choices:
    """All designs of one network for one family of FPGAs."""

    def __init__(self, net: Network, target: str, levels: int, logic: d.Logic) -> None:
        """`levels`: LUTs between the registers of products; `logic`: of their popcounts."""
        self.net, self.target, self.logic, self.levels = net, target, logic, levels
        self.waits = Waits(net, most_registers(net, self.logic, levels), (), may_have_lines(net))
        self._once: dict[object, tuple[tuple[float, ...], int, Stream]] = {}
        self.stages: list[Stage] = []
        self.inputs = _doubled(input_lanes(net, 1 << 62), input_lanes(net, 1))
        self.outputs = _doubled(output_lanes(net, 1 << 62), output_lanes(net, 1))
        nodes = self._entrance()
        for layer in net.layers:
            nodes = self._product(layer, nodes) if isinstance(layer, MatVec | Gather) else self._other(layer, nodes)
        self._exit(nodes)

    def ports(self, interval: int) -> tuple[int, int]:
        """Lanes of the input and the output port: the narrowest that are fast enough."""
        return input_lanes(self.net, interval), output_lanes(self.net, interval)

    def open(self, interval: int) -> list[NDArray[np.bool_]]:
        """Per stage, the edges that are fast enough for an interval as far as is known, and have its ports."""
        found = [stage.beats <= interval for stage in self.stages]
        lanes = self.ports(interval)
        for stage, at, known, wanted in ((self.stages[0], 0, self.inputs, lanes[0]), (self.stages[-1], -1, self.outputs, lanes[1])):
            found[at] = found[at] & (np.array(known)[stage.number % len(known)] == wanted)
        return found

    def like(self, interval: int) -> int:
        """The shortest interval with the same ports."""
        return bisect_left(range(interval), True, lo=1, key=lambda n: self.ports(n) == self.ports(interval))

    def later(self, interval: int) -> int:
        """The next interval for which more designs may be fast enough."""
        return min((int(slower.min()) for stage in self.stages if (slower := stage.beats[stage.beats > interval]).size), default=interval + 1)

    def price(self, stage: Stage, edge: int) -> None:
        """Make the costs and beats of an edge exact."""
        costs, beats, _ = self._priced(stage.way(int(stage.number[edge])))
        stage.costs[edge], stage.beats[edge], stage.priced[edge] = costs, beats, True

    def foldings(self, path: Sequence[int]) -> tuple[d.Folding, ...]:
        """Of the layers, in order, on a path of edges, one a stage."""
        fields: dict[str, dict[str, Any]] = {layer.name: {} for layer in self.net.layers}
        for stage, edge in zip(self.stages[1:-1], path[1:-1], strict=True):
            fields[stage.layer] |= stage.fields(edge)
        return tuple(d.Folding(name, **given) for name, given in fields.items())

    def _behind(self, way: Way) -> Stream:
        """The stream that leaves a way."""
        return self._priced(way)[2]

    def _priced(self, way: Way) -> tuple[tuple[float, ...], int, Stream]:
        """Costs of the instances of a way, the most beats of one, and the stream that leaves them."""
        if way.key not in self._once:
            parts = Parts(self.net, self.logic)
            stream = way.build(parts).stream
            each = [self._cost(i) for i in parts.instances]
            costs = tuple(map(sum, zip(*each, strict=True))) if each else (0.0,) * len(KINDS)
            self._once[way.key] = costs, max((i.beats for i in parts.instances), default=0), stream
        costs, beats, stream = self._once[way.key]
        if way.behind is None:
            return costs, beats, stream
        more, beats_behind, leaving = self._priced(way.behind(stream))
        return tuple(map(add, costs, more)), max(beats, beats_behind), leaving

    def _cost(self, i: Instance) -> tuple[float, ...]:
        c = cost(i, self.target)
        return c.luts, c.flip_flops, c.block_rams, float(c.dsps), switched_picojoules(self.target, c, i.beats)

    def _add(self, layer: str, edges: list[tuple[int, State, Way]], bounds: F64 | None = None) -> list[State]:
        """A stage of these edges: node before, node behind, what it is; priced at once where there are no bounds of the costs. The nodes behind."""
        rows: dict[State, int] = {}
        heads = np.array([rows.setdefault(state, len(rows)) for _, state, _ in edges], np.int64)
        tails = np.array([tail for tail, _, _ in edges], np.int64)
        nodes, count = list(rows), len(edges)
        least = np.zeros((count, len(KINDS))) if bounds is None else bounds
        stage = Stage(layer, nodes, tails, heads, least, np.zeros(count, np.int64), lambda n: edges[n][2])
        self.stages.append(stage)
        for edge in range(count) if bounds is None else ():
            self.price(stage, edge)
        return nodes

    # The stages, each from the nodes before it.

    def _entrance(self) -> list[State]:
        readers, words = len(self.net.readers[PORT]), self.net.port.shape[0]

        def way(lanes: int) -> Way:
            return Way({}, ("entrance", lanes), lambda parts: parts.entrance(lanes)[0])

        def state(lanes: int) -> State:
            return (Open(PORT, self._behind(way(lanes)), readers, words),)

        return self._add("", [(0, state(lanes), way(lanes)) for lanes in self.inputs])

    def _exit(self, nodes: list[State]) -> None:
        def way(stream: Stream, lanes: int) -> Way:
            def build(parts: Parts) -> Wire:
                parts.exit(Wire("", stream), lanes)
                return Wire("", stream)

            return Way({}, ("exit", stream, lanes), build)

        ends = [end for (end,) in nodes if isinstance(end, Open)]
        self._add("", [(n, (), way(end.stream, lanes)) for n, end in enumerate(ends) for lanes in self.outputs])

    def _reading(self, layer: Layer, state: State) -> tuple[State, tuple[Open, ...]]:
        """What stays open behind a layer, and what it reads."""
        names = self.net.inputs_of(layer)
        opens = [o for o in state if isinstance(o, Open)]
        after = (replace(o, readers=o.readers - names.count(o.name)) for o in opens)
        return tuple(o for o in after if o.readers), tuple(next(o for o in opens if o.name == name) for name in names)

    def _made(self, layer: Layer, f: d.Folding, stream: Stream) -> Open:
        return Open(layer.name, stream, max(1, len(self.net.readers[layer.name])), words_of_pixel(layer, f))

    def _other(self, layer: Layer, nodes: list[State]) -> list[State]:
        """Every folding of a layer that is no product."""
        edges = list[tuple[int, State, Way]]()
        for n, state in enumerate(nodes):
            left, sources = self._reading(layer, state)
            queues = self.waits.words(layer, tuple(o.words for o in sources)) if len(sources) > 1 else ()
            streams = tuple(o.stream for o in sources)
            for lanes in _lanes(layer):
                words = d.buffer_words(layer, lanes) if isinstance(layer, Windowed) else 0
                for style in self._window_styles(layer, lanes, streams[0].planes * streams[0].elem_bits):
                    f = d.Folding(layer.name, lanes=lanes, buffer_words=words, window_memory=style, queue_words=queues)
                    way = self._whole(layer, f, streams)
                    edges.append((n, (*left, self._made(layer, f, self._behind(way))), way))
        return self._add(layer.name, edges)

    def _whole(self, layer: Layer, f: d.Folding, sources: tuple[Stream, ...]) -> Way:
        ends = tuple(Wire("", stream) for stream in sources)
        fields = {"lanes": f.lanes, "buffer_words": f.buffer_words, "window_memory": f.window_memory, "queue_words": f.queue_words}
        return Way(fields, ("layer", f, sources), lambda parts: parts.published(layer, f, parts.layer(layer, f, ends))[0])

    def _product(self, layer: MatVec | Gather, nodes: list[State]) -> list[State]:
        """A product: the words of its window, the window, its inputs a beat, then itself."""
        if d.windowed(layer):
            nodes = self._words(layer, nodes)
            nodes = self._windows(layer, nodes)
        else:
            nodes = self._bare(layer, nodes)
        k = layer.window.fan_in // (d.segments(layer) if isinstance(layer, MatVec) else 1)
        sources = [(n, state[:-1], source) for n, state in enumerate(nodes) if isinstance(source := state[-1], Stream)]
        to = [
            (n, left, source, simd)
            for n, left, source in sources
            for simd in (_simds(k, source.lanes, not d.windowed(layer)) if isinstance(layer, MatVec) else [1])
        ]
        edges = [(n, (*left, simd), self._vectors(layer, source, simd)) for n, left, source, simd in to]
        bounds = [self._converters([source for _, _, source, _ in to], k, [simd for *_, simd in to])]
        whole = Way({"simd": k}, WHOLE, lambda parts: Wire("", Stream(k, k, k, 1)))
        edges += [(n, state, whole) for n, state in enumerate(nodes) if state[-1] == WHOLE]
        if layer.window.groups > 1 and not d.windowed(layer) and may_unroll(self.net, layer):
            edges += [(n, (*left, WHOLE), self._all_groups(layer, source)) for n, left, source in sources]
        bounds.append(np.zeros((len(edges) - len(bounds[0]), len(KINDS))))
        return self._products(layer, self._add(layer.name, edges, np.vstack(bounds)))

    def _converters(self, sources: list[Stream], vector: int, simds: list[int]) -> F64:
        """[edges, kinds] costs that width converters have at least, from each source to its SIMD, where one is enough."""
        found = np.zeros((len(sources), len(KINDS)))
        alone = np.flatnonzero(
            [bool(converter_period(s, vector, simd)) and not one_beat(s, vector, simd) for s, simd in zip(sources, simds, strict=True)]
        )
        if not len(alone):
            return found
        lanes_in, lanes_out = np.array([source.lanes for source in sources], np.int64)[alone], np.array(simds)[alone]
        (bits,) = {source.planes * source.elem_bits for source in sources}
        luts, flip_flops = least_converters(self.target, bits, lanes_in, lanes_out)
        elements = np.array([source.elements for source in sources], np.int64)[alone]
        work = np.ceil(elements / np.minimum(lanes_in, lanes_out))
        switched = [switched_picojoules(self.target, one, 1) for one in (Cost(1), Cost(0, 1))]
        found[alone, 0], found[alone, 1] = luts, flip_flops
        found[alone, 4] = (luts * switched[0] + flip_flops * switched[1]) * work
        return found

    def _bare(self, layer: MatVec | Gather, nodes: list[State]) -> list[State]:
        """The inputs of a product without a window."""
        edges = list[tuple[int, State, Way]]()
        for n, state in enumerate(nodes):
            left, (source,) = self._reading(layer, state)
            way = self._bits(layer, source.stream)
            edges.append((n, (*left, self._behind(way)), way))
        return self._add(layer.name, edges)

    def _bits(self, layer: MatVec | Gather, source: Stream) -> Way:
        return Way({}, ("bits", layer.name, source), lambda parts: parts.bits(layer, Wire("", source)))

    def _words(self, layer: MatVec | Gather, nodes: list[State]) -> list[State]:
        """Words of a sliding window's buffer."""
        edges = list[tuple[int, State, Way]]()
        for n, state in enumerate(nodes):
            left, (source,) = self._reading(layer, state)
            whole = {layer.window.shape[0]} if d.has_lines(layer) and may_unroll(self.net, layer) else set()
            for lanes in sorted({*_lanes(layer), *whole}):
                way = self._word(layer, source.stream, lanes)
                edges.append((n, (*left, self._behind(way)), way))
        return self._add(layer.name, edges)

    def _word(self, layer: MatVec | Gather, source: Stream, lanes: int) -> Way:
        def build(parts: Parts) -> Wire:
            return parts.adapt(layer.name, f"{layer.name}_in", parts.bits(layer, Wire("", source)), layer.window.shape[0], lanes)

        return Way({"lanes": lanes, "buffer_words": d.buffer_words(layer, lanes)}, ("words", layer.name, source, lanes), build)

    def _windows(self, layer: MatVec | Gather, nodes: list[State]) -> list[State]:
        """Ways to make the window's buffer."""
        edges = list[tuple[int, State, Way]]()
        for n, state in enumerate(nodes):
            source = state[-1]
            assert isinstance(source, Stream)
            folded = layer.window.group_channels % source.lanes == 0
            for style in self._window_styles(layer, source.lanes, source.planes * source.elem_bits) if folded else ():
                way = self._window(layer, source, style)
                edges.append((n, (*state[:-1], self._behind(way)), way))
            if source.lanes == layer.window.shape[0] and d.has_lines(layer) and may_unroll(self.net, layer):
                for style in self._line_styles(layer, source):
                    way = self._lines(layer, source, style)
                    edges.append((n, (*state[:-1], WHOLE), way))
        return self._add(layer.name, edges)

    def _lines(self, layer: MatVec | Gather, source: Stream, style: d.MemoryStyle) -> Way:
        f = d.Folding(layer.name, lanes=source.lanes, window_memory=style, implementation=d.Implementation.UNROLLED)
        fields = {"window_memory": style, "buffer_words": 0}
        return Way(fields, ("lines", layer.name, source, style), lambda parts: parts.sliding(layer, f, Wire("", source)))

    def _line_styles(self, layer: MatVec | Gather, source: Stream) -> list[d.MemoryStyle]:
        """Different ways to make the lines of a line buffer; one where there are none."""
        w = layer.window
        width, words = source.width * w.dilation[0] * (w.kernel[0] - 1), w.shape[2]
        return self._styles(width, words if width else 0)

    def _window(self, layer: MatVec | Gather, source: Stream, style: d.MemoryStyle) -> Way:
        f = d.Folding(layer.name, lanes=source.lanes, buffer_words=d.buffer_words(layer, source.lanes), window_memory=style)
        return Way({"window_memory": style}, ("window", layer.name, source, style), lambda parts: parts.sliding(layer, f, Wire("", source)))

    def _all_groups(self, layer: MatVec | Gather, source: Stream) -> Way:
        """The inputs of an unrolled product without a window, of all groups."""
        f = d.Folding(layer.name, implementation=d.Implementation.UNROLLED)
        fields = {"simd": layer.window.fan_in}
        return Way(fields, ("vectors", layer.name, source, WHOLE), lambda parts: parts.vectors(layer, f, Wire("", source)))

    def _vectors(self, layer: MatVec | Gather, source: object, simd: int) -> Way:
        assert isinstance(source, Stream)
        f = d.Folding(layer.name, simd=simd)
        return Way({"simd": simd}, ("vectors", layer.name, source, simd), lambda parts: parts.vectors(layer, f, Wire("", source)))

    def _products(self, layer: MatVec | Gather, nodes: list[State]) -> list[State]:
        """PE, planes and memories, each PE and number of planes the least for its number of turns.

        More PE for as many turns are lanes to spare; so is more SIMD, unless as many arrive and no width converter is needed.
        """
        outputs = layer.out_shape[0] // layer.window.groups
        rows = sorted({*ceilings(outputs), *range(1, min(outputs, ALL) + 1)})
        planes, input_planes, styles = [1], [0], [(d.MemoryStyle.AUTO, d.MemoryStyle.AUTO)]
        if isinstance(layer, MatVec):
            planes = ceilings(layer.weights.planes)
            input_planes = [0 if n == layer.x.planes else n for n in ceilings(layer.x.planes)]
            styles = [(w, r) for w in ASKED for r in ASKED]
        makes = [
            d.Folding(layer.name, pe=pe, planes=p, input_planes=q, weight_memory=w, replay_memory=r)
            for pe, p, q, (w, r) in product(rows, planes, input_planes, styles)
        ]
        simds = [int(state[-1]) for state in nodes]  # type: ignore[call-overload]
        folded = np.flatnonzero(np.array(simds) != WHOLE)
        tails, chosen = (grid.ravel() for grid in np.indices((len(folded), len(makes))))
        tails = folded[tails]
        behind: dict[State, int] = {}
        ends = [
            self._made(layer, d.Folding(layer.name, pe=pe), self._built(layer, d.Folding(layer.name, pe=pe), Parts(self.net, self.logic)).stream)
            for pe in rows
        ]
        after = np.array([[behind.setdefault((*state[:-1], end), len(behind)) for end in ends] for state in nodes])
        beats, bounds = self._bounds(layer, makes, [simds[n] for n in folded])
        heads = np.repeat(after[folded], len(makes) // len(rows), axis=1).ravel()
        if may_unroll(self.net, layer):
            assert isinstance(layer, MatVec)
            whole = np.flatnonzero(np.array(simds) == (WHOLE if d.has_lines(layer) or layer.window.groups > 1 else layer.window.fan_in))
            unrolled = d.unrolled(layer, d.Folding(layer.name))
            end = self._made(layer, unrolled, self._built(layer, unrolled, Parts(self.net, self.logic)).stream)  # of all groups at once
            leaving = [behind.setdefault((*nodes[n][:-1], end), len(behind)) for n in whole]
            tails, heads = np.append(tails, whole), np.append(heads, np.array(leaving, np.int64))
            beats, bounds = (
                np.append(beats, np.full(len(whole), layer.window.out_pixels)),
                np.vstack([bounds, *[self._unrolled_bound(layer)] * len(whole)]),
            )

        def way(n: int) -> Way:
            if n < len(chosen):
                f = self._styled(layer, replace(makes[chosen[n]], simd=simds[tails[n]]))
            else:
                assert isinstance(layer, MatVec)
                f = d.unrolled(layer, d.Folding(layer.name))
            if isinstance(layer, MatVec):
                f = replace(f, joint=joint(layer, f, self.logic))
                f = replace(f, registers=registers(layer, f, self.logic, self.levels))
            fields = {name: getattr(f, name) for name in PRODUCT_FIELDS}
            if isinstance(layer, Gather) or f.implementation is d.Implementation.UNROLLED:
                return Way(fields, ("product", f), lambda parts: self._built(layer, f, parts))
            return Way(fields, ("totals", f), lambda parts: parts.totals(layer, f, parts.entering(layer, f.simd)), partial(self._headed, layer, f))

        self.stages.append(Stage(layer.name, list(behind), tails, heads, bounds, beats, way))
        return list(behind)

    def _unrolled_bound(self, layer: MatVec) -> F64:
        """Costs [kinds] that an unrolled product is taken to have at least: to know them it must be built."""
        predicted = predicted_luts(layer, self.logic.of_netlists)
        luts = UNROLLED_LEAST * predicted if predicted >= UNROLLED_SMALL else 0.0
        summed = np.count_nonzero(layer.weights.values) / layer.weights.outputs
        stages = int(log2(max(1, summed / 4)) / self.levels)
        least = Cost(luts, layer.weights.outputs + UNROLLED_REGISTERS * stages / self.levels * luts)
        return np.array([least.luts, least.flip_flops, 0, 0, switched_picojoules(self.target, least, layer.window.out_pixels)])

    def _built(self, layer: MatVec | Gather, f: d.Folding, parts: Parts) -> Wire:
        """The product itself, its head and the queue behind; the stream that leaves depends on PE alone."""
        w = layer.window
        if isinstance(layer, Gather):
            end = parts.gather(layer, f, Wire("", Stream(w.out_pixels * w.fan_in, w.fan_in, 1, 1, layer.x.bits)))
        else:
            end = parts.matvec(layer, f, parts.entering(layer, f.simd))
        return parts.published(layer, f, end)[0]

    def _headed(self, layer: MatVec, f: d.Folding, totals: Stream) -> Way:
        """The head of a folded product and the queue behind."""

        def build(parts: Parts) -> Wire:
            folds = layer.window.groups * d.row_folds(layer, f)
            return parts.published(layer, f, parts.head(layer, f, folds, Wire("", totals)))[0]

        return Way({}, ("head", layer.name, f.pe, f.fifo_words, totals), build)

    def _bounds(self, layer: MatVec | Gather, makes: list[d.Folding], simds: list[int]) -> tuple[I64, F64]:
        """[simds * makes] beats of a product, and costs that it has at least: [simds * makes, kinds]."""
        w, shape = layer.window, (len(simds), len(makes))
        bounds = np.zeros((*shape, len(KINDS)))
        rows = np.array([d.row_folds(layer, f) for f in makes])
        bounds += np.array([self._head(layer, f.pe, f.planes) for f in makes])
        if isinstance(layer, Gather):
            return np.broadcast_to(rows * layer.index.shape[1] * w.out_pixels, shape).ravel(), bounds.reshape(-1, len(KINDS))
        form, masked = popcount_form(layer), gate(layer) is Gate.MASKED
        least = ProductBound(self.target, str(self.logic), gate(layer), multiplied=tuple(form.coeffs) != (1,))
        turns = np.array([d.input_turns(layer, f) for f in makes])
        across = np.array([d.segment_folds(layer, d.Folding(layer.name, simd=simd)) for simd in simds])[:, None]
        words = w.groups * rows * np.array([d.plane_folds(layer, f) for f in makes]) * d.segments(layer) * across
        stored = words > 1  # else the weights are constants
        lanes = np.array([f.pe * f.planes for f in makes])
        width = lanes * np.array(simds)[:, None] * (2 if masked else 1)
        units = np.array([f.pe * f.planes * (f.input_planes or layer.x.planes) for f in makes])
        block = np.array([f.weight_memory is d.MemoryStyle.BLOCK for f in makes])
        latency = np.array([popcount_registers(simd, gate(layer), self.logic, self.levels) if simd <= BUILT else 0 for simd in simds])[:, None]
        per_unit = np.array([(least.constant_luts(simd), *least.unit(simd, int(n))) for simd, n in zip(simds, latency[:, 0], strict=True)])
        own = np.zeros(bounds.shape)
        own[..., 0] += lanes * form.sum_bits * (across > 1) * least.accumulator_bit()
        block_rams, banks = block_roms(self.target, width, words)
        muxes = np.array([mux_luts(n, self.target) for n in range(int(banks.max()) + 1)])
        own[..., 0] += np.where(block, width * muxes[banks], least.rom_luts(width, words)) * stored
        entering = np.array(simds)[:, None] * (units // lanes)
        luts, dsps = self._multiplied(layer, least, makes, simds, turns)
        apart = units * np.where(stored, per_unit[:, 1:2], per_unit[:, :1]) + lanes * luts
        together, may_be_joint = self._joint(layer, simds), stored & (turns == 1)
        own[..., 0] += np.where(may_be_joint, np.minimum(apart, lanes * together), apart)
        own[..., 3] += lanes * dsps * ~(may_be_joint & (together < inf))
        counted = (units * (np.array([simd.bit_length() for simd in simds])[:, None] + per_unit[:, 2:]) + 3 * latency) * (together == inf)
        own[..., 1] += (entering + counted + lanes * form.sum_bits) * stored * least.flip_flops("data")
        own[..., 1] += (~block * width * (words > ALIKE) * least.flip_flops("rom") + np.ceil(np.log2(words)) * least.flip_flops("address")) * stored
        own[..., 2] += block * block_rams * stored
        beats = words * turns * w.out_pixels
        for kind, one in enumerate((Cost(1), Cost(0, 1), Cost(0, 0, 1), Cost(0, 0, 0, 1))):
            own[..., 4] += own[..., kind] * beats * switched_picojoules(self.target, one, 1)
        bounds += own + self._replays(layer, makes, simds)
        return beats.ravel(), bounds.reshape(-1, len(KINDS))

    def _joint(self, layer: MatVec, simds: list[int]) -> F64:
        """[simds, 1] LUTs, at least, of a PE whose input planes are summed together; infinite where they cannot be."""
        found = np.full((len(simds), 1), inf)
        for n, simd in enumerate(simds):
            if 1 < layer.x.planes <= JOINT // simd and self.logic is not d.Logic.PLAIN:
                found[n] = least_dot(simd, sum_coeffs(layer, simd), gate(layer), sum_width(layer, simd), FABRICS[self.logic])
        return found

    def _multiplied(self, layer: MatVec, least: ProductBound, makes: list[d.Folding], simds: list[int], turns: I64) -> tuple[F64, I64]:
        """[simds, makes] LUTs and DSPs of a PE's sum of the popcounts of several planes."""
        coeffs = popcount_form(layer).coeffs
        widths = [(simd.bit_length(), sum_width(layer, simd)) for simd in simds]
        forms = [(int(n), f.input_planes or layer.x.planes) for n, f in zip(turns, makes, strict=True)]
        found = {
            (form, bits): least.products(literal(padded(coeffs, prod(form)), bits[1]), *form, *bits) for form in set(forms) for bits in set(widths)
        }
        each = np.array([[found[form, bits] for form in forms] for bits in widths])
        return each[..., 0], each[..., 1]

    def _replays(self, layer: MatVec, makes: list[d.Folding], simds: list[int]) -> F64:
        """[simds, makes, kinds] memories of the modules that send inputs again."""
        needed = np.array([d.row_folds(layer, f) * d.plane_folds(layer, f) > 1 for f in makes])
        found = np.zeros((len(simds), len(makes), len(KINDS)))
        for style in ASKED:
            chosen = needed & np.array([f.replay_memory is style for f in makes])
            for n, simd in enumerate(simds):
                width, words = simd * layer.x.planes, 2 * d.segments(layer) * d.segment_folds(layer, d.Folding(layer.name, simd=simd))
                used = memory(self.target, width, words, Kind.RAM, self._style(style, width, words, Kind.RAM))
                found[n, chosen, 0] = used.luts + width * mux_luts(used.banks, self.target)
                found[n, chosen, 2] = used.block_rams
        return found

    def _head(self, layer: MatVec | Gather, pe: int, planes: int) -> tuple[float, ...]:
        """Costs, at least, of what stands behind the sums: for one input a beat these have the fewest bits."""
        key = ("least head", layer.name, pe, planes)
        if key not in self._once:
            parts = Parts(self.net, self.logic)
            stream = self._built(layer, d.Folding(layer.name, pe=pe, planes=planes), parts).stream
            each = [self._cost(i) for i in parts.instances if i.module not in ("bnn_matvec", "bnn_replay", "bnn_turns")]
            self._once[key] = tuple(map(sum, zip((0.0,) * len(KINDS), *each, strict=True))), 0, stream
        return self._once[key][0]

    def _styled(self, layer: MatVec | Gather, f: d.Folding) -> d.Folding:
        """`f` with the style AUTO where that makes the same, or where the family has nothing else."""
        if isinstance(layer, Gather):
            return f
        width = f.pe * f.planes * f.simd * (2 if gate(layer) == Gate.MASKED else 1)
        inputs = d.segments(layer) * d.segment_folds(layer, f)
        outputs = layer.window.groups * d.row_folds(layer, f) * d.plane_folds(layer, f)
        weights = self._style(f.weight_memory, width, outputs * inputs, Kind.ROM)
        again = outputs // layer.window.groups > 1
        return replace(f, weight_memory=weights, replay_memory=self._style(f.replay_memory, f.simd * layer.x.planes, 2 * inputs * again, Kind.RAM))

    def _style(self, style: d.MemoryStyle, width: int, words: int, kind: Kind) -> d.MemoryStyle:
        none = style is d.MemoryStyle.DISTRIBUTED and kind is Kind.RAM and not LUT_RAMS[self.target]
        made = memory(self.target, width, words, kind, style)
        read = words - words // 8 if kind is Kind.ROM else words  # what is constant in them is in no block
        same = made == memory(self.target, width, words, kind) and made.style is memory(self.target, width, read, kind).style
        return d.MemoryStyle.AUTO if words < 2 or none or same else style

    def _window_styles(self, layer: Layer, lanes: int, bits: int) -> list[d.MemoryStyle]:
        """Different ways to make the buffer of a sliding window of words of `lanes` elements of `bits` bits; one that is not used where there is none."""
        if not d.windowed(layer):
            return [d.MemoryStyle.AUTO]
        assert isinstance(layer, Windowed)
        return self._styles(lanes * bits, d.buffer_words(layer, lanes))

    def _styles(self, width: int, words: int) -> list[d.MemoryStyle]:
        """Those in which a written memory is made differently."""
        return list(dict.fromkeys(self._style(style, width, words, Kind.RAM) for style in d.MemoryStyle))


def _doubled(least: int, most: int) -> list[int]:
    """`least` and its doubles below `most`, and that."""
    found = [least]
    while found[-1] < most:
        found.append(min(2 * found[-1], most))
    return found


@lru_cache(maxsize=1 << 12)
def _simds(k: int, lanes: int, fitting: bool) -> list[int]:
    """SIMD for `k` inputs: the least for their number of turns, what arrives, and if `fitting` more for as many turns, of which whole beats arrive.

    Of a convolution the words of the window are chosen to fit.
    """
    found = {*ceilings(k), *range(1, min(k, ALL) + 1)}
    if fitting:
        found |= {m for simd in found if (m := -(-simd // lanes) * lanes) <= k and ceil(k / m) == ceil(k / simd)}
    return sorted(found | {lanes} if lanes < k else found)


def _lanes(layer: Layer) -> list[int]:
    """Widths of words that the layer's channels allow; 0 where it has none."""
    if not d.windowed(layer) and not d.elementwise(layer):
        return [0]
    channels = d.lane_channels(layer)
    return [lanes for lanes in range(1, channels + 1) if channels % lanes == 0]
