"""Replay: every vector is sent several times while the next one comes in."""

from __future__ import annotations

import random

from bnnhw.ir.hardware import index_bits
from sim.corners import Corner
from sim.streams import Traffic, stream_tests

SIZES = ((1, 1, 1), (1, 2, 8), (1, 5, 3), (2, 2, 2), (3, 1, 9), (5, 3, 65), (7, 2, 31), (8, 7, 8), (9, 4, 33), (16, 2, 5), (17, 8, 1))
"""Words, passes, bits of a word."""
CORNERS = {
    f"words_{n}_passes_{passes}": Corner(
        {"DATA_W": bits, "N_WORDS": n, "N_PASSES": passes, "ADDR_W": index_bits(2 * n), "PASS_W": index_bits(passes)}
    )
    for n, passes, bits in SIZES
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Five vectors."""
    c = CORNERS[name]
    vectors = [[rng.getrandbits(c["DATA_W"]) for _ in range(c["N_WORDS"])] for _ in range(5)]
    sent = [word for vector in vectors for word in vector]
    expected = [word for vector in vectors for word in vector * c["N_PASSES"]]
    return Traffic({"s": sent}, {"m": expected}, (c["N_WORDS"] * c["N_PASSES"],) * 2)


carries, restarts = stream_tests(CORNERS, traffic)
