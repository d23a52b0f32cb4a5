"""The folding search finds what trying every design finds, and prices a design as its pipeline is priced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import product
from math import inf, prod

import pytest

from bnnhw.estimate.resources import cost, sums
from bnnhw.ir import design as d
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import Network
from bnnhw.ir.layers import Gather, Layer, MatVec, Windowed
from bnnhw.ir.pipeline import pipeline
from bnnhw.schedule import fold_for_interval, fully_folded
from bnnhw.schedule.folding import buffer_words, input_lanes, output_lanes, with_queues
from bnnhw.schedule.goals import Budget, Folder
from support.practical import practical_network
from support.random_integer import random_network

TARGETS = ("xc7", "ice40")
MOST = 1500
"""Designs of a network that are all tried."""
SPEEDS = (1, 2, 5, 12)
"""How much faster than fully folded."""


def every_folding(layer: Layer) -> list[d.Folding]:
    """All foldings of a layer, also those with lanes to spare."""
    plain = d.Folding(layer.name)
    if isinstance(layer, MatVec | Gather):
        rows = range(1, layer.out_shape[0] // layer.window.groups + 1)
        if isinstance(layer, Gather):
            made = [replace(plain, pe=pe) for pe in rows]
        else:
            k = layer.window.fan_in // d.segments(layer)
            planes, inputs = range(1, layer.weights.planes + 1), range(layer.x.planes)
            made = [replace(plain, pe=a, simd=b, planes=p, input_planes=q) for a, b, p, q in product(rows, range(1, k + 1), planes, inputs)]
    else:
        made = [plain]
    if not (d.windowed(layer) or d.elementwise(layer)):
        return made
    lanes = [n for n in range(1, d.lane_channels(layer) + 1) if d.lane_channels(layer) % n == 0]
    words = {n: buffer_words(layer, n) if isinstance(layer, Windowed) else 0 for n in lanes}
    return [replace(f, lanes=n, buffer_words=words[n]) for f in made for n in lanes]


def small(seeds: Iterator[int], count: int) -> list[Network]:
    """Networks with few enough designs to try them all, of several layers each."""
    found = []
    for seed in seeds:
        net = random_network(seed)
        if len(net.layers) > 1 and 20 < prod(len(every_folding(layer)) for layer in net.layers) <= MOST:
            found.append(net)
        if len(found) == count:
            break
    return found


@lru_cache
def networks() -> list[Network]:
    """Small networks, a third of them with joins."""
    joined = small((s for s in range(3000) if any(len(x.sources) > 1 for x in random_network(s).layers)), 4)
    return small(iter(range(3000)), 8) + joined


def tried(net: Network, interval: int) -> Iterator[d.Design]:
    """Every design of at most that interval."""
    for foldings in product(*(every_folding(layer) for layer in net.layers)):
        design = with_queues(net, d.Design(net.name, 100.0, input_lanes(net, interval), output_lanes(net, interval), foldings))
        if pipeline(net, design).interval <= interval:
            yield design


@pytest.mark.parametrize("n", range(12))
def test_least_is_least_of_all(n: int) -> None:
    net = networks()[n]
    slowest = pipeline(net, fully_folded(net, 100.0)).interval
    for target, speed in product(TARGETS, SPEEDS):
        interval = max(1, slowest // speed)
        least = min((sums(pipeline(net, design), target).luts for design in tried(net, interval)), default=inf)
        if least == inf:
            with pytest.raises(BnnhwError, match="cannot be reached, the best is"):
                Folder(net, target, 100.0).least(interval)
            continue
        found = pipeline(net, Folder(net, target, 100.0).least(interval))
        assert found.interval <= interval
        assert sums(found, target).luts == pytest.approx(least, rel=1e-12)
