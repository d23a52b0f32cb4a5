"""Lookup tables of the same inputs, on every value of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cocotb
from cocotb.triggers import Timer

from sim.corners import Corner, unpack, words


def tables(name: str, shapes: Sequence[tuple[int, int]]) -> dict[str, Corner]:
    """Random tables of so many inputs and outputs."""
    return {f"in_{n}_out_{outs}": Corner({"N_IN": n, "N_OUT": outs, "TABLES": words(f"{name}_{n}_{outs}", 1, outs << n)[0]}) for n, outs in shapes}


async def compare(dut: Any, corners: Mapping[str, Corner]) -> None:
    """Every entry of every table."""
    for name, c in corners.items():
        each = unpack(c["TABLES"], c["N_OUT"], 1 << c["N_IN"])
        for i in range(1 << c["N_IN"]):
            getattr(dut, f"{name}_i").value = i
            await Timer(1)
            expected = sum((table >> i & 1) << k for k, table in enumerate(each))
            assert getattr(dut, f"{name}_o").value == expected, f"{name}: entry {i}"


CORNERS = tables("luts", ((1, 1), (1, 2), (2, 1), (3, 2), (4, 3), (5, 2), (6, 1), (6, 2), (6, 3)))


@cocotb.test()
async def looks_up(dut: Any) -> None:
    await compare(dut, CORNERS)
