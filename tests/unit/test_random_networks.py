"""Golden equals a direct evaluation of the trained network, on thousands of random networks."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.golden import run
from bnnhw.ir.heads import Sums
from bnnhw.ir.layers import MatVec
from bnnhw.ir.topology import MeanStd
from bnnhw.lower import lower
from support.random_nets import evaluate, random_case

IN_DOUBT = 1e-9
"""A real sum this near to a threshold may fall either way in float64."""
CHUNK = 250


def check(seed: int) -> str:
    """Compare one network; what was compared."""
    case = random_case(seed)
    net = lower(case.trained).network
    want, closest = evaluate(case)
    got = run(net, case.frames).outputs
    assert got.shape == want.shape
    if closest < IN_DOUBT:
        return "in doubt"
    last = net.layers[-1]
    if not isinstance(last, MatVec) or not isinstance(last.head, Sums):
        assert (got == want).all(), f"seed {seed}"
        return "bits"
    if last.head.fraction_bits:
        # A scale for each class: fixed point, so the values are equal to its stated precision only.
        span = max(1.0, float(np.abs(want).max()))
        unit = float(np.abs(got).max() / max(np.abs(want).max(), 1e-30))
        assert np.abs(got / max(unit, 1e-30) - want).max() <= span * 2**-6, f"seed {seed}"
        return "fixed point"
    preprocess = case.trained.topology.input.preprocess
    unit = 1.0
    if len(net.layers) == 1:  # sums are in units of the pixels' integers
        unit = 255 * preprocess.std if isinstance(preprocess, MeanStd) else {"x/255": 255.0, "2x-1": 255.0}.get(str(preprocess), 1.0)
    assert (got == np.rint(want * unit)).all(), f"seed {seed}"
    return "sums"


@pytest.mark.parametrize("start", range(0, 2000, CHUNK))
def test_golden_equals_direct_evaluation(start: int) -> None:
    kinds = [check(seed) for seed in range(start, start + CHUNK)]
    assert kinds.count("bits") > CHUNK // 4 and kinds.count("sums") > CHUNK // 8, "the sample lost its variety"
    assert kinds.count("in doubt") < CHUNK // 20


@pytest.mark.slow
@pytest.mark.parametrize("start", range(2000, 50_000, 2000))
def test_golden_equals_direct_evaluation_on_many(start: int) -> None:
    for seed in range(start, start + 2000):
        check(seed)
