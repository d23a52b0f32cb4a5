"""Memory with one write and one registered read port: a read sees what was there before the edge."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from bnnhw.ir.hardware import index_bits
from sim.corners import Corner, words
from sim.streams import cycles_of, for_corners, rng_for

CORNERS = {
    f"words_{n}_bits_{bits}": Corner({"DATA_W": bits, "N_WORDS": n, "ADDR_W": index_bits(n)})
    for n, bits in ((2, 1), (3, 2), (7, 7), (8, 8), (9, 33), (16, 64), (17, 65), (31, 127))
}
CORNERS |= {
    f"file_{n}_bits_{bits}": Corner({"DATA_W": bits, "N_WORDS": n, "ADDR_W": index_bits(n)}, words(f"file_{n}", n, bits))
    for n, bits in ((1, 5), (9, 33))
}
"""Those with a file begin with its words; others are filled first."""


@cocotb.test()
async def reads_what_was_written(dut: Any) -> None:
    async def job(corner: str) -> None:
        c, rng = CORNERS[corner], rng_for(corner)
        w_en, w_addr, w_data, r_en, r_addr, q = (getattr(dut, f"{corner}_{n}") for n in ("w_en", "w_addr", "w_data", "r_en", "r_addr", "q"))
        held = list(c.memory)
        shown: int | None = None
        same = 0
        for cycle in range(c["N_WORDS"] + 300):
            filling = len(held) < c["N_WORDS"]  # write every word once before the first read
            writing, reading = filling or rng.random() < 0.5, not filling and rng.random() < 0.7
            at, word = cycle if filling else rng.randrange(c["N_WORDS"]), rng.getrandbits(c["DATA_W"])
            source = at if rng.random() < 0.3 else rng.randrange(c["N_WORDS"])
            w_en.value, w_addr.value, w_data.value = int(writing), at, word
            r_en.value, r_addr.value = int(reading), source
            await cycles_of(dut.clk, 1)
            if reading:
                shown = held[source]
                same += writing and source == at
            if filling:
                held.append(word)
            elif writing:
                held[at] = word
            await FallingEdge(dut.clk)
            assert shown is None or q.value == shown, f"{corner}: cycle {cycle} shows {q.value}"
        assert same > 5, f"{corner}: too few reads of a word while it was written"

    await for_corners(dut, CORNERS, job)
