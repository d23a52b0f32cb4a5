"""Weighted sums of numbers over the lanes of a beat and over beats."""

from __future__ import annotations

import random

from bnnhw.ir.encoding import signed_bits
from bnnhw.ir.hardware import index_bits
from sim.corners import Corner, numbers, pack, signed, unpack
from sim.streams import Traffic, stream_tests


def corner(pe: int, in_w: int, scales: tuple[tuple[int, ...], ...], out_w: int = 0) -> Corner:
    """A corner with scales [part][lane] whose sum bits, unless given, just hold every sum."""
    flat = [scale for part in scales for scale in part]
    ends = -(1 << (in_w - 1)), (1 << (in_w - 1)) - 1
    low, high = (sum(choose(scale * end for end in ends) for scale in flat) for choose in (min, max))
    scale_w = signed_bits(min(flat), max(flat))
    return Corner({
        "PE": pe, "N_LANES": len(scales[0]), "N_PARTS": len(scales), "IN_W": in_w, "OUT_W": out_w or max(signed_bits(low, high), in_w, scale_w),
        "SCALE_W": scale_w, "SCALES": pack(flat, scale_w), "PART_W": index_bits(len(scales)),
    })  # fmt: skip


CORNERS = {
    "one": corner(1, 1, ((-1,),)),
    "two_parts": corner(1, 2, ((1,), (1,))),
    "two_lanes": corner(2, 3, ((1, -2),)),
    "prime": corner(7, 5, ((3, 0, -5), (-3, 7, 1), (2, -8, 1), (0, 0, 1), (-1, 1, 6))),
    "parts_7": corner(1, 8, ((1,),) * 7),
    "parts_8": corner(3, 4, tuple((1 << i, -(1 << i)) for i in range(8))),
    "parts_9": corner(2, 9, ((1,),) * 8 + ((-256,),)),
    "parts_16": corner(1, 16, ((1,),) * 16),
    "parts_17": corner(1, 7, tuple((n - 8,) for n in range(17))),
    "lanes_9": corner(1, 3, (tuple(range(-4, 5)), tuple(range(5, -4, -1)))),
    "scale_wider": corner(2, 1, ((100,), (-1000,))),
    "wide_65": corner(2, 65, ((3,), (-4,), (1,))),
    "wraps": corner(2, 5, ((7, -7), (5, -6)), out_w=6),
}
"""In `wraps` the sums need more bits than there are; those that come out are right below that."""


def traffic(name: str, rng: random.Random) -> Traffic:
    """Twelve sums."""
    c = CORNERS[name]
    pe, lanes, parts = c["PE"], c["N_LANES"], c["N_PARTS"]
    scales = [signed(scale, c["SCALE_W"]) for scale in unpack(c["SCALES"], parts * lanes, c["SCALE_W"])]
    sent, expected = [], []
    for _ in range(12):
        beats = [numbers(rng, pe * lanes, c["IN_W"]) for _ in range(parts)]
        rows = [[x for beat in beats for x in beat[p * lanes : (p + 1) * lanes]] for p in range(pe)]
        sent += [pack(beat, c["IN_W"]) for beat in beats]
        expected.append(pack([sum(k * x for k, x in zip(scales, row, strict=True)) for row in rows], c["OUT_W"]))
    return Traffic({"s": sent}, {"m": expected}, (1, parts))


carries, restarts = stream_tests(CORNERS, traffic)
