"""Ready/valid streams in cocotb: the one source, the one sink and the two tests that every bench uses.

Beats are ints, or tuples of ints where a stream has several payload signals (tdata, tkeep, tlast).
Streams go by the names of their ports: `s`, or `a` and `b`, come in; `m`, or a fork's `m0`, `m1`, .. go out.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from sim.corners import Corner

Beat = int | tuple[int, ...]
Beats = Mapping[str, Sequence[Beat]]
"""Beats of each stream."""

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
    def of(dut: Any, name: str, payload: Sequence[str] = ("data",)) -> Stream:
        """The signals of stream `name`, with AXI names where its payload has `tdata`; a fork's readers share their payload."""
        axi = "t" if "tdata" in payload else ""
        signals = tuple(getattr(dut, f"{name.rstrip('0123456789')}_{signal}") for signal in payload)
        return Stream(signals, getattr(dut, f"{name}_{axi}valid"), getattr(dut, f"{name}_{axi}ready"))


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
    """A device under test as a bench sees it: streams in, streams out, a clock and a reset."""

    name: str
    clk: Any
    rst: Any
    s: dict[str, Stream]
    m: dict[str, Stream]
    rst_level: int = 1
    rst_cycles: int = 1
    patience: int = 300
    """Cycles of latency after which a run counts as stuck, on top of some for each beat."""

    @staticmethod
    def of(dut: Any, corner: str, s: Iterable[str] = ("s",), m: Iterable[str] = ("m",), payload: Mapping[str, Sequence[str]] | None = None) -> Port:
        """Port of one corner of a wrapper; `payload` of a stream is `data` unless told otherwise."""
        ins, outs = ({name: Stream.of(dut, f"{corner}_{name}", (payload or {}).get(name, ("data",))) for name in names} for names in (s, m))
        return Port(corner, dut.clk, getattr(dut, f"{corner}_rst", None), ins, outs)

    def sources(self, mode: str, rng: random.Random) -> dict[str, Source]:
        """A source on each stream in."""
        return {name: Source(self.clk, stream, mode, rng) for name, stream in self.s.items()}

    def sinks(self, mode: str, rng: random.Random) -> dict[str, Sink]:
        """A sink on each stream out."""
        return {name: Sink(self.clk, self.rst, stream, mode, rng, rst_level=self.rst_level) for name, stream in self.m.items()}

    async def reset(self) -> None:
        """Reset, with all sides idle, for as short as is allowed; afterwards nothing is offered."""
        for stream in self.s.values():
            stream.valid.value = 0
        for stream in self.m.values():
            stream.ready.value = 0
        self.rst.value = self.rst_level
        await cycles_of(self.clk, self.rst_cycles)
        self.rst.value = 1 - self.rst_level
        await RisingEdge(self.clk)
        for name, stream in self.m.items():
            assert not stream.valid.value, f"{self.name}: {name} is valid after reset"

    async def exchange(self, mode: str, sent: Beats, expected: Beats, rng: random.Random) -> dict[str, list[int]]:
        """Send beats, take and compare what comes; for each stream out the cycles of its beats, counted from the first offer.

        Every beat in must be taken and no surplus beat may come out.
        """
        assert all(sent.values()) and all(expected.values()), f"{self.name}: an empty run proves nothing"
        sinks = self.sinks(mode, rng)
        clock = next(iter(sinks.values()))
        if mode == "sink_first":
            await cycles_of(self.clk, 3)
        sources = self.sources(mode, rng)
        start = clock.cycle
        tasks = [cocotb.start_soon(source.send(sent[name])) for name, source in sources.items()]
        limit = start + self.patience + 16 * sum(len(beats) for streams in (sent, expected) for beats in streams.values())
        edge = RisingEdge(self.clk)
        while not (all(task.done() for task in tasks) and all(len(sink.beats) >= len(expected[name]) for name, sink in sinks.items())):
            await edge
            if clock.cycle >= limit:
                ins = ", ".join(f"{source.taken} of {len(sent[name])} beats into {name}" for name, source in sources.items())
                outs = ", ".join(f"{len(sink.beats)} of {len(expected[name])} out of {name}" for name, sink in sinks.items())
                raise AssertionError(f"{self.name}, {mode}: stuck with {ins}, {outs}")
        await cycles_of(self.clk, QUIET_CYCLES)
        for name, sink in sinks.items():
            sink.stop()
            self._compare(f"{self.name}, {mode}: {name}", sink.beats, expected[name])
        return {name: [cycle - start for cycle in sink.cycles] for name, sink in sinks.items()}

    @staticmethod
    def _compare(name: str, beats: Sequence[Beat], expected: Sequence[Beat]) -> None:
        wrong = next((i for i, (a, b) in enumerate(zip(beats, expected, strict=False)) if a != b), None)
        if wrong is not None:
            raise AssertionError(f"{name}: beat {wrong} is {beats[wrong]}, expected {expected[wrong]}")
        assert len(beats) == len(expected), f"{name}: {len(beats)} beats out, expected {len(expected)}"

    async def interrupt(self, sent: Beats, cycles: int, rng: random.Random) -> None:
        """Send for some cycles, then reset in the middle."""
        sinks, sources = self.sinks("random", rng), self.sources("none", rng)
        tasks = [cocotb.start_soon(source.send(sent[name])) for name, source in sources.items()]
        while not any(source.taken for source in sources.values()):  # a reset before the first beat would prove nothing
            await RisingEdge(self.clk)
        await cycles_of(self.clk, cycles)
        for task in tasks:
            task.cancel()
        for sink in sinks.values():
            sink.stop()
        await self.reset()


