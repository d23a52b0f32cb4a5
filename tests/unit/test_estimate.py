"""Estimates: the rules of memories and DSPs, the stored fit and its stated errors, reports of other tools, bad input."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import bnnhw
from bnnhw.cli import app
from bnnhw.estimate.features import MODULES
from bnnhw.estimate.memories import Kind, memory
from bnnhw.estimate.resources import cost, estimate, model, models, sums
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.pipeline import pipeline
from bnnhw.report.vivado import read_utilisation
from bnnhw.schedule import fold_for_interval
from bnnhw.tools.targets import TARGETS, Cells
from support.practical import practical_network

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))

import fit  # noqa: E402

REPORT = """
| Site Type                  | Used | Fixed | Prohibited | Available | Util% |
| Slice LUTs*                | 1234 |     0 |          0 |     20800 |  5.93 |
| Slice Registers            | 2001 |     0 |          0 |     41600 |  4.81 |
| Block RAM Tile |  4.5 |     0 |          0 |        50 |  9.00 |
| DSPs      |    3 |     0 |          0 |        90 |  3.33 |
"""


def test_memories_become_what_yosys_made_of_them() -> None:
    with (ROOT / "bnnhw" / "estimate" / "data" / "memories.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert {row["target"] for row in rows} == set(TARGETS)
    wrong = []
    for row in rows:
        found = memory(row["target"], int(row["width"]), int(row["words"]), Kind(row["kind"]))
        if (found.block_rams, found.luts) != (float(row["block_rams"]), int(row["luts"])):
            wrong.append((row, found))
    assert not wrong


@pytest.mark.parametrize("target", TARGETS)
def test_stated_errors_are_those_of_the_stored_designs(target: str) -> None:
    found = fit.measured(target)
    assert len({c.name for c in found}) == len(found) == 36
    for kind in fit.FITTED:
        errors = fit.judged(found, dict(model(target).whole), kind)
        most, worst = model(target).errors[kind]
        assert worst == round(abs(errors[-1]), 3)
        assert sum(abs(e) <= most + 0.0005 for e in errors) >= 0.9 * len(errors)


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_but_wires_is_free(target: str) -> None:
    seen = set()
    for seed in range(12):
        net = practical_network(seed)
        for i in pipeline(net, fold_for_interval(net, 60_000_000, 100.0)).instances:
            found = cost(i, target)
            assert (found.luts > 0 and found.flip_flops > 0) or i.module in ("bnn_planes", "bnn_pad", "bnn_turns", "bnn_fork", "bnn_last"), i
            assert found.luts > 0 or i.module in ("bnn_planes", "bnn_pad")
            seen.add(i.module)
    assert len(seen & set(MODULES)) > 8


def test_parts_add_up_to_the_whole() -> None:
    net = practical_network(3)
    chain = pipeline(net, fold_for_interval(net, 1_000_000, 100.0))
    found = estimate(chain, "xc7")
    assert found.whole.luts == round(sums(chain, "xc7").luts * models()["xc7"].whole["luts"])
    assert found.whole.block_rams == sum(p.cells.block_rams for p in found.parts)
    assert [p.name for p in found.parts] == [i.name for i in chain.instances]
    assert next(iter(found.layers())) == "ports"
    assert found.as_dict()["whole"]["luts"] == found.whole.luts


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(BnnhwError, match="target 'xc8' is not known; give one of xc7, "):
        bnnhw.estimate("digits_mlp", "xc8")


def test_a_report_of_vivado_is_read(tmp_path: Path) -> None:
    file = tmp_path / "u.rpt"
    file.write_text(REPORT)
    assert read_utilisation(file) == Cells(1234, 2001, 0, 4.5, 3)
    file.write_text(REPORT.replace("Slice", "CLB").replace("LUTs*", "LUTs "))
    assert read_utilisation(file).luts == 1234
    for bad in ("timing summary", REPORT.replace("1234", "1.2.3"), REPORT.replace("1234", "."), REPORT.replace("1234", "9" * 400)):
        file.write_text(bad)
        with pytest.raises(BnnhwError, match="has no row 'Slice LUTs' or 'CLB LUTs' with a number; give the text of Vivado's report_utilization"):
            read_utilisation(file)
    with pytest.raises(BnnhwError, match="cannot be read"):
        read_utilisation(tmp_path / "none.rpt")


def test_the_command_compares_with_a_report_of_vivado(tmp_path: Path) -> None:
    file = tmp_path / "u.rpt"
    file.write_text(REPORT)
    arguments = ["estimate", "digits_mlp", "--fully-folded", "--against", str(file)]
    shown = CliRunner().invoke(app, arguments).output
    assert "1,234" in shown and "delays of Artix-7, -1, unplaced" in shown
    found = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)
    assert found["against"] == {"luts": 1234, "flip_flops": 2001, "block_rams": 4.5, "dsps": 3}
    assert all(found["against"].keys() == cells.keys() - {"name", "module"} for cells in (found["whole"], *found["layers"], *found["modules"]))
    refused = CliRunner().invoke(app, [*arguments, "--target", "ecp5"]).exception
    assert str(refused) == "report: Vivado's are of xc7 and xcup, not of ecp5; remove --against, or give such a --target"
