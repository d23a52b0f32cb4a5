"""The netlist that Yosys maps a generated folder to, and the models with which it is simulated."""

from __future__ import annotations

from pathlib import Path

from bnnhw.emit.resources import resource_folder
from bnnhw.emit.verilog import naming, read_verilog
from bnnhw.ir.integer import Network
from bnnhw.tools import yosys

TARGETS = ("ice40",)
"""Families whose netlists were seen to equal golden; for the others block RAMs and multipliers lack models."""


def write_netlist(net: Network, folder: Path, into: Path, target: str) -> Path:
    """Synthesise the Verilog in `folder` for the family `target`; the folder that holds the netlist as `rtl/<top>.v`.

    Errors: ToolError.
    """
    top = naming(net).module
    text = yosys.netlist(read_verilog(folder), top, yosys.target_of(target), into / "work")
    (into / "rtl").mkdir(parents=True)
    (into / "rtl" / f"{top}.v").write_text(text)
    return into


def cell_models(target: str) -> list[Path]:
    """Yosys' models of the family's cells, and ours of those that it has none of."""
    own = resource_folder("sim") / "cells" / f"{target}.v"
    return [yosys.models(yosys.target_of(target)), *([own] if own.is_file() else [])]
