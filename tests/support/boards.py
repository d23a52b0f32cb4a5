"""A network of a published board whose weights are not published: the same layers with random weights."""

from __future__ import annotations

import numpy as np

from bnnhw.ir.integer import Network
from bnnhw.ir.topology import Topology
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.lower import lower

SHAPES = ((784, 256), (256, 256), (256, 256), (256, 10))


def sfc(seed: int = 1) -> Network:
    """FINN's SFC: 784 bits, three layers of 256 neurons, one bit a class."""
    rng = np.random.default_rng(seed)
    layers, tensors = [], {}
    for i, (inputs, outputs) in enumerate(SHAPES):
        kind = "unipolar" if i == len(SHAPES) - 1 else "bipolar"
        layers.append({"type": "dense", "name": f"L{i}", "out": outputs, "tensors": {"weight": f"L{i}_weights"}})
        layers.append({"type": "threshold", "name": f"T{i}", "compare": ">", "output": kind, "tensors": {"values": f"L{i}_thresholds"}})
        tensors[f"L{i}_weights"] = rng.choice([-1.0, 1.0], (outputs, inputs)).astype(np.float32)
        tensors[f"L{i}_thresholds"] = rng.integers(-8, 9, (outputs, 1)).astype(np.float32)
    described = {"bnnhw": 1, "name": "sfc", "input": {"shape": [784], "type": "bipolar"}, "layers": layers, "label": "highest_bit"}
    return lower(TrainedNetwork(Topology.model_validate(described), tensors)).network
