"""What Vivado says of a design: its reports of utilisation, timing and power."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bnnhw.ir.errors import BnnhwError
from bnnhw.schedule import XILINX
from bnnhw.tools.targets import Cells

ROWS = {
    "luts": ("Slice LUTs", "CLB LUTs"),
    "flip_flops": ("Slice Registers", "CLB Registers"),
    "block_rams": ("Block RAM Tile",),
    "dsps": ("DSPs",),
}
"""What may stand in the first column of the report's tables, by kind of cell; the second column counts."""


def check_family(target: str) -> None:
    """Refuse to compare with what Vivado does not make: BnnhwError."""
    if target not in XILINX:
        raise BnnhwError(f"report: Vivado's are of {' and '.join(XILINX)}, not of {target}; remove --against, or give such a --target")


@dataclass(frozen=True)
class Timed:
    """What a timing summary says of the design; None where there are no constraints."""

    period_ns: float | None
    """Of the clock, where there is one only."""
    slack_ns: float | None
    met: bool | None

    @property
    def fmax_mhz(self) -> float | None:
        """Clock at which the worst path would just do."""
        if self.period_ns is None or self.slack_ns is None or self.slack_ns >= self.period_ns:
            return None
        return 1000 / (self.period_ns - self.slack_ns)


@dataclass(frozen=True)
class Watts:
    """What a power report says."""

    total: float
    dynamic: float
    static: float
    confidence: str


@dataclass(frozen=True)
class Hierarchy:
    """Cells of the top, by its name, and of the instances in it, by theirs: the first of a name that is on several levels."""

    name: str
    top: Cells
    instances: dict[str, Cells]


def read_report(path: Path) -> str:
    """Text of a report. Errors: BnnhwError."""
    try:
        return path.read_text(errors="replace")
    except OSError as e:
        raise BnnhwError(f"report {str(path)[:200]!r}: cannot be read ({e.strerror}); give a file that Vivado or Vitis HLS wrote") from None


def refused(path: Path, lacks: str, wanted: str) -> BnnhwError:
    """What says that a report is of another format."""
    return BnnhwError(f"report {str(path)[:200]!r}: has no {lacks}; give the text of {wanted}")


def read_timing(path: Path) -> Timed:
    """A report of `report_timing_summary`. Errors: BnnhwError for a file of another format."""
    text = read_report(path)
    at = text.find("| Design Timing Summary")
    row = re.search(r"^ *-[- ]+\n *(\S+(?: +\S+){3,})\s*$", text[at:], re.MULTILINE) if at >= 0 else None
    if row is None or not re.search(r"WNS\(ns\)", text[at:]):
        raise refused(path, "Design Timing Summary with a WNS", "Vivado's report_timing_summary")
    slack = row[1].split()[0]
    clocks = re.search(r"\| Clock Summary\n(.*?)(?=\n-+\n\| )", text[at:], re.DOTALL)
    periods = [float(m[1]) for m in re.finditer(r"\{[^}]*\} +(\d+\.\d+) ", clocks[1])] if clocks else []
    if not _number(slack) or not periods:
        return Timed(None, None, None)
    return Timed(periods[0] if len(periods) == 1 else None, float(slack), "All user specified timing constraints are met." in text)


def read_power(path: Path) -> Watts:
    """A report of `report_power`. Errors: BnnhwError for a file of another format."""
    text = read_report(path)
    found: list[float] = []
    for name in ("Total On-Chip Power (W)", "Dynamic (W)", "Device Static (W)"):
        row = re.search(rf"^\| *{re.escape(name)} *\| *<?(\d+(?:\.\d+)?)[^|]*\|", text, re.MULTILINE)
        if row is None:
            raise refused(path, f"row {name!r} with a number", "Vivado's report_power")
        found.append(float(row[1]))
    level = re.search(r"^\| *Confidence Level *\| *(\w+)", text, re.MULTILINE)
    return Watts(found[0], found[1], found[2], level[1] if level else "unknown")


def read_hierarchy(path: Path) -> Hierarchy:
    """A report of `report_utilization -hierarchical`. Errors: BnnhwError for a file of another format."""
    text = read_report(path)
    rows = [[cell for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|") and line.count("|") > 6]
    head = next((n for n, row in enumerate(rows) if row[0].strip() == "Instance"), None)
    if head is None:
        raise refused(path, "table of instances", "Vivado's report_utilization -hierarchical")
    columns = {name.strip(): n for n, name in enumerate(rows[head])}
    found = []
    for row in rows[head + 1 :]:
        cells = {name: int(m[0]) for name, n in columns.items() if n < len(row) and (m := re.match(r"\d+", row[n].strip()))}
        try:
            dsps = cells.get("DSP Blocks", cells.get("DSP48 Blocks", 0))
            found.append((row[0], Cells(cells["Total LUTs"], cells["FFs"], 0, cells["RAMB36"] + cells["RAMB18"] / 2, dsps)))
        except KeyError as e:
            raise refused(path, f"number of {e.args[0]} of instance {row[0].strip()[:60]!r}", "Vivado's report_utilization -hierarchical") from None
    if not found:
        raise refused(path, "instance", "Vivado's report_utilization -hierarchical")
    below: dict[str, Cells] = {}
    for name, each in found[1:]:
        if not name.strip().startswith("("):  # which stands for the cells of an instance itself
            below.setdefault(name.strip(), each)
    return Hierarchy(found[0][0].strip(), found[0][1], below)


def _number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None


def read_utilisation(path: Path) -> Cells:
    """Cells in a report of `report_utilization`. Errors: BnnhwError for a file of another format."""
    text = read_report(path)
    found: dict[str, float] = {}
    for kind, names in ROWS.items():
        row = re.search(rf"^\|\s*(?:{'|'.join(names)})\*?\s*\|\s*(\d{{1,12}}(?:\.\d+)?)\s*\|", text, re.MULTILINE)
        if row is None:
            raise refused(path, f"row {' or '.join(map(repr, names))} with a number", "Vivado's report_utilization")
        found[kind] = float(row[1])
    return Cells(int(found["luts"]), int(found["flip_flops"]), 0, found["block_rams"], int(found["dsps"]))
