"""Registers that move when enabled."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from sim.corners import Corner
from sim.streams import cycles_of, for_corners, rng_for

CORNERS = {f"bits_{n}": Corner({"N_BITS": n}) for n in (1, 2, 7, 8, 9, 33, 65)}


@cocotb.test()
async def holds_and_moves(dut: Any) -> None:
    async def job(corner: str) -> None:
        n, rng = CORNERS[corner]["N_BITS"], rng_for(corner)
        en, data, q = (getattr(dut, f"{corner}_{name}") for name in ("en", "d", "q"))
        held: int | None = None
        for _ in range(60):
            moves, word = held is None or rng.random() < 0.6, rng.getrandbits(n)
            en.value, data.value = int(moves), word
            await cycles_of(dut.clk, 1)
            held = word if moves else held
            await FallingEdge(dut.clk)
            assert q.value == held, f"{corner}: {q.value}"

    await for_corners(dut, CORNERS, job)
