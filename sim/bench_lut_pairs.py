"""Pairs of lookup tables of the same inputs, on every value of these."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer

from sim.corners import Corner, unpack, words

CORNERS = {
    f"in_{n}_out_{outs}": Corner({"N_IN": n, "N_OUT": outs, "TABLES": words(f"pairs_{n}_{outs}", 1, outs << n)[0]})
    for n, outs in ((1, 2), (2, 2), (3, 3), (4, 3), (5, 2), (5, 5))
}


@cocotb.test()
async def looks_up(dut: Any) -> None:
    for name, c in CORNERS.items():
        tables = unpack(c["TABLES"], c["N_OUT"], 1 << c["N_IN"])
        for i in range(1 << c["N_IN"]):
            getattr(dut, f"{name}_i").value = i
            await Timer(1)
            expected = sum((table >> i & 1) << k for k, table in enumerate(tables))
            assert getattr(dut, f"{name}_o").value == expected, f"{name}: entry {i}"
