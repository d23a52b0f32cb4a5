"""Estimates beside what the vendor's tools say: every report that lies in a generated folder, or is given, told by its contents."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bnnhw.emit.scripts import BLOCK_DESIGN, CELL, UART_CELL, uart_top
from bnnhw.emit.verilog import Naming
from bnnhw.estimate.parts import PORTS
from bnnhw.estimate.resources import Estimate
from bnnhw.estimate.timing import Timing
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.instances import Pipeline
from bnnhw.ir.integer import PORT
from bnnhw.report.vitis import Synthesised, read_csynth
from bnnhw.report.vivado import Hierarchy, Timed, Watts, read_hierarchy, read_power, read_report, read_timing, read_utilisation
from bnnhw.tools.targets import Cells

PLACES = ("vivado/*.rpt", "bitstream/*.rpt", "vitis_*/*/syn/report/csynth.xml")
"""Where the generated scripts let reports be written."""
READERS: tuple[tuple[str, str, Callable[[Path], Any]], ...] = (
    ("hierarchy", "Utilization by Hierarchy", read_hierarchy),
    ("utilisation", "Utilization Design Information", read_utilisation),
    ("timing", "Timing Summary Report", read_timing),
    ("power", "Power Report", read_power),
    ("csynth", "PerformanceEstimates", read_csynth),
    ("csynth", "HLS Report for", read_csynth),
)
"""Kind of report, what it holds, and who reads it; the first that fits."""


@dataclass(frozen=True)
class Compared:
    """A design's estimates and the vendor's results; None where there is no report."""

    estimate: Estimate
    timing: Timing
    interval_cycles: int
    latency_cycles: int | None
    cells: Cells | None
    layers: dict[str, Cells]
    """Of the vendor, by layer, where there is a report by hierarchy that has their modules."""
    timed: Timed | None
    watts: Watts | None
    csynth: Synthesised | None
    files: dict[str, str]
    """Kind of report by file."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a script."""
        vendor = {
            "cells": None if self.cells is None else self.cells.without_carries(),
            "layers": {name: cells.without_carries() for name, cells in self.layers.items()},
            "timing": None if self.timed is None else {**asdict(self.timed), "fmax_mhz": self.timed.fmax_mhz},
            "power": None if self.watts is None else asdict(self.watts),
            "csynth": None if self.csynth is None else {**asdict(self.csynth), "cells": self.csynth.cells.without_carries()},
        }
        own = {
            **self.estimate.as_dict(),
            "timing": self.timing.as_dict(),
            "interval_cycles": self.interval_cycles,
            "latency_cycles": self.latency_cycles,
        }
        return {"estimate": own, "vendor": vendor, "files": self.files}


def reports_of(folder: Path, given: Sequence[Path]) -> dict[str, tuple[str, Any]]:
    """By file, the kind of each report and what it says: those given, or those in a folder. Errors: BnnhwError."""
    files = list(given) or sorted(path for place in PLACES for path in folder.glob(place))
    if not files:
        raise BnnhwError(f"report: {str(folder)!r} holds no report of Vivado or Vitis HLS; run vivado.tcl in it, or give the files")
    return {str(path): _read(path) for path in files}


def _read(path: Path) -> tuple[str, Any]:
    text = read_report(path)
    for kind, holds, reader in READERS:
        if holds in text:
            named = re.search(r"^\| *Design *: *(\S+)", text, re.MULTILINE)
            return kind, (named[1] if named else None, reader(path))
    raise BnnhwError(f"report {str(path)[:200]!r}: is none of utilisation, timing, power or C synthesis; give one of those")


def compared(chain: Pipeline, names: Naming, found: Estimate, timed: Timing, latency: int | None, reports: dict[str, tuple[str, Any]]) -> Compared:
    """The estimates of a design beside its reports; a later report of a kind goes before an earlier one."""
    last: dict[str, Any] = {}
    for path, (kind, (design, told)) in reports.items():
        of = told.top if kind == "csynth" else design
        if of is not None and of not in (names.module, *_systems(names)):
            raise BnnhwError(f"report {path[:200]!r}: is of design {of[:60]!r}, the folder's is {names.module!r}; give its own reports")
        if kind != "utilisation" or of not in _systems(names):  # of a system all of it is counted
            last[kind] = told
    hierarchy: Hierarchy | None = last.get("hierarchy")
    cells = last.get("utilisation") or (_network(names, hierarchy) if hierarchy else None)
    layers = {} if hierarchy is None else _layers(chain, names, hierarchy)
    kinds = {path: kind for path, (kind, _) in reports.items()}
    return Compared(found, timed, chain.interval, latency, cells, layers, last.get("timing"), last.get("power"), last.get("csynth"), kinds)


def _systems(names: Naming) -> tuple[str, str]:
    """Tops of what a network is built into: a block design, and a serial line's."""
    return BLOCK_DESIGN, uart_top(names)


def _network(names: Naming, hierarchy: Hierarchy) -> Cells | None:
    """Cells of the network alone: of the top, or of its instance in a system."""
    if hierarchy.name == names.module:
        return hierarchy.top
    return hierarchy.instances.get(CELL) or hierarchy.instances.get(UART_CELL)


def _layers(chain: Pipeline, names: Naming, hierarchy: Hierarchy) -> dict[str, Cells]:
    """Sums by layer of the instances that are there: flattening removes some."""
    found: dict[str, Cells] = {}
    for i in chain.parts:
        cells = hierarchy.instances.get(f"u_{names.of(i)}")
        if cells is not None:
            name = PORTS if i.layer == PORT else i.layer
            found[name] = found.get(name, Cells()) + cells
    return found
