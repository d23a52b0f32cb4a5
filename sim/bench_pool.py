"""Maximum of the taps of a window, lane by lane, on codes of several bits."""

from __future__ import annotations

import random

from bnnhw.ir.hardware import index_bits
from sim.corners import Corner, pack, signed, unpack
from sim.streams import Traffic, stream_tests

CODES = ((1, 1, 1), (1, 1, 2), (2, 1, 4), (7, 2, 9), (5, 3, 3), (3, 8, 7), (65, 1, 8), (1, 4, 16), (4, 2, 17))
NUMBERS = ((1, 1, 2), (1, 2, 1), (2, 8, 3), (3, 7, 4), (1, 9, 5), (2, 65, 9))
RANKED = ((1, 1, 2), (2, 2, 3), (3, 3, 4), (5, 4, 2))
"""Lanes, planes, taps."""


def corner(order: int, lanes: int, planes: int, taps: int) -> Corner:
    """A corner whose codes, where ranked, have an order of their own."""
    ranks = random.Random(f"{lanes}/{planes}").sample(range(1 << planes), 1 << planes) if order == 2 else []
    return Corner({
        "LANES": lanes, "PLANES": planes, "ORDER": order, "RANK_W": planes if ranks else 1, "RANKS": pack(ranks, planes),
        "N_TAPS": taps, "TAP_W": index_bits(taps),
    })  # fmt: skip


CORNERS = {
    f"{kind}lanes_{lanes}_planes_{planes}_taps_{taps}": corner(order, lanes, planes, taps)
    for order, (kind, sizes) in enumerate((("", CODES), ("signed_", NUMBERS), ("ranked_", RANKED)))
    for lanes, planes, taps in sizes
}


def transposed(word: int, rows: int, columns: int) -> int:
    """Bit r * columns + c to bit c * rows + r."""
    bits = unpack(word, rows * columns, 1)
    return pack([bits[r * columns + c] for c in range(columns) for r in range(rows)], 1)


def traffic(name: str, rng: random.Random) -> Traffic:
    """Twelve windows of mostly low codes, twelve of mostly high ones: of numbers of both signs, and of negative ones."""
    c = CORNERS[name]
    lanes, planes, taps = c["LANES"], c["PLANES"], c["N_TAPS"]
    full = (1 << (lanes * planes)) - 1
    ranks = unpack(c["RANKS"], 1 << planes, planes) if c["ORDER"] == 2 else []
    place = (lambda code: code, lambda code: signed(code, planes), lambda code: ranks[code])[c["ORDER"]]
    sent, expected = [], []
    for window in range(24):
        beats = [rng.getrandbits(lanes * planes) & rng.getrandbits(lanes * planes) ^ full * (window % 2) for _ in range(taps)]
        codes = [unpack(transposed(beat, planes, lanes), lanes, planes) for beat in beats]
        sent += beats
        expected.append(transposed(pack([max(lane, key=place) for lane in zip(*codes, strict=True)], planes), lanes, planes))
    return Traffic({"s": sent}, {"m": expected}, (1, taps))


carries, restarts = stream_tests(CORNERS, traffic)
