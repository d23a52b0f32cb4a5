"""Beats with their words of a ROM: by border class of the pixel, then by beat within it."""

from __future__ import annotations

import random

from sim.corners import Corner, Folds, words, written
from sim.streams import Traffic, stream_tests

FOLDS = {
    "one": Folds(1),
    "two": Folds(2),
    "prime": Folds(7),
    "folds_8": Folds(8),
    "folds_9": Folds(9),
    "folds_15": Folds(15),
    "classes": Folds(3, (0, 1, 2), (0, 1, 1, 2)),
    "columns_only": Folds(1, (0, 0), (0, 1, 1, 1, 2)),
    "folds_and_rows": Folds(2, (0, 1, 1, 1, 1, 1, 1, 2), (0,)),
    "written_one": Folds(1),
    "written": Folds(5, (0, 1), (0, 1, 2)),
}
BITS = {
    "one": (1, 1), "two": (2, 3), "prime": (7, 5), "folds_8": (8, 65), "folds_9": (9, 127), "folds_15": (15, 16),
    "classes": (31, 32), "columns_only": (65, 1), "folds_and_rows": (128, 33), "written_one": (4, 9), "written": (3, 40),
}  # fmt: skip
"""Of a beat and of a word."""


def corner(name: str) -> Corner:
    """A corner with random words."""
    (data, word), folds = BITS[name], FOLDS[name]
    return Corner({"DATA_W": data, "WORD_W": word, "N_WORDS": folds.words, "WRITABLE": 0, **folds.parameters}, words(name, folds.words, word))


CORNERS = {name: written(corner(name)) if name.startswith("written") else corner(name) for name in FOLDS}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Frames of random beats."""
    c, addresses = CORNERS[name], FOLDS[name].addresses
    order = addresses * max(3, 24 // len(addresses))
    sent = [rng.getrandbits(c["DATA_W"]) for _ in order]
    expected = [(x, c.memory[address]) for x, address in zip(sent, order, strict=True)]
    return Traffic({"s": sent}, {"m": expected}, (1, 1), payload={"m": ("data", "word")})


carries, restarts = stream_tests(CORNERS, traffic)
