"""The netlist that Yosys maps a generated folder to, and the models with which it is simulated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bnnhw.emit.resources import resource_folder
from bnnhw.emit.verilog import naming, read_verilog
from bnnhw.ir.integer import Network
from bnnhw.tools import yosys


@dataclass(frozen=True)
class Models:
    """What simulates a family's cells."""

    files: tuple[Path, ...]
    arguments: tuple[str, ...]
    """Of Verilator."""


def write_netlist(net: Network, folder: Path, into: Path, target: str) -> Path:
    """Synthesise the Verilog in `folder` for the family `target`; the folder that holds the netlist as `rtl/<top>.v`.

    Errors: ToolError.
    """
    top = naming(net).module
    text = yosys.netlist(read_verilog(folder), top, yosys.target_of(target), into / "work")
    (into / "rtl").mkdir(parents=True)
    (into / "rtl" / f"{top}.v").write_text(text)
    return into


def cell_models(target: str) -> Models:
    """Our models of the family's block RAMs and multipliers, of which Yosys has shells or none, and behind them Yosys' own of all cells.

    Of two models of a cell Verilator keeps the first. Errors: ToolError.
    """
    family, own = yosys.target_of(target), resource_folder("sim") / "cells" / f"{target}.v"
    theirs = yosys.models(family)
    return Models((*([own] if own.is_file() else []), theirs), (*family.simulated_with, f"-I{theirs.parent}"))
