"""RTL simulation of one or many designs in a single Verilator build."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnnhw.emit.bench import emit_bench, queues_of, tap_file
from bnnhw.emit.resources import resource_folder
from bnnhw.emit.verilog import emit_verilog, naming
from bnnhw.ir.design import Design
from bnnhw.ir.encoding import I64
from bnnhw.ir.instances import Pipeline
from bnnhw.ir.integer import Network
from bnnhw.ir.layout import beat_bytes, layer_output, output_values, pack_frames, read_frames, spare_bits
from bnnhw.ir.pipeline import pipeline
from bnnhw.tools import verilator
from bnnhw.verify.netlist import Models

STALLS = ("none", "random", "source", "sink")


@dataclass(frozen=True)
class RtlRun:
    """What one network's simulation gave."""

    outputs: I64
    """[frames, O, H, W] values."""
    layers: dict[str, I64]
    """Per layer the levels or sums [frames, C, H, W] seen on its output stream; empty without taps."""
    frame_ends: tuple[int, ...]
    """Cycle of each frame's last output beat."""
    latency: int | None
    """Cycles from the first input beat to the first output beat; None where none came."""
    err_frame: bool
    bad_protocol: bool
    """Whether some tlast or tkeep was wrong."""
    whole_input: bool
    """Whether every input beat was taken."""
    queues: dict[str, int]
    """Per queue the most words that it held; empty without taps."""

    @property
    def intervals(self) -> tuple[int, ...]:
        """Cycles from each frame's end to the next's."""
        return tuple(b - a for a, b in zip(self.frame_ends, self.frame_ends[1:], strict=False))


class Simulation:
    """A compiled simulator of several designs; runs as often as wanted."""

    def __init__(
        self,
        designs: Sequence[tuple[Network, Design]],
        folder: Path,
        *,
        files_from: Path | None = None,
        optimise: int = 1,
        cells: Models | None = None,
    ) -> None:
        """Compile in `folder`: the Verilog of the designs, or what lies in a generated folder. Errors: ToolError.

        `optimise`: 0 for many small designs and few frames, 3 for many frames. `cells`: models of an FPGA's cells, where
        what lies in the folder is a netlist of them; its layers cannot be tapped.
        """
        self.designs, self.folder = list(designs), folder.resolve()
        files = emit_bench(self.designs, tapped=cells is None)
        if files_from is None:
            for net, design in self.designs:
                files |= emit_verilog(net, design)
        for path, text in files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        self.source = (files_from or folder).resolve()
        sim = self.folder / "sim"
        sources = [*sorted((self.source / "rtl").glob("*.v")), *(cells.files if cells else ()), sim / "taps.vlt", sim / "bench.v"]
        harness, includes, arguments = resource_folder("sim") / "harness.cpp", [sim / "duts.inc"], cells.arguments if cells else None
        self.program = verilator.build(sources, "bench", harness, self.folder / "obj", includes=includes, optimise=optimise, cells=arguments)

    def run(
        self,
        frames: Sequence[NDArray[np.integer]],
        *,
        stalls: str = "none",
        seed: int = 1,
        taps: bool = False,
        progress: Callable[[int], None] | None = None,
        timeout: float = 7200,
    ) -> list[RtlRun]:
        """Simulate raw `frames` [N, ...] for each design; a design that stops early gives fewer frames."""
        chains = [pipeline(net, design) for net, design in self.designs]
        work = self.folder / "run"
        work.mkdir(exist_ok=True)
        limit = 20_000
        for (net, _), chain, x in zip(self.designs, chains, frames, strict=True):
            (pack_frames(net, chain.source, x) | spare_bits(chain.source)).tofile(work / f"{naming(net).module}.in")
            slow = {"none": 1, "source": 3, "sink": 6, "random": 8}[stalls]
            limit = max(limit, 20_000 + slow * (len(x) + len(chain.instances) + 2) * 2 * chain.interval)
        command = [str(self.program), str(work), stalls, str(seed), str(limit), str(int(taps)), "0"]
        out = verilator.simulate(command, self.source, progress, timeout)
        lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        return [self._read(net, chain, work, line, taps) for (net, _), chain, line in zip(self.designs, chains, lines, strict=True)]

    def _read(self, net: Network, chain: Pipeline, work: Path, line: dict, taps: bool) -> RtlRun:
        names, done = naming(net), line["frames"]
        raw = read_frames(work / f"{names.module}.out", chain.sink.beats, beat_bytes(chain.sink))[:done]
        outputs = output_values(net, chain.sink, raw)
        layers = {}
        if taps:
            for name, i in chain.taps.items():
                seen = read_frames(work / tap_file(names.module, names.layers[name]), i.m.beats, beat_bytes(i.m))
                layers[name] = layer_output(net, name, i.m, seen)
        whole = line["sent"] == done * chain.source.beats
        bad = bool(line["bad_tlast"] or line["bad_tkeep"])
        queues = {i.name: most for i, most in zip(queues_of(chain), line["queues"], strict=True)} if taps else {}
        latency = line["first_output"] - line["first_input"] if line["first_output"] else None
        return RtlRun(outputs, layers, tuple(line["ends"]), latency, bool(line["err_frame"]), bad, whole, queues)
