"""A network at the serial line of a board: simulated through its pins; constraints, script, and what cannot be."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_lint import icarus_lint, verilator_lint, yosys_lint

import bnnhw
from bnnhw.verify.frames import random_frames
from sim.runner import SIMULATORS, simulate, simulator_environment

RECORDER = Path(__file__).parents[1] / "support" / "recorder.tcl"


@pytest.mark.parametrize(("fps", "sim"), [(1000, sim) for sim in SIMULATORS] + [(6_000_000, "verilator")])
def test_frames_at_a_serial_line(fps: int, sim: str, tmp_path: Path) -> None:
    environment = simulator_environment(sim)
    made = bnnhw.generate("digits_mlp", tmp_path / "d", board="arty_a7_100", fps=fps)
    np.save(tmp_path / "frames.npy", random_frames(made.network.port, 2, seed=3))
    case = {"folder": str(made.folder), "frames": str(tmp_path / "frames.npy"), "clocks": 100, "patience": 20 * made.pipeline.interval + 5000}
    sources = [*sorted((made.folder / "rtl").glob("*.v")), *sorted((made.folder / "board").glob("*.v"))]
    only = "frames_by_wire/percent=0" if sim == "icarus" else None
    told = {"HOST_CASE": json.dumps(case)}
    simulate("sim.bench_uart", sources, "digits_mlp_uart", sim, folder=tmp_path, run_in=made.folder, environment=environment, told=told, only=only)


@pytest.mark.parametrize("board", ["arty_a7_100", "arty_a7_35"])
def test_the_top_is_clean_and_its_pins_are_constrained(board: str, tmp_path: Path) -> None:
    folder = bnnhw.generate("digits_mlp", tmp_path / "d", board=board, fps=1000).folder
    sources = [*sorted((folder / "rtl").glob("*.v")), *sorted((folder / "board").glob("*.v"))]
    verilator_lint(sources, "digits_mlp_uart")
    icarus_lint(sources, "digits_mlp_uart")
    yosys_lint(sources, "digits_mlp_uart", folder)
    top, constraints = (folder / "board" / "digits_mlp_uart.v").read_text(), (folder / "board" / "board.xdc").read_text()
    declared = re.findall(r"^    (?:in|out)put wire (?:\[(\d+):0\] )?(\w+),?$", top, re.MULTILINE)
    pins = {name if not msb else f"{name}[{n}]" for msb, name in declared for n in range(int(msb or 0) + 1)}
    placed = re.findall(r"^set_property -dict \{PACKAGE_PIN (\w+) IOSTANDARD LVCMOS33\} \[get_ports \{?([^]}]+\]?)\}?\]$", constraints, re.MULTILINE)
    assert {name for _, name in placed} == pins and len({pin for pin, _ in placed}) == len(pins)
    done = subprocess.run(
        ["tclsh", RECORDER, "vivado_board.tcl", "xc7a100tcsg324-1", "xc7a35ticsg324-1L"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert (
        lines[:3] == [f"read_verilog {len(sources)}", "read_xdc board.xdc", "synth_design digits_mlp_uart"]
        and lines[-1] == "write_bitstream system.bit"
    )


def test_what_a_serial_line_cannot_is_refused(tmp_path: Path) -> None:
    for given, message in (
        (
            {"clock_mhz": 50.0},
            r"^board 'Digilent Arty A7-100T': its oscillator gives 100 MHz, the design has 50; leave --clock out, or have clock_mhz: 100 in the design file$",
        ),
        ({"writable": ("all",)}, r"its serial line has no way to registers, but layers are writable; generate it without --writable$"),
    ):
        with pytest.raises(bnnhw.BnnhwError, match=message):
            bnnhw.generate("digits_mlp", tmp_path / "out", board="arty_a7_100", fps=1000, **given)  # type: ignore[arg-type]
        assert not (tmp_path / "out").exists()
    text = (Path(__file__).parents[2] / "boards" / "arty_a7_100" / "board.yaml").read_text()
    for own, message in (
        (text.replace("clock_mhz: 100", "clock_mhz: 5.5"), r"a clock of 5.5 MHz gives no 1000000 baud within 2%; give the board another clock_mhz$"),
        (text, r"there is no .*board.xdc' with the pins of its serial line; write it, or remove system: uart$"),
        (text.replace("Arty", "Ar\\nty"), r"title: .*; see boards/arty_a7_35/board.yaml$"),
        (text + 'board_parts: ["x{y"]\n', r"board_parts"),
    ):
        (tmp_path / "own.yaml").write_text(own)
        with pytest.raises(bnnhw.BnnhwError, match=message):
            bnnhw.generate("digits_mlp", tmp_path / "out", board=str(tmp_path / "own.yaml"), fps=1)
