"""Vectors of one beat in other lanes and wider elements: wires only."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer

from sim.corners import Corner, pack, unpack
from sim.streams import rng_for

CORNERS = {
    f"planes_{planes}x_{before}_to_{after}_lanes_{n_in}_to_{n_out}_of_{used}": Corner(
        {"PLANES": planes, "S_ELEM_W": before, "M_ELEM_W": after, "N_IN": n_in, "N_OUT": n_out, "N_USED": used}
    )
    for planes, before, after, n_in, n_out, used in (
        (1, 1, 1, 104, 101, 101), (1, 1, 1, 101, 104, 101), (1, 9, 16, 10, 10, 10), (3, 2, 2, 5, 8, 5), (2, 1, 4, 7, 5, 4), (1, 1, 1, 1, 1, 1), (4, 3, 3, 8, 8, 6),
    )
}  # fmt: skip


@cocotb.test()
async def pads(dut: Any) -> None:
    for name, c in CORNERS.items():
        rng, before, after, used = rng_for(name), c["S_ELEM_W"], c["M_ELEM_W"], c["N_USED"]
        s, m = getattr(dut, f"{name}_s_data"), getattr(dut, f"{name}_m_data")
        for _ in range(20):
            valid, ready, word = rng.getrandbits(1), rng.getrandbits(1), rng.getrandbits(c["PLANES"] * c["N_IN"] * before)
            getattr(dut, f"{name}_s_valid").value = valid
            getattr(dut, f"{name}_m_ready").value = ready
            s.value = word
            await Timer(1)
            elements = unpack(word, c["PLANES"] * c["N_IN"], before)
            rows = [elements[q * c["N_IN"] :][:used] for q in range(c["PLANES"])]
            wide = [[e | (e >> before - 1) * ((1 << after) - (1 << before)) for e in row] + [0] * (c["N_OUT"] - used) for row in rows]
            assert int(m.value) == pack([e for row in wide for e in row], after), name
            assert getattr(dut, f"{name}_m_valid").value == valid, name
            assert getattr(dut, f"{name}_s_ready").value == ready, name