async def cycles_of(clk: Any, count: int) -> None:
    """Wait for `count` rising edges."""
    for _ in range(count):
        await RisingEdge(clk)


async def enabled_cycle(clk: Any, en: Any, rng: random.Random) -> None:
    """Clock cycles, in which `en` is now and then low, up to one in which it is high; then the falling edge."""
    while True:
        moves = rng.random() < 0.7
        en.value = int(moves)
        await cycles_of(clk, 1)
        if moves:
            break
    await FallingEdge(clk)


@dataclass(frozen=True)
class Traffic:
    """Beats in, beats out, and what the module says about its rate."""

    sent: Beats
    expected: Beats
    rate: tuple[int, int] | None = None
    """(beats out of one vector, cycles between the ends of two vectors); None where none is stated."""
    settle: int = 0
    """Vectors before the rate holds."""
    payload: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Payload names of a stream where they are not just `data`."""

    def port(self, dut: Any, corner: str) -> Port:
        """The port that this traffic is for."""
        return Port.of(dut, corner, self.sent, self.expected, self.payload)


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


async def write_memory(dut: Any, name: str, corner: Corner) -> None:
    """Write the memory of a corner that is written at run time, word by word in any order."""
    if not corner.start:
        return
    w_en, w_addr, w_data = (getattr(dut, f"{name}_w_{signal}") for signal in ("en", "addr", "data"))
    words = list(enumerate(corner.memory))
    rng_for(f"{name}/written").shuffle(words)
    for at, word in words:
        w_en.value, w_addr.value, w_data.value = 1, at, word
        await cycles_of(dut.clk, 1)
    w_en.value = 0


async def check_stalls(dut: Any, corners: Mapping[str, Corner], make: Make, mode: str) -> None:
    """All corners carry their traffic under `mode`; without stalls also at the stated rate."""

    async def job(corner: str) -> None:
        rng = rng_for(f"{corner}/{mode}")
        traffic = make(corner, rng)
        port = traffic.port(dut, corner)
        await port.reset()
        await write_memory(dut, corner, corners[corner])
        cycles = await port.exchange(mode, traffic.sent, traffic.expected, rng)
        if mode == "none" and traffic.rate is not None:
            beats, interval = traffic.rate
            for stream in cycles.values():
                ends = stream[beats - 1 :: beats][traffic.settle :]
                gaps = [b - a for a, b in pairwise(ends)]
                assert len(gaps) >= 2, f"{corner}: a rate needs three vectors"
                assert set(gaps) == {interval}, f"{corner}: vectors end {gaps} cycles apart, stated are {interval}"

    await for_corners(dut, corners, job)


async def check_reset(dut: Any, corners: Mapping[str, Corner], make: Make, rounds: int = 3) -> None:
    """After a reset in mid-vector, at different places, the next traffic is right from its first beat."""

    async def job(corner: str) -> None:
        rng = rng_for(f"{corner}/reset")
        for _ in range(rounds):
            lost, traffic = make(corner, rng), make(corner, rng)
            port = traffic.port(dut, corner)
            await port.reset()
            await write_memory(dut, corner, corners[corner])
            await port.interrupt(lost.sent, rng.randint(0, 1 + max(map(len, lost.sent.values()))), rng)
            await port.exchange("none", traffic.sent, traffic.expected, rng)

    await for_corners(dut, corners, job)


def stream_tests(corners: Mapping[str, Corner], make: Make) -> tuple[Any, Any]:
    """The two tests of every module with streams, for the names `carries` and `restarts` of its bench."""

    @cocotb.test(name="carries")
    @cocotb.parametrize(mode=MODES)
    async def carries(dut: Any, mode: str) -> None:
        await check_stalls(dut, corners, make, mode)

    @cocotb.test(name="restarts")
    async def restarts(dut: Any) -> None:
        await check_reset(dut, corners, make)

    return carries, restarts
