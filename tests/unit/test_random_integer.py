"""Golden equals a direct evaluation of the integer network, whatever its layers; a saved network is the same network."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bnnhw.golden import run
from bnnhw.ir.integer import Network
from bnnhw.ir.layers import Layer
from bnnhw.ir.store import network_bytes, read_network
from support.random_integer import direct, random_frames, random_network

CHUNK = 100


def check(seed: int) -> Network:
    """Compare one network."""
    net = random_network(seed)
    frames = random_frames(net, seed, 3)
    assert (run(net, frames).outputs == direct(net, frames)).all(), f"seed {seed}\n{net}"
    return net


@pytest.mark.parametrize("start", range(0, 400, CHUNK))
def test_golden_equals_direct_evaluation(start: int) -> None:
    kinds = Counter(type(layer).__name__ for seed in range(start, start + CHUNK) for layer in check(seed).layers)
    assert set(kinds) == {kind.__name__ for kind in Layer.__args__}, "the sample lost its variety"


@pytest.mark.slow
@pytest.mark.parametrize("start", range(400, 20_400, 1000))
def test_golden_equals_direct_evaluation_on_many(start: int) -> None:
    for seed in range(start, start + 1000):
        check(seed)


@pytest.mark.parametrize("seed", range(40))
def test_a_saved_network_is_the_same(seed: int, tmp_path: Path) -> None:
    net = random_network(seed)
    (tmp_path / "n.npz").write_bytes(network_bytes(net))
    again = read_network(tmp_path / "n.npz")
    assert network_bytes(again) == network_bytes(net)
    frames = random_frames(net, seed, 2)
    assert (run(again, frames).outputs == run(net, frames).outputs).all()
