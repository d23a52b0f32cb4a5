"""Fits the levels of logic of the library's modules: `python benchmarks/fit_timing.py` rewrites the timing model's weights and page.

A module has a few candidates for its longest path; each gets a non-negative formula, and the longest counts. Which
candidate a synthesised instance shows is not recorded, so it is guessed, fitted, and guessed again by the fit.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

from sweep import suited  # noqa: E402

from bnnhw.estimate.timing import BITS, KINDS, PATHS, WIDTH, Stage, fits, markdown, stages  # noqa: E402
from bnnhw.lutmap.cost import LUT_INPUTS  # noqa: E402

DATA = PATHS.parent
PAGE = ROOT / "docs" / "timing.md"
TABLES = "## Tables\n"
"""What is behind this line of the page is written here."""
LENGTH = (1.0, 0.3, 0.1)
"""What LUTs, multiplexers and carry cells count in the choice of the longest path, as in bnnhw/synth/paths.py."""
ROUNDS = 8
FOLDS = 5
LIKE = {"xcup": "xc7"}
"""Targets that few instances were swept for, and those whose instances join where a module has fewer than FEW."""
FEW = 8
Weights = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Sample:
    """A synthesised instance."""

    stages: dict[str, Stage]
    measured: tuple[float, float, float, float]
    """As KINDS."""

    @property
    def length(self) -> float:
        """Of its path, in LUTs."""
        return sum(w * n for w, n in zip(LENGTH, self.measured, strict=False))


def read(target: str) -> dict[str, list[Sample]]:
    """The samples of a target by module, in the order of the sweep."""
    with (DATA / "instances.csv").open() as f:
        instances = {row["instance"]: (row["module"], json.loads(row["parameters"])) for row in csv.DictReader(f)}
    found: dict[str, list[Sample]] = defaultdict(list)
    with (DATA / f"{target}.csv").open() as f:
        for row in csv.DictReader(f):
            module, parameters = instances[row["instance"]]
            if "WRITABLE" in parameters:  # which makes no path of the data longer
                continue
            parameters = suited(parameters, target)
            luts, muxes, carries, fanout = (float(row[f"path_{kind}"]) for kind in KINDS)
            found[module].append(Sample(stages(module, parameters, target), (luts, muxes, carries, log2(max(1.0, fanout)))))
    if target in LIKE:
        for module, samples in read(LIKE[target]).items():
            if len(found[module]) < FEW:
                found[module] += samples
    return dict(found)


def counts(term: str, kind: str) -> bool:
    """Whether a term says anything of a kind: what replicates logic widens nets and lengthens no path."""
    return kind == "fanout" if term == WIDTH else kind == "carries" or not term.endswith(BITS)


def solve(samples: Sequence[Sample], stage: str) -> dict[str, dict[str, float]]:
    """A stage's weights."""
    found = {}
    for n, kind in enumerate(KINDS):
        names = [t for t in samples[0].stages[stage].terms if counts(t, kind)]
        matrix = np.array([[s.stages[stage].terms.get(t, 0.0) for t in names] for s in samples])
        weights, _ = nnls(matrix, np.array([s.measured[n] for s in samples]))
        found[kind] = {t: float(f"{w:.4g}") for t, w in zip(names, weights, strict=True) if w > 1e-6}
    return found


def lengths(weights: Weights, s: Sample) -> dict[str, float]:
    """The fitted length of each stage of a sample."""
    return {
        name: sum(w * sum(s.stages[name].terms.get(t, 0.0) * x for t, x in by_kind[kind].items()) for w, kind in zip(LENGTH, KINDS, strict=False))
        for name, by_kind in weights.items()
        if name in s.stages
    }


def fit(samples: Sequence[Sample]) -> Weights:
    """The weights of a module whose longest stage fits best."""
    names = list(dict.fromkeys(name for s in samples for name in s.stages))
    weights: Weights = {name: solve([s for s in samples if name in s.stages], name) for name in names}
    best, best_error = weights, np.inf
    for turn in range(ROUNDS):
        groups: dict[str, list[Sample]] = defaultdict(list)
        for s in samples:
            found = lengths(weights, s)
            near = min(found, key=lambda n: abs(found[n] - s.length)) if turn == 0 else max(found, key=lambda n: found[n])
            groups[near].append(s)
        weights = weights | {name: solve(group, name) for name, group in groups.items()}
        error = sum(e * e for e in errors(weights, samples))
        if error < best_error:
            best, best_error = weights, error
    return best


def errors(weights: Weights, samples: Sequence[Sample]) -> list[float]:
    """By how many LUTs each sample's fitted length is off."""
    return [abs(max(lengths(weights, s).values(), default=0.0) - s.length) for s in samples]


def held_out(samples: Sequence[Sample]) -> list[float]:
    """The same for samples that were not in the fit."""
    found: list[float] = []
    for k in range(FOLDS):
        test, rest = samples[k::FOLDS], [s for n, s in enumerate(samples) if n % FOLDS != k]
        found += errors(fit(rest or samples), test) if test else []
    return found


def main() -> None:
    """Fit every target that was swept."""
    fitted: dict[str, dict[str, object]] = {}
    for target in LUT_INPUTS:
        if not (DATA / f"{target}.csv").is_file():
            continue
        modules = read(target)
        off = {name: held_out(samples) for name, samples in modules.items()}
        least = float(np.median([e for found in off.values() for e in found]))
        fitted[target] = {}
        for name, samples in modules.items():
            spread = round(max(least, float(np.quantile(off[name], 0.9))), 2)
            worst = round(max(off[name]), 2)
            fitted[target][name] = {"stages": fit(samples), "spread": spread, "worst": worst, "samples": len(samples)}
            print(f"{target} {name}: nine in ten {spread}, worst {worst} of {len(samples)}")
    PATHS.write_text(json.dumps(fitted, indent=1, sort_keys=True) + "\n")
    fits.cache_clear()
    PAGE.write_text(PAGE.read_text().split(TABLES)[0] + TABLES + "\n" + markdown())


if __name__ == "__main__":
    main()
