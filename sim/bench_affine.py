"""Integer affine: scale * sum + bias of every row, parameters by border class and fold."""

from __future__ import annotations

import random

from bnnhw.ir.hardware import signed_bits
from sim.corners import Corner, Folds, pack, signed, unpack, words
from sim.streams import Traffic, stream_tests

FOLDS = {
    "one": Folds(1),
    "two_folds": Folds(2),
    "prime_pe": Folds(3),
    "scale_one_bit": Folds(4),
    "wide": Folds(7),
    "classes": Folds(2, (0, 1, 2), (0, 1, 1, 2)),
    "rows_only": Folds(1, (0, 1, 1, 1, 2), (0,)),
    "mostly_inside": Folds(5, (0, 1, 1, 1, 1, 1, 1, 1, 2), (0, 1, 1, 1, 1, 1, 1, 1, 2)),
}


def corner(name: str, pe: int, sum_w: int, scale_w: int) -> Corner:
    """A corner whose result bits hold every product of a sum and a scale, and every bias."""
    most = (1 << (sum_w - 1)) * (1 << (scale_w - 1))
    out_w = next(b for b in (8, 16, 32, 64) if b >= signed_bits(-2 * most, 2 * most))
    folds = FOLDS[name]
    memory = []
    for word in words(name, folds.words * pe, 2 * out_w):
        bias, scale = signed(word % (1 << out_w), out_w) % most, signed((word >> out_w) % (1 << scale_w), scale_w)
        memory.append(pack([scale], scale_w) | pack([bias], out_w) << scale_w)
    rows = [pack(memory[i : i + pe], out_w + scale_w) for i in range(0, len(memory), pe)]
    return Corner({"PE": pe, "SUM_W": sum_w, "SCALE_W": scale_w, "OUT_W": out_w, "N_WORDS": folds.words, **folds.parameters}, rows)


CORNERS = {
    "one": corner("one", 1, 2, 2),
    "two_folds": corner("two_folds", 2, 4, 2),
    "prime_pe": corner("prime_pe", 7, 5, 3),
    "scale_one_bit": corner("scale_one_bit", 3, 8, 1),
    "wide": corner("wide", 2, 24, 17),
    "classes": corner("classes", 4, 9, 8),
    "rows_only": corner("rows_only", 1, 7, 2),
    "mostly_inside": corner("mostly_inside", 1, 12, 3),
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Frames of random sums."""
    c = CORNERS[name]
    sent, expected = [], []
    for address in FOLDS[name].addresses * max(3, 24 // len(FOLDS[name].addresses)):
        sums = [rng.getrandbits(c["SUM_W"]) for _ in range(c["PE"])]
        results = []
        for s, word in zip(sums, unpack(c.memory[address], c["PE"], c["OUT_W"] + c["SCALE_W"]), strict=True):
            scale = signed(word % (1 << c["SCALE_W"]), c["SCALE_W"])
            results.append(signed(s, c["SUM_W"]) * scale + signed(word >> c["SCALE_W"], c["OUT_W"]))
        sent.append(pack(sums, c["SUM_W"]))
        expected.append(pack(results, c["OUT_W"]))
    return Traffic({"s": sent}, {"m": expected}, (1, 1))


carries, restarts = stream_tests(CORNERS, traffic)
