"""Fits the resource model to the sweep: `python benchmarks/fit.py` rewrites its weights, and docs/estimates.md with its errors."""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

from designs import designs  # noqa: E402
from sweep import suited  # noqa: E402

from bnnhw.estimate import resources  # noqa: E402
from bnnhw.estimate.features import Features, Terms, features  # noqa: E402
from bnnhw.estimate.resources import WEIGHTS, Cost, sums  # noqa: E402
from bnnhw.ir.pipeline import pipeline  # noqa: E402
from bnnhw.tools.targets import TARGETS  # noqa: E402

DATA = ROOT / "bnnhw" / "estimate" / "data"
FITTED = ("luts", "flip_flops")
BASE = 20
"""Cells below which errors count absolutely."""
RIDGE = 1e-5
"""Pull of the weights towards 0, so that features which tell the same share what they explain."""
KINDS = ("luts", "flip_flops", "block_rams", "dsps")
LIKE = {"xcup": "xc7"}
"""Families that were swept less, and the one whose instances help them out."""
ENOUGH = 30
"""Instances of a module that need no help."""
BEGIN, END = "<!-- errors -->\n", "<!-- end of errors -->\n"
"""Around the table in docs/estimates.md."""
Sample = tuple[Features, dict[str, str]]


@dataclass(frozen=True)
class Compared:
    """A whole design, synthesised and estimated."""

    role: str
    name: str
    cells: dict[str, float]
    estimate: Cost
    """Sum of the modules."""


def rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    with path.open() as f:
        return list(csv.DictReader(f))


def samples(target: str) -> dict[str, list[Sample]]:
    """By module and variant, features and what was measured."""
    instances = rows(DATA / "instances.csv")
    found: dict[str, list[Sample]] = defaultdict(list)
    for row in rows(DATA / f"{target}.csv"):
        i = instances[int(row["instance"])]
        f = features(i["module"], suited(json.loads(i["parameters"]), target), target)
        found[f"{i['module']}.{f.variant}"].append((f, row))
    if target in LIKE:
        for name, others in samples(LIKE[target]).items():
            found[name] += others if len(found[name]) < ENOUGH else []
    return found


def fitted(given: list[Sample], kind: str) -> Terms:
    """Weights of the features of one module for one kind of cell."""
    names = sorted({name for f, _ in given for name in getattr(f, kind)})
    x: NDArray[np.float64] = np.array([[getattr(f, kind).get(name, 0.0) for name in names] for f, _ in given])
    measured = np.array([float(row[kind]) for _, row in given])
    own = np.array([f.own_luts if kind == "luts" else 0.0 for f, _ in given])
    scale = np.maximum(x.max(0), 1e-9)
    weight = 1 / (measured + BASE)
    a = np.vstack([x / scale * weight[:, None], RIDGE * np.eye(len(names))])
    b = np.concatenate([(measured - own) * weight, np.zeros(len(names))])
    found, _ = nnls(a, b)
    return {name: float(f"{w / s:.5g}") for name, w, s in zip(names, found, scale, strict=True) if w > 0}


def measured(target: str) -> list[Compared]:
    """The designs that were synthesised whole for a target, estimated again."""
    made = {name: (net, design) for _, name, net, design in designs(target)}
    return [
        Compared(row["role"], row["design"], {k: float(row[k]) for k in KINDS}, sums(pipeline(*made[row["design"]]), target))
        for row in rows(DATA / f"{target}_designs.csv")
    ]


def judged(found: list[Compared], whole: dict[str, float], kind: str) -> list[float]:
    """Relative errors, the least first, of the designs that were in no fit."""
    errors = (getattr(c.estimate, kind) * whole.get(kind, 1.0) / c.cells[kind] - 1 for c in found if c.role == "compared" and c.cells[kind])
    return sorted(errors, key=abs)


def main() -> None:
    """Fit every target that was swept, judge it by whole designs, and write it all down."""
    tool = (DATA / "yosys.txt").read_text().strip()
    models: dict[str, Any] = {}
    for target in TARGETS:
        modules = {name: {kind: fitted(given, kind) for kind in FITTED} for name, given in samples(target).items()}
        models[target] = {"tool": tool, "modules": modules, "whole": {"luts": 1.0, "flip_flops": 1.0}, "errors": {}}
    save(models)
    compared = {target: measured(target) for target in TARGETS if (DATA / f"{target}_designs.csv").exists()}
    for target, found in compared.items():
        learned = [c for c in found if c.role == "calibration"]
        whole = {kind: round(float(np.median([c.cells[kind] / getattr(c.estimate, kind) for c in learned])), 4) for kind in FITTED}
        models[target]["whole"] = whole
        for kind in FITTED:
            errors = judged(found, whole, kind)
            models[target]["errors"][kind] = [round(abs(errors[ceil(0.9 * len(errors)) - 1]), 3), round(abs(errors[-1]), 3)]
    save(models)
    page = ROOT / "docs" / "estimates.md"
    head, _, tail = page.read_text().partition(BEGIN)
    page.write_text(head + BEGIN + table(models, compared) + END + tail.partition(END)[2])
    draw(models, compared)


def save(models: dict[str, Any]) -> None:
    """Write the weights, for this process too."""
    WEIGHTS.write_text(json.dumps(models, indent=1) + "\n")
    resources.clear()


def table(models: dict[str, Any], compared: dict[str, list[Compared]]) -> str:
    """Markdown: for each target how far estimates of whole designs were off."""
    lines = [
        "",
        "| family | designs | LUTs: nine in ten, all | flip-flops: nine in ten, all | block RAMs exact | DSPs exact |",
        "|---|---|---|---|---|---|",
    ]
    for target, found in compared.items():
        own = [c for c in found if c.role == "compared"]
        cells = [f"{100 * m:.1f}%, {100 * w:.1f}%" for m, w in (models[target]["errors"][kind] for kind in FITTED)]
        exact = [f"{sum(getattr(c.estimate, kind) == c.cells[kind] for c in own)} of {len(own)}" for kind in ("block_rams", "dsps")]
        lines.append(f"| {target} | {len(own)} | {cells[0]} | {cells[1]} | {exact[0]} | {exact[1]} |")
    return "\n".join([*lines, ""])


def draw(models: dict[str, Any], compared: dict[str, list[Compared]]) -> None:
    """The residuals as a plot."""
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "bnnhw"
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for axis, kind, title in zip(axes, FITTED, ("LUTs", "flip-flops"), strict=True):
        for target, found in compared.items():
            own = [c for c in found if c.role == "compared"]
            whole = models[target]["whole"][kind]
            axis.scatter(
                [c.cells[kind] for c in own], [100 * (getattr(c.estimate, kind) * whole / c.cells[kind] - 1) for c in own], s=14, label=target
            )
        for at in (-10, 10):
            axis.axhline(at, color="grey", linewidth=0.7, linestyle="--")
        axis.axhline(0, color="grey", linewidth=0.7)
        axis.set(xscale="log", xlabel=f"{title} in Yosys, flattened design", title=title)
    axes[0].set_ylabel("estimate too high by, %")
    axes[1].legend(frameon=False)
    figure.savefig(ROOT / "docs" / "estimates.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
