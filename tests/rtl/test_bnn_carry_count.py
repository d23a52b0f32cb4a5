"""bnn_carry_count against its model: every corner in one build, on both simulators."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.runner import SIMULATORS, run_bench


@pytest.mark.parametrize("sim", SIMULATORS)
def test_bnn_carry_count(sim: str, tmp_path: Path) -> None:
    run_bench("carry_count", sim, tmp_path)
