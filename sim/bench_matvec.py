"""Matrix-vector unit: weighted popcounts of gated weights and inputs, over the beats of a vector."""

from __future__ import annotations

import random
from typing import Any

import cocotb

from bnnhw.ir.encoding import signed_bits
from bnnhw.ir.hardware import Gate, index_bits
from sim.corners import Corner, pack, signed, unpack, words, written
from sim.streams import Traffic, check_stalls, stream_tests


def corner(
    name: str, pe: int, simd: int, *, beats: int, folds: int, coeffs: tuple[int, ...] = (1,), gate: Gate = Gate.XNOR, sum_w: int = 0,
    turns: int = 1, late: int = 0, joint: int = 0,
) -> Corner:  # fmt: skip
    """A corner, of `coeffs` in so many turns, whose sum bits, unless given, just hold every sum and the threshold that none reaches.

    The first row of the first fold lets every lane count, so that sums reach both ends.
    """
    fan_in, lanes = simd * beats, (1 << simd) - 1
    low, high = sum(min(c, 0) for c in coeffs) * fan_in, sum(max(c, 0) for c in coeffs) * fan_in
    count_w = simd.bit_length()
    sum_w = sum_w or max(signed_bits(low, high + 1), count_w + 1)
    counting = {Gate.XNOR: 0, Gate.AND: lanes, Gate.MASKED: lanes << simd}[gate]
    memory = words(name, folds * beats, pe * simd * (2 if gate is Gate.MASKED else 1))
    return Corner({
        "PE": pe, "SIMD": simd, "PLANES": len(coeffs) // turns, "N_TURNS": turns, "TURN_W": index_bits(turns), "GATE": int(gate), "N_BEATS": beats, "N_WORDS": folds * beats, "COUNT_W": count_w,
        "SUM_W": sum_w, "COEFFS": pack(coeffs, sum_w), "BEAT_W": index_bits(beats), "ADDR_W": index_bits(folds * beats),
        "LATENCY": late, "JOINT": joint, "WRITABLE": 0,
    }, [word | counting if i < beats else word for i, word in enumerate(memory)])  # fmt: skip


INT8 = (1, 2, 4, 8, 16, 32, 64, -128)
CORNERS = {
    "one": corner("one", 1, 1, beats=1, folds=1),
    "two": corner("two", 2, 2, beats=2, folds=2),
    "prime": corner("prime", 3, 7, beats=5, folds=3),
    "beats_8": corner("beats_8", 1, 15, beats=8, folds=4),
    "beats_9": corner("beats_9", 2, 16, beats=9, folds=1),
    "one_beat": corner("one_beat", 4, 17, beats=1, folds=7),
    "wide_65": corner("wide_65", 2, 65, beats=3, folds=2),
    "wide_127": corner("wide_127", 1, 127, beats=2, folds=3),
    "wide_128": corner("wide_128", 3, 128, beats=1, folds=2),
    "two_planes": corner("two_planes", 2, 5, beats=3, folds=2, coeffs=(1, 2)),
    "negative": corner("negative", 2, 4, beats=4, folds=2, coeffs=(-3, 5, -7)),
    "image_byte": corner("image_byte", 3, 9, beats=2, folds=2, coeffs=INT8),
    "and_one": corner("and_one", 1, 1, beats=1, folds=1, gate=Gate.AND),
    "and_two": corner("and_two", 2, 2, beats=2, folds=2, gate=Gate.AND),
    "and_prime": corner("and_prime", 3, 7, beats=5, folds=3, coeffs=(2, -3), gate=Gate.AND),
    "and_8_9": corner("and_8_9", 1, 8, beats=9, folds=1, coeffs=INT8, gate=Gate.AND),
    "and_65": corner("and_65", 2, 65, beats=3, folds=2, gate=Gate.AND),
    "masked_one": corner("masked_one", 1, 1, beats=1, folds=1, gate=Gate.MASKED),
    "masked_two": corner("masked_two", 2, 2, beats=2, folds=2, gate=Gate.MASKED),
    "masked_prime": corner("masked_prime", 5, 3, beats=7, folds=2, coeffs=(1, 2, -4), gate=Gate.MASKED),
    "masked_15_8": corner("masked_15_8", 1, 15, beats=8, folds=4, gate=Gate.MASKED),
    "masked_33": corner("masked_33", 3, 33, beats=1, folds=3, coeffs=INT8, gate=Gate.MASKED),
    "masked_128": corner("masked_128", 2, 128, beats=2, folds=2, gate=Gate.MASKED),
    "turns_2": corner("turns_2", 2, 3, beats=2, folds=2, coeffs=(1, -2), turns=2),
    "turns_8": corner("turns_8", 3, 9, beats=3, folds=2, coeffs=INT8, gate=Gate.AND, turns=8),
    "turns_3_of_2": corner("turns_3_of_2", 1, 17, beats=1, folds=5, coeffs=(3, -5, 7, 1, 2, 0), gate=Gate.MASKED, turns=3),
    "late_1": corner("late_1", 2, 9, beats=3, folds=2, late=1),
    "late_2_one_beat": corner("late_2_one_beat", 3, 4, beats=1, folds=3, gate=Gate.AND, late=2),
    "late_5_turns": corner("late_5_turns", 2, 5, beats=2, folds=3, coeffs=(3, -5, 7, 1, 2, 0), gate=Gate.MASKED, turns=3, late=5),
    "late_9": corner("late_9", 1, 33, beats=2, folds=1, coeffs=INT8, late=9),
    "joint_one": corner("joint_one", 2, 1, beats=4, folds=2, coeffs=INT8, joint=1),
    "joint_image": corner("joint_image", 3, 9, beats=2, folds=2, coeffs=INT8, gate=Gate.AND, joint=1),
    "joint_late": corner("joint_late", 2, 7, beats=3, folds=2, coeffs=(1, 2, -4), gate=Gate.MASKED, late=3, joint=1),
    "wraps": corner("wraps", 2, 7, beats=5, folds=2, coeffs=(13, -11, 7), sum_w=5),
    "written_one": written(corner("written_one", 1, 3, beats=1, folds=1)),
    "written": written(corner("written", 3, 7, beats=5, folds=3)),
    "written_masked": written(corner("written_masked", 2, 9, beats=2, folds=4, coeffs=(1, 2, -4), gate=Gate.MASKED, late=2)),
}
"""In `wraps` the sums need more bits than there are; those that come out are right below that."""


