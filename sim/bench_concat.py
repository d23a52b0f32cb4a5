"""Beats of two streams in turn, widened by their sign."""

from __future__ import annotations

import random

from bnnhw.ir.hardware import index_bits
from sim.corners import Corner, numbers, pack
from sim.streams import Traffic, stream_tests

SIZES = (
    (1, 1, 1, 1, 1, 1), (2, 1, 1, 1, 2, 1), (1, 3, 2, 3, 1, 2), (3, 2, 3, 5, 3, 5), (7, 1, 1, 1, 7, 8), (8, 4, 7, 7, 8, 1),
    (9, 8, 8, 9, 9, 7), (2, 33, 31, 33, 15, 2), (1, 65, 1, 65, 16, 1), (1, 2, 64, 66, 1, 17), (65, 1, 2, 2, 4, 4),
)  # fmt: skip
"""Lanes, bits of a, of b and of the outcome, beats of a and of b."""
CORNERS = {
    f"lanes_{lanes}_bits_{a}_{b}_{out}_beats_{n_a}_{n_b}": Corner(
        {"LANES": lanes, "A_W": a, "B_W": b, "OUT_W": out, "N_A": n_a, "N_B": n_b, "BEAT_W": index_bits(n_a + n_b)}
    )
    for lanes, a, b, out, n_a, n_b in SIZES
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Five vectors."""
    c = CORNERS[name]
    sent: dict[str, list[int]] = {"a": [], "b": []}
    expected = []
    for _ in range(5):
        for stream, beats, bits in (("a", c["N_A"], c["A_W"]), ("b", c["N_B"], c["B_W"])):
            for _ in range(beats):
                elements = numbers(rng, c["LANES"], bits)
                sent[stream].append(pack(elements, bits))
                expected.append(pack(elements, c["OUT_W"]))
    return Traffic(sent, {"m": expected}, (c["N_A"] + c["N_B"],) * 2)


carries, restarts = stream_tests(CORNERS, traffic)
