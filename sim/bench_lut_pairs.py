"""Pairs of lookup tables of the same inputs, on every value of these."""

from __future__ import annotations

from typing import Any

import cocotb

from sim.bench_luts import compare, tables

CORNERS = tables("pairs", ((1, 2), (2, 2), (3, 3), (4, 3), (5, 2), (5, 5)))


@cocotb.test()
async def looks_up(dut: Any) -> None:
    await compare(dut, CORNERS)
