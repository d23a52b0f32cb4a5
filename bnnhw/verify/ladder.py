"""The ladder: framework, golden, C simulation or RTL, netlist on the same frames, and the first difference of each rung."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw import golden
from bnnhw.ir.design import Design
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.expected import Expected
from bnnhw.ir.heads import Sums
from bnnhw.ir.integer import Network
from bnnhw.ir.layers import MatVec
from bnnhw.ir.pipeline import pipeline
from bnnhw.lutmap.cost import check_family
from bnnhw.lutmap.fabric import FABRICS
from bnnhw.tools import yosys
from bnnhw.tools.targets import TARGETS
from bnnhw.verify.csim import CSimulation
from bnnhw.verify.frames import Frames
from bnnhw.verify.netlist import Models, cell_models, write_netlist
from bnnhw.verify.rtl import STALLS, Simulation

LEVELS = ("golden", "csim", "rtl", "netlist")
FEW_CYCLES = 300_000
"""Up to which a netlist takes longer to compile with optimisation than to simulate without."""
Progress = Callable[[str, int, int], None]
"""Told (step, done, total)."""


@dataclass(frozen=True)
class Difference:
    """The first place where a rung departs from golden."""

    rung: str
    layer: str
    frame: int
    channel: int
    row: int
    column: int
    golden: int
    found: int | None
    """None where the rung gave no value."""

    def __str__(self) -> str:
        found = "nothing" if self.found is None else self.found
        return (
            f"{self.rung}: layer {self.layer!r}, frame {self.frame}, channel {self.channel}, pixel ({self.row}, {self.column}): "
            f"golden {self.golden}, {self.rung} {found}"
        )


@dataclass(frozen=True)
class Queue:
    """How full a queue was."""

    name: str
    words: int
    most: int
    """Words that it held at the fullest."""


@dataclass(frozen=True)
class Rung:
    """One comparison."""

    name: str
    frames: int
    source: str
    """Where its frames came from."""
    difference: Difference | None
    interval_cycles: int | None = None
    """Measured between the ends of frames, where two or more ran without stalls."""
    latency_cycles: int | None = None
    problems: tuple[str, ...] = ()
    """Faults of the protocol."""
    queues: tuple[Queue, ...] = ()
    """In the order of the pipeline; those of a netlist are not seen."""

    @property
    def passed(self) -> bool:
        """Whether all values were equal and the protocol was kept."""
        return self.difference is None and not self.problems


@dataclass(frozen=True)
class Simulated:
    """The Verilog of a rung."""

    rung: str
    source: Path
    """Folder that has it in `rtl`."""
    work: Path
    """Folder to compile in."""
    cells: Models | None = None
    """Of a netlist's cells."""


@dataclass(frozen=True)
class Climb:
    """How far to climb, and how."""

    level: str = "rtl"
    stalls: str = "none"
    seed: int = 1
    target: str = "ice40"
    """Family of FPGAs whose netlist is simulated."""
    progress: Progress | None = None

    def __post_init__(self) -> None:
        for what, value, known in (("level", self.level, LEVELS), ("stalls", self.stalls, STALLS), ("target", self.target, TARGETS)):
            if value not in known:
                raise BnnhwError(f"verify: {what} {value!r} is not known; give one of {', '.join(known)}")
        if self.seed < 0:
            raise BnnhwError(f"verify: seed {self.seed} cannot be; give 0 or more")

    def tell(self, step: str, done: int, total: int) -> None:
        """Report progress."""
        if self.progress:
            self.progress(step, done, total)

    def counter(self, step: str, total: int) -> Callable[[int], None]:
        """What adds up how many of `total` are done."""
        done = 0

        def advance(n: int) -> None:
            nonlocal done
            done += n
            self.tell(step, done, total)

        return advance


