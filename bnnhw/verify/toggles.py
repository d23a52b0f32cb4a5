"""Toggles of every instance of a design, counted in Verilator while frames follow each other without a stall.

The rules of counting. Values are taken once a cycle, settled, before the rising edge: a glitch within a cycle is not seen. A
register is a signal whose name ends in `_q`, a net any other wire or variable; those of modules inside an instance and of its
generate blocks belong to it. What drives a signal counts it: inputs are not counted, nor are ports of the modules inside, whose
outer ends are, nor what a memory holds. A read or write of a memory is a cycle in which it is enabled.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnnhw.emit.bench import emit_bench
from bnnhw.emit.resources import resource_folder
from bnnhw.emit.verilog import emit_verilog, naming
from bnnhw.ir.activity import Activities, Activity, MemoryUse, Toggling
from bnnhw.ir.design import Design
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.instances import Instance, Stream
from bnnhw.ir.integer import Network
from bnnhw.ir.layout import beat_bytes, pack_frames
from bnnhw.ir.pipeline import pipeline
from bnnhw.tools import verilator
from bnnhw.tools.verilator import ToolError

WARM = 2
"""Frames that leave before counting starts."""
MOST_CYCLES = 3_000_000
"""Cycles counted at most where the caller says nothing."""
TIMEOUT = 7200
"""Seconds of one simulation."""
ENABLES = {"bnn_rom": {"en": "reads"}, "bnn_ram": {"r_en": "reads", "w_en": "writes"}}
"""Per memory module its enables and what they do."""
EVERYTHING = '`verilator_config\npublic_flat_rd -module "*" -var "*"\n'
ROOT = "TOP.bench.u0.u_"
"""Where the instances lie in the simulation."""


@dataclass(frozen=True)
class Signal:
    """A signal of the simulation, over the cycles that were counted."""

    scope: str
    module_scope: str
    """Of the module that it lies in."""
    module: str
    name: str
    bits: int
    live: int
    """Bits that changed at least once."""
    toggles: int


@dataclass(frozen=True)
class Counted:
    """What the simulation printed."""

    cycles: int
    frames: int
    signals: tuple[Signal, ...]
    enabled: Mapping[tuple[str, str], int]
    """Cycles, by scope and name of an enable."""
    memories: Mapping[str, tuple[int, int]]
    """Words and bits of a word, by scope."""


class Counter:
    """A compiled simulator of one design that counts toggles; runs as often as wanted."""

    def __init__(self, net: Network, design: Design, folder: Path, *, source: Path | None = None) -> None:
        """Compile in `folder` what `emit` gives, or the Verilog in the generated folder `source`. Errors: ToolError."""
        self.net, self.chain, self.folder, self.source = net, pipeline(net, design), folder.resolve(), (source or folder).resolve()
        self.made = {i.name: naming(net).of(i) for i in self.chain.instances}
        files = {"sim/bench.v": emit_bench([(net, design)], tapped=False)["sim/bench.v"], "sim/all.vlt": EVERYTHING}
        if source is None:
            files |= emit_verilog(net, design)
        rtl = sorted((self.source / "rtl").glob("*.v")) if source else [self.folder / p for p in files if p.startswith("rtl/")]
        uncounted, outputs = _declared([p.read_text() for p in rtl] if source else [files[f"rtl/{p.name}"] for p in rtl])
        self.inner = set(outputs)
        enables = [(module, name) for module, names in ENABLES.items() for name in names]
        files |= {name: "".join(f"{m} {s}\n" for m, s in pairs) for name, pairs in (("skipped", uncounted), ("watched", enables))}
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        self.program = _build([*rtl, self.folder / "sim" / "all.vlt", self.folder / "sim" / "bench.v"], self.folder / "obj")

    def signals(self, frames: NDArray[np.integer], *, most_cycles: int = MOST_CYCLES, progress: Callable[[int, int], None] | None = None) -> Counted:
        """What every signal did; as `run` otherwise."""
        if not len(frames):
            raise BnnhwError("toggles: no frames are given; give at least one")
        if most_cycles < 1:
            raise BnnhwError(f"toggles: {most_cycles} cycles cannot be counted; give at least 1")
        chain, wanted = self.chain, WARM + len(frames)
        pack_frames(self.net, chain.source, frames).tofile(self.folder / "in")
        limit = 20_000 + (wanted + len(chain.instances) + 2) * 2 * chain.interval
        numbers = [*_port(chain.source), chain.sink.beats, WARM, len(frames), most_cycles, limit]
        command = [str(self.program), *(str(self.folder / n) for n in ("in", "skipped", "watched")), *map(str, numbers)]
        about = WARM * chain.interval + min(len(frames) * chain.interval, most_cycles)

        def told(done: int) -> None:
            if progress:
                progress(done, max(done, about))

        counted = _read(verilator.simulate(command, self.source, told, TIMEOUT, unit="cycles"))
        outer = ROOT.count(".")
        return replace(
            counted, signals=tuple(s for s in counted.signals if s.module_scope.count(".") == outer or (s.module, s.name) not in self.inner)
        )

    def run(self, frames: NDArray[np.integer], *, most_cycles: int = MOST_CYCLES, progress: Callable[[int, int], None] | None = None) -> Activities:
        """Simulate raw `frames` [N, ...] over and over; count N frames of the steady state, or `most_cycles` cycles of it if these are fewer.

        `progress`: (cycles done, of about). Errors: BnnhwError; ToolError where the simulation fails.
        """
        counted = self.signals(frames, most_cycles=most_cycles, progress=progress)
        return Activities(counted.cycles, counted.frames, activities(counted, self.chain.instances, self.made))


def count_toggles(
    net: Network,
    design: Design,
    frames: NDArray[np.integer],
    *,
    source: Path | None = None,
    most_cycles: int = MOST_CYCLES,
    progress: Callable[[int, int], None] | None = None,
) -> Activities:
    """Activities of a design, compiled for this once; the arguments are those of `Counter`."""
    net.port.levels(frames)  # refuses what does not fit, before minutes of compiling
    with tempfile.TemporaryDirectory(prefix="bnnhw-") as work:
        return Counter(net, design, Path(work), source=source).run(frames, most_cycles=most_cycles, progress=progress)


def activities(counted: Counted, instances: Iterable[Instance], made: Mapping[str, str]) -> tuple[Activity, ...]:
    """Sums of each instance; `made`: the instances' identifiers by name."""
    registers, nets, memories = (defaultdict[str, list](list) for _ in range(3))
    for s in counted.signals:
        (registers if s.name.endswith("_q") else nets)[_instance_of(s.scope)].append(s)
    for scope, (words, bits) in counted.memories.items():
        uses = {"reads": 0, "writes": 0}
        for names in ENABLES.values():
            for name, use in names.items():
                uses[use] += counted.enabled.get((scope, name), 0)
        if any((scope, name) in counted.enabled for names in ENABLES.values() for name in names):
            name = scope.removeprefix(f"{ROOT}{_instance_of(scope)}.")
            memories[_instance_of(scope)].append(MemoryUse(name, words, bits, uses["reads"], uses["writes"]))
    return tuple(Activity(i.name, i.layer, _sum(registers[made[i.name]]), _sum(nets[made[i.name]]), tuple(memories[made[i.name]])) for i in instances)


