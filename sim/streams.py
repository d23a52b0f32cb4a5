"""Ready/valid streams in cocotb: the one source and the one sink that every bench uses.

Beats are ints, or tuples of ints where a stream has several payload signals (tdata, tkeep, tlast).
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

Beat = int | tuple[int, ...]

MODES = ("none", "random", "sink_first", "slow_sink")
"""none: both sides always go on. random: both stop every other cycle. sink_first: ready is high long
before valid comes. slow_sink: ready comes only after valid, so a source that waits for ready never sends."""

QUIET_CYCLES = 25
"""Cycles after the last expected beat in which a surplus one must not come."""


def rng_for(name: str) -> random.Random:
    """Random numbers that depend on `name` only; the seed is in the log."""
    seed = zlib.crc32(name.encode())
    cocotb.log.info("seed %d for %s", seed, name)
    return random.Random(seed)


@dataclass(frozen=True)
class Stream:
    """The signals of one stream."""

    payload: tuple[Any, ...]
    valid: Any
    ready: Any

    @staticmethod
    def of(dut: Any, prefix: str, payload: Sequence[str] = ("data",), control: str = "") -> Stream:
        """Signals `prefix` + name; `control` is what stands before valid and ready (`t` in AXI)."""
        signals = tuple(getattr(dut, prefix + name) for name in payload)
        return Stream(signals, getattr(dut, f"{prefix}{control}valid"), getattr(dut, f"{prefix}{control}ready"))


class Source:
    """Sends beats; offers one whenever `mode` lets it, and then holds it until it is taken."""

    def __init__(self, clk: Any, stream: Stream, mode: str, rng: random.Random) -> None:
        self.clk, self.stream, self.rng = clk, stream, rng
        self.chance = {"random": 0.5, "sink_first": 0.25}.get(mode, 1.0)
        self.taken = 0
        stream.valid.value = 0
        self._scramble()

    def _scramble(self) -> None:
        """What lies on the wires without valid must not matter."""
        for signal in self.stream.payload:
            signal.value = self.rng.getrandbits(len(signal))

    async def send(self, beats: Iterable[Beat]) -> None:
        """Send `beats`; returns after the edge that took the last."""
        edge, s = RisingEdge(self.clk), self.stream
        for beat in beats:
            while self.chance < 1 and self.rng.random() >= self.chance:
                await edge
            for signal, value in zip(s.payload, beat if isinstance(beat, tuple) else (beat,), strict=True):
                signal.value = value
            s.valid.value = 1
            await edge
            while not s.ready.value:
                await edge
            self.taken += 1
            if self.chance < 1:
                s.valid.value = 0
                self._scramble()
        self.stop()

    def stop(self) -> None:
        """Withdraw the offer; allowed only at the end or in reset."""
        self.stream.valid.value = 0
        self._scramble()


class Sink:
    """Takes beats whenever `mode` lets it; asserts that what was once offered stays until it is taken."""

    def __init__(self, clk: Any, rst: Any, stream: Stream, mode: str, rng: random.Random, *, rst_level: int = 1) -> None:
        self.clk, self.rst, self.stream, self.mode, self.rng, self.rst_level = clk, rst, stream, mode, rng, rst_level
        self.beats: list[Beat] = []
        self.cycles: list[int] = []
        """Cycle of each beat; -1 for none."""
        self.cycle = 0
        stream.ready.value = int(mode in ("none", "sink_first"))
        self.task = cocotb.start_soon(self._run())

    async def _run(self) -> None:
        edge, s = RisingEdge(self.clk), self.stream
        ready = self.mode in ("none", "sink_first")
        offered: Beat | None = None
        while True:
            await edge
            self.cycle += 1
            if self.rst.value == self.rst_level:
                offered = None  # reset withdraws what was offered
                continue
            valid = bool(s.valid.value)
            assert valid or offered is None, f"{s.valid._name}: valid fell before the beat was taken"
            if valid:
                values = tuple(int(signal.value) for signal in s.payload)
                beat = values[0] if len(values) == 1 else values
                assert offered in (None, beat), f"{s.payload[0]._name}: the offer changed from {offered} to {beat} before it was taken"
                offered = None if ready else beat
                if ready:
                    self.beats.append(beat)
                    self.cycles.append(self.cycle)
            if self.mode in ("random", "slow_sink"):
                now = self.rng.random() < 0.5 if self.mode == "random" else offered is not None and self.rng.random() < 0.4
                if now != ready:
                    ready = now
                    s.ready.value = int(ready)

    def stop(self) -> None:
        """Take no more."""
        self.task.cancel()
        self.stream.ready.value = 0


@dataclass
class Port:
    """A device under test as a bench sees it: a stream in, a stream out, a clock and a reset."""

    name: str
    clk: Any
    rst: Any
    s: Stream
    m: Stream
    rst_level: int = 1
    rst_cycles: int = 1
    patience: int = 300
    """Cycles of latency after which a run counts as stuck, on top of some for each beat."""

    @staticmethod
    def of(dut: Any, corner: str, s: Sequence[str] = ("data",), m: Sequence[str] = ("data",)) -> Port:
        """Port of one corner of a wrapper; AXI names where a payload signal is `tdata`."""
        rst = getattr(dut, f"{corner}_rst", None)
        axi = tuple("t" if "tdata" in payload else "" for payload in (s, m))
        return Port(corner, dut.clk, rst, Stream.of(dut, f"{corner}_s_", s, axi[0]), Stream.of(dut, f"{corner}_m_", m, axi[1]))

    async def reset(self) -> None:
        """Reset, with both sides idle, for as short as is allowed; afterwards nothing is offered."""
        self.s.valid.value = 0
        self.m.ready.value = 0
        self.rst.value = self.rst_level
        await cycles_of(self.clk, self.rst_cycles)
        self.rst.value = 1 - self.rst_level
        await RisingEdge(self.clk)
        assert not self.m.valid.value, f"{self.name}: valid after reset"

    async def exchange(self, mode: str, sent: Sequence[Beat], expected: Sequence[Beat], rng: random.Random) -> list[int]:
        """Send beats, take and compare what comes; the cycle of each beat out, counted from the first offer.

        Every beat in must be taken and no surplus beat may come out.
        """
        assert sent and expected, f"{self.name}: an empty run proves nothing"
        sink = Sink(self.clk, self.rst, self.m, mode, rng, rst_level=self.rst_level)
        if mode == "sink_first":
            await cycles_of(self.clk, 3)
        source = Source(self.clk, self.s, mode, rng)
        start = sink.cycle
        task = cocotb.start_soon(source.send(sent))
        limit = start + self.patience + 16 * (len(sent) + len(expected))
        edge = RisingEdge(self.clk)
        while not (task.done() and len(sink.beats) >= len(expected)):
            await edge
            told = f"{source.taken} of {len(sent)} beats in, {len(sink.beats)} of {len(expected)} out"
            assert sink.cycle < limit, f"{self.name}, {mode}: stuck with {told}"
        await cycles_of(self.clk, QUIET_CYCLES)
        sink.stop()
        wrong = next((i for i, (a, b) in enumerate(zip(sink.beats, expected, strict=False)) if a != b), None)
        if wrong is not None:
            raise AssertionError(f"{self.name}, {mode}: beat {wrong} is {sink.beats[wrong]}, expected {expected[wrong]}")
        assert len(sink.beats) == len(expected), f"{self.name}, {mode}: {len(sink.beats)} beats out, expected {len(expected)}"
        return [cycle - start for cycle in sink.cycles]

    async def interrupt(self, sent: Sequence[Beat], cycles: int, rng: random.Random) -> None:
        """Send for some cycles, then reset in the middle."""
        sink = Sink(self.clk, self.rst, self.m, "random", rng, rst_level=self.rst_level)
        source = Source(self.clk, self.s, "none", rng)
        task = cocotb.start_soon(source.send(sent))
        while not source.taken:  # a reset before the first beat would prove nothing
            await RisingEdge(self.clk)
        await cycles_of(self.clk, cycles)
        task.cancel()
        sink.stop()
        await self.reset()


async def cycles_of(clk: Any, count: int) -> None:
    """Wait for `count` rising edges."""
    for _ in range(count):
        await RisingEdge(clk)


@dataclass(frozen=True)
class Traffic:
    """Beats in, beats out, and what the module says about its rate."""

    sent: Sequence[Beat]
    expected: Sequence[Beat]
    rate: tuple[int, int] | None = None
    """(beats out of one vector, cycles between the ends of two vectors); None where none is stated."""
    settle: int = 0
    """Vectors before the rate holds."""
    ports: dict[str, Sequence[str]] = field(default_factory=dict)
    """Payload names where they are not just `data`."""


Make = Callable[[str, random.Random], Traffic]


async def start_clock(dut: Any) -> None:
    """Start `clk`; the period is arbitrary."""
    cocotb.start_soon(Clock(dut.clk, 10, unit="step").start())
    await RisingEdge(dut.clk)


async def for_corners(dut: Any, corners: Iterable[str], job: Callable[[str], Awaitable[None]]) -> None:
    """Run `job` on all corners at the same time; they share nothing but the clock."""
    await start_clock(dut)
    tasks = [cocotb.start_soon(job(corner)) for corner in corners]
    for task in tasks:
        await task


async def check_stalls(dut: Any, corners: Iterable[str], make: Make, mode: str) -> None:
    """All corners carry their traffic under `mode`; without stalls also at the stated rate."""

    async def job(corner: str) -> None:
        rng = rng_for(f"{corner}/{mode}")
        traffic = make(corner, rng)
        port = Port.of(dut, corner, **traffic.ports)
        await port.reset()
        cycles = await port.exchange(mode, traffic.sent, traffic.expected, rng)
        if mode == "none" and traffic.rate is not None:
            beats, interval = traffic.rate
            ends = cycles[beats - 1 :: beats][traffic.settle :]
            gaps = [b - a for a, b in pairwise(ends)]
            assert len(gaps) >= 2, f"{corner}: a rate needs three vectors"
            assert set(gaps) == {interval}, f"{corner}: vectors end {gaps} cycles apart, stated are {interval}"

    await for_corners(dut, corners, job)


async def check_reset(dut: Any, corners: Iterable[str], make: Make, rounds: int = 3) -> None:
    """After a reset in mid-vector, at different places, the next traffic is right from its first beat."""

    async def job(corner: str) -> None:
        rng = rng_for(f"{corner}/reset")
        for _ in range(rounds):
            lost, traffic = make(corner, rng), make(corner, rng)
            port = Port.of(dut, corner, **traffic.ports)
            await port.reset()
            await port.interrupt(lost.sent, rng.randint(0, 1 + len(lost.sent)), rng)
            await port.exchange("none", traffic.sent, traffic.expected, rng)

    await for_corners(dut, corners, job)
