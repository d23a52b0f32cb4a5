"""What a design's modules cost, by layer: synthesised or estimated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bnnhw.ir.integer import PORT
from bnnhw.tools.targets import Cells

PORTS = "ports"
"""What tables call the modules at the ends, which belong to no layer."""


@dataclass(frozen=True)
class Part:
    """One instance alone."""

    name: str
    layer: str
    """PORT for what stands at the ends."""
    module: str
    cells: Cells


def by_layer(parts: Iterable[Part]) -> dict[str, Cells]:
    """Totals by layer, in order, and of PORTS."""
    found: dict[str, Cells] = {}
    for part in parts:
        name = PORTS if part.layer == PORT else part.layer
        found[name] = found.get(name, Cells()) + part.cells
    return found


def total(parts: Iterable[Part]) -> Cells:
    """Sum of the modules."""
    return sum((part.cells for part in parts), Cells())
