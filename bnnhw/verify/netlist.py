"""The netlist that Yosys maps a generated folder to, and the models with which it is simulated."""

from __future__ import annotations

from pathlib import Path

from bnnhw.emit.resources import resource_folder
from bnnhw.emit.verilog import naming
from bnnhw.ir.integer import Network
from bnnhw.tools import yosys


def write_netlist(net: Network, folder: Path, into: Path, target: str) -> Path:
    """Synthesise the Verilog in `folder` for the family `target`; the folder that holds the netlist as `rtl/<top>.v`.

    Errors: ToolError.
    """
    files = {str(p.relative_to(folder)): p.read_text() for part in ("rtl/*.v", "mem/*.mem") for p in sorted(folder.glob(part))}
    top = naming(net).module
    text = yosys.netlist(files, top, yosys.target_of(target), into / "work")
    (into / "rtl").mkdir(parents=True)
    (into / "rtl" / f"{top}.v").write_text(text)
    return into


def cell_models(target: str) -> list[Path]:
    """Yosys' models of the family's cells, and ours of those that it has none of."""
    own = resource_folder("sim") / "cells" / f"{target}.v"
    return [yosys.models(yosys.target_of(target)), *([own] if own.is_file() else [])]
