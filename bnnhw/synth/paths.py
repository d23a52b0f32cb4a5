"""The longest combinational path of a mapped netlist, in levels."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

LUT = re.compile(r"LUT[1-6]|LUT6_2|INV|SB_LUT4")
CARRY = re.compile(r"CARRY[48]|CCU2C|ALU|SB_CARRY")
MUX = re.compile(r"MUXF[789]|PFUMX|L6MUX21|MUX2_LUT[5678]")
MEMORY = re.compile(r"RAM\d+.*|TRELLIS_DPR16X4|RAM16SDP[124]")
"""Memories made of LUTs: their reads are combinational, from these inputs."""
READ_ADDRESS = re.compile(r"A\d*|ADDR[A-H]|DPRA\d*|RAD|RAD\[\d+\]|AD|ADA|DPR.*")
WEIGHTS = {"luts": 1.0, "muxes": 0.3, "carries": 0.1}
"""What a level counts in the choice of the longest path."""


@dataclass(frozen=True)
class Levels:
    """What lies on the longest path between registers, block memories and ports."""

    luts: int = 0
    muxes: int = 0
    """Dedicated multiplexers behind LUTs."""
    carries: int = 0
    """Carry cells."""
    fanout: int = 0
    """Most cells that one net of the path drives."""


def longest_path(netlist: str) -> Levels:
    """Levels of a flat netlist as Yosys' `write_json` gives it. Errors: graphlib.CycleError where its logic has a loop."""
    (module,) = json.loads(netlist)["modules"].values()
    cells: dict[str, dict[str, Any]] = module["cells"]
    driver: dict[int, str] = {}
    readers: dict[int, int] = defaultdict(int)
    fan_in: dict[str, list[int]] = {}
    for name, cell in cells.items():
        kind = _kind(cell["type"])
        for port, bits in cell["connections"].items():
            output = cell["port_directions"][port] == "output"
            for bit in bits:
                if not isinstance(bit, int):
                    continue
                if not output:
                    readers[bit] += 1
                if kind is not None and output:
                    driver[bit] = name
                elif kind is not None and (not MEMORY.fullmatch(cell["type"]) or READ_ADDRESS.fullmatch(port)):
                    fan_in.setdefault(name, []).append(bit)
    found = _longest(cells, driver, fan_in)
    return Levels(found["luts"], found["muxes"], found["carries"], max((readers[bit] for bit in found["nets"]), default=0))


def _kind(cell: str) -> str | None:
    """What a cell counts as on a path; None where a path ends."""
    if LUT.fullmatch(cell) or MEMORY.fullmatch(cell):
        return "luts"
    if CARRY.fullmatch(cell):
        return "carries"
    return "muxes" if MUX.fullmatch(cell) else None


def _longest(cells: dict[str, dict[str, Any]], driver: dict[int, str], fan_in: dict[str, list[int]]) -> dict[str, Any]:
    at: dict[str, float] = {}
    before: dict[str, tuple[str | None, int | None]] = {}
    needs = {name: {driver[bit] for bit in fan_in.get(name, []) if bit in driver} for name in driver.values()}
    for name in TopologicalSorter(needs).static_order():
        best: tuple[float, str | None, int | None] = (0.0, None, None)
        for bit in fan_in.get(name, []):
            source = driver.get(bit)
            reached = (at[source] if source else 0.0, source, bit)
            if best[2] is None or reached[0] > best[0]:
                best = reached
        at[name] = best[0] + WEIGHTS[_kind(cells[name]["type"]) or "luts"]
        before[name] = best[1:]
    found: dict[str, Any] = {"luts": 0, "muxes": 0, "carries": 0, "nets": []}
    at_end: str | None = max(at, key=lambda n: at[n], default=None)
    while at_end is not None:
        found[_kind(cells[at_end]["type"]) or "luts"] += 1
        at_end, net = before[at_end]
        if net is not None:
            found["nets"].append(net)
    return found
