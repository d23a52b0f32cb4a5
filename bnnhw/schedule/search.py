"""The folding with least cost for an interval, found exactly: a dynamic programme along the layers.

Given the interval, layers share nothing but the streams between them and the budgets. So the best designs of the first
layers, one set for each choice of the streams that are still open, hold every beginning of a best design. A set keeps
all that no other beats in each cost that matters.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import inf
from typing import TypeVar

from bnnhw.ir import design as d
from bnnhw.ir.hardware import popcount_form
from bnnhw.ir.instances import Instance, Stream, Wire
from bnnhw.ir.integer import PORT, Network
from bnnhw.ir.layers import Gather, Layer, MatVec, Windowed
from bnnhw.ir.pipeline import Parts
from bnnhw.schedule.folding import buffer_words, ceilings, input_lanes, output_lanes
from bnnhw.schedule.queues import Waits, words_of_pixel

T = TypeVar("T")
Vector = tuple[float, ...]
Price = Callable[[Instance], Vector]
"""Costs of an instance, the one to minimise first; the others count where it is equal, or against the limits."""
ALL = 16
"""PE and SIMD up to which every number is tried; above, those that are the least for their number of turns."""
Lanes = Callable[[int, int], float]
"""Popcounts, and the bits that each counts, to their cost."""


@dataclass(frozen=True)
class Open:
    """A layer's output that some layers have still to read."""

    name: str
    stream: Stream
    readers: int
    words: int
    """Words of one of its pixels, at most."""


@dataclass(frozen=True)
class Choice:
    """The foldings of some layers, the last one first."""

    folding: d.Folding
    before: Choice | None

    def foldings(self) -> tuple[d.Folding, ...]:
        """In the order of the layers."""
        found: list[d.Folding] = []
        at: Choice | None = self
        while at is not None:
            found.append(at.folding)
            at = at.before
        return tuple(reversed(found))


@dataclass(frozen=True)
class Found:
    """A complete design's foldings and costs."""

    costs: Vector
    foldings: tuple[d.Folding, ...]


Partial = tuple[Vector, Choice | None]
Option = tuple[Vector, d.Folding]
States = dict[tuple[Open, ...], list[Partial]]


