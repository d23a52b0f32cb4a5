"""Integer affine of every row in its format; results lie at, just within and just beyond both ends of it."""

from __future__ import annotations

import random

from bnnhw.ir.encoding import signed_bits
from sim.corners import Corner, Folds, numbers, pack, signed, unpack, words, written
from sim.streams import Traffic, stream_tests

SATURATE, ZERO, WRAP = range(3)
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
"""Two beats a pixel where nothing is said."""


def corner(
    name: str, pe: int, sum_w: int, scale_w: int, bias_w: int = 0, *, exact_w: int = 0, shift: int = 0,
    overflow: int = WRAP, low: int = 0, high: int = 0, out_w: int = 0, wrap_w: int = 0,
) -> Corner:  # fmt: skip
    """A corner whose exact bits just hold every result, and whose other bits hold that too, unless given.

    Where a format has ends, the scales of the first row are 1 and -1, so that its results can be at them.
    """
    most = 1 << (sum_w + scale_w - 2)
    bias_w = bias_w or signed_bits(-most, most - 1)
    exact_w = exact_w or max(signed_bits(-most - (1 << (bias_w - 1)), most + (1 << (bias_w - 1))), out_w)
    folds = FOLDS.get(name, Folds(2))
    memory = words(name, folds.words, pe * (bias_w + scale_w))
    if overflow != WRAP:
        scales = (1 << scale_w) - 1
        memory = [word & ~scales | (1, scales)[i % 2] for i, word in enumerate(memory)]
    return Corner({
        "PE": pe, "SUM_W": sum_w, "SCALE_W": scale_w, "BIAS_W": bias_w, "EXACT_W": exact_w, "SHIFT": shift, "OVERFLOW": overflow,
        "LOW": pack([low], exact_w), "HIGH": pack([high], exact_w), "OUT_W": out_w or exact_w,
        "WRAP_W": wrap_w or out_w or exact_w, "N_WORDS": folds.words, "WRITABLE": 0, **folds.parameters,
    }, memory)  # fmt: skip


CORNERS = {
    "one": corner("one", 1, 2, 2, out_w=8),
    "two_folds": corner("two_folds", 2, 4, 2, out_w=8),
    "prime_pe": corner("prime_pe", 7, 5, 3, out_w=16),
    "scale_one_bit": corner("scale_one_bit", 3, 8, 1, out_w=16),
    "wide": corner("wide", 2, 24, 17, out_w=64),
    "classes": corner("classes", 4, 9, 8, out_w=32),
    "rows_only": corner("rows_only", 1, 7, 2, out_w=16),
    "mostly_inside": corner("mostly_inside", 1, 12, 3, out_w=16),
    "wraps": corner("wraps", 2, 9, 3, out_w=7),
    "wraps_shifted": corner("wraps_shifted", 3, 8, 4, shift=3, out_w=5),
    "wraps_one_bit": corner("wraps_one_bit", 1, 3, 2, shift=1, out_w=1),
    "wraps_narrower": corner("wraps_narrower", 3, 9, 3, shift=2, out_w=8, wrap_w=5),
    "bias_one_bit": corner("bias_one_bit", 2, 7, 4, 1),
    "bias_wide": corner("bias_wide", 2, 3, 2, 31),
    "exact_wider": corner("exact_wider", 1, 7, 2, 3, exact_w=33, shift=1, overflow=SATURATE, low=-8, high=7, out_w=4),
    "exact_65": corner("exact_65", 2, 66, 2, 60, shift=40, overflow=SATURATE, low=-(1 << 20), high=(1 << 20) - 1, out_w=21),
    "all_cut_off": corner("all_cut_off", 2, 6, 3, exact_w=9, shift=8),
    "saturates": corner("saturates", 1, 9, 2, 4, overflow=SATURATE, low=-128, high=127, out_w=8),
    "saturates_shifted": corner("saturates_shifted", 3, 12, 4, 9, shift=5, overflow=SATURATE, low=-31, high=32, out_w=7),
    "saturates_above_zero": corner("saturates_above_zero", 2, 9, 3, 7, shift=2, overflow=SATURATE, low=0, high=15, out_w=5),
    "saturates_to_one": corner("saturates_to_one", 2, 5, 2, 3, shift=1, overflow=SATURATE, low=3, high=3, out_w=3),
    "zeroes": corner("zeroes", 1, 9, 2, 4, overflow=ZERO, low=-128, high=127, out_w=8),
    "zeroes_shifted": corner("zeroes_shifted", 5, 11, 3, 9, shift=4, overflow=ZERO, low=-17, high=16, out_w=6),
    "zeroes_off_centre": corner("zeroes_off_centre", 2, 9, 2, 5, overflow=ZERO, low=5, high=63, out_w=16),
    "written": written(corner("written", 3, 9, 8, 12, out_w=32)),
}


def result(c: Corner, exact: int) -> int:
    """An exact number in the corner's format."""
    kept, low, high = exact >> c["SHIFT"], *ends(c)
    if c["OVERFLOW"] == WRAP:
        return signed(kept & ((1 << c["WRAP_W"]) - 1), c["WRAP_W"])
    if low <= kept <= high:
        return kept
    return 0 if c["OVERFLOW"] == ZERO else low if kept < low else high


def ends(c: Corner) -> tuple[int, int]:
    """Least and greatest result; where numbers wrap, those of the bits that are kept."""
    if c["OVERFLOW"] == WRAP:
        return -(1 << (c["WRAP_W"] - 1)), (1 << (c["WRAP_W"] - 1)) - 1
    return signed(c["LOW"], c["EXACT_W"]), signed(c["HIGH"], c["EXACT_W"])


def traffic(name: str, rng: random.Random) -> Traffic:
    """Frames of sums: those whose results come nearest to the ends of the format, random ones, the ends of their own range."""
    c, addresses = CORNERS[name], FOLDS.get(name, Folds(2)).addresses
    pe, sum_w, scale_w = c["PE"], c["SUM_W"], c["SCALE_W"]
    targets = [end + step for end in ends(c) for step in (-1, 0, 1)]
    sent, expected, seen = [], [], set()
    for frame in range(max(3, 48 // len(addresses))):
        for address in addresses:
            sums, results = [], []
            for p, word in enumerate(unpack(c.memory[address], pe, c["BIAS_W"] + scale_w)):
                scale, bias = signed(word % (1 << scale_w), scale_w), signed(word >> scale_w, c["BIAS_W"])
                nearest = ((targets[(frame + p) % len(targets)] << c["SHIFT"]) - bias) // (scale or 1)
                total = nearest if frame < len(targets) else rng.choice((nearest + 1, *numbers(rng, 2, sum_w)))
                total = min(max(total, -(1 << (sum_w - 1))), (1 << (sum_w - 1)) - 1)
                exact = total * scale + bias
                sums.append(total)
                results.append(result(c, exact))
                seen.add(exact >> c["SHIFT"])
            sent.append(pack(sums, sum_w))
            expected.append(pack(results, c["OUT_W"]))
    assert c["OVERFLOW"] == WRAP or seen >= set(targets), f"{name}: no result is {sorted(set(targets) - seen)}"
    return Traffic({"s": sent}, {"m": expected}, (1, 1))


carries, restarts = stream_tests(CORNERS, traffic)
