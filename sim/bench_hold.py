"""Frames held back from their first beat on: none that has begun, or is offered, and idle only when all that came in have left."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from bnnhw.ir.hardware import index_bits
from sim.corners import Corner
from sim.streams import MODES, Port, Traffic, check_reset, check_stalls, cycles_of, for_corners, rng_for

CORNERS = {
    f"beats_{n}_bits_{bits}": Corner({"DATA_W": bits, "N_BEATS": n, "BEAT_W": index_bits(n)})
    for n, bits in ((1, 8), (2, 1), (3, 9), (8, 33), (9, 64))
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Frames that pass as they come."""
    n, bits = CORNERS[name]["N_BEATS"], CORNERS[name]["DATA_W"]
    sent = [rng.getrandbits(bits) for _ in range(6 * n)]
    return Traffic({"s": sent}, {"m": sent}, (n, n))


def never_held(dut: Any) -> None:
    """No port asks to hold."""
    for corner in CORNERS:
        for name in ("hold", "left"):
            getattr(dut, f"{corner}_{name}").value = 0


@cocotb.test()
@cocotb.parametrize(mode=MODES)
async def carries(dut: Any, mode: str) -> None:
    never_held(dut)
    await check_stalls(dut, CORNERS, traffic, mode)


@cocotb.test()
async def restarts(dut: Any) -> None:
    never_held(dut)
    await check_reset(dut, CORNERS, traffic)


@cocotb.test(timeout_time=1_000_000, timeout_unit="step")
@cocotb.parametrize(mode=("none", "random", "slow_sink"))
async def holds_between_frames(dut: Any, mode: str) -> None:
    """Hold at random moments: a frame that has begun goes through, the next waits; all data pass in order."""

    async def job(corner: str) -> None:
        rng, n, bits = rng_for(f"{corner}/{mode}"), CORNERS[corner]["N_BEATS"], CORNERS[corner]["DATA_W"]
        hold, left, idle, frames = (getattr(dut, f"{corner}_{name}") for name in ("hold", "left", "idle", "frames"))
        port = Port.of(dut, corner)
        hold.value = left.value = 0
        await port.reset()
        sent = [rng.getrandbits(bits) for _ in range(12 * n)]
        sink, source = port.sinks(mode, rng)["m"], port.sources(mode, rng)["s"]
        task = cocotb.start_soon(source.send(sent))
        gone, seen_idle = 0, 0
        for _ in range(6):
            await cycles_of(dut.clk, rng.randrange(1, 3 * n + 4))
            hold.value = 1
            await cycles_of(dut.clk, 8 * n + 30)  # long enough for a frame that has begun
            await FallingEdge(dut.clk)
            passed = len(sink.beats)
            assert passed % n == 0, f"{corner}: held within a frame, after {passed} beats"
            while gone < passed // n:
                assert not idle.value, f"{corner}: idle while {passed // n - gone} frames are inside"
                left.value = 1
                await cycles_of(dut.clk, 1)
                left.value = 0
                gone += 1
                await FallingEdge(dut.clk)
            assert idle.value, f"{corner}: not idle with all {gone} frames gone"
            assert frames.value == gone
            seen_idle += 1
            await cycles_of(dut.clk, 4)
            assert len(sink.beats) == passed, f"{corner}: a beat passed while held"
            hold.value = 0
            await cycles_of(dut.clk, 2)
            await FallingEdge(dut.clk)
            assert not idle.value, f"{corner}: idle though nothing is held"
        while not task.done():
            await cycles_of(dut.clk, 1)
        await cycles_of(dut.clk, 10 * n + 30)
        assert sink.beats == sent and seen_idle == 6, f"{corner}: {len(sink.beats)} of {len(sent)} beats came"

    await for_corners(dut, CORNERS, job)