class Search:
    """Least designs of one network for one price; what was priced is kept between intervals."""

    def __init__(self, net: Network, price: Price, costs: int, limits: Vector | None = None, lanes: Lanes | None = None) -> None:
        """`costs`: how many a price has; `limits`: the most of each, without them only the first counts, the next where it is equal.

        `lanes`: the first cost of popcounts at least, which spares the search what is too large.
        """
        self.lanes = lanes
        self.net, self.price, self.nothing = net, price, (0.0,) * costs
        self.limits = limits
        self.waits = Waits(net)
        self._priced: dict[object, tuple[Vector, int, Stream]] = {}
        self._behind: dict[d.Folding, float] = {}

    def designs(self, interval: int) -> list[Found]:
        """Complete designs that no other beats, for frames every `interval` cycles at most; none where there is none."""
        lanes = input_lanes(self.net, interval)
        costs, beats, stream = self._entrance(lanes)
        states: States = {}
        if beats <= interval:
            states[(Open(PORT, stream, len(self.net.readers[PORT]), self.net.port.shape[0]),)] = [(costs, None)]
        for layer in self.net.layers:
            if not states:
                return []
            states = self._step(layer, states, interval)
        found: list[Partial] = []
        for (end,), partials in states.items():
            costs, beats, _ = self._exit(end.stream, output_lanes(self.net, interval))
            if beats <= interval:
                found += [(_sum(so_far, costs), choice) for so_far, choice in partials]
        return [Found(costs, choice.foldings()) for costs, choice in self._best(found) if choice is not None]

    def _step(self, layer: Layer, states: States, interval: int) -> States:
        """The states behind a layer from those before it."""
        found: States = defaultdict(list)
        names = self.net.inputs_of(layer)
        if isinstance(layer, MatVec | Gather):
            alike: dict[tuple[Open, ...], States] = defaultdict(dict)
            for opens, partials in states.items():
                alike[self._left(opens, names)][opens] = partials
            for left, group in alike.items():
                self._product_step(layer, left, group, interval, found)
        else:
            for opens, partials in states.items():
                self._other_step(layer, opens, partials, interval, found)
        return {state: best for state, partials in found.items() if (best := self._best(partials))}

    def _made(self, layer: Layer, f: d.Folding, stream: Stream) -> Open:
        return Open(layer.name, stream, max(1, len(self.net.readers[layer.name])), words_of_pixel(layer, f))

    def _other_step(self, layer: Layer, opens: tuple[Open, ...], partials: list[Partial], interval: int, found: States) -> None:
        """Every folding of a layer that is no product, behind one choice of streams."""
        names = self.net.inputs_of(layer)
        sources = tuple(next(o for o in opens if o.name == name) for name in names)
        left = self._left(opens, names)
        queues = self.waits.words(layer, tuple(o.words for o in sources)) if len(sources) > 1 else ()
        for f in _lanes(layer, d.Folding(layer.name, queue_words=queues)):
            costs, beats, stream = self._layer(layer, f, sources)
            if beats <= interval:
                found[(*left, self._made(layer, f, stream))] += [(_sum(a, costs), Choice(f, before)) for a, before in partials]

    def _product_step(self, layer: MatVec | Gather, left: tuple[Open, ...], states: States, interval: int, found: States) -> None:
        """Every folding of a product: for each SIMD the best ways to it, for each of them the product itself."""
        name = self.net.inputs_of(layer)[0]
        ways = [(next(o for o in opens if o.name == name).stream, partials) for opens, partials in states.items()]
        ways.sort(key=lambda way: way[1][0][0])
        arrived: dict[int, list[tuple[Vector, tuple[Choice | None, d.Folding]]]] = {}
        least: dict[int, float] = defaultdict(lambda: inf)  # by PE, the first cost of the best design up to here
        before = ways[0][1][0][0][0]
        # Where sums have the same bits for every SIMD, what stands behind them costs the same.
        same_head = isinstance(layer, MatVec) and popcount_form(layer).sum_bits > layer.window.fan_in.bit_length()
        for group in _product_foldings(layer, interval, {stream.lanes for stream, _ in ways}):
            behind, too_large = 0.0, False
            for f in group:
                if too_large and f is not group[-1]:
                    continue  # the last may be the one whose weights are constants
                too_large = self.limits is None and before + self._lanes(layer, f) + behind >= least[f.pe]
                if too_large:
                    continue  # with its lanes and its head alone it costs more
                if f.simd not in arrived:
                    arrived[f.simd] = self._best(list(self._arrivals(layer, f.simd, ways, interval)))
                if not arrived[f.simd]:
                    continue
                costs, beats, stream = self._product(layer, f)
                behind = self._behind[f] if same_head else 0.0
                if beats <= interval:
                    state = (*left, self._made(layer, f, stream))
                    for so_far, (choice, w) in arrived[f.simd]:
                        found[state].append((_sum(so_far, costs), Choice(replace(f, lanes=w.lanes, buffer_words=w.buffer_words), choice)))
                    least[f.pe] = min(least[f.pe], arrived[f.simd][0][0][0] + costs[0])

    def _arrivals(
        self, layer: MatVec | Gather, simd: int, ways: list[tuple[Stream, list[Partial]]], interval: int
    ) -> Iterator[tuple[Vector, tuple[Choice | None, d.Folding]]]:
        """The ways to bring `simd` inputs a beat to a product, from the cheapest beginning on."""
        least = inf
        for source, partials in ways:
            if self.limits is None and partials[0][0][0] >= least:
                return
            for feed, f in self._feeds(layer, simd, source, interval):
                for so_far, choice in partials:
                    yield _sum(so_far, feed), (choice, f)
                least = min(least, partials[0][0][0] + feed[0])

    def _left(self, opens: tuple[Open, ...], taken: tuple[str, ...]) -> tuple[Open, ...]:
        after = (replace(o, readers=o.readers - taken.count(o.name)) for o in opens)
        return tuple(o for o in after if o.readers)

    def _feeds(self, layer: MatVec | Gather, simd: int, source: Stream, interval: int) -> Iterator[Option]:
        """The ways to bring `simd` inputs a beat from a stream."""
        for f in _lanes(layer, d.Folding(layer.name, simd=simd)):
            costs, beats, windows = self._windows(layer, f, source)
            if beats > interval:
                continue
            more, beats, _ = self._vectors(layer, f, windows)
            if beats <= interval:
                yield _sum(costs, more), f

    def _best(self, found: list[tuple[Vector, T]]) -> list[tuple[Vector, T]]:
        """What no other beats, within the limits."""
        if self.limits is None:
            return [min(found, key=lambda x: x[0])] if found else []
        kept: list[tuple[Vector, T]] = []
        for entry in sorted(found, key=lambda x: x[0]):
            within = all(c <= most for c, most in zip(entry[0], self.limits, strict=True))
            if within and not any(_beats(other[0], entry[0]) for other in kept):
                kept.append(entry)
        return kept

    # Prices of a design's parts, by what they depend on.

    def _entrance(self, lanes: int) -> tuple[Vector, int, Stream]:
        return self._once(("entrance", lanes), lambda parts: parts.entrance(lanes)[0])

    def _exit(self, stream: Stream, lanes: int) -> tuple[Vector, int, Stream]:
        def build(parts: Parts) -> Wire:
            parts.exit(Wire("", stream), lanes)
            return Wire("", stream)

        return self._once(("exit", stream, lanes), build)

    def _windows(self, layer: MatVec | Gather, f: d.Folding, source: Stream) -> tuple[Vector, int, Stream]:
        return self._once(("windows", layer.name, f.lanes, source), lambda parts: parts.windows(layer, f, Wire("", source)))

    def _vectors(self, layer: MatVec | Gather, f: d.Folding, source: Stream) -> tuple[Vector, int, Stream]:
        return self._once(("vectors", layer.name, f.simd, source), lambda parts: parts.vectors(layer, f, Wire("", source)))

    def _product(self, layer: MatVec | Gather, f: d.Folding) -> tuple[Vector, int, Stream]:
        """The product itself, its head and the queue behind."""

        def build(parts: Parts) -> Wire:
            w = layer.window
            if isinstance(layer, Gather):
                x = Stream(w.out_pixels * w.fan_in, w.fan_in, 1, 1, layer.x.bits)
                end = parts.gather(layer, f, Wire("", x))
            else:
                k = w.fan_in // d.segments(layer)
                x = Stream(w.out_pixels * w.groups * d.segments(layer) * k, k, f.simd, layer.x.planes)
                end = parts.matvec(layer, f, Wire("", x))
            end = parts.published(layer, f, end)[0]
            self._behind[f] = sum(self.price(i)[0] for i in parts.instances if i.module not in ("bnn_matvec", "bnn_replay", "bnn_turns"))
            return end

        return self._once(("product", f), build)

    def _lanes(self, layer: MatVec | Gather, f: d.Folding) -> float:
        """The first cost of a product's lanes, at least: weights that are no constants are assumed."""
        if isinstance(layer, Gather) or self.lanes is None:
            return 0
        if d.compute_beats(layer, f) == layer.window.out_pixels * d.input_turns(layer, f):
            return 0
        return self.lanes(f.pe * f.planes * (f.input_planes or layer.x.planes), f.simd)

    def _layer(self, layer: Layer, f: d.Folding, sources: tuple[Open, ...]) -> tuple[Vector, int, Stream]:
        ends = tuple(Wire("", o.stream) for o in sources)
        key = ("layer", f, tuple(o.stream for o in sources))
        return self._once(key, lambda parts: parts.published(layer, f, parts.layer(layer, f, ends))[0])

    def _once(self, key: object, build: Callable[[Parts], Wire]) -> tuple[Vector, int, Stream]:
        """Costs of the instances that `build` adds, the most beats of one, and the stream that leaves them."""
        if key not in self._priced:
            parts = Parts(self.net)
            stream = build(parts).stream
            costs = _sum(self.nothing, *(self.price(i) for i in parts.instances))
            self._priced[key] = costs, max((i.beats for i in parts.instances), default=0), stream
        return self._priced[key]


