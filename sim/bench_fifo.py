"""Queue: words come out as they went in, and exactly N_WORDS fit."""

from __future__ import annotations

import random
from typing import Any

import cocotb

from bnnhw.ir.hardware import index_bits
from sim.corners import Corner
from sim.streams import MODES, Port, Source, Traffic, check_reset, check_stalls, cycles_of, for_corners, rng_for

CORNERS = {
    f"words_{n}_bits_{bits}": Corner({"DATA_W": bits, "N_WORDS": n, "ADDR_W": index_bits(n)})
    for n, bits in ((2, 1), (3, 7), (4, 8), (5, 65), (7, 31), (8, 32), (9, 33), (16, 127), (17, 2))
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Three times as many words as fit."""
    words = [rng.getrandbits(CORNERS[name]["DATA_W"]) for _ in range(3 * CORNERS[name]["N_WORDS"] + 5)]
    return Traffic(words, words, (1, 1))


@cocotb.test()
@cocotb.parametrize(mode=MODES)
async def carries(dut: Any, mode: str) -> None:
    await check_stalls(dut, CORNERS, traffic, mode)


@cocotb.test()
async def restarts(dut: Any) -> None:
    await check_reset(dut, CORNERS, traffic)


@cocotb.test()
async def holds_as_many_as_stated(dut: Any) -> None:
    async def job(corner: str) -> None:
        rng, port = rng_for(f"{corner}/depth"), Port.of(dut, corner)
        await port.reset()
        source = Source(dut.clk, port.s, "none", rng)
        task = cocotb.start_soon(source.send([0] * 40))
        await cycles_of(dut.clk, 30)
        task.cancel()
        assert source.taken == CORNERS[corner]["N_WORDS"], f"{corner}: {source.taken} words fit"
        port.m.ready.value = 1  # what it shows must not depend on ready in the same cycle
        await cycles_of(dut.clk, 1)
        assert not port.s.ready.value, f"{corner}: a combinational path from ready to ready"

    await for_corners(dut, CORNERS, job)
