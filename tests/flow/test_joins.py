"""Branches that meet: the computed queues neither stop a stream nor cost a cycle, and smaller ones do stop it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bnnhw.golden import run
from bnnhw.ir.design import Design
from bnnhw.ir.encoding import Encoding, Integers
from bnnhw.ir.heads import Fixed, Head, Sums, Thresholds
from bnnhw.ir.integer import PORT, InputPort, Network
from bnnhw.ir.layers import Add, Concat, Layer, MatVec, Multiply, Requantise, SumPool
from bnnhw.ir.pipeline import pipeline
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window
from bnnhw.schedule import complete, fold_for_interval, latency
from bnnhw.verify.rtl import Simulation

SHAPE = (4, 7, 6)
FRAMES = 5


def conv(name: str, source: str, x: Encoding | Integers, rng: np.random.Generator, head: Head, kernel: int = 3) -> MatVec:
    margin = kernel // 2
    window = Window(SHAPE, (kernel, kernel), pad=(margin,) * 4)
    return MatVec(name, x, window, Weights.binary(rng.choice([-1, 1], (SHAPE[0], window.fan_in))), head, None, (source,))


def sums(fixed: Fixed | None = None) -> Sums:
    return Sums(np.ones(SHAPE[0], np.int64), np.zeros((1, SHAPE[0]), np.int64), 0, fixed)


def signs() -> Thresholds:
    return Thresholds(np.zeros((1, SHAPE[0], 1), np.int64), Encoding.bipolar())


def last(name: str, x: Integers) -> MatVec:
    window = Window.dense(SHAPE)
    return MatVec(
        "fc",
        x,
        window,
        Weights.binary(np.ones((3, window.fan_in), np.int64)),
        Sums(np.ones(3, np.int64), np.zeros((1, 3), np.int64)),
        None,
        (name,),
    )


def residual(rng: np.random.Generator) -> Network:
    """Two blocks of two 3x3 convolutions beside a plain shortcut, as in Bi-Real networks."""
    narrow = Fixed(2, -32, 31)
    first = conv("c0", PORT, Encoding.bipolar(), rng, sums(narrow))
    layers: list[Layer] = [first]
    at, x = "c0", first.out
    assert isinstance(x, Integers)
    for n in (1, 2):
        quantised = Requantise(f"s{n}", x, SHAPE, Thresholds(np.zeros((1, SHAPE[0], 1), np.int64), Encoding.bipolar()), (at,))
        inner = conv(f"a{n}", f"s{n}", Encoding.bipolar(), rng, signs())
        outer = conv(f"b{n}", f"a{n}", Encoding.bipolar(), rng, sums(narrow))
        assert isinstance(outer.out, Integers)
        joined = Add(f"r{n}", (x, outer.out), SHAPE, (0, 0), (at, f"b{n}"))
        layers += [quantised, inner, outer, joined]
        at, x = f"r{n}", joined.out
    return Network("residual", InputPort(SHAPE, "bipolar"), Encoding.bipolar(), (*layers, last(at, x)))


def rescaled(rng: np.random.Generator) -> Network:
    """A scale per channel that needs the whole frame, times the frame."""
    first = conv("c0", PORT, Encoding.bipolar(), rng, sums(Fixed(2, -16, 15)), 1)
    assert isinstance(first.out, Integers)
    pooled = SumPool("mean", first.out, Window(SHAPE, SHAPE[1:], groups=SHAPE[0]), ("c0",))
    narrowed = Requantise("gate", pooled.out, (SHAPE[0], 1, 1), sums(Fixed(4, 0, 15)), ("mean",))
    assert isinstance(narrowed.out, Integers)
    product = Multiply("scaled", (first.out, narrowed.out), SHAPE, (SHAPE[0], 1, 1), ("c0", "gate"))
    layers = (first, pooled, narrowed, product, last("scaled", product.out))
    return Network("rescaled", InputPort(SHAPE, "bipolar"), Encoding.bipolar(), layers)


def parallel(rng: np.random.Generator) -> Network:
    """A 5x5 and a 1x1 convolution side by side, concatenated."""
    wide, thin = (conv(name, PORT, Encoding.bipolar(), rng, signs(), k) for name, k in (("wide", 5), ("thin", 1)))
    both = Concat("both", (Encoding.bipolar(), Encoding.bipolar()), (SHAPE, SHAPE), ("thin", "wide"))
    window = Window.dense(both.out_shape)
    fc = MatVec(
        "fc",
        Encoding.bipolar(),
        window,
        Weights.binary(np.ones((3, window.fan_in), np.int64)),
        Sums(np.ones(3, np.int64), np.zeros((1, 3), np.int64)),
        None,
        ("both",),
    )
    return Network("parallel", InputPort(SHAPE, "bipolar"), Encoding.bipolar(), (wide, thin, both, fc))


MAKERS = (residual, rescaled, parallel)


@pytest.fixture
def designs(rng: np.random.Generator) -> list[tuple[Network, Design]]:
    return [(net, fold_for_interval(net, 5000, 100.0)) for net in (make(rng) for make in MAKERS)]


@pytest.mark.parametrize("stalls", ["none", "random", "source", "sink"])
def test_joined_streams_run_at_the_predicted_interval(designs: list, stalls: str, tmp_path: Path, rng: np.random.Generator) -> None:
    frames = [rng.choice([-1, 1], (FRAMES, *SHAPE)).astype(np.int8) for _ in designs]
    for (net, design), x, seen in zip(designs, frames, Simulation(designs, tmp_path, optimise=0).run(frames, stalls=stalls), strict=True):
        assert (seen.outputs == run(net, x).outputs).all(), net.name
        if stalls == "none":
            assert set(seen.intervals[2:]) == {pipeline(net, design).interval}, net.name


@pytest.mark.parametrize("logic", ["lut6", "carry"])
def test_unrolled_branches_run_a_pixel_a_cycle(logic: str, tmp_path: Path, rng: np.random.Generator) -> None:
    """Line buffers one behind the other, which hold back streams while they put in their margins."""
    designs = []
    for net in (make(rng) for make in MAKERS):
        products = {layer.name: {"implementation": "unrolled"} for layer in net.layers if isinstance(layer, MatVec)}
        data = {"bnnhw_design": 1, "network": net.name, "logic": logic, "input": {"lanes": 8}, "output": {"lanes": 3}, "layers": products}
        designs.append((net, complete(net, data, "test")))
    frames = [rng.choice([-1, 1], (FRAMES, *SHAPE)).astype(np.int8) for _ in designs]
    simulation = Simulation(designs, tmp_path, optimise=0)
    for stalls in ("none", "random"):
        for (net, design), x, seen in zip(designs, frames, simulation.run(frames, stalls=stalls), strict=True):
            chain = pipeline(net, design)
            assert (seen.outputs == run(net, x).outputs).all(), net.name
            if stalls == "none":
                assert set(seen.intervals[2:]) == {chain.interval} and seen.latency == latency(chain), net.name
    (_, rows, columns) = SHAPE
    assert pipeline(*designs[0]).interval == (rows + 1) * (columns + 1)


def test_queues_of_two_words_stop_the_streams(designs: list, tmp_path: Path, rng: np.random.Generator) -> None:
    short = [(net, replace(d, layers=tuple(replace(f, queue_words=(2,) * len(f.queue_words)) for f in d.layers))) for net, d in designs]
    frames = [rng.choice([-1, 1], (FRAMES, *SHAPE)).astype(np.int8) for _ in short]
    assert latency(pipeline(*short[0])) is None
    for (net, _), seen in zip(short, Simulation(short, tmp_path, optimise=0).run(frames), strict=True):
        assert len(seen.frame_ends) < FRAMES, f"{net.name}: the test proves nothing"
