"""RTL equals golden on random networks with random foldings, many networks to a build."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bnnhw.golden import run
from bnnhw.ir.design import Implementation, has_lines
from bnnhw.ir.hardware import gate
from bnnhw.ir.layers import MatVec
from bnnhw.ir.pipeline import pipeline
from bnnhw.schedule import latency
from bnnhw.verify.ladder import first_difference
from bnnhw.verify.rtl import Simulation
from support.drawn import FRAMES, Drawn, designed, integer, trained

CHUNK = 25
SETTLED = 3
"""Frames after which a pipeline without stalls has its steady interval."""


def check(draw: Callable[[int], Drawn], seeds: range, folder: Path) -> None:
    """Simulate the networks of `seeds` side by side and compare every layer of every frame."""
    designs, frames = [], []
    for seed in seeds:
        net, x = draw(seed)
        designs.append((net, designed(net, seed)))
        frames.append(x)
    simulation = Simulation(designs, folder, optimise=0)
    for stalls in ("none", "random", "sink"):
        for (net, design), x, seen in zip(designs, frames, simulation.run(frames, stalls=stalls, seed=seeds.start + 1, taps=True), strict=True):
            want = run(net, x, trace=True)
            for layer in net.layers:
                assert first_difference("rtl", layer.name, want.layers[layer.name], seen.layers[layer.name]) is None, f"{net}\n{design}"
            assert first_difference("rtl", "output", want.outputs, seen.outputs) is None, f"{net}\n{design}"
            assert len(seen.frame_ends) == FRAMES and not seen.bad_protocol and not seen.err_frame and seen.whole_input
            words = {i.name: i.parameters["N_WORDS"] for i in pipeline(net, design).instances if i.module == "bnn_fifo"}
            assert seen.queues.keys() == words.keys() and all(1 <= most <= words[name] for name, most in seen.queues.items()), seen.queues
            if stalls == "none":
                predicted = pipeline(net, design).interval
                assert set(seen.intervals[SETTLED:]) == {predicted}, f"{seen.intervals}\n{net}\n{design}"
                assert seen.latency == latency(pipeline(net, design)), f"{seen.latency}\n{net}\n{design}"


@pytest.mark.parametrize("start", range(0, 100, CHUNK))
def test_random_networks(start: int, tmp_path: Path) -> None:
    check(trained, range(start, start + CHUNK), tmp_path)


def test_the_sample_has_what_is_rare() -> None:
    """Unrolled layers in groups with a line buffer and without, and joint sums under every gate."""
    found = set[str]()
    for draw in (trained, integer):
        for net, seed in ((draw(seed)[0], seed) for seed in range(100)):
            for layer, f in zip(net.layers, designed(net, seed).layers, strict=True):
                if isinstance(layer, MatVec) and layer.window.groups > 1 and f.implementation is Implementation.UNROLLED:
                    found.add(f"groups, lines {has_lines(layer)}")
                if isinstance(layer, MatVec) and f.joint:
                    found.add(f"joint {gate(layer).name}")
    assert found == {"groups, lines True", "groups, lines False", "joint XNOR", "joint AND", "joint MASKED"}


@pytest.mark.parametrize("start", range(0, 100, CHUNK))
def test_random_networks_of_any_layers(start: int, tmp_path: Path) -> None:
    check(integer, range(start, start + CHUNK), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("draw", [trained, integer])
@pytest.mark.parametrize("start", range(100, 2200, CHUNK))
def test_many_random_networks(draw: Callable[[int], Drawn], start: int, tmp_path: Path) -> None:
    check(draw, range(start, start + CHUNK), tmp_path)
