"""Transposition of a beat from element-major to plane-major: wires only."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer

from sim.corners import Corner, pack, unpack
from sim.streams import rng_for

CORNERS = {
    f"lanes_{lanes}_planes_{planes}": Corner({"LANES": lanes, "PLANES": planes})
    for lanes, planes in ((1, 1), (1, 8), (8, 1), (2, 2), (3, 8), (7, 5), (31, 2), (32, 3), (33, 8))
}


@cocotb.test()
async def transposes(dut: Any) -> None:
    for name, c in CORNERS.items():
        rng = rng_for(name)
        lanes, planes = c["LANES"], c["PLANES"]
        s, m = getattr(dut, f"{name}_s_data"), getattr(dut, f"{name}_m_data")
        for _ in range(20):
            valid, ready, word = rng.getrandbits(1), rng.getrandbits(1), rng.getrandbits(lanes * planes)
            getattr(dut, f"{name}_s_valid").value = valid
            getattr(dut, f"{name}_m_ready").value = ready
            s.value = word
            await Timer(1)
            bits = unpack(word, lanes * planes, 1)
            assert int(m.value) == pack([bits[i * planes + q] for q in range(planes) for i in range(lanes)], 1), name
            assert getattr(dut, f"{name}_m_valid").value == valid, name
            assert getattr(dut, f"{name}_s_ready").value == ready, name