def _instance_of(scope: str) -> str:
    return scope.removeprefix(ROOT).split(".")[0]


def _sum(signals: list[Signal]) -> Toggling:
    return Toggling(sum(s.live for s in signals), sum(s.toggles for s in signals))


def _port(s: Stream) -> tuple[int, int, int]:
    """Bytes of a beat, beats of a frame, bytes of a frame's last beat."""
    tail = s.elements - (s.beats - 1) * s.lanes
    return beat_bytes(s), s.beats, (tail * s.elem_bits + 7) // 8


def _declared(texts: Iterable[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(module, name) of inputs and numbers of loops, which are not counted, and of outputs."""
    uncounted, outputs = [], []
    for text in texts:
        for module, body in re.findall(r"^module (\w+)(.*?)^endmodule", text, re.MULTILINE | re.DOTALL):
            ports = re.findall(r"^\s*(input|output) (?:wire|reg) (?:signed )?(?:\[.*\] )?(\w+),?$", body, re.MULTILINE)
            loops = re.findall(r"^\s*(?:integer|genvar) ([\w, ]+);", body, re.MULTILINE)
            uncounted += [(module, name) for side, name in ports if side == "input"]
            uncounted += [(module, name) for names in loops for name in names.split(", ")]
            outputs += [(module, name) for side, name in ports if side == "output"]
    return uncounted, outputs


def _build(sources: Sequence[Path], folder: Path) -> Path:
    """The simulator, with every signal in reach."""
    v, flags = verilator.find(), ("-O1",)
    folder.mkdir(parents=True)
    arguments = ["--cc", "--vpi", "--Mdir", str(folder), "--top-module", "bench", "--x-initial", "unique", "-O3", "--output-split", "20000", "-Wall"]
    v.run([*arguments, *map(str, sources)], folder)
    harness = Path(shutil.copy(resource_folder("sim") / "toggles.cpp", folder / "harness.cpp"))
    generated = [harness, *sorted(folder.glob("Vbench*.cpp"))]
    include = v.root / "include"
    common = ["g++", "-std=gnu++17", "-w", *verilator.DEFINES, f"-I{folder}", f"-I{include}", f"-I{include / 'vltstd'}", "-c"]

    def compiled(path: Path) -> str:
        """What runs once, lists of all signals, would take the optimiser minutes."""
        made = path.with_suffix(".o")
        verilator.run([*common, *(("-O0",) if path.stem.endswith("Slow") else flags), str(path), "-o", str(made)], folder)
        return str(made)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, generated))
    program = folder / "simulate"
    verilator.run(["g++", "-o", str(program), *objects, str(verilator.runtime(v, flags)), "-lpthread"], folder)
    return program


def _read(text: str) -> Counted:
    signals, enabled, memories = [], {}, {}
    cycles = frames = 0
    for line in text.splitlines():
        kind, *rest = line.split("\t")
        if kind == "signal":
            signals.append(Signal(rest[0], rest[1], rest[2], rest[3], *map(int, rest[4:])))
        elif kind == "high":
            enabled[rest[0], rest[1]] = int(rest[2])
        elif kind == "memory":
            memories[rest[0]] = (int(rest[1]), int(rest[2]))
        elif kind == "run":
            cycles, frames, done = map(int, rest)
            if not done:
                raise ToolError("simulation: the design stopped before its frames were through; run bnnhw verify on it")
    return Counted(cycles, frames, tuple(signals), enabled, memories)
