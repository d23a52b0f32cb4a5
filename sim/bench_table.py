"""A function of each number, by lookup: every entry from every lane."""

from __future__ import annotations

import random

from sim.corners import Corner, pack, words
from sim.streams import Traffic, stream_tests

CORNERS = {
    f"lanes_{lanes}_bits_{a}_{b}": Corner({"LANES": lanes, "IN_W": a, "OUT_W": b}, words(f"table_{a}_{b}", 1 << a, b))
    for lanes, a, b in ((1, 1, 1), (2, 2, 3), (3, 3, 7), (7, 5, 8), (1, 7, 9), (2, 8, 32), (1, 9, 33), (8, 4, 65), (9, 1, 2), (65, 2, 1))
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Every number on every lane, in a random order of each; eight at the least."""
    c = CORNERS[name]
    numbers = list(range(1 << c["IN_W"])) * max(1, 8 >> c["IN_W"])
    lanes = [rng.sample(numbers, len(numbers)) for _ in range(c["LANES"])]
    beats = list(zip(*lanes, strict=True))
    expected = [pack([c.memory[x] for x in beat], c["OUT_W"]) for beat in beats]
    return Traffic({"s": [pack(beat, c["IN_W"]) for beat in beats]}, {"m": expected}, (1, 1))


carries, restarts = stream_tests(CORNERS, traffic)
