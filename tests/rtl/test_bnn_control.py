"""bnn_control against its model: every corner in one build, on both simulators."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.runner import SIMULATORS, run_bench


@pytest.mark.parametrize("sim", SIMULATORS)
def test_bnn_control(sim: str, tmp_path: Path) -> None:
    run_bench("control", sim, tmp_path)
