"""Least parallelism for a wanted interval, layer by layer; the layers are independent given the interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, gcd, prod

from bnnhw.ir import design as d
from bnnhw.ir.encoding import Integers
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.instances import Pipeline
from bnnhw.ir.integer import Network
from bnnhw.ir.layers import Gather, Layer, MatVec, Windowed
from bnnhw.ir.pipeline import pipeline
from bnnhw.ir.window import Raster
from bnnhw.schedule.queues import join_queues
from bnnhw.schedule.stages import with_joint, with_registers

ROW_COST = 8
"""Cost of one more PE beside its lanes (accumulator, threshold), in XNOR lanes."""


def fold_for_interval(net: Network, interval: int, clock_mhz: float, logic: d.Logic = d.Logic.LUT6) -> d.Design:
    """The design with least cost whose frames follow each other in at most `interval` cycles, folded and with windows tap by tap.

    Cost: PE * SIMD lanes and a little for each PE and width converter. BnnhwError with the best
    interval and what limits it where none is fast enough.
    """
    layers = tuple(fold_layer(layer, interval) for layer in net.layers)
    plain = d.Design(net.name, clock_mhz, input_lanes(net, interval), output_lanes(net, interval), layers, logic)
    design = with_queues(net, with_registers(net, with_joint(net, plain)))
    chain = pipeline(net, design)
    if chain.interval > interval:
        raise unreached(net, interval, chain, clock_mhz)
    return design


def unreached(net: Network, interval: int, best: Pipeline, clock_mhz: float) -> BnnhwError:
    """What to say where not even the fastest design has a wanted interval."""
    asked = f"an interval of {interval} cycles" if interval else "more than a frame a cycle"
    return BnnhwError(
        f"network {net.name!r}: {asked} cannot be reached, the best is {best.interval} cycles "
        f"({clock_mhz * 1e6 / best.interval:.0f} frames/s at {clock_mhz:g} MHz), limited by {best.bottleneck.name!r}; lower --fps or raise --clock"
    )


def fully_folded(net: Network, clock_mhz: float) -> d.Design:
    """The smallest design: one PE, one input a cycle."""
    plain = [d.Folding(layer.name) for layer in net.layers]
    slowest = slowest_product(net, plain)
    layers = tuple(complete_folding(layer, f, slowest) for layer, f in zip(net.layers, plain, strict=True))
    return with_queues(net, d.Design(net.name, clock_mhz, input_lanes(net, slowest), output_lanes(net, slowest), layers))


def with_queues(net: Network, design: d.Design) -> d.Design:
    """The design with the queues before layers of two inputs chosen where they are not given."""
    queues = join_queues(net, {f.name: f for f in design.layers})
    return replace(design, layers=tuple(f if f.queue_words else replace(f, queue_words=queues.get(f.name, ())) for f in design.layers))


def slowest_product(net: Network, layers: Sequence[d.Folding]) -> int:
    """Cycles a frame of the slowest matrix-vector unit: what everything else must keep up with."""
    products = [
        Raster.of(layer.window).beats if d.line_buffered(layer, f) else d.compute_beats(layer, f)
        for layer, f in zip(net.layers, layers, strict=True)
        if isinstance(layer, MatVec | Gather)
    ]
    return max(products, default=prod(net.port.shape))


def fold_layer(layer: Layer, interval: int) -> d.Folding:
    """The smallest folding of a layer that keeps up with an interval; the fastest where none does."""
    if isinstance(layer, Gather):
        w = layer.window
        folds = max(1, interval // (w.out_pixels * layer.index.shape[1]))
        return complete_folding(layer, d.Folding(layer.name, ceil(len(layer.index) / folds)), interval)
    if not isinstance(layer, MatVec):
        return complete_folding(layer, d.Folding(layer.name), interval)
    w, parts, planes = layer.window, d.segments(layer), layer.weights.planes
    rows, k, visits = layer.weights.outputs // w.groups, w.fan_in // parts, w.groups * w.out_pixels * parts
    best: tuple[tuple[float, int], int, int, int] | None = None
    for turns in ceilings(planes):
        together = ceil(planes / turns)
        for beats in ceilings(k):
            simd = ceil(k / beats)
            folds = interval // (visits * beats * ceil(planes / together))
            if folds < 1:
                continue
            pe = ceil(rows / min(folds, rows))
            converter = 0 if _fits(layer, simd) else simd
            cost = (pe * simd * together + ROW_COST * pe * together + converter * 0.5, simd)
            if best is None or cost < best[0]:
                best = (cost, pe, simd, together)
    _, pe, simd, together = best or ((0, 0), rows, k, planes)
    return complete_folding(layer, d.Folding(layer.name, pe, simd, together), interval)


def ceilings(k: int) -> list[int]:
    """The distinct values of ceil(k / n) for n = 1 .. k."""
    return sorted({ceil(k / n) for n in range(1, k + 1)})


def _fits(layer: MatVec, simd: int) -> bool:
    """Whether SIMD divides a group's channels, so that window words need no conversion."""
    return d.lane_channels(layer) % simd == 0


def complete_folding(layer: Layer, f: d.Folding, interval: int) -> d.Folding:
    """`f` with lanes and buffer chosen where they are needed and not given."""
    if not d.windowed(layer) and not d.elementwise(layer):
        return f
    if d.line_buffered(layer, f):
        return f if f.lanes else replace(f, lanes=layer.sources[0][0][0])
    if not f.lanes:
        f = replace(f, lanes=_lanes(layer, f, interval))
    if isinstance(layer, Windowed) and not f.buffer_words:
        f = replace(f, buffer_words=d.buffer_words(layer, f.lanes))
    return f


def _lanes(layer: Layer, f: d.Folding, interval: int) -> int:
    """Narrowest word that keeps up with the interval; the widest where none does."""
    channels = d.lane_channels(layer)
    divisors = [n for n in range(1, channels + 1) if channels % n == 0]
    if isinstance(layer, MatVec):
        divisors = [n for n in divisors if n % gcd(f.simd, channels) == 0]
    for lanes in divisors:
        beats = max(d.window_beats(layer, lanes), d.input_beats(layer, lanes)) if isinstance(layer, Windowed) else d.element_beats(layer, lanes)
        if beats <= interval:
            return lanes
    return channels


def input_lanes(net: Network, interval: int) -> int:
    """Narrowest input port, in power-of-two bytes, whose beats fit the interval; at most that of a whole frame."""
    elements, bits = prod(net.port.shape), d.port_bits(net.x)
    lanes = max(1, 8 // bits)
    while ceil(elements / lanes) > interval and lanes < elements:
        lanes = min(2 * lanes, d.frame_lanes(bits, elements))
    return lanes


def output_lanes(net: Network, interval: int) -> int:
    """Output port: one sum a beat, or all bits of a pixel up to 64."""
    last = net.layers[-1]
    elements = prod(last.out_shape)
    lanes = 1 if isinstance(last.out, Integers) else min(64, d.frame_lanes(1, last.out_shape[0]))
    while ceil(elements / lanes) > interval:
        lanes = min(2 * lanes, d.frame_lanes(d.port_bits(last.out), elements))
    return lanes
