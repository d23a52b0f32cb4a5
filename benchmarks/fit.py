"""Fits the resource model to the sweep: `python benchmarks/fit.py` rewrites its weights, and docs/estimates.md with its errors."""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

from bnnhw.estimate.features import Features, Terms, features  # noqa: E402
from bnnhw.tools.targets import TARGETS  # noqa: E402

DATA = ROOT / "bnnhw" / "estimate" / "data"
FITTED = ("luts", "flip_flops")
BASE = 20
"""Cells below which errors count absolutely."""
RIDGE = 1e-5
"""Pull of the weights towards 0, so that features which tell the same share what they explain."""
Sample = tuple[Features, dict[str, str]]


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
        f = features(i["module"], json.loads(i["parameters"]), target)
        found[f"{i['module']}.{f.variant}"].append((f, row))
    return found


def fitted(given: list[Sample], kind: str) -> Terms:
    """Weights of the features of one module for one kind of cell."""
    names = sorted({name for f, _ in given for name in getattr(f, kind)})
    x: NDArray[np.float64] = np.array([[getattr(f, kind).get(name, 0.0) for name in names] for f, _ in given])
    measured = np.array([float(row[kind]) for _, row in given])
    own = np.array([sum(m.luts for m in f.memories) if kind == "luts" else 0.0 for f, _ in given])
    scale = np.maximum(x.max(0), 1e-9)
    weight = 1 / (measured + BASE)
    a = np.vstack([x / scale * weight[:, None], RIDGE * np.eye(len(names))])
    b = np.concatenate([(measured - own) * weight, np.zeros(len(names))])
    found, _ = nnls(a, b)
    return {name: float(f"{w / s:.5g}") for name, w, s in zip(names, found, scale, strict=True) if w > 0}


def main() -> None:
    """Fit every target that was swept."""
    tool = (DATA / "yosys.txt").read_text().strip()
    models = {}
    for target in TARGETS:
        if (DATA / f"{target}.csv").exists():
            modules = {name: {kind: fitted(given, kind) for kind in FITTED} for name, given in samples(target).items()}
            models[target] = {"tool": tool, "modules": modules, "whole": {"luts": 1.0, "flip_flops": 1.0}, "errors": {}}
    (DATA / "weights.json").write_text(json.dumps(models, indent=1) + "\n")


if __name__ == "__main__":
    main()