@dataclass(frozen=True)
class Report:
    """All rungs that were climbed, and golden's labels of the frames."""

    rungs: tuple[Rung, ...]
    labels: tuple[int, ...]
    accuracy: float | None
    """Percent, where the frames came with labels."""
    predicted_interval: int
    predicted_latency: int | None = None
    """Cycles from the first input beat to the first output beat when neither side stalls."""
    classes: tuple[str, ...] | None = None
    """Names of the labels, where the network has them."""

    @property
    def passed(self) -> bool:
        """Whether every rung passed."""
        return all(r.passed for r in self.rungs)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a script."""
        return {"passed": self.passed, **asdict(self)}


def first_difference(rung: str, layer: str, want: NDArray[np.integer], got: NDArray[np.integer]) -> Difference | None:
    """Of arrays [N, C, H, W], in the order of the stream; a missing frame differs."""
    n = min(len(want), len(got))
    wrong = (want[:n] != got[:n]).transpose(0, 2, 3, 1)
    if wrong.any():
        frame, row, column, channel = (int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))
        at = (frame, channel, row, column)
        return Difference(rung, layer, frame, channel, row, column, int(want[at]), int(got[at]))
    if len(got) < len(want):
        return Difference(rung, layer, n, 0, 0, 0, int(want[n, 0, 0, 0]), None)
    return None


def climb(net: Network, design: Design, folder: Path, expected: Expected | None, chosen: Frames, how: Climb, latency: int | None) -> Report:
    """Compare rung by rung; `latency` is what was predicted. Errors: BnnhwError for frames or a family that do not fit, ToolError."""
    if how.level == "netlist":
        check_family(FABRICS[design.logic.of_netlists], how.target)
        yosys.check_sound(yosys.target_of(how.target))
    frames = chosen.x
    rungs = [] if expected is None else [_framework_rung(net, expected)]
    trace = golden.run(net, frames, trace=how.level in ("rtl", "netlist"), progress=how.counter("golden", len(frames)))
    with tempfile.TemporaryDirectory(prefix="bnnhw-") as work:
        if how.level == "csim":
            rungs.append(_csim_rung(net, design, folder, Path(work), chosen, trace, how))
        if how.level in ("rtl", "netlist"):
            rungs.append(_simulated_rung(Simulated("rtl", folder, Path(work) / "rtl"), net, design, chosen, trace, how))
        if how.level == "netlist":
            how.tell(f"synthesise for {how.target}", 0, 1)
            mapped = write_netlist(net, folder, Path(work) / "netlist", how.target)
            how.tell(f"synthesise for {how.target}", 1, 1)
            verilog = Simulated("netlist", mapped, Path(work) / "simulated", cell_models(how.target))
            rungs.append(_simulated_rung(verilog, net, design, chosen, trace, how))
    accuracy = None if chosen.labels is None else float(100 * (trace.labels == chosen.labels).mean())
    return Report(tuple(rungs), tuple(int(v) for v in trace.labels), accuracy, pipeline(net, design).interval, latency, net.classes)


def _framework_rung(net: Network, expected: Expected) -> Rung:
    """Golden against the framework's saved outputs and labels.

    Outputs behind a scale for each class are fixed point in golden and real in the framework: there the labels decide.
    """
    last, got = net.layers[-1], golden.run(net, expected.frames)
    if expected.outputs.size != got.outputs.size:
        raise BnnhwError(f"expected.npz: outputs {expected.outputs.shape} are not those of {got.outputs.shape[:2]}; save one row a frame")
    fixed_point = isinstance(last, MatVec) and isinstance(last.head, Sums) and last.head.fraction_bits > 0
    difference = None if fixed_point else first_difference("framework", last.name, got.outputs, expected.outputs.reshape(got.outputs.shape))
    wrong = np.flatnonzero(got.labels != expected.labels)
    problems = tuple(f"frame {i}: label {got.labels[i]} in golden, {expected.labels[i]} in the framework" for i in wrong[:1])
    return Rung("framework", len(expected.frames), f"saved outputs of {expected.source}", difference, problems=problems)


def _csim_rung(net: Network, design: Design, folder: Path, work: Path, chosen: Frames, trace: golden.Trace, how: Climb) -> Rung:
    """The outputs of the HLS C++ against golden."""
    how.tell("compile HLS C++", 0, 1)
    simulation = CSimulation([(net, design)], work, files_from=folder)
    how.tell("compile HLS C++", 1, 1)
    (run,) = simulation.run([chosen.x], progress=lambda n: how.tell("simulate HLS C++", n, len(chosen.x)))
    return Rung(
        "csim", len(chosen.x), chosen.source, first_difference("csim", net.layers[-1].name, trace.outputs, run.outputs), problems=run.problems
    )


def _simulated_rung(verilog: Simulated, net: Network, design: Design, chosen: Frames, trace: golden.Trace, how: Climb) -> Rung:
    """The Verilog against golden: every layer of RTL, the outputs of a netlist."""
    frames, name, cells = chosen.x, verilog.rung, verilog.cells
    shown = name.upper() if name == "rtl" else name
    how.tell(f"compile {shown}", 0, 1)
    chain = pipeline(net, design)
    optimise = int(len(frames) * chain.interval > FEW_CYCLES) if cells else 3 if len(frames) > 8 else 1
    simulation = Simulation([(net, design)], verilog.work, files_from=verilog.source, optimise=optimise, cells=cells)
    how.tell(f"compile {shown}", 1, 1)
    (run,) = simulation.run(
        [frames], stalls=how.stalls, seed=how.seed, taps=cells is None, progress=lambda n: how.tell(f"simulate {shown}", n, len(frames))
    )
    problems = []
    if run.bad_protocol:
        problems.append("tlast or tkeep was wrong on some output beat")
    if not run.whole_input:
        problems.append("not every input beat was taken")
    if run.err_frame:
        problems.append("err_frame was set although every frame was whole")
    for layer in run.layers:
        difference = first_difference(name, layer, trace.layers[layer], run.layers[layer])
        if difference:
            break
    else:
        difference = first_difference(name, net.layers[-1].name, trace.outputs, run.outputs)
    interval = max(run.intervals) if run.intervals and how.stalls == "none" else None
    depths = {i.name: int(i.parameters["N_WORDS"]) for i in chain.instances if i.name in run.queues}
    queues = tuple(Queue(queue, depths[queue], most) for queue, most in run.queues.items())
    return Rung(name, len(frames), chosen.source, difference, interval, run.latency, tuple(problems), queues)
