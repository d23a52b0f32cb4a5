"""Output marks: tlast and tkeep of every frame's last beat."""

from __future__ import annotations

import random

from bnnhw.ir.hardware import index_bits
from sim.corners import Corner
from sim.streams import Traffic, stream_tests

CORNERS = {
    f"beats_{n}_bytes_{size}": Corner({"DATA_W": 8 * size, "N_BEATS": n, "KEEP": (1 << tail) - 1, "BEAT_W": index_bits(n)})
    for n, size, tail in ((1, 1, 1), (1, 8, 5), (2, 1, 1), (3, 2, 1), (7, 4, 4), (8, 3, 2), (9, 16, 15), (17, 9, 1))
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Five frames."""
    c = CORNERS[name]
    n, size = c["N_BEATS"], c["DATA_W"] // 8
    sent = [rng.getrandbits(8 * size) for _ in range(5 * n)]
    expected = [(x, c["KEEP"] if i % n == n - 1 else (1 << size) - 1, int(i % n == n - 1)) for i, x in enumerate(sent)]
    return Traffic({"s": sent}, {"m": expected}, (n, n), payload={"m": ("tdata", "tkeep", "tlast")})


carries, restarts = stream_tests(CORNERS, traffic)
