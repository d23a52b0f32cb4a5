"""Networks of ImageNet's size with seeded weights: `python benchmarks/shapes.py [name ...]` generates, estimates and runs them. Needs PyTorch.

One frame goes through golden; the first two layers through simulated RTL as well, which must equal golden.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from bnnhw.emit import emit_verilog  # noqa: E402
from bnnhw.estimate.resources import estimate  # noqa: E402
from bnnhw.golden import run  # noqa: E402
from bnnhw.ir.heads import Sums  # noqa: E402
from bnnhw.ir.integer import Network  # noqa: E402
from bnnhw.ir.layers import MatVec  # noqa: E402
from bnnhw.ir.pipeline import pipeline  # noqa: E402
from bnnhw.ir.topology import Topology  # noqa: E402
from bnnhw.lower import lower  # noqa: E402
from bnnhw.nn.export import rehearse  # noqa: E402
from bnnhw.schedule import fold_for_interval  # noqa: E402
from bnnhw.verify.frames import random_frames  # noqa: E402
from bnnhw.verify.rtl import Simulation  # noqa: E402

Layers = list[dict[str, Any]]
BWN, INT4 = {"quantiser": {"method": "bwn"}}, {"quantiser": {"method": "dorefa", "bits": 4}}
CYCLES = 10_000_000
"""A frame, at most: 10 frames a second at 100 MHz."""
TWO_CYCLES = 4_000_000
"""The same of two layers alone."""
CLASSES = 1000


def conv(name: str, out: int, kernel: int, **more: Any) -> dict[str, Any]:
    """A convolution that keeps the map's size, but for its stride."""
    return {"type": "conv", "name": name, "out": out, "kernel": kernel, "pad": kernel // 2, **more}


def norm(name: str) -> dict[str, Any]:
    return {"type": "batchnorm", "name": f"{name}_bn", "eps": 1e-4}


def sign(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "sign", "name": f"{name}_act", "zero_to": 1, **more}


def fixed(name: str, trained: bool = True) -> dict[str, Any]:
    return {"type": "fixed", "name": name, "bits": 10, "fraction": 5, "norm": trained}


def alexnet() -> Layers:
    """XNOR-Net's AlexNet: the first layer of 4 bits, binary ones behind it."""
    layers: Layers = [conv("conv1", 96, 11, stride=4, **INT4), {"type": "maxpool", "kernel": 3, "stride": 2}, norm("conv1"), sign("conv1")]
    for name, out, kernel, pool in (("conv2", 256, 5, True), ("conv3", 384, 3, False), ("conv4", 384, 3, False), ("conv5", 256, 3, True)):
        layers += [conv(name, out, kernel, **BWN), *([{"type": "maxpool", "kernel": 3, "stride": 2}] if pool else []), norm(name), sign(name)]
    for name in ("fc6", "fc7"):
        layers += [{"type": "dense", "name": name, "out": 4096, **BWN}, norm(name), sign(name)]
    return [*layers, {"type": "dense", "name": "fc8", "out": CLASSES, **BWN}]


def resnet18() -> Layers:
    """Bi-Real Net of 18 layers: a shortcut of fixed-point numbers around each convolution."""
    layers: Layers = [conv("conv1", 64, 7, stride=2, **INT4), fixed("stem"), {"type": "maxpool", "name": "r0", "kernel": 2}]
    stream, n = "r0", 0
    for stage, out in enumerate((64, 128, 256, 512)):
        for block in range(4):
            n += 1
            stride = 2 if stage and not block else 1
            layers += [sign(f"s{n}", inputs=[stream]), conv(f"conv{n + 1}", out, 3, stride=stride, **BWN), fixed(f"b{n}")]
            if stride == 2:
                layers += [
                    {"type": "avgpool", "name": f"half{n}", "kernel": 2, "inputs": [stream]},
                    conv(f"widen{n}", out, 1, **INT4),
                    fixed(f"short{n}"),
                ]
                stream = f"short{n}"
            layers += [{"type": "add", "name": f"sum{n}", "inputs": [stream, f"b{n}"]}, fixed(f"r{n}", False)]
            stream = f"r{n}"
    return [*layers, {"type": "avgpool", "name": "mean"}, fixed("pooled", False), {"type": "dense", "name": "fc", "out": CLASSES, **INT4}]


def mobilenet() -> Layers:
    """MobileNet of the first version, weights and activations of 4 bits."""

    def act(name: str) -> dict[str, Any]:
        return {"type": "levels", "name": f"{name}_act", "quantiser": {"method": "uint", "bits": 4}}

    layers: Layers = [conv("conv1", 32, 3, stride=2, **INT4), norm("conv1"), act("conv1")]
    channels = 32
    steps = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
    for n, (out, stride) in enumerate(steps):
        d, p = f"depth{n + 1}", f"point{n + 1}"
        layers += [conv(d, channels, 3, stride=stride, groups=channels, **INT4), norm(d), act(d), conv(p, out, 1, **INT4), norm(p), act(p)]
        channels = out
    return [*layers, {"type": "avgpool", "name": "mean"}, fixed("pooled", False), {"type": "dense", "name": "fc", "out": CLASSES, **INT4}]


SHAPES = {"xnor_alexnet": alexnet, "bireal_resnet18": resnet18, "mobilenet_v1": mobilenet}


def beginning(net: Network) -> Network:
    """The first two products and what stands between them, as a network of their own; the second gives its sums."""
    layers: list[Any] = []
    for layer in net.layers:
        layers.append(layer)
        if sum(isinstance(x, MatVec) for x in layers) == 2:
            break
    o = layers[-1].weights.outputs
    layers[-1] = replace(layers[-1], head=Sums(np.ones(o, np.int64), np.zeros((1, o), np.int64)))
    return Network(f"{net.name}_two", net.port, net.x, tuple(layers), net.label)


def measured(name: str) -> str:
    """One line of the table."""
    torch.manual_seed(0)
    plain = {"bnnhw": 1, "name": name, "input": {"shape": [3, 224, 224], "type": "uint8", "preprocess": "2p-255"}, "layers": SHAPES[name]()}
    trained = rehearse(Topology.model_validate(plain), 1)
    assert trained is not None
    started = time.time()
    net = lower(trained).network
    design = fold_for_interval(net, CYCLES, 100.0)
    chain = pipeline(net, design)
    text = sum(len(t) for t in emit_verilog(net, design).values())
    cells, generated = estimate(chain, "xc7").whole, time.time() - started
    started = time.time()
    frame = random_frames(net.port, 1, 0)
    labels = run(net, frame).labels
    golden = time.time() - started
    two = beginning(net)
    with tempfile.TemporaryDirectory() as work:
        (seen,) = Simulation([(two, fold_for_interval(two, TWO_CYCLES, 100.0))], Path(work), optimise=3).run([frame])
    assert (seen.outputs == run(two, frame).outputs).all()
    products = sum(isinstance(x, MatVec) for x in net.layers)
    return (
        f"| {name} | {products} | {net.weight_bits:,} | {chain.interval:,} | {cells.luts:,} | {cells.block_rams:,g} | {cells.dsps:,} "
        f"| {generated:.0f} s, {text / 1e6:.0f} MB | {golden:.0f} s, class {int(labels[0])} | equal |"
    )


def main() -> None:
    """Print the table."""
    print(
        "| network | products | weight bits | cycles | LUTs | block RAMs | DSPs | generated and estimated | golden, one frame | RTL of two layers |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in sys.argv[1:] or SHAPES:
        print(measured(name), flush=True)


if __name__ == "__main__":
    main()
