"""Every method, trained on real data: RTL = golden = what PyTorch computes in evaluation, sum for sum and label for label."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

import bnnhw
from benchmarks import methods as bench
from bnnhw import data, frontend
from bnnhw.golden import run
from bnnhw.ir.integer import Network
from bnnhw.ir.pipeline import pipeline
from bnnhw.ir.topology import Topology
from bnnhw.lower import lower
from bnnhw.schedule import fold_for_interval
from bnnhw.verify.ladder import first_difference
from bnnhw.verify.rtl import Simulation
from support import branches

torch = pytest.importorskip("torch")

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
    folder.mkdir()
    (folder / "net.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(branches.description(name, EPOCHS)))))
    bnnhw.train(folder / "net.yaml", folder, quiet=True)
    return folder


def evaluated(folder: Path, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What PyTorch computes in evaluation mode, from the checkpoint [N, O]."""
    from bnnhw.nn.model import build, load_parameters
    from bnnhw.nn.train import prepare

    net = Topology.model_validate(yaml.safe_load((folder / "trained.yaml").read_text()))
    model = build(net)
    load_parameters(model, folder)
    model.eval()
    with torch.no_grad():
        return model(prepare(net.input, images)).flatten(1).double().numpy()


def lowered(name: str, folder: Path, images: NDArray[np.uint8]) -> Network:
    """The integer network, whose golden outputs on all `images` are those of PyTorch."""
    made = trained(name, folder)
    net = lower(frontend.load(made / "network.yaml")).network
    sums, got = evaluated(made, images), run(net, images)
    assert len(np.unique(sums)) > 10, f"{name}: the network says nothing"
    assert (got.outputs.reshape(sums.shape) == sums).all(), f"{name}: golden differs from PyTorch"
    assert (got.labels == sums.argmax(1)).all()
    return net


@pytest.mark.parametrize("start", range(0, len(NAMES), CHUNK), ids=lambda start: NAMES[start])
def test_rtl_equals_golden_equals_pytorch(start: int, tmp_path: Path) -> None:
    images = data.load_split("digits", "test").x
    nets = [lowered(name, tmp_path / name, images) for name in NAMES[start : start + CHUNK]]
    designs = [(net, fold_for_interval(net, INTERVAL, 100.0)) for net in nets]
    frames = images[:FRAMES]
    for (net, design), seen in zip(designs, Simulation(designs, tmp_path, optimise=0).run([frames] * len(designs), taps=True), strict=True):
        want = run(net, frames, trace=True)
        for layer in net.layers:
            assert first_difference("rtl", layer.name, want.layers[layer.name], seen.layers[layer.name]) is None, net.name
        assert first_difference("rtl", net.name, want.outputs, seen.outputs) is None
        assert not seen.bad_protocol and not seen.err_frame and seen.whole_input
        assert seen.intervals[-1] == pipeline(net, design).interval, net.name
