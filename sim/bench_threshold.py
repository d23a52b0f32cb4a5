"""Thresholds of each row, as codes of levels; sums lie at, just below and just above them."""

from __future__ import annotations

import random
from itertools import pairwise

from sim.corners import Corner, Folds, pack, signed, unpack, written
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
    "flips": Folds(2),
    "limits_2": Folds(1),
    "limits_3_flips": Folds(3),
    "limits_7": Folds(2, (0, 1), (0, 1, 2)),
    "limits_8_flips": Folds(1),
    "limits_9": Folds(5),
    "limits_15_flips": Folds(2, (0, 1, 1), (0,)),
    "thermometer_5": Folds(2),
    "wide": Folds(1),
    "written_flips": Folds(3, (0, 1), (0, 1)),
}


def counting(planes: int) -> list[int]:
    """Codes that count up."""
    return list(range(1 << planes))


CODES = {
    "limits_2": [2, 1, 3],
    "limits_3_flips": [2, 3, 0, 1],
    "limits_7": counting(3),
    "limits_8_flips": [9, 4, 2, 15, 8, 0, 3, 12, 6],
    "limits_9": counting(4)[3:13],
    "limits_15_flips": counting(4),
    "thermometer_5": [(1 << n) - 1 for n in range(6)],
    "wide": [1 << 69, 1, 1 << 64 | 3, 0],
}
"""Code of each level, where it is not 0 and 1."""


def corner(name: str, pe: int, sum_w: int, beyond: int = 0) -> Corner:
    """A corner with random limits, `beyond` bits wider than sums: they rise, fall where the row is flipped, and some of them meet."""
    limit_w = sum_w + beyond
    rng, folds, codes, flips = random.Random(name), FOLDS[name], CODES.get(name, [0, 1]), "flips" in name
    planes = max(max(codes).bit_length(), 1)
    memory = []
    for _ in range(folds.words):
        rows = []
        for _ in range(pe):
            flip = flips and rng.random() < 0.5
            limits = sorted((signed(rng.getrandbits(limit_w), limit_w) for _ in codes[1:]), reverse=flip)
            if len(limits) > 1 and rng.random() < 0.3:
                limits[1] = limits[0]
            rows.append(pack(limits, limit_w) | int(flip) << (len(limits) * limit_w))
        memory.append(pack(rows, (len(codes) - 1) * limit_w + flips))
    toggles = [a ^ b for a, b in pairwise(codes)]
    return Corner({
        "PE": pe, "SUM_W": sum_w, "LIMIT_W": limit_w, "N_LIMITS": len(toggles), "FLIPS": int(flips), "PLANES": planes, "START": codes[0],
        "TOGGLES": pack(toggles, planes), "N_WORDS": folds.words, "WRITABLE": 0, **folds.parameters,
    }, memory)  # fmt: skip


CORNERS = {
    "one": corner("one", 1, 2),
    "two_folds": corner("two_folds", 2, 4, 1),
    "prime": corner("prime", 7, 5),
    "folds_8": corner("folds_8", 1, 15),
    "folds_9": corner("folds_9", 3, 16),
    "classes": corner("classes", 4, 17),
    "columns_only": corner("columns_only", 65, 9),
    "folds_and_rows": corner("folds_and_rows", 5, 31),
    "flips": corner("flips", 5, 7),
    "limits_2": corner("limits_2", 2, 3, 1),
    "limits_3_flips": corner("limits_3_flips", 3, 8),
    "limits_7": corner("limits_7", 1, 16),
    "limits_8_flips": corner("limits_8_flips", 7, 6, 2),
    "limits_9": corner("limits_9", 1, 9),
    "limits_15_flips": corner("limits_15_flips", 2, 12),
    "thermometer_5": corner("thermometer_5", 8, 33),
    "wide": corner("wide", 2, 65),
    "written_flips": written(corner("written_flips", 4, 9, 1)),
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Frames of sums: in turn, every row's are at, just below and just above each limit, and at both ends of the range."""
    c, addresses = CORNERS[name], FOLDS[name].addresses
    pe, bits, count, planes = c["PE"], c["SUM_W"], c["N_LIMITS"], c["PLANES"]
    codes = CODES.get(name, [0, 1])
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    sent, expected = [], []
    for frame in range(max(3 * count + 2, 24 // len(addresses))):
        for address in addresses:
            sums, levels = [], []
            for p, word in enumerate(unpack(c.memory[address], pe, count * c["LIMIT_W"] + c["FLIPS"])):
                limits, flip = [signed(x, c["LIMIT_W"]) for x in unpack(word, count, c["LIMIT_W"])], word >> (count * c["LIMIT_W"])
                near = [limit + step for limit in limits for step in (-1, 0, 1)]
                total = min(max([*near, low, high][(frame + p) % (len(near) + 2)], low), high)
                sums.append(total)
                levels.append(sum((total >= limit) != flip for limit in limits))
            sent.append(pack(sums, bits))
            expected.append(pack([pack([codes[level] >> q & 1 for level in levels], 1) for q in range(planes)], pe))
    return Traffic({"s": sent}, {"m": expected}, (1, 1))


carries, restarts = stream_tests(CORNERS, traffic)
