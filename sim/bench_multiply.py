"""Product of two streams of numbers, lane by lane or of all lanes with one number."""

from __future__ import annotations

import random

from bnnhw.ir.encoding import signed_bits
from sim.corners import Corner, numbers, pack
from sim.streams import Traffic, stream_tests

SIZES = ((1, 1, 1), (2, 2, 2), (3, 7, 5), (7, 1, 8), (8, 9, 1), (9, 8, 7), (1, 31, 33), (2, 32, 32), (2, 65, 17), (65, 2, 3))
"""Lanes, bits of a, bits of b."""
CORNERS = {
    f"{'shared_' * shared}lanes_{lanes}_bits_{a}_{b}": Corner(
        {"LANES": lanes, "B_SHARED": shared, "A_W": a, "B_W": b, "OUT_W": max(a, b, signed_bits(-1 << (a + b - 2), 1 << (a + b - 2)))}
    )
    for shared in (0, 1)
    for lanes, a, b in SIZES
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Thirty beats."""
    c = CORNERS[name]
    lanes, b_lanes = c["LANES"], 1 if c["B_SHARED"] else c["LANES"]
    a, b = ([numbers(rng, count, bits) for _ in range(30)] for count, bits in ((lanes, c["A_W"]), (b_lanes, c["B_W"])))
    products = [[x * (ys[0] if c["B_SHARED"] else ys[i]) for i, x in enumerate(xs)] for xs, ys in zip(a, b, strict=True)]
    sent = {"a": [pack(beat, c["A_W"]) for beat in a], "b": [pack(beat, c["B_W"]) for beat in b]}
    return Traffic(sent, {"m": [pack(beat, c["OUT_W"]) for beat in products]}, (1, 1))


carries, restarts = stream_tests(CORNERS, traffic)
