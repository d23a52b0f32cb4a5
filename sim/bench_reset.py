"""Reset: active high, one cycle after the active-low one."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, Timer

from sim.corners import Corner
from sim.streams import cycles_of, rng_for, start_clock

CORNERS = {"only": Corner({})}


@cocotb.test()
async def follows_one_cycle_later(dut: Any) -> None:
    rng = rng_for("reset")
    await start_clock(dut)
    for _ in range(50):
        level = rng.getrandbits(1)
        dut.only_aresetn.value = level
        await cycles_of(dut.clk, 1)
        await FallingEdge(dut.clk)
        assert dut.only_rst.value == 1 - level
        dut.only_aresetn.value = 1 - level  # no path around the register
        await Timer(1)
        assert dut.only_rst.value == 1 - level
