"""Every method, trained on real data: RTL = golden = what PyTorch computes in evaluation, sum for sum and label for label."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import methods as bench
from bnnhw import data
from bnnhw.golden import run
from bnnhw.ir.pipeline import pipeline
from bnnhw.schedule import fold_for_interval
from bnnhw.verify.ladder import first_difference
from bnnhw.verify.rtl import Simulation
from support import branches
from support.training import agreed, learn

pytest.importorskip("torch")

METHODS = {m["name"]: m for m in bench.methods()}
NAMES = [*METHODS, *branches.NETS]
CHUNK = 8
EPOCHS, FRAMES = 2, 4
INTERVAL = 24_000
"""Cycles a frame that every network can reach."""


def trained(name: str, folder: Path) -> Path:
    """Train the network of a name for a little while; its folder."""
    if name in METHODS:
        return bench.trained(METHODS[name], "digits", folder, epochs=EPOCHS).parent
    learn(folder, branches.description(name, EPOCHS))
    return folder


@pytest.mark.parametrize("start", range(0, len(NAMES), CHUNK), ids=lambda start: NAMES[start])
def test_rtl_equals_golden_equals_pytorch(start: int, tmp_path: Path) -> None:
    images = data.load_split("digits", "test").x
    nets = [agreed(trained(name, tmp_path / name), images) for name in NAMES[start : start + CHUNK]]
    designs = [(net, fold_for_interval(net, INTERVAL, 100.0)) for net in nets]
    frames = images[:FRAMES]
    for (net, design), seen in zip(designs, Simulation(designs, tmp_path, optimise=0).run([frames] * len(designs), taps=True), strict=True):
        want = run(net, frames, trace=True)
        for layer in net.layers:
            assert first_difference("rtl", layer.name, want.layers[layer.name], seen.layers[layer.name]) is None, net.name
        assert first_difference("rtl", net.name, want.outputs, seen.outputs) is None
        assert not seen.bad_protocol and not seen.err_frame and seen.whole_input
        assert seen.intervals[-1] == pipeline(net, design).interval, net.name
