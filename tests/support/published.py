"""Descriptions of the published BNN-PYNQ networks, with their weights read where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw import data
from bnnhw.frontend.tensors import read_tensors
from bnnhw.ir.integer import Network
from bnnhw.ir.topology import Topology
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.lower import lower

LFC_FOLDING = {"pe": (32, 64, 32, 16), "simd": (64, 32, 64, 8)}
CNV_FOLDING = {"pe": (16, 32, 16, 16, 4, 1, 1, 1, 4), "simd": (3, 32, 32, 32, 32, 32, 4, 8, 1)}


def _dense(i: int, out: int) -> dict[str, Any]:
    return {"type": "dense", "name": f"L{i}", "out": out, "tensors": {"weight": f"L{i}_weights"}}


def _conv(i: int, out: int) -> dict[str, Any]:
    return {"type": "conv", "name": f"L{i}", "out": out, "kernel": 3, "tensors": {"weight": f"L{i}_weights"}}


def _threshold(i: int, output: str = "bipolar") -> dict[str, Any]:
    return {"type": "threshold", "name": f"T{i}", "compare": ">", "output": output, "tensors": {"values": f"L{i}_thresholds"}}


def lfc(models: Path) -> Network:
    """MNIST, 784-1024-1024-1024-10, one bit a class."""
    layers = [x for i in range(3) for x in (_dense(i, 1024), _threshold(i))] + [_dense(3, 10), _threshold(3, "unipolar")]
    port = {"shape": [784], "type": "uint8", "preprocess": {"threshold": 128}}
    return _lowered("lfcW1A1", models / "bnnpynq_lfcW1A1.npz", port, layers, "highest_bit")


def cnv(models: Path) -> Network:
    """CIFAR-10, six convolutions and three dense layers, int8 input."""
    layers: list[dict[str, Any]] = []
    for i, out in enumerate((64, 64, 128, 128, 256, 256)):
        layers += [_conv(i, out), _threshold(i)]
        if i in (1, 3):
            layers.append({"type": "maxpool", "name": f"P{i}", "kernel": 2})
    layers += [_dense(6, 512), _threshold(6), _dense(7, 512), _threshold(7), _dense(8, 10)]
    return _lowered("cnvW1A1", models / "bnnpynq_cnvW1A1.npz", {"shape": [3, 32, 32], "type": "int8"}, layers, "argmax")


def _lowered(name: str, weights: Path, port: dict[str, Any], layers: list[dict[str, Any]], label: str) -> Network:
    topology = Topology.model_validate({"bnnhw": 1, "name": name, "input": port, "layers": layers, "label": label})
    return lower(TrainedNetwork(topology, read_tensors(weights))).network


def design_data(net: Network, folding: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """A design file's data with a published folding."""
    names = [layer.name for layer in net.layers if layer.name.startswith("L")]
    layers = {n: {"pe": p, "simd": s} for n, p, s in zip(names, folding["pe"], folding["simd"], strict=True)}
    return {"bnnhw_design": 1, "network": net.name, "layers": layers}


def mnist_test(data: Path) -> NDArray[np.uint8]:
    """[10000, 28, 28] test images."""
    with np.load(data / "mnist.npz") as z:
        return z["x_test"]


def cifar_int8(images: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Pixels [N, C, H, W] as the published CNV takes them."""
    return np.minimum((512 * images.astype(np.int64) + 255) // 510 - 128, 127).astype(np.int8)


def cifar_test() -> NDArray[np.int8]:
    """Test images in the order of the expected labels: class by class."""
    x = data.load_split("cifar10", "test").x
    return cifar_int8(x.reshape(-1, 10, *x.shape[1:]).swapaxes(0, 1).reshape(x.shape))
