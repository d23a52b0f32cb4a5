"""Adder with a carry in and out."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer

from sim.corners import Corner
from sim.streams import rng_for

CORNERS = {f"bits_{n}": Corner({"N_BITS": n}) for n in (1, 2, 3, 4, 7, 8, 9, 31, 32, 33, 65)}


@cocotb.test()
async def adds(dut: Any) -> None:
    """Nothing, the longest carry, random numbers."""
    for name, c in CORNERS.items():
        n, rng = c["N_BITS"], rng_for(name)
        full = (1 << n) - 1
        pairs = [(0, 0), (full, 0), (0, full), (full, full), (1, full), *((rng.getrandbits(n), rng.getrandbits(n)) for _ in range(30))]
        for a, b in pairs:
            for carry in (0, 1):
                for port, value in (("a", a), ("b", b), ("carry", carry)):
                    getattr(dut, f"{name}_{port}").value = value
                await Timer(1)
                assert getattr(dut, f"{name}_sum").value == a + b + carry, f"{name}: {a} + {b} + {carry}"
