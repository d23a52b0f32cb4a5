"""Transposition of a beat from element-major to plane-major: wires only."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer

from sim.corners import Corner, pack, unpack
from sim.streams import rng_for

CORNERS = {
    f"lanes_{lanes}_planes_{planes}_of_{bits}": Corner({"LANES": lanes, "PLANES": planes, "ELEM_W": bits})
    for lanes, planes, bits in (
        (1, 1, 1),
        (1, 8, 8),
        (8, 1, 1),
        (2, 2, 2),
        (3, 8, 8),
        (7, 5, 5),
        (31, 2, 2),
        (32, 3, 3),
        (33, 8, 8),
        (4, 3, 4),
        (1, 12, 16),
        (2, 1, 8),
    )
}


@cocotb.test()
async def transposes(dut: Any) -> None:
    for name, c in CORNERS.items():
        rng = rng_for(name)
        lanes, planes, width = c["LANES"], c["PLANES"], c["ELEM_W"]
        s, m = getattr(dut, f"{name}_s_data"), getattr(dut, f"{name}_m_data")
        for _ in range(20):
            valid, ready, word = rng.getrandbits(1), rng.getrandbits(1), rng.getrandbits(lanes * width)
            getattr(dut, f"{name}_s_valid").value = valid
            getattr(dut, f"{name}_m_ready").value = ready
            s.value = word
            await Timer(1)
            bits = unpack(word, lanes * width, 1)
            assert int(m.value) == pack([bits[i * width + q] for q in range(planes) for i in range(lanes)], 1), name
            assert getattr(dut, f"{name}_m_valid").value == valid, name
            assert getattr(dut, f"{name}_s_ready").value == ready, name