def _sum(*vectors: Vector) -> Vector:
    return tuple(map(sum, zip(*vectors, strict=True)))


def _beats(a: Vector, b: Vector) -> bool:
    """Whether `a` is no worse than `b` in any cost."""
    return all(x <= y for x, y in zip(a, b, strict=True))


def _lanes(layer: Layer, f: d.Folding) -> Iterator[d.Folding]:
    """`f` with each width of words that the layer's channels allow, where it has any."""
    if not d.windowed(layer) and not d.elementwise(layer):
        yield f
        return
    channels = d.lane_channels(layer)
    for lanes in range(1, channels + 1):
        if channels % lanes == 0:
            words = buffer_words(layer, lanes) if isinstance(layer, Windowed) else 0
            yield replace(f, lanes=lanes, buffer_words=words)


def _product_foldings(layer: MatVec | Gather, interval: int, arriving: set[int]) -> Iterator[list[d.Folding]]:
    """PE and planes, each the least for its number of turns, each with the SIMD that are fast enough, the least first.

    More PE for as many turns are lanes to spare; so is more SIMD, unless as many arrive and no width converter is needed.
    """
    plain = d.Folding(layer.name)
    outputs = layer.out_shape[0] // layer.window.groups
    rows = sorted({*ceilings(outputs), *range(1, min(outputs, ALL) + 1)})
    if isinstance(layer, Gather):
        yield from ([f] for pe in rows if d.compute_beats(layer, f := replace(plain, pe=pe)) <= interval)
        return
    k = layer.window.fan_in // d.segments(layer)
    inputs = sorted({*ceilings(k), *(n for n in arriving if n < k), *range(1, min(k, ALL) + 1)})
    input_planes = [0 if n == layer.x.planes else n for n in ceilings(layer.x.planes)]
    for pe, planes, q in product(rows, ceilings(layer.weights.planes), input_planes):
        f = replace(plain, pe=pe, planes=planes, input_planes=q)
        first = bisect_left(inputs, -interval, key=lambda simd: -d.compute_beats(layer, replace(f, simd=simd)))
        yield [replace(f, simd=simd) for simd in inputs[first:]]
