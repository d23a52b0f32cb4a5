"""Read-only memory with a registered output; without a file it holds zeros."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from bnnhw.ir.hardware import index_bits
from sim.corners import Corner, words
from sim.streams import cycles_of, for_corners, rng_for

CORNERS = {
    f"words_{n}_bits_{bits}": Corner({"DATA_W": bits, "N_WORDS": n, "ADDR_W": index_bits(n)}, words(f"rom_{n}_{bits}", n, bits))
    for n, bits in ((1, 1), (2, 3), (7, 8), (8, 31), (9, 32), (16, 33), (17, 65), (3, 1000), (257, 5))
}
CORNERS["no_file"] = Corner({"DATA_W": 9, "N_WORDS": 5, "ADDR_W": 3})


@cocotb.test()
async def reads_its_file(dut: Any) -> None:
    async def job(corner: str) -> None:
        c, rng = CORNERS[corner], rng_for(corner)
        held = c.memory or [0] * c["N_WORDS"]
        en, addr, q = (getattr(dut, f"{corner}_{n}") for n in ("en", "addr", "q"))
        shown: int | None = None
        for at in (*range(c["N_WORDS"]), *(rng.randrange(c["N_WORDS"]) for _ in range(100))):
            reading = shown is None or rng.random() < 0.8
            en.value, addr.value = int(reading), at
            await cycles_of(dut.clk, 1)
            shown = held[at] if reading else shown
            await FallingEdge(dut.clk)
            assert q.value == shown, f"{corner}: word {at} reads as {q.value}"

    await for_corners(dut, CORNERS, job)
