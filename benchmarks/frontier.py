"""Accuracy against LUTs: trains the sparse ternary networks of `frontier.yaml`, unrolls, checks and synthesises them, and writes docs/frontier.md.

`python benchmarks/frontier.py [--only NAME ...]`; what is done lies in build/frontier and is not done again, a training goes on
where it was cut off. Needs MNIST and Yosys; hours on two cores.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import yaml
from rich.console import Console

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from methods import accuracies, put_table  # noqa: E402

import bnnhw  # noqa: E402
from bnnhw import data, frontend  # noqa: E402
from bnnhw.golden import run  # noqa: E402
from bnnhw.ir.design import Implementation  # noqa: E402
from bnnhw.ir.layers import MatVec  # noqa: E402
from bnnhw.lower import lower  # noqa: E402
from bnnhw.lutmap.cost import luts  # noqa: E402
from bnnhw.lutmap.layer import unrolled  # noqa: E402
from bnnhw.schedule import latency  # noqa: E402
from bnnhw.tools import yosys  # noqa: E402
from bnnhw.verify.rtl import Simulation  # noqa: E402

BUILD = ROOT / "build" / "frontier"
PAGE = ROOT / "docs" / "frontier.md"
THRESHOLD = 96
"""Pixels from which on a bit is +1."""
FPS = 1e8
"""A frame a cycle at 100 MHz: all layers unrolled."""
RTL_FRAMES = 2000
PUBLISHED = (
    ("FINN, SFC-max", 95.83, 91_131, (0, -14)), ("FINN, LFC-max", 98.4, 82_988, (0, -14)),
    ("PolyLUT", 96.0, 70_673, (0, 6)), ("NeuraLUT", 96.0, 54_798, (-6, -3)), ("PolyLUT-Add", 96.0, 14_810, (-6, -3)),
    ("TreeLUT", 96.0, 3_499, (46, -3)), ("TreeLUT", 97.0, 4_478, (46, -3)),
    ("DWN", 97.1, 692, (-6, -3)), ("DWN", 97.9, 1_413, (-6, -3)), ("DWN", 98.3, 4_082, (-6, -3)),
)  # fmt: skip
"""Percent and LUTs as published, and where the plot has the name."""


def points() -> list[dict[str, Any]]:
    """The entries of frontier.yaml with the common recipe filled in."""
    file = yaml.safe_load((Path(__file__).parent / "frontier.yaml").read_text())
    return [{**p, "train": file["common"] | p.get("train", {})} for p in file["points"]]


def description(point: dict[str, Any]) -> dict[str, Any]:
    """The network of a point, as plain data of a YAML file."""
    layers: list[dict[str, Any]] = []
    for n, (width, fan_in) in enumerate(point["hidden"], 1):
        layers.append({"type": "dense", "name": f"fc{n}", "out": width, "quantiser": {"method": "fan_in", "n": fan_in}})
        layers += [{"type": "batchnorm", "name": f"bn{n}", "eps": 1e-5}, {"type": "sign", "name": f"act{n}", "zero_to": 1}]
    layers.append({"type": "dense", "name": "sums", "out": 10, "quantiser": {"method": "fan_in", "n": point["last"]}})
    given = {"shape": [1, 28, 28], "type": "uint8", "preprocess": {"threshold": THRESHOLD}}
    return {"bnnhw": 1, "name": point["name"], "input": given, "layers": layers, "train": point["train"]}


def measured(point: dict[str, Any]) -> dict[str, Any]:
    """Everything of one point's row: of all test images in the integer network, of RTL_FRAMES in RTL."""
    folder = BUILD / point["name"]
    file = folder / "result.json"
    if file.is_file():
        return json.loads(file.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.yaml").write_text(yaml.safe_dump(description(point), sort_keys=False))
    bnnhw.train(folder / "net.yaml", folder, quiet=True)
    found: dict[str, Any] = {"accuracy": accuracies(folder, "mnist")["integer"], "yosys": yosys.version()}
    net = lower(frontend.load(folder / "network.yaml")).network
    products = [layer for layer in net.layers if isinstance(layer, MatVec)]
    found["weights"] = sum(int((layer.weights.values != 0).sum()) for layer in products)
    found["built"] = sum(luts(unrolled(layer, "lut6"), "xc7", {}) for layer in products)
    shutil.rmtree(folder / "design", ignore_errors=True)
    started = time.perf_counter()
    made = bnnhw.generate(folder / "network.yaml", folder / "design", fps=FPS)
    found["seconds"] = time.perf_counter() - started
    assert all(
        f.implementation is Implementation.UNROLLED for f, layer in zip(made.design.layers, net.layers, strict=True) if isinstance(layer, MatVec)
    )
    assert made.pipeline.interval == 1
    found["latency"] = latency(made.pipeline)
    frames = data.load_split("mnist", "test").x[:RTL_FRAMES]
    (seen,) = Simulation([(made.network, made.design)], folder / "sim", files_from=folder / "design").run([frames])
    assert (seen.outputs == run(made.network, frames).outputs).all() and set(seen.intervals[8:]) == {1}
    whole = bnnhw.synth(folder / "design", "xc7", modules=False).whole
    assert whole is not None
    found |= {"luts": whole.luts, "flip_flops": whole.flip_flops}
    file.write_text(json.dumps(found, indent=1) + "\n")
    return found


def row(point: dict[str, Any], found: dict[str, Any]) -> str:
    """A line of the table."""
    shape = "-".join(["784", *(f"{width} of {fan_in}" for width, fan_in in point["hidden"]), f"10 of {point['last']}"])
    return (
        f"| {shape} | {found['accuracy']:.2f} | {found['weights']:,} | {found['built']:,} | {found['luts']:,} | {found['flip_flops']:,} "
        f"| {found['latency']} |\n"
    )


def draw(done: list[dict[str, Any]]) -> None:
    """Accuracy against LUTs, with what others published."""
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "bnnhw"
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for kind, title in (("built", "bnnhw, layers"), ("luts", "bnnhw, whole design")):
        axis.plot([f[kind] for f in done], [f["accuracy"] for f in done], "o-", label=title)
    for name, accuracy, cells, offset in PUBLISHED:
        axis.plot(cells, accuracy, "s", color="grey")
        axis.annotate(name, (cells, accuracy), textcoords="offset points", xytext=offset, ha="right", fontsize=8)
    axis.set(xscale="log", xlabel="LUT6", ylabel="MNIST test accuracy, %")
    axis.legend(frameon=False)
    figure.savefig(ROOT / "docs" / "frontier.svg", metadata={"Date": None})


def main() -> None:
    """Measure what is missing, then write the table and the plot of what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="names of frontier.yaml to measure")
    wanted, console = parser.parse_args().only, Console()
    for point in points():
        if not wanted or point["name"] in wanted:
            console.print(point["name"], measured(point))
    done = [(p, json.loads(f.read_text())) for p in points() if (f := BUILD / p["name"] / "result.json").is_file()]
    head = "| network | MNIST % | weights not 0 | LUT6 of the layers | LUT6 of the design | flip-flops | cycles |\n|---|---|---|---|---|---|---|\n"
    put_table(PAGE, head + "".join(row(*one) for one in done))
    draw([found for _, found in done])


if __name__ == "__main__":
    main()
