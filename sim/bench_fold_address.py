"""Addresses of a head's parameters: fold within the pixel, words of the pixel's border class."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from sim.corners import Corner, Folds
from sim.streams import cycles_of, for_corners, rng_for

FOLDS = {
    "one": Folds(1),
    "two": Folds(2),
    "prime": Folds(7),
    "folds_8": Folds(8),
    "folds_9": Folds(9),
    "rows_and_columns": Folds(1, (0, 1, 2), (0, 1, 1, 2)),
    "one_row": Folds(3, (0,), (0, 1, 2, 2, 3)),
    "one_column": Folds(2, (0, 1, 1, 1, 1, 1, 1, 2), (0,)),
    "classes_return": Folds(5, (0, 1, 0, 1, 0), (0, 1, 0)),
    "size_7_8": Folds(1, (0, 1, 1, 1, 1, 1, 2), (0, 1, 1, 1, 1, 1, 1, 2)),
    "wide_tables": Folds(31, (0, *[1] * 30, 2), (0, *[1] * 15, 2)),
}
CORNERS = {name: Corner(folds.parameters) for name, folds in FOLDS.items()}


@cocotb.test()
async def follows_the_frame(dut: Any) -> None:
    """Random steps through two frames or 400 beats, with a reset on the way."""

    async def job(corner: str) -> None:
        rng = rng_for(corner)
        rst, step, addr = (getattr(dut, f"{corner}_{n}") for n in ("rst", "step", "addr"))
        frame = FOLDS[corner].addresses
        for beats in (rng.randint(1, len(frame)), min(2 * len(frame) + 1, 400)):
            rst.value, step.value = 1, rng.getrandbits(1)
            await cycles_of(dut.clk, 1)
            rst.value, at, seen = 0, 0, 0
            while at < beats:
                stepping = rng.random() < 0.7
                step.value = int(stepping)
                await FallingEdge(dut.clk)
                assert addr.value == frame[at % len(frame)], f"{corner}: beat {at} has address {addr.value}"
                await cycles_of(dut.clk, 1)
                at, seen = at + stepping, seen + 1
            assert seen >= beats

    await for_corners(dut, CORNERS, job)
