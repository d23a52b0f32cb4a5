"""What families of FPGAs have for logic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fabric:
    """LUTs and carry chains."""

    lut_inputs: int
    least_adder: int
    """Bits of an adder from which on tools take a carry chain in every family."""
    carry_luts: int
    """LUTs, at most, that bring carries into the chain and out of it."""


LUT6, LUT4 = Fabric(6, 2, 0), Fabric(4, 4, 2)
FABRICS = {f.lut_inputs: f for f in (LUT6, LUT4)}
"""By the inputs of their LUTs."""
