"""What families of FPGAs have for logic."""

from __future__ import annotations

from dataclasses import dataclass

COUNTER_LUTS = 2
"""LUTs of a counter before a carry chain."""


@dataclass(frozen=True)
class Fabric:
    """LUTs and carry chains."""

    lut_inputs: int
    least_adder: int
    """Bits of an adder from which on tools take a carry chain in every family."""
    carry_luts: int
    """LUTs, at most, that bring carries into the chain and out of it."""
    title: str
    xilinx: bool = False
    """Whether a LUT has a second output where it uses one input less, and two before a carry chain count seven bits."""

    @property
    def paired_inputs(self) -> int:
        """Inputs up to which two functions of the same ones are one LUT; 0 where they never are."""
        return self.lut_inputs - 1 if self.xilinx else 0

    def luts(self, inputs: int, tables: int) -> int:
        """LUTs of so many functions of the same inputs."""
        return -(-tables // 2) if inputs <= self.paired_inputs else tables


LUT6, LUT4 = Fabric(6, 2, 0, "LUTs of up to 6 inputs"), Fabric(4, 4, 2, "LUTs of up to 4 inputs")
CARRY = Fabric(6, 2, 0, "LUTs of up to 6 inputs and counters on carry chains", xilinx=True)
FABRICS = {"lut6": LUT6, "lut4": LUT4, "carry": CARRY}
"""By the name that design files give."""
