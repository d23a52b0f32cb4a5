"""Handshake of a pipeline: a register for each beat in it, which moves with the bench's own data."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from sim.corners import Corner
from sim.streams import cycles_of, for_corners, rng_for

CORNERS = {f"late_{n}": Corner({"LATENCY": n}) for n in (1, 2, 3, 7, 8)}


@cocotb.test()
async def moves_together(dut: Any) -> None:
    async def job(corner: str) -> None:
        n, rng = CORNERS[corner]["LATENCY"], rng_for(corner)
        rst, s_valid, s_ready, m_valid, m_ready, en = (
            getattr(dut, f"{corner}_{name}") for name in ("rst", "s_valid", "s_ready", "m_valid", "m_ready", "en")
        )
        rst.value, s_valid.value, m_ready.value = 1, 0, 0
        await cycles_of(dut.clk, 2)
        rst.value = 0
        held, left = [0] * n, 0
        for cycle in range(400):
            if cycle == 200:  # reset with beats on the way
                rst.value = 1
                await cycles_of(dut.clk, 1)
                rst.value, held = 0, [0] * n
            offered, wanted = rng.randrange(2), rng.randrange(2)
            s_valid.value, m_ready.value = offered, wanted
            await FallingEdge(dut.clk)
            moves = not held[-1] or wanted
            assert (m_valid.value, s_ready.value, en.value) == (held[-1], moves, moves), f"{corner}: cycle {cycle}"
            left += bool(held[-1] and wanted)
            await cycles_of(dut.clk, 1)
            if moves:
                held = [offered, *held[:-1]]
        assert left > 50, f"{corner}: only {left} beats left"

    await for_corners(dut, CORNERS, job)
