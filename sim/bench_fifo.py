"""Queue: words come out as they went in, and exactly N_WORDS fit."""

from __future__ import annotations

import random
from typing import Any

import cocotb

from bnnhw.ir.hardware import index_bits
from sim.corners import Corner
from sim.streams import Port, Source, Traffic, cycles_of, for_corners, rng_for, stream_tests

CORNERS = {
    f"words_{n}_bits_{bits}": Corner({"DATA_W": bits, "N_WORDS": n, "ADDR_W": index_bits(n)})
    for n, bits in ((2, 1), (3, 7), (4, 8), (5, 65), (7, 31), (8, 32), (9, 33), (16, 127), (17, 2))
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Three times as many words as fit."""
    words = [rng.getrandbits(CORNERS[name]["DATA_W"]) for _ in range(3 * CORNERS[name]["N_WORDS"] + 5)]
    return Traffic({"s": words}, {"m": words}, (1, 1))


carries, restarts = stream_tests(CORNERS, traffic)


@cocotb.test()
async def holds_as_many_as_stated(dut: Any) -> None:
    async def job(corner: str) -> None:
        rng, port = rng_for(f"{corner}/depth"), Port.of(dut, corner)
        await port.reset()
        source = Source(dut.clk, port.s["s"], "none", rng)
        task = cocotb.start_soon(source.send([0] * 40))
        await cycles_of(dut.clk, 30)
        task.cancel()
        assert source.taken == CORNERS[corner]["N_WORDS"], f"{corner}: {source.taken} words fit"
        port.m["m"].ready.value = 1  # what it shows must not depend on ready in the same cycle
        await cycles_of(dut.clk, 1)
        assert not port.s["s"].ready.value, f"{corner}: a combinational path from ready to ready"

    await for_corners(dut, CORNERS, job)
