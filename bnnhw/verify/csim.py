"""C simulation of the HLS C++ of one or many designs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnnhw import golden
from bnnhw.emit.hls import emit_csim, emit_hls, folded_out
from bnnhw.emit.resources import resource_folder
from bnnhw.emit.verilog import naming
from bnnhw.ir.design import Design
from bnnhw.ir.encoding import I64, U8
from bnnhw.ir.expected import Expected
from bnnhw.ir.integer import Network
from bnnhw.ir.layout import beat_bytes, output_values, pack_frames, pack_outputs, read_frames, spare_bits
from bnnhw.ir.pipeline import pipeline
from bnnhw.tools import cpp
from bnnhw.tools.verilator import simulate
from bnnhw.verify.frames import seeded_frames

TESTED = 4
"""Frames of a generated test bench: co-simulation is slow."""
WARNING = re.compile("read while empty|leftover data", re.IGNORECASE)
"""What the streams of the open headers print when a program is wrong, and go on."""
FAULTS = {
    "errors": "err_frame was set although every frame was whole",
    "bad_last": "last was wrong on some output beat",
    "bad_keep": "keep was wrong on some output beat",
    "left": "not every beat was read",
    "missing": "output beats are missing",
}


@dataclass(frozen=True)
class CsimRun:
    """What one network's C simulation gave."""

    outputs: I64
    """[frames, O, H, W] values."""
    problems: tuple[str, ...]


class CSimulation:
    """A compiled C simulation of several designs."""

    def __init__(
        self, designs: Sequence[tuple[Network, Design]], folder: Path, *, files_from: Path | None = None, optimise: int = 2, sanitise: bool = False
    ) -> None:
        """Compile in `folder`: the C++ of the designs, or what lies in a generated folder. Errors: ToolError."""
        self.designs, self.folder = list(designs), folder.resolve()
        files = emit_csim(self.designs)
        if files_from is None:
            for net, design in self.designs:
                files |= emit_hls(net, design)
        for path, text in files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        hls = (files_from or self.folder).resolve() / "hls"
        sources = [resource_folder("sim") / "csim.cpp", *(hls / f"{naming(net).module}.cpp" for net, _ in self.designs)]
        self.program = cpp.build(sources, [hls, self.folder / "csim"], self.folder / "obj" / "csim", optimise=optimise, sanitise=sanitise)

    def run(self, frames: Sequence[NDArray[np.integer]], *, progress: Callable[[int], None] | None = None, timeout: float = 7200) -> list[CsimRun]:
        """Simulate raw `frames` [N, ...] for each design. Errors: ToolError."""
        work = self.folder / "run"
        work.mkdir(exist_ok=True)
        chains = [pipeline(net, folded_out(net, design)) for net, design in self.designs]
        for (net, _), chain, x in zip(self.designs, chains, frames, strict=True):
            (pack_frames(net, chain.source, x) | spare_bits(chain.source)).tofile(work / f"{naming(net).module}.in")
        log = simulate([str(self.program), str(work)], work, progress, timeout)
        told = {line["network"]: line for line in map(json.loads, (line for line in log.splitlines() if line.startswith("{")))}
        warned = tuple(line.strip()[:200] for line in log.splitlines() if WARNING.search(line))[:1]
        found = []
        for (net, _), chain in zip(self.designs, chains, strict=True):
            name = naming(net).module
            raw = read_frames(work / f"{name}.out", chain.sink.beats, beat_bytes(chain.sink))
            faults = tuple(text for key, text in FAULTS.items() if told[name][key])
            found.append(CsimRun(output_values(net, chain.sink, raw), warned + faults))
        return found


def bench_frames(net: Network, design: Design, expected: Expected | None) -> tuple[U8, U8]:
    """[N, beats, bytes] of frames at the input port, saved ones if there are any, and of golden's outputs at the output port."""
    chain, frames = pipeline(net, folded_out(net, design)), seeded_frames(net.port, expected, TESTED, 1).x
    values = golden.run(net, frames, trace=True).layers[net.layers[-1].name]
    return pack_frames(net, chain.source, frames), pack_outputs(net, chain.sink, values)
