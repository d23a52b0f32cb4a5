"""Number of lanes that count, at once or some cycles later; plain logic only: netlists are checked with the networks."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from sim.corners import Corner
from sim.streams import enabled_cycle, for_corners, rng_for

SIZES = (1, 2, 3, 4, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1000)
CORNERS = {
    f"lanes_{n}_gate_{gate}_late_{late}": Corner(
        {"N_BITS": n, "COUNT_W": n.bit_length(), "GATE": gate, "WEIGHT_W": n * (1 + gate // 2), "LATENCY": late}
    )
    for k, n in enumerate(SIZES)
    for gate, late in ((0, k % 4), (1, (k + 1) % 4), (2, (k + 2) % 4))
}


@cocotb.test()
async def counts(dut: Any) -> None:
    """Nothing, everything, each single lane, random words; en now and then low."""

    async def job(corner: str) -> None:
        c, rng = CORNERS[corner], rng_for(corner)
        n, gate, late = c["N_BITS"], c["GATE"], c["LATENCY"]
        full = (1 << n) - 1
        singles = [1 << i for i in (range(n) if n < 34 else (0, 31, 32, n - 2, n - 1))]
        words = [0, full, *singles, *(full ^ x for x in singles), *(rng.getrandbits(n) for _ in range(20))]
        x, weight, count, en = (getattr(dut, f"{corner}_{name}") for name in ("x", "weight", "count", "en"))
        expected: list[int] = []
        for word in words:
            w, mask = rng.choice([full, rng.getrandbits(n)]), rng.choice([full, rng.getrandbits(n)])
            hits = word & w if gate == 1 else ~(word ^ w) & full & (mask if gate == 2 else full)
            x.value, weight.value = word, w | (mask << n) * (gate == 2)
            if not late:
                await FallingEdge(dut.clk)
                assert count.value == hits.bit_count(), f"{corner}: {word:x} with {w:x}, {mask:x} counts as {count.value}"
                continue
            await enabled_cycle(dut.clk, en, rng)
            expected.append(hits.bit_count())
            if len(expected) >= late:
                assert count.value == expected[-late], f"{corner}: {count.value} is not the count of {late} cycles before"

    await for_corners(dut, CORNERS, job)
