"""Fork: every reader gets every beat in order, and takes it when it likes."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from sim.corners import Corner
from sim.streams import Traffic, cycles_of, for_corners, rng_for, stream_tests

CORNERS = {
    f"readers_{n}_bits_{bits}": Corner({"DATA_W": bits, "N_OUT": n})
    for n, bits in ((1, 9), (2, 1), (2, 65), (3, 8), (5, 31), (7, 2), (8, 33), (9, 127), (17, 3))
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Twenty beats for every reader."""
    c = CORNERS[name]
    beats = [rng.getrandbits(c["DATA_W"]) for _ in range(20)]
    return Traffic({"s": beats}, {f"m{i}": beats for i in range(c["N_OUT"])}, (1, 1))


carries, restarts = stream_tests(CORNERS, traffic)


@cocotb.test()
async def no_reader_waits_for_another(dut: Any) -> None:
    """While one reader stands still, all others take the beat in flight, and no more; so for each reader in turn."""

    async def job(corner: str) -> None:
        rng = rng_for(f"{corner}/ahead")
        expected = traffic(corner, rng)
        port = expected.port(dut, corner)
        for slow, stream in port.m.items():
            await port.reset()
            sinks, sources = port.sinks("none", rng), port.sources("none", rng)
            sinks.pop(slow).stop()
            task = cocotb.start_soon(sources["s"].send(expected.sent["s"]))
            for taken in range(4):
                await cycles_of(dut.clk, 6)
                ahead = {name: len(sink.beats) for name, sink in sinks.items()}
                assert set(ahead.values()) <= {taken + 1}, f"{corner}: {slow} took {taken} beats, the others {ahead}"
                assert sources["s"].taken == taken, f"{corner}: {sources['s'].taken} beats are gone, {slow} took {taken}"
                assert stream.valid.value == 1 and int(stream.payload[0].value) == expected.sent["s"][taken]
                stream.ready.value = 1
                await RisingEdge(dut.clk)
                stream.ready.value = 0
            task.cancel()
            for name, sink in sinks.items():
                sink.stop()
                assert sink.beats[:4] == list(expected.expected[name][:4]), f"{corner}: {name} took {sink.beats}"

    await for_corners(dut, CORNERS, job)
