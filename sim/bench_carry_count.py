"""Counters before a carry chain, on every value of their inputs."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer

from sim.corners import Corner

CORNERS = {f"two_{two}_inverted_{n}": Corner({"TWO": two, "INVERTED": n}) for two in (0, 1) for n in (0, 1, 5, 8, 15)} | {
    "all_inverted": Corner({"TWO": 0, "INVERTED": 31})
}


@cocotb.test()
async def counts(dut: Any) -> None:
    for name, c in CORNERS.items():
        weights = (1, 1, 1, 2, 1, 1) if c["TWO"] else (1,) * 7
        for i in range(1 << len(weights)):
            getattr(dut, f"{name}_i").value = i
            await Timer(1)
            expected = sum(w for k, w in enumerate(weights) if (i ^ c["INVERTED"]) >> k & 1)
            assert getattr(dut, f"{name}_sum").value == expected, f"{name}: {i:b}"
