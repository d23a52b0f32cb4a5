"""A whole generated network at its AXI4-Stream ports; frames and golden outputs come from a file.

Ordinary traffic is driven by cocotbext-axi, whose reading of the protocol is independent of ours; resets
and wrong frames, and the rule that an offer stays, by the source and sink of the other benches.
"""

from __future__ import annotations

import os
import random
from itertools import pairwise
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from sim.streams import Beat, Port, Stream, cycles_of, rng_for

AXI = ("tdata", "tkeep", "tlast")


class Recorded:
    """Frames [N, bytes] for the input, golden output frames [N, bytes], and the stated interval in cycles."""

    def __init__(self) -> None:
        with np.load(os.environ["TRAFFIC"]) as z:
            self.inputs, self.outputs = [[f.tobytes() for f in z[name]] for name in ("inputs", "outputs")]
            self.short_input, self.short_output = z["short_input"].tobytes(), z["short_output"].tobytes()
            self.interval = int(z["interval"])


def beats(frame: bytes, size: int, filler: bytes = b"\0") -> list[Beat]:
    """Beats (tdata, tkeep, tlast) of `size` bytes; `filler` lies on the lanes that the last one does not keep."""
    parts = [frame[i : i + size] for i in range(0, len(frame), size)]
    return [(int.from_bytes(p.ljust(size, filler), "little"), (1 << len(p)) - 1, int(i == len(parts) - 1)) for i, p in enumerate(parts)]


async def start(dut: Any) -> tuple[Port, Recorded]:
    """The network's port, in reset until a bench resets it, and the traffic."""
    cocotb.start_soon(Clock(dut.aclk, 10, unit="step").start())
    dut.aresetn.value = 0
    recorded = Recorded()
    s, m = {"s": Stream.of(dut, "s_axis", AXI)}, {"m": Stream.of(dut, "m_axis", AXI)}
    # The reset is registered once inside, so it must last longer than a cycle.
    return Port("network", dut.aclk, dut.aresetn, s, m, 0, 4, 16 * recorded.interval), recorded


def pauses(rng: random.Random) -> Any:
    """Endless random stalls."""
    while True:
        yield rng.random() < 0.5


@cocotb.test(timeout_time=1_000_000, timeout_unit="step")
@cocotb.parametrize(mode=("none", "random"))
async def frames_back_to_back(dut: Any, mode: str) -> None:
    _, recorded = await start(dut)
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, dut.aresetn, reset_active_level=False)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, dut.aresetn, reset_active_level=False)
    if mode == "random":
        rng = rng_for("network/axi")
        source.set_pause_generator(pauses(rng))
        sink.set_pause_generator(pauses(rng))
    await cycles_of(dut.aclk, 4)
    dut.aresetn.value = 1
    for frame in recorded.inputs:
        await source.send(AxiStreamFrame(frame))
    lanes = len(dut.m_axis_tkeep)
    for number, expected in enumerate(recorded.outputs):
        frame = await sink.recv(compact=False)
        short = -len(expected) % lanes
        assert frame.tkeep == [1] * len(expected) + [0] * short, f"tkeep of frame {number} is {frame.tkeep}"
        assert bytes(frame.tdata) == expected + bytes(short), f"frame {number} differs from golden"
    assert recorded.outputs, "an empty run proves nothing"
    await cycles_of(dut.aclk, 50)
    assert sink.empty() and sink.idle(), "more came than was expected"
    assert dut.err_frame.value == 0


@cocotb.test()
@cocotb.parametrize(mode=("none", "random", "slow_sink"))
async def offers_stay(dut: Any, mode: str) -> None:
    """As above with our own source and sink; without stalls at the stated interval."""
    port, recorded = await start(dut)
    await port.reset()
    sent, expected = both(dut, recorded, range(len(recorded.inputs)))
    cycles = await port.exchange(mode, {"s": sent}, {"m": expected}, rng_for(f"network/{mode}"))
    per_frame = len(expected) // len(recorded.outputs)
    ends = cycles["m"][per_frame - 1 :: per_frame]
    gaps = [b - a for a, b in pairwise(ends)]
    if mode == "none":
        assert gaps and gaps[-1] == recorded.interval, f"frames end {gaps} cycles apart, stated are {recorded.interval}"
    assert dut.err_frame.value == 0


@cocotb.test()
async def restarts(dut: Any) -> None:
    """Resets while the first frame comes in, while it is computed, and while another one follows."""
    port, recorded = await start(dut)
    rng = rng_for("network/reset")
    await port.reset()
    sent, expected = both(dut, recorded, (1,))
    for cycles in (len(sent) // 2, recorded.interval, rng.randint(2 * recorded.interval, 4 * recorded.interval)):
        await port.interrupt({"s": both(dut, recorded, (0, 2, 0))[0]}, cycles, rng)
        await port.exchange("none", {"s": sent}, {"m": expected}, rng)
    assert dut.err_frame.value == 0


@cocotb.test()
@cocotb.parametrize(fault=("short", "long", "tkeep"))
async def mends_and_reports(dut: Any, fault: str) -> None:
    """A wrong frame between correct ones: err_frame rises and stays, every other frame is right."""
    port, recorded = await start(dut)
    rng = rng_for(f"network/{fault}")
    await port.reset()
    size, lanes = len(dut.s_axis_tkeep), len(dut.m_axis_tkeep)
    before, wrong, after = (beats(recorded.inputs[i], size) for i in (0, 1, 2))
    outputs = [recorded.outputs[i] for i in (0, 1, 2)]
    if fault == "short":
        wrong, outputs[1] = beats(recorded.short_input, size), recorded.short_output
    elif fault == "long":
        wrong = beats(recorded.inputs[1] + bytes(3 * size), size)
    else:
        wrong[0] = (wrong[0][0], 0, wrong[0][2]) if isinstance(wrong[0], tuple) else wrong[0]
    expected = [beat for frame in outputs for beat in beats(frame, lanes)]
    await port.exchange("random", {"s": before}, {"m": expected[: len(expected) // 3]}, rng)
    assert dut.err_frame.value == 0
    await port.exchange("random", {"s": [*wrong, *after]}, {"m": expected[len(expected) // 3 :]}, rng)
    assert dut.err_frame.value == 1
    await port.reset()
    assert dut.err_frame.value == 0


def both(dut: Any, recorded: Recorded, frames: Any) -> tuple[list[Beat], list[Beat]]:
    """Beats in and beats out of some frames."""
    size, lanes = len(dut.s_axis_tkeep), len(dut.m_axis_tkeep)
    sent = [beat for i in frames for beat in beats(recorded.inputs[i], size, b"\xa5")]
    return sent, [beat for i in frames for beat in beats(recorded.outputs[i], lanes)]
