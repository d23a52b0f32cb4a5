"""One point evaluated: what runs on a worker."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bnnhw import schedule
from bnnhw.emit import emit_verilog
from bnnhw.estimate.resources import WEIGHTS, estimate
from bnnhw.estimate.timing import PATHS, timing
from bnnhw.explore.points import GAIN, Evaluation, Failed, Outcome, Result, Task
from bnnhw.ir.design import Design
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import Network
from bnnhw.ir.pipeline import pipeline
from bnnhw.ir.store import read_network
from bnnhw.synth import synthesise
from bnnhw.tools import verilator, yosys
from bnnhw.tools.targets import TARGETS
from bnnhw.tools.verilator import ToolError
from bnnhw.verify.frames import Frames, random_frames
from bnnhw.verify.ladder import Climb, climb

FAMILIES = tuple(TARGETS)
"""Names of the families of FPGAs that a point may be for."""
FRAMES, SEED = 3, 1
"""What is simulated: back to back, so that the interval shows."""


def simulate(net: Network, design: Design, _target: str) -> dict[str, Any]:
    """Interval and latency of the simulated RTL. Errors: ToolError, also where it differs from golden."""
    frames = Frames(random_frames(net.port, FRAMES, SEED), None, f"random, seed {SEED}")
    with tempfile.TemporaryDirectory(prefix="bnnhw-") as folder:
        for path, text in emit_verilog(net, design).items():
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).write_text(text)
        report = climb(net, design, Path(folder), None, frames, Climb("rtl"), schedule.latency(pipeline(net, design)))
    (rung,) = report.rungs
    if not rung.passed:
        raise ToolError(f"the RTL is not equal to golden: {rung.difference or rung.problems[0]}")
    assert rung.interval_cycles is not None
    return {
        "interval_cycles": rung.interval_cycles,
        GAIN: design.clock_mhz * 1e6 / rung.interval_cycles,
        "latency_cycles": rung.latency_cycles,
        "equal_frames": rung.frames,
    }


def synth(net: Network, design: Design, target: str) -> dict[str, Any]:
    """Cells of the whole design in Yosys. Errors: ToolError."""
    whole = synthesise(net, design, target, modules=False).whole
    assert whole is not None
    return asdict(whole)


def estimated(net: Network, design: Design, target: str) -> dict[str, Any]:
    """Cells of the whole design by the resource model, and the clock that it may reach in MHz."""
    chain = pipeline(net, design)
    clock = timing(chain, target, design.clock_mhz).fmax_mhz
    return {**estimate(chain, target).whole.without_carries(), "least_mhz": clock.low, "most_mhz": clock.high}


def _model() -> str:
    """Names the models by their content: another fit has other results."""
    return f"model {hashlib.sha256(WEIGHTS.read_bytes() + PATHS.read_bytes()).hexdigest()[:16]}"


def _verilator() -> str:
    return f"Verilator {verilator.find().version}"


EVALUATIONS = {
    e.name: e
    for e in (
        Evaluation("estimate", estimated, _model),
        Evaluation("synth", synth, yosys.version),
        Evaluation("simulate", simulate, _verilator, for_target=False),
    )
}
"""By the name that users give."""


def outcome(task: Task) -> Outcome:
    """The task's result, or in one line why there is none; nothing is raised."""
    try:
        return _result(task)
    except (BnnhwError, ToolError) as e:
        return failed(task, str(e))
    except Exception as e:  # whatever it is, the other points go on
        return failed(task, f"unexpected {type(e).__name__}: {e}")


def failed(task: Task, reason: str) -> Failed:
    """The task without a result."""
    return Failed(task.key, task.point, " ".join(reason.split())[:400])


def _result(task: Task) -> Result:
    setting = task.setting
    for what, here, there in (("bnnhw", version("bnnhw"), setting.version), ("tool", setting.evaluation.tool(), setting.tool)):
        if here != there:
            raise BnnhwError(f"worker: its {what} is {here}, that of the command {there}; install the same on both")
    net = _network(setting.network)
    design = setting.choose(net, **dict(task.point.request), **({"target": task.point.target} if task.point.target else {}))
    interval = pipeline(net, design).interval
    values = {"interval_cycles": interval, GAIN: design.clock_mhz * 1e6 / interval}
    return Result(task.key, task.point, {**values, **setting.evaluation.measure(net, design, task.point.target)}, schedule.write_design(net, design))


@lru_cache(maxsize=2)
def _network(content: bytes) -> Network:
    """The network in a file's bytes; a worker gets the same ones again and again."""
    with tempfile.TemporaryDirectory(prefix="bnnhw-") as folder:
        path = Path(folder) / "network.npz"
        path.write_bytes(content)
        return read_network(path)
