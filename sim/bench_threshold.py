"""One threshold a row; sums lie at, just below and just above it."""

from __future__ import annotations

import random

from sim.corners import Corner, Folds, pack, signed, unpack, words
from sim.streams import Traffic, stream_tests

FOLDS = {
    "one": Folds(1),
    "two_folds": Folds(2),
    "prime": Folds(7),
    "folds_8": Folds(8),
    "folds_9": Folds(9),
    "classes": Folds(3, (0, 1, 2), (0, 1, 1, 2)),
    "columns_only": Folds(1, (0, 0), (0, 1, 1, 1, 2)),
    "folds_and_rows": Folds(2, (0, 1, 1, 1, 1, 1, 1, 2), (0,)),
}


def corner(name: str, pe: int, sum_w: int) -> Corner:
    """A corner with random thresholds."""
    folds = FOLDS[name]
    return Corner({"PE": pe, "SUM_W": sum_w, "N_WORDS": folds.words, **folds.parameters}, words(name, folds.words, pe * sum_w))


CORNERS = {
    "one": corner("one", 1, 2),
    "two_folds": corner("two_folds", 2, 4),
    "prime": corner("prime", 7, 5),
    "folds_8": corner("folds_8", 1, 15),
    "folds_9": corner("folds_9", 3, 16),
    "classes": corner("classes", 4, 17),
    "columns_only": corner("columns_only", 65, 9),
    "folds_and_rows": corner("folds_and_rows", 5, 31),
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Frames of sums near their thresholds and at both ends of the range."""
    c = CORNERS[name]
    bits = c["SUM_W"]
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    sent, expected = [], []
    for address in FOLDS[name].addresses * max(3, 24 // len(FOLDS[name].addresses)):
        limits = [signed(x, bits) for x in unpack(c.memory[address], c["PE"], bits)]
        sums = [min(max(rng.choice((x - 1, x, x + 1, low, high)), low), high) for x in limits]
        sent.append(pack(sums, bits))
        expected.append(pack([int(s >= x) for s, x in zip(sums, limits, strict=True)], 1))
    return Traffic({"s": sent}, {"m": expected}, (1, 1))


carries, restarts = stream_tests(CORNERS, traffic)
