"""Matrix-vector unit: weighted popcounts of xnor, over the beats of a vector."""

from __future__ import annotations

import random
from typing import Any

import cocotb

from bnnhw.ir.hardware import index_bits, signed_bits
from sim.corners import Corner, pack, signed, unpack, words
from sim.streams import MODES, Traffic, check_stalls, stream_tests


def corner(name: str, pe: int, simd: int, *, beats: int, folds: int, coeffs: tuple[int, ...] = (1,)) -> Corner:
    """A corner whose sum bits just hold every sum and the threshold that none reaches."""
    fan_in = simd * beats
    low, high = sum(min(c, 0) for c in coeffs) * fan_in, sum(max(c, 0) for c in coeffs) * fan_in
    count_w = simd.bit_length()
    sum_w = max(signed_bits(low, high + 1), count_w + 1)
    return Corner({
        "PE": pe, "SIMD": simd, "PLANES": len(coeffs), "N_BEATS": beats, "N_WORDS": folds * beats, "COUNT_W": count_w, "SUM_W": sum_w,
        "COEFFS": pack(coeffs, sum_w), "BEAT_W": index_bits(beats), "ADDR_W": index_bits(folds * beats),
    }, words(name, folds * beats, pe * simd))  # fmt: skip


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
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Vectors through all row folds, some of them all zeros or all ones."""
    c = CORNERS[name]
    simd, planes, beats, sum_w = c["SIMD"], c["PLANES"], c["N_BEATS"], c["SUM_W"]
    coeffs = [signed(x, sum_w) for x in unpack(c["COEFFS"], planes, sum_w)]
    sent, expected = [], []
    for vector in range(3 * (c["N_WORDS"] // beats) + 2):
        sums = [0] * c["PE"]
        for beat in range(beats):
            x = rng.choice((rng.getrandbits(planes * simd), rng.getrandbits(planes * simd), 0, (1 << (planes * simd)) - 1))
            weights = unpack(c.memory[(vector * beats + beat) % c["N_WORDS"]], c["PE"], simd)
            for p, w in enumerate(weights):
                same = (simd - (w ^ plane).bit_count() for plane in unpack(x, planes, simd))
                sums[p] += sum(k * count for k, count in zip(coeffs, same, strict=True))
            sent.append(x)
        expected.append(pack(sums, sum_w))
    return Traffic({"s": sent}, {"m": expected}, (1, beats))


carries, restarts = stream_tests(CORNERS, traffic)


@cocotb.test()
async def reaches_both_ends_of_its_range(dut: Any) -> None:
    """Inputs that agree with the first row everywhere, then nowhere: the greatest and the least sums of one sign."""

    def extremes(name: str, rng: random.Random) -> Traffic:
        c = CORNERS[name]
        simd, planes, beats, sum_w = c["SIMD"], c["PLANES"], c["N_BEATS"], c["SUM_W"]
        coeffs = [signed(x, sum_w) for x in unpack(c["COEFFS"], planes, sum_w)]
        sent, expected = [], []
        for vector in range(2 * (c["N_WORDS"] // beats)):
            most = vector % 2 == 0
            sums = [0] * c["PE"]
            for beat in range(beats):
                weights = unpack(c.memory[(vector * beats + beat) % c["N_WORDS"]], c["PE"], simd)
                full = (1 << simd) - 1
                x = [weights[0] if (k > 0) == most else weights[0] ^ full for k in coeffs]
                for p, w in enumerate(weights):
                    sums[p] += sum(k * (simd - (w ^ plane).bit_count()) for k, plane in zip(coeffs, x, strict=True))
                sent.append(pack(x, simd))
            bound = sum(k for k in coeffs if (k > 0) == most) * simd * beats
            assert sums[0] == bound, f"{name}: the model misses the bound"
            expected.append(pack(sums, sum_w))
        return Traffic({"s": sent}, {"m": expected})

    await check_stalls(dut, CORNERS, extremes, "none")
