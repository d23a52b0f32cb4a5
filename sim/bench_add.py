"""Sum of two streams of numbers, each moved up by its places."""

from __future__ import annotations

import random

from bnnhw.ir.encoding import signed_bits
from sim.corners import Corner, numbers, pack
from sim.streams import Traffic, stream_tests


def corner(lanes: int, a_w: int, b_w: int, a_shift: int = 0, b_shift: int = 0) -> Corner:
    """A corner whose sums just fit."""
    a, b = 1 << (a_w - 1), 1 << (b_w - 1)
    out_w = signed_bits(-(a << a_shift) - (b << b_shift), ((a - 1) << a_shift) + ((b - 1) << b_shift))
    return Corner({"LANES": lanes, "A_W": a_w, "B_W": b_w, "A_SHIFT": a_shift, "B_SHIFT": b_shift, "OUT_W": out_w})


CORNERS = {
    "one": corner(1, 1, 1),
    "two": corner(2, 2, 2, b_shift=1),
    "prime": corner(7, 5, 3, a_shift=3),
    "lanes_8": corner(8, 8, 7),
    "lanes_9": corner(9, 3, 9, 2, 5),
    "both_shift": corner(3, 15, 16, 1, 1),
    "b_within_a": corner(2, 32, 1, b_shift=31),
    "bits_31_33": corner(1, 31, 33),
    "wide_65": corner(2, 65, 64, b_shift=7),
    "lanes_65": corner(65, 1, 2),
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Thirty beats."""
    c = CORNERS[name]
    a, b = ([numbers(rng, c["LANES"], bits) for _ in range(30)] for bits in (c["A_W"], c["B_W"]))
    sums = [[(x << c["A_SHIFT"]) + (y << c["B_SHIFT"]) for x, y in zip(*beats, strict=True)] for beats in zip(a, b, strict=True)]
    sent = {"a": [pack(beat, c["A_W"]) for beat in a], "b": [pack(beat, c["B_W"]) for beat in b]}
    return Traffic(sent, {"m": [pack(beat, c["OUT_W"]) for beat in sums]}, (1, 1))


carries, restarts = stream_tests(CORNERS, traffic)
