"""The netlist rung: what Yosys maps a design to, simulated with its cells' models, equals golden."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import bnnhw
from bnnhw.tools import yosys
from bnnhw.tools.verilator import ToolError
from bnnhw.verify import netlist

FAMILIES = ("ecp5", *(pytest.param(name, marks=pytest.mark.slow) for name in ("xc7", "xcup", "gowin")))
"""Besides ice40."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small generated design."""
    path = tmp_path_factory.mktemp("netlist") / "d"
    bnnhw.generate("digits_mlp", path, fps=20_000)
    return path


def test_the_netlist_equals_golden_under_stalls_and_changed_weights_are_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = bnnhw.verify(folder, frames=3, level="netlist", target="ice40", stalls="random")
    assert [r.name for r in report.rungs] == ["framework", "rtl", "netlist"]
    assert report.passed, report
    whole = yosys.netlist

    def changed(*given: object) -> str:
        text = whole(*given)  # type: ignore[arg-type]
        at = re.search(r"\.INIT_0\(256'h([0-9a-f]{64})\)", text)
        assert at is not None
        return f"{text[: at.start(1)]}{int(at[1], 16) ^ ((1 << 256) - 1):064x}{text[at.end(1) :]}"

    monkeypatch.setattr(netlist.yosys, "netlist", changed)
    report = bnnhw.verify(folder, frames=3, level="netlist", target="ice40")
    rung = report.rungs[-1]
    assert report.rungs[1].passed and not rung.passed
    assert str(rung.difference).startswith("netlist: layer 'fc3', frame ")


@pytest.mark.parametrize("target", FAMILIES)
def test_the_netlist_of_any_family_equals_golden_under_stalls(folder: Path, target: str) -> None:
    report = bnnhw.verify(folder, frames=3, level="netlist", target=target, stalls="random")
    assert [r.name for r in report.rungs] == ["framework", "rtl", "netlist"]
    assert report.passed, report


@pytest.mark.parametrize("target", ["xc7", pytest.param("xcup", marks=pytest.mark.slow)])
def test_the_netlist_of_primitives_equals_golden_under_stalls(target: str, tmp_path: Path) -> None:
    """Folded layers and an unrolled convolution."""
    products: dict[str, dict[str, object]] = {
        "conv1": {"implementation": "unrolled"},
        "conv2": {"pe": 1, "simd": 48},
        "fc1": {"simd": 16},
        "fc2": {"simd": 8},
    }
    design = {"bnnhw_design": 1, "network": "digits_cnn", "logic": "carry", "layers": products}
    (tmp_path / "design.yaml").write_text(yaml.safe_dump(design))
    bnnhw.generate("digits_cnn", tmp_path / "d", design=tmp_path / "design.yaml")
    report = bnnhw.verify(tmp_path / "d", frames=2, level="netlist", target=target, stalls="random")
    assert report.passed, report


def test_an_unknown_target_is_refused_before_any_work(folder: Path) -> None:
    with pytest.raises(bnnhw.BnnhwError, match=r"^verify: target 'spartan' is not known; give one of xc7, xcup, ecp5, ice40, gowin$"):
        bnnhw.verify(folder, level="netlist", target="spartan")


def test_a_yosys_that_maps_the_family_wrongly_is_refused_before_any_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yosys, "version", lambda: "Yosys 0.62 (git sha1 0123abc)")
    with pytest.raises(ToolError, match=r"maps some of target gowin wrongly before 0.64; pip install 'bnnhw\[synth\]'$"):
        bnnhw.verify(folder, level="netlist", target="gowin", progress=lambda *_: pytest.fail("worked"))
