"""Scripts for the vendor's tools, run in tclsh against a recorder that knows their commands; the test bench, compiled."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import bnnhw
from bnnhw.emit.scripts import CARRIES
from bnnhw.tools import cpp
from bnnhw.tools.targets import TARGETS

RECORDER = Path(__file__).parents[1] / "support" / "recorder.tcl"
STEPS = ["csim_design", "csynth_design", "cosim_design", "export_design"]
needs_tclsh = pytest.mark.skipif(shutil.which("tclsh") is None and os.environ.get("CI") != "true", reason="no tclsh")


def recorded(folder: Path, script: str, *parts: str) -> subprocess.CompletedProcess[str]:
    """What a script of a generated folder calls, started as its head says."""
    return subprocess.run(["tclsh", RECORDER, script, *parts], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bnnhw.generate("digits_cnn", tmp_path_factory.mktemp("made") / "both", backend="both", board="pynq_z1", fps=1000).folder


@needs_tclsh
def test_vitis_hls_is_told_all_steps(both: Path) -> None:
    done = recorded(both, "hls/vitis_hls.tcl", "xc7z020clg400-1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "open_project vitis_digits_cnn", "set_top digits_cnn", "add_files digits_cnn.cpp", "add_files digits_cnn_testbench.cpp", "open_solution solution",
        "set_part xc7z020clg400-1", "create_clock", *STEPS,
    ]  # fmt: skip


@needs_tclsh
def test_vivado_is_told_all_steps(both: Path) -> None:
    done = recorded(both, "vivado.tcl", "xc7z020clg400-1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"read_verilog {len(list((both / 'rtl').glob('*.v')))}"
    assert lines[1:] == [
        "synth_design digits_cnn", "create_clock aclk", "opt_design", "place_design", "route_design", "report_utilization", "report_utilization",
        "report_timing_summary", "report_power", "write_checkpoint vivado/routed.dcp",
    ]  # fmt: skip
    shutil.rmtree(both / "vivado")


@needs_tclsh
def test_the_recorder_sees_what_is_wrong(both: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(both, folder)
    for script, before, after, said in (
        ("vivado.tcl", "place_design", "place_desing", "unknown command place_desing"),
        ("vivado.tcl", "-mode", "-modus", "synth_design has no option -modus"),
        ("vivado.tcl", "$clock_ns", "$clock", 'can\'t read "clock": no such variable'),
        ("hls/vitis_hls.tcl", "digits_cnn_testbench.cpp", "testbench.cpp", "no file"),
        ("hls/vitis_hls.tcl", "set part xc7z020", "set part xc7z010", "part xc7z010clg400-1 is not the board's"),
    ):
        text = (folder / script).read_text()
        (folder / script).write_text(text.replace(before, after))
        done = recorded(folder, script, "xc7z020clg400-1")
        assert done.returncode == 1 and said in done.stderr, done
        (folder / script).write_text(text)


def test_carry_designs_define_their_macro(tmp_path: Path) -> None:
    folder = bnnhw.generate("digits_mlp", tmp_path / "carry", fps=20_000, target="xcup", primitives=True).folder
    text = (folder / "vivado.tcl").read_text()
    assert "-mode out_of_context -verilog_define BNNHW_CARRY=8\n" in text and "set part xczu3eg-sbva484-1-i" in text
    assert not list(folder.glob("hls/*"))
    assert {name: f"BNNHW_CARRY={bits}" for name, bits in CARRIES.items()} == {name: t.primitives for name, t in TARGETS.items() if t.primitives}


def test_other_families_have_no_vendor(tmp_path: Path) -> None:
    folder = bnnhw.generate("digits_mlp", tmp_path / "ice", board="icebreaker").folder
    assert not (folder / "vivado.tcl").exists()
    with pytest.raises(
        bnnhw.BnnhwError, match=r"^generate: backend 'both' is for xc7 and xcup, of which Vitis knows FPGAs, not for ice40; give verilog$"
    ):
        bnnhw.generate("digits_mlp", tmp_path / "b", board="icebreaker", backend="both")
    assert not (tmp_path / "b").exists()


def test_the_test_bench_passes_and_fails(both: Path, tmp_path: Path) -> None:
    source = both / "hls" / "digits_cnn_testbench.cpp"
    top = both / "hls" / "digits_cnn.cpp"
    program = cpp.build([source, top], [both / "hls"], tmp_path / "good" / "bench", optimise=1)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "4 of 4 frames are equal\n")
    text = source.read_text()
    *_, last = re.finditer("0x[0-9a-f]+", text)
    source_wrong = tmp_path / "wrong.cpp"
    source_wrong.write_text(f"{text[: last.start()]}{int(last.group(), 16) ^ 1:#x}{text[last.end() :]}")
    program = cpp.build([source_wrong, top], [both / "hls"], tmp_path / "bad" / "bench", optimise=1)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "frame 3 differs\n3 of 4 frames are equal\n")
