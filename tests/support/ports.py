"""Small networks behind every kind of input port."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.integer import Network
from bnnhw.ir.topology import Topology
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.lower import lower

PORTS: dict[str, dict[str, Any]] = {
    "int16": {"type": "int16"},
    "uint16": {"type": "uint16"},
    "int12": {"type": "int16", "ends": [-2048, 2047], "real": {"unit": 0.25}},
    "uint10": {"type": "uint16", "ends": [0, 1000]},
    "narrow": {"type": "int8", "ends": [-7, 7], "real": {"unit": 0.5, "offset": 1.0}},
    "shifted": {"type": "uint8", "ends": [3, 9]},
    "levels": {"type": "uint8", "preprocess": {"thresholds": [20, 20, 100, 256], "values": [-3, -1, 0, 2, 5]}},
}


def behind(name: str) -> tuple[Network, NDArray[np.int64]]:
    """A network of a padded convolution and a dense layer, and the integers that its input's raw values stand for, from the least on."""
    port, rng = PORTS[name], np.random.default_rng(sorted(PORTS).index(name))
    layers = [
        {"type": "conv", "name": "conv", "out": 3, "kernel": 2, "pad": [1, 0, 0, 1], "weights": "integers"},
        {"type": "threshold", "name": "fires", "compare": ">="},
        {"type": "dense", "name": "fc", "out": 4, "weights": "integers"},
    ]
    plain = {"bnnhw": 1, "name": f"port_{name}", "input": {"shape": [2, 3, 3], **port}, "layers": layers}
    topology = Topology.model_validate(plain)
    low, high = topology.input.ends or topology.input.widest
    integers = np.arange(low, high + 1)
    if name == "levels":
        rule = port["preprocess"]
        integers = np.array(rule["values"])[np.searchsorted(rule["thresholds"], integers, side="right")]
    spread = int(integers.max() - integers.min())
    tensors = {
        "conv.weight": rng.integers(-2, 3, (3, 2, 2, 2)),
        "fires.values": rng.integers(-spread, spread + 1, 3),
        "fc.weight": rng.integers(-3, 4, (4, 27)),
    }
    return lower(TrainedNetwork(topology, tensors)).network, integers


def direct(name: str, frames: NDArray[np.integer]) -> NDArray[np.int64]:
    """[N, 4] outputs, evaluated without the package."""
    net, integers = behind(name)
    _ = net
    rng = np.random.default_rng(sorted(PORTS).index(name))
    spread = int(integers.max() - integers.min())
    conv, fires, fc = rng.integers(-2, 3, (3, 2, 2, 2)), rng.integers(-spread, spread + 1, 3), rng.integers(-3, 4, (4, 27))
    low = PORTS[name].get("ends", [{"int16": -32768}.get(PORTS[name]["type"], 0)])[0]
    x = np.pad(integers[frames.astype(np.int64) - low], ((0, 0), (0, 0), (1, 0), (0, 1)))
    seen = np.stack([x[:, :, r : r + 3, c : c + 3] for r in range(2) for c in range(2)], axis=2)
    sums = np.einsum("nctyx,oct->noyx", seen, conv.reshape(3, 2, 4))
    signs = np.where(sums >= fires[:, None, None], 1, -1)
    return signs.reshape(len(frames), -1) @ fc.T
