"""The host driver at a simulated network: its bytes go into AXI4-Stream, its registers are those behind AXI4-Lite.

The driver's blocking calls run in a thread of their own, and wait there for the simulation.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp, AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from sim.bench_network import pauses
from sim.streams import cycles_of, rng_for

CASE = json.loads(os.environ["HOST_CASE"])
FOLDER, CHANGED, INTERVAL = CASE["folder"], CASE["changed"], CASE["interval"]
"""The generated folder, that of `bnnhw update` (None without writable layers), and the cycles of a frame."""
sys.path.insert(0, str(Path(FOLDER) / "host"))
import bnnhw_host as host  # noqa: E402


class Simulated:
    """A device of the driver: bytes through the streams, registers through the control port."""

    def __init__(self, dut: Any, mode: str) -> None:
        self.dut = dut
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, dut.aresetn, reset_active_level=False)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, dut.aresetn, reset_active_level=False)
        if CHANGED is not None:
            self.registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.aclk, dut.aresetn, reset_active_level=False)
        if mode == "random":
            self.source.set_pause_generator(pauses(rng_for("host/source")))
            self.sink.set_pause_generator(pauses(rng_for("host/sink")))

    @resume
    async def run(self, packed: Any) -> Any:
        """Frames in, outputs back."""
        for frame in packed:
            await self.source.send(AxiStreamFrame(frame.tobytes()))
        return np.array([await self.received() for _ in packed])

    async def received(self) -> Any:
        """The bytes of the next output frame, those that tkeep marks."""
        frame = await self.sink.recv()
        return np.frombuffer(bytes(frame.tdata), np.uint8)

    @resume
    async def read(self, register: int) -> int:
        """A register."""
        answer = await self.registers.read(register, 4)
        assert answer.resp == AxiResp.OKAY
        return int.from_bytes(answer.data, "little")

    @resume
    async def write(self, register: int, value: int) -> None:
        """Set a register; an error response is the driver's fault."""
        answer = await self.registers.write(register, int(value).to_bytes(4, "little"))
        assert answer.resp == AxiResp.OKAY, f"register {register:#x} refused {value:#x}"


async def started(dut: Any, mode: str) -> tuple[host.Accelerator, Simulated]:
    """The accelerator after a reset."""
    cocotb.start_soon(Clock(dut.aclk, 10, unit="step").start())
    dut.aresetn.value = 0
    device = Simulated(dut, mode)
    await cycles_of(dut.aclk, 4)
    dut.aresetn.value = 1
    accelerator = host.Accelerator(FOLDER, device=device)
    if CHANGED is not None:  # a reset leaves memories as they are
        await bridge(accelerator.update)(Path(CASE["original"]) / "host" / "update.bin")
    return accelerator, device


def outputs(folder: str, frames: Any) -> Any:
    """What the driver's own golden model gives."""
    return host.Accelerator(folder).run(frames)


@cocotb.test(timeout_time=5_000_000, timeout_unit="step")
@cocotb.parametrize(mode=("none", "random"))
async def frames_of_the_driver(dut: Any, mode: str) -> None:
    accelerator, _ = await started(dut, mode)
    frames = np.load(CASE["frames"])[:3]
    found = await with_timeout(bridge(accelerator.run)(frames), 100 * INTERVAL * 10, "step")
    assert np.array_equal(found, outputs(FOLDER, frames))
    assert dut.err_frame.value == 0


@cocotb.test(skip=CHANGED is None, timeout_time=5_000_000, timeout_unit="step")
@cocotb.parametrize(mode=("none", "random"))
async def update_with_frames_in_flight(dut: Any, mode: str) -> None:
    """Frames come without end while the driver writes new weights: old outputs up to some frame, new ones from there on."""
    accelerator, device = await started(dut, mode)
    frames = np.load(CASE["frames"])
    for frame in accelerator.layout.pack(frames):
        await device.source.send(AxiStreamFrame(frame.tobytes()))
    found = [await device.received()]
    await bridge(accelerator.update)(Path(CHANGED) / "host" / "update.bin")
    while len(found) < len(frames):
        found.append(await with_timeout(device.received(), 100 * INTERVAL * 10, "step"))
    got, old, new = accelerator.layout.unpack(np.array(found)), outputs(FOLDER, frames), outputs(CHANGED, frames)
    changed = next(n for n in range(len(frames) + 1) if np.array_equal(got[:n], old[:n]) and np.array_equal(got[n:], new[n:]))
    assert 0 < changed < len(frames), f"{changed} of {len(frames)} frames saw the old weights"
    assert not np.array_equal(old[changed:], new[changed:]), "the weights make no difference"


@cocotb.test(skip=CHANGED is None, timeout_time=5_000_000, timeout_unit="step")
async def words_are_refused_while_frames_are_inside(dut: Any) -> None:
    accelerator, device = await started(dut, "none")
    frames = np.load(CASE["frames"])[:1]
    await device.source.send(AxiStreamFrame(accelerator.layout.pack(frames)[0].tobytes()))
    answers = [await device.registers.write(at, (1).to_bytes(4, "little")) for at in (host.HOLD, host.MEMORY, host.DATA, host.WORD)]
    assert [a.resp for a in answers] == [AxiResp.OKAY] * 3 + [AxiResp.SLVERR]
    assert np.array_equal(accelerator.layout.unpack(np.array([await device.received()])), outputs(FOLDER, frames))
