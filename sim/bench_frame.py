"""Input guard: every frame leaves with its beats, whatever came; err reports and stays."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import cocotb

from bnnhw.ir.hardware import index_bits
from sim.corners import Corner
from sim.streams import Port, Traffic, for_corners, rng_for, stream_tests

AXI = ("tdata", "tkeep", "tlast")
CORNERS = {
    f"beats_{n}_bytes_{size}": Corner({"DATA_W": 8 * size, "N_BEATS": n, "TAIL_W": bits, "KEEP": (1 << -(-bits // 8)) - 1, "BEAT_W": index_bits(n)})
    for n, size, bits in ((1, 1, 1), (1, 4, 15), (2, 1, 8), (3, 2, 3), (5, 16, 128), (7, 8, 24), (8, 3, 24), (9, 5, 7), (16, 9, 56))
}


def frame(corner: str, rng: random.Random, beats: int | None = None) -> list[tuple[int, ...]]:
    """A correct frame, or with another number of beats."""
    c = CORNERS[corner]
    size = c["DATA_W"] // 8
    count = c["N_BEATS"] if beats is None else beats
    return [(rng.getrandbits(8 * size), c["KEEP"] if i == count - 1 else (1 << size) - 1, int(i == count - 1)) for i in range(count)]


def data(corner: str, beats: Sequence[tuple[int, ...]], frames: int = 1) -> list[int]:
    """What leaves: cut or filled up with zeros to whole frames, and zeros behind each frame's end."""
    n, tail = CORNERS[corner]["N_BEATS"], (1 << CORNERS[corner]["TAIL_W"]) - 1
    whole = ([b[0] for b in beats] + [0] * n)[: frames * n]
    return [x & tail if i % n == n - 1 else x for i, x in enumerate(whole)]


def traffic(name: str, rng: random.Random) -> Traffic:
    """Five correct frames."""
    n = CORNERS[name]["N_BEATS"]
    frames = [frame(name, rng) for _ in range(5)]
    sent, expected = [b for f in frames for b in f], [x for f in frames for x in data(name, f)]
    return Traffic({"s": sent}, {"m": expected}, (n, n), payload={"s": AXI})


carries, restarts = stream_tests(CORNERS, traffic)


@cocotb.test()
@cocotb.parametrize(mode=("none", "random", "slow_sink"))
async def mends_and_reports(dut: Any, mode: str) -> None:
    """Each fault alone between correct frames; err rises with it, stays, and falls with reset."""

    async def job(corner: str) -> None:
        c, rng, err = CORNERS[corner], rng_for(f"{corner}/faults/{mode}"), getattr(dut, f"{corner}_err")
        n, size = c["N_BEATS"], c["DATA_W"] // 8
        faults = {"none": frame(corner, rng), "late by one": frame(corner, rng, n + 1), "late by many": frame(corner, rng, 3 * n + 2)}
        if n > 1:
            faults |= {"early by one": frame(corner, rng, n - 1), "one beat": frame(corner, rng, 1)}
        for fault, at, keep in (("tkeep at the end", n - 1, c["KEEP"] ^ (1 << (size - 1))), ("tkeep at the start", 0, 0)):
            wrong = frame(corner, rng)
            wrong[at] = (wrong[at][0], keep, wrong[at][2])
            faults[fault] = wrong
        port = Port.of(dut, corner, payload={"s": AXI})
        for fault, wrong in faults.items():
            await port.reset()
            assert err.value == 0, f"{corner}: err after reset"
            before, after = frame(corner, rng), [*frame(corner, rng), *frame(corner, rng)]
            await port.exchange(mode, {"s": before}, {"m": data(corner, before)}, rng)
            assert err.value == 0, f"{corner}: err after a correct frame"
            await port.exchange(mode, {"s": [*wrong, *after]}, {"m": [*data(corner, wrong), *data(corner, after, 2)]}, rng)
            assert err.value == int(fault != "none"), f"{corner}: err is {err.value} after the fault: {fault}"

    await for_corners(dut, CORNERS, job)
