"""Dot product of one row and a beat of several planes, at once or some cycles later; plain logic only: netlists are checked with the networks."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from bnnhw.ir.hardware import Gate
from sim.bench_matvec import INT8, hits
from sim.corners import Corner, pack, unpack
from sim.streams import enabled_cycle, for_corners, rng_for

SHAPES = {
    "one": (1, (1,), 4), "two": (2, (1, 2), 6), "image": (3, INT8, 12), "negative": (7, (-3, 5, -7), 9), "wraps": (9, (13, -11, 7), 5), "wide": (65, INT8, 20),
}  # fmt: skip
"""Lanes, coefficients and bits; in `wraps` sums need more bits than there are."""
CORNERS = {
    f"{name}_gate_{int(gate)}": Corner({
        "N_BITS": lanes, "PLANES": len(coeffs), "SUM_W": bits, "COEFFS": pack(coeffs, bits), "GATE": int(gate),
        "WEIGHT_W": lanes * (2 if gate is Gate.MASKED else 1), "LATENCY": (n + gate) % 3,
    })
    for n, (name, (lanes, coeffs, bits)) in enumerate(SHAPES.items())
    for gate in Gate
}  # fmt: skip


@cocotb.test()
async def sums(dut: Any) -> None:
    """Nothing, everything, random words; en now and then low."""

    async def job(corner: str) -> None:
        c, rng = CORNERS[corner], rng_for(corner)
        lanes, late = c["N_BITS"], c["LATENCY"]
        coeffs, bits = SHAPES[corner.partition("_gate_")[0]][1:]
        x, weight, dot, en = (getattr(dut, f"{corner}_{name}") for name in ("x", "weight", "dot", "en"))
        full = (1 << lanes * len(coeffs)) - 1
        expected: list[int] = []
        for word in [0, full, *(rng.getrandbits(lanes * len(coeffs)) for _ in range(60))]:
            row = rng.choice([(1 << c["WEIGHT_W"]) - 1, rng.getrandbits(c["WEIGHT_W"])])
            total = sum(k * hits(c["GATE"], row, plane, lanes) for k, plane in zip(coeffs, unpack(word, len(coeffs), lanes), strict=True))
            x.value, weight.value = word, row
            expected.append(total % (1 << bits))
            if not late:
                await FallingEdge(dut.clk)
                assert dot.value == expected[-1], f"{corner}: {word:x} with {row:x} sums to {dot.value}"
                continue
            await enabled_cycle(dut.clk, en, rng)
            if len(expected) >= late:
                assert dot.value == expected[-late], f"{corner}: {dot.value} is not the sum of {late} cycles before"

    await for_corners(dut, CORNERS, job)
