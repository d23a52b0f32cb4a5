"""Number of ones in a word."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer

from sim.corners import Corner
from sim.streams import rng_for

CORNERS = {f"bits_{n}": Corner({"N_BITS": n, "COUNT_W": n.bit_length()}) for n in (1, 2, 3, 4, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1000)}


@cocotb.test()
async def counts(dut: Any) -> None:
    """Nothing, everything, each single bit, random words."""
    for name, c in CORNERS.items():
        n, rng = c["N_BITS"], rng_for(name)
        full = (1 << n) - 1
        singles = [1 << i for i in (range(n) if n < 70 else (0, 63, 64, n - 2, n - 1))]
        for word in (0, full, *singles, *(full ^ x for x in singles), *(rng.getrandbits(n) for _ in range(20))):
            getattr(dut, f"{name}_bits").value = word
            await Timer(1)
            count = int(getattr(dut, f"{name}_count").value)
            assert count == word.bit_count(), f"{name}: {count} ones counted in {word:x}"