def hits(gate: int, word: int, x: int, simd: int) -> int:
    """How many lanes of one row and one plane count."""
    lanes = (1 << simd) - 1
    weight, mask = word & lanes, word >> simd
    same = lanes & ~(weight ^ x)
    return (same, weight & x, mask & same)[gate].bit_count()


def rows(name: str, word: int) -> list[int]:
    """The rows' weights in a word of the ROM."""
    c = CORNERS[name]
    return unpack(word, c["PE"], c["SIMD"] * (2 if c["GATE"] == Gate.MASKED else 1))


def coefficients(name: str) -> list[int]:
    """The coefficients of all planes, turn by turn."""
    c = CORNERS[name]
    return [signed(x, c["SUM_W"]) for x in unpack(c["COEFFS"], c["N_TURNS"] * c["PLANES"], c["SUM_W"])]


def turned(name: str, x: int) -> list[int]:
    """The beats in which the planes of an input come."""
    c = CORNERS[name]
    return unpack(x, c["N_TURNS"], c["PLANES"] * c["SIMD"])


def terms(name: str, word: int, planes: list[int]) -> list[int]:
    """What one beat, a plane of inputs each, adds to the sum of each row."""
    c = CORNERS[name]
    pairs = list(zip(coefficients(name), planes, strict=True))
    return [sum(k * hits(c["GATE"], row, x, c["SIMD"]) for k, x in pairs) for row in rows(name, word)]


def traffic(name: str, rng: random.Random) -> Traffic:
    """Vectors through all row folds, some of them all zeros or all ones."""
    c = CORNERS[name]
    simd, planes, beats = c["SIMD"], c["N_TURNS"] * c["PLANES"], c["N_BEATS"]
    bits = planes * simd
    sent, expected = [], []
    for vector in range(3 * (c["N_WORDS"] // beats) + 2):
        xs = [rng.choice((rng.getrandbits(bits), rng.getrandbits(bits), 0, (1 << bits) - 1)) for _ in range(beats)]
        sums = [terms(name, c.memory[(vector * beats + beat) % c["N_WORDS"]], unpack(x, planes, simd)) for beat, x in enumerate(xs)]
        sent += [beat for x in xs for beat in turned(name, x)]
        expected.append(pack([sum(row) for row in zip(*sums, strict=True)], c["SUM_W"]))
    return Traffic({"s": sent}, {"m": expected}, (1, beats * c["N_TURNS"]))


carries, restarts = stream_tests(CORNERS, traffic)


@cocotb.test()
async def reaches_both_ends_of_its_range(dut: Any) -> None:
    """Inputs that hit in the first row everywhere, then nowhere: the greatest sums, then the least, of one sign."""

    def extremes(name: str, rng: random.Random) -> Traffic:
        c = CORNERS[name]
        simd, beats, coeffs = c["SIMD"], c["N_BEATS"], coefficients(name)
        lanes, folds = (1 << simd) - 1, c["N_WORDS"] // beats
        sent, expected = [], []
        for vector in range(2 * folds):
            most = vector < folds
            sums = [0] * c["PE"]
            for beat in range(beats):
                word = c.memory[(vector * beats + beat) % c["N_WORDS"]]
                weight = rows(name, word)[0] & lanes
                planes = [weight if (k > 0) == most else weight ^ lanes for k in coeffs]
                sums = [a + b for a, b in zip(sums, terms(name, word, planes), strict=True)]
                sent += turned(name, pack(planes, simd))
            bound = sum(k for k in coeffs if (k > 0) == most) * simd * beats
            assert vector % folds or sums[0] == bound, f"{name}: the model misses the bound"
            expected.append(pack(sums, c["SUM_W"]))
        return Traffic({"s": sent}, {"m": expected})

    await check_stalls(dut, CORNERS, extremes, "none")
