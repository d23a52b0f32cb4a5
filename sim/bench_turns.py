"""Planes of a beat in turns: the lowest first, those beyond the beat's are 0."""

from __future__ import annotations

import random

from bnnhw.ir.hardware import index_bits
from sim.corners import Corner, pack, unpack
from sim.streams import Traffic, stream_tests

SIZES = ((1, 2, 1), (2, 2, 1), (3, 8, 1), (7, 8, 3), (5, 7, 4), (31, 3, 2), (33, 9, 8), (65, 4, 2))
"""Lanes, planes in, planes out."""
CORNERS = {
    f"lanes_{lanes}_planes_{s}_by_{m}": Corner(
        {"LANES": lanes, "S_PLANES": s, "M_PLANES": m, "N_TURNS": -(-s // m), "TURN_W": index_bits(-(-s // m))}
    )
    for lanes, s, m in SIZES
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Random beats, and beats of ones."""
    c = CORNERS[name]
    lanes, planes, together, turns = (c[k] for k in ("LANES", "S_PLANES", "M_PLANES", "N_TURNS"))
    sent, expected = [], []
    for n in range(12):
        x = rng.getrandbits(lanes * planes) if n % 3 else (1 << (lanes * planes)) - 1
        own = unpack(x, planes, lanes) + [0] * (turns * together - planes)
        sent.append(x)
        expected += [pack(own[t * together : (t + 1) * together], lanes) for t in range(turns)]
    return Traffic({"s": sent}, {"m": expected}, (turns, turns))


carries, restarts = stream_tests(CORNERS, traffic)
