"""What Vitis HLS, or Vivado HLS, says of a design: its report of C synthesis, as XML or as text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as Xml

from bnnhw.report.vivado import read_report, refused
from bnnhw.tools.targets import Cells

CLOCK = "PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod"
WANTED = "Vitis HLS' csynth.xml or <top>_csynth.rpt"


@dataclass(frozen=True)
class Synthesised:
    """Estimates of C synthesis; None where the tool does not know. Block RAMs are of 36 Kbit."""

    top: str
    target_ns: float
    estimated_ns: float
    latency: tuple[int | None, int | None]
    """Least and most cycles."""
    interval: tuple[int | None, int | None]
    """Least and most cycles."""
    cells: Cells


def read_csynth(path: Path) -> Synthesised:
    """A report of C synthesis. Errors: BnnhwError for a file of another format."""
    text = read_report(path)
    return _xml(path, text) if text.lstrip().startswith("<") else _text(path, text)


def _xml(path: Path, text: str) -> Synthesised:
    try:
        root = Xml.fromstring(text)
    except Xml.ParseError:
        raise refused(path, "well-formed XML", WANTED) from None

    def told(place: str) -> str:
        found = root.findtext(place)
        if root.tag != "profile" or found is None:
            raise refused(path, place.rsplit("/", maxsplit=1)[-1], WANTED)
        return found.strip()

    overall = "PerformanceEstimates/SummaryOfOverallLatency/"
    latency = _cycles(told(f"{overall}Best-caseLatency")), _cycles(told(f"{overall}Worst-caseLatency"))
    interval = _cycles(told(f"{overall}Interval-min")), _cycles(told(f"{overall}Interval-max"))
    resources = "AreaEstimates/Resources"
    dsps = root.findtext(f"{resources}/DSP") or told(f"{resources}/DSP48E")
    counts = [told(f"{resources}/{kind}") for kind in ("LUT", "FF", "BRAM_18K")]
    try:
        luts, flip_flops, halves, used = (int(count) for count in (*counts, dsps))
        target, estimated = float(told("UserAssignments/TargetClockPeriod")), float(told(CLOCK))
    except ValueError:
        raise refused(path, "numbers of cells and of the clock", WANTED) from None
    return Synthesised(told("UserAssignments/TopModelName"), target, estimated, latency, interval, Cells(luts, flip_flops, 0, halves / 2, used))


def _text(path: Path, text: str) -> Synthesised:
    top = re.search(r"^== (?:Vitis|Vivado) HLS Report for '([^']+)'", text, re.MULTILINE)
    if top is None:
        raise refused(path, "HLS Report for a top", WANTED)
    clock = re.search(r"^ *\|ap_clk *\| *([\d.]+)(?: ns)? *\| *([\d.]+)(?: ns)? *\|", text, re.MULTILINE)
    cycles = re.search(r"^ *\| *(\d+|\?) *\| *(\d+|\?) *\|(?:[^|]*\|[^|]*\|)? *(\d+|\?) *\| *(\d+|\?) *\| *\w", text, re.MULTILINE)
    area = text[text.find("== Utilization Estimates") :]
    head = re.search(r"^\| *Name *\|(.*)\|$", area, re.MULTILINE)
    total = re.search(r"^\|Total *\|(.*)\|$", area, re.MULTILINE)
    for what, found in (("clock", clock), ("latency", cycles), ("utilisation summary", head), ("total of the utilisation", total)):
        if found is None:
            raise refused(path, what, WANTED)
    assert clock and cycles and head and total
    counts = dict(zip((name.strip() for name in head[1].split("|")), (n.strip() for n in total[1].split("|")), strict=False))
    numbers = {name: 0 if n == "-" else int(n) for name, n in counts.items() if re.fullmatch(r"-|\d+", n)}
    dsps = numbers.get("DSP", numbers.get("DSP48E"))
    if dsps is None or not {"LUT", "FF", "BRAM_18K"} <= set(numbers):
        raise refused(path, "numbers of cells", WANTED)
    latency, interval = (_cycles(cycles[1]), _cycles(cycles[2])), (_cycles(cycles[3]), _cycles(cycles[4]))
    cells = Cells(numbers["LUT"], numbers["FF"], 0, numbers["BRAM_18K"] / 2, dsps)
    return Synthesised(top[1], float(clock[1]), float(clock[2]), latency, interval, cells)


def _cycles(text: str) -> int | None:
    """Cycles, None where they are not known (`?`, `undef`)."""
    return int(text) if text.isdigit() else None
