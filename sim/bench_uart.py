"""A network at a simulated serial line, driven by the host driver through a stand-in for pyserial, with bits a little too short and too long."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.queue import Queue
from cocotb.task import bridge, resume
from cocotb.triggers import FallingEdge, First, Timer

CASE = json.loads(os.environ["HOST_CASE"])
sys.path.insert(0, str(Path(CASE["folder"]) / "host"))
import bnnhw_host as host  # noqa: E402

PERIOD, CLOCKS = 10, CASE["clocks"]


class Line:
    """A port of pyserial: bits of `clocks` clock cycles."""

    def __init__(self, dut: Any, clocks: int) -> None:
        self.dut, self.clocks, self.bytes, self.port = dut, clocks, Queue[int](), "simulated"
        dut.uart_txd_in.value = 1
        cocotb.start_soon(self._listen())

    def reset_input_buffer(self) -> None:
        """Nothing is left from before."""

    @resume
    async def write(self, data: bytes) -> None:
        """Start bit, 8 bits, the low one first, stop bit."""
        for byte in data:
            for bit in (0, *(byte >> n & 1 for n in range(8)), 1):
                self.dut.uart_txd_in.value = bit
                await Timer(self.clocks * PERIOD, "step")

    async def _listen(self) -> None:
        while True:
            await FallingEdge(self.dut.uart_rxd_out)
            await Timer(self.clocks * PERIOD // 2, "step")
            bits = []
            for _ in range(10):
                bits.append(int(self.dut.uart_rxd_out.value))
                await Timer(self.clocks * PERIOD, "step")
                if len(bits) == 9:
                    break
            assert bits[0] == 0 and self.dut.uart_rxd_out.value == 1, "no start or stop bit"
            await self.bytes.put(sum(bit << n for n, bit in enumerate(bits[1:])))

    @resume
    async def read(self, size: int) -> bytes:
        """So many bytes, or those that came in time."""
        found: list[int] = []
        while len(found) < size:
            task, patience = cocotb.start_soon(self.bytes.get()), Timer(CASE["patience"] * PERIOD, "step")
            if await First(task, patience) is patience:
                task.cancel()
                break
            found.append(task.result())
        return bytes(found)


async def started(dut: Any, clocks: int) -> host.Accelerator:
    """The accelerator at its line, after a reset."""
    cocotb.start_soon(Clock(dut.CLK100MHZ, PERIOD, unit="step").start())
    line = Line(dut, clocks)
    sys.modules["serial"] = SimpleNamespace(Serial=lambda *_, **__: line)  # type: ignore[assignment]
    dut.ck_rst.value = 0
    await Timer(20 * PERIOD, "step")
    dut.ck_rst.value = 1
    await Timer(20 * PERIOD, "step")
    return host.Accelerator(CASE["folder"], serial="simulated")


@cocotb.test()
@cocotb.parametrize(percent=(0, -2, 2))
async def frames_by_wire(dut: Any, percent: int) -> None:
    accelerator = await started(dut, CLOCKS + CLOCKS * percent // 100)
    frames = np.load(CASE["frames"])[:2]
    found = await bridge(accelerator.run)(frames)
    assert np.array_equal(found, host.Accelerator(CASE["folder"]).run(frames))
    assert dut.led.value == 0b0100, "a frame was wrong, bytes came too fast, or it still computes"


@cocotb.test()
async def a_frame_that_is_cut_short_is_told(dut: Any) -> None:
    accelerator = await started(dut, CLOCKS)
    packed = accelerator.layout.pack(np.load(CASE["frames"])[:1])
    try:
        await bridge(accelerator.device.run)(packed[:, :-1])
    except host.HostError as e:
        assert "0 of" in str(e) and "press the board's reset" in str(e)
    else:
        raise AssertionError("a frame came back of one that was not whole")
    dut.ck_rst.value = 0
    await Timer(20 * PERIOD, "step")
    dut.ck_rst.value = 1
    frames = np.load(CASE["frames"])[1:2]
    assert np.array_equal(await bridge(accelerator.run)(frames), host.Accelerator(CASE["folder"]).run(frames))
