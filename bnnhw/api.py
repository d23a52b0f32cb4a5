"""The verbs of the command line, in Python: generate, verify, info, synth, energy, explore, train."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from decimal import ROUND_DOWN, Context
from functools import cached_property
from importlib.metadata import version
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bnnhw import data as datasets
from bnnhw import frontend, schedule
from bnnhw.emit import emit_verilog, naming
from bnnhw.emit.hls import emit_hls, hls_names
from bnnhw.emit.resources import resource_folder
from bnnhw.emit.scripts import vitis_script, vivado_script
from bnnhw.emit.verilog import file_names, read_verilog
from bnnhw.estimate import resources
from bnnhw.estimate.arithmetic import Version, versions
from bnnhw.estimate.power import Power, family_of
from bnnhw.estimate.power import power as power_of
from bnnhw.estimate.resources import Estimate
from bnnhw.estimate.timing import Timing, timing
from bnnhw.explore import EVALUATIONS, FAMILIES, Exploration, Point, Value, evaluate_all, grid, places
from bnnhw.explore import Progress as PointProgress
from bnnhw.ir.design import Design, Logic
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.expected import Expected, read_expected
from bnnhw.ir.instances import Pipeline
from bnnhw.ir.integer import Network
from bnnhw.ir.pipeline import pipeline
from bnnhw.ir.store import network_bytes, read_network
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.lower import Lowered, lower
from bnnhw.report.energy import draw_energy
from bnnhw.report.front import draw_front
from bnnhw.report.layers import layer_rows
from bnnhw.synth import Synthesis, synthesise
from bnnhw.verify.csim import bench_frames
from bnnhw.verify.frames import Frames, check_count, file_frames, seeded_frames
from bnnhw.verify.ladder import Climb, Progress, Report, climb
from bnnhw.verify.toggles import MOST_CYCLES, count_toggles

if TYPE_CHECKING:
    from bnnhw.nn.quantiser import Own

__version__ = version("bnnhw")
DEFAULT_FPS = 100.0
LEAST_FPS = 1e-6
DEFAULT_CLOCK_MHZ = 100.0
DEFAULT_TARGET = "xc7"
DEFAULT_LUT_LEVELS = schedule.LUT_LEVELS
DEFAULT_UTILISATION = 0.7
"""Part of a board's FPGA that a design may take; the rest is left for routing and what else is on it."""
BACKENDS = {"verilog": (emit_verilog,), "hls": (emit_hls,), "both": (emit_verilog, emit_hls)}
"""What `generate` writes, and how."""
USUAL = {"xc7": "pynq_z2", "xcup": "ultra96_v2"}
"""Boards for whose FPGAs the vendor's scripts are where none is given, by family."""
TITLES = {"verilog": "Verilog", "hls": "HLS C++"}
MOST_POWER_FRAMES = 100_000
"""Frames whose toggles are counted together."""


@dataclass(frozen=True, eq=False)
class Generated:
    """What `generate` made."""

    network: Network
    design: Design
    pipeline: Pipeline
    lowered: Lowered | None
    folder: Path


@dataclass(frozen=True)
class Request:
    """What a design is asked to be: keywords of `choose_design`. Errors: BnnhwError for what cannot be, whatever the network."""

    fps: float | None = None
    clock_mhz: float | None = None
    design: Path | None = None
    fully_folded: bool = False
    target: str | None = None
    """Family whose cells count: that of the board, or xc7, if None."""
    minimise: str = "area"
    lut_levels: int = DEFAULT_LUT_LEVELS
    """LUTs, at most, between the registers of popcounts."""
    primitives: bool = False
    """Whether sums are of Xilinx' primitives."""
    board: str | None = None
    utilisation: float = DEFAULT_UTILISATION
    max_luts: float | None = None
    max_block_rams: float | None = None
    max_dsps: float | None = None

    def __post_init__(self) -> None:
        self._check_values()
        self._check_together()

    @property
    def family(self) -> str:
        """Name of the family of FPGAs."""
        return self._board.target if self._board else self.target or DEFAULT_TARGET

    @property
    def clock(self) -> float:
        """Clock in MHz of a design that has none of its own."""
        return self.clock_mhz if self.clock_mhz is not None else self._board.clock_mhz if self._board else DEFAULT_CLOCK_MHZ

    @property
    def part(self) -> str | None:
        """The board's FPGA, or a usual one of the family, where the vendor's tools are scripted."""
        if self.family not in USUAL:
            return None
        return (self._board or schedule.board(resource_folder("boards"), USUAL[self.family])).part

    @property
    def budget(self) -> schedule.Budget:
        """What the board has, as far as it may be used, and what is given."""
        has = {f.name: getattr(self._board, f.name) * self.utilisation for f in fields(schedule.Budget)} if self._board else {}
        return schedule.Budget(**(has | self._limits))

    def folder(self, net: Network) -> schedule.Folder:
        """What finds the design."""
        logic = Logic.CARRY if self.primitives else None
        return schedule.Folder(net, self.family, self.clock, self.minimise, self.budget, self.lut_levels, logic)

    @cached_property
    def _board(self) -> schedule.Board | None:
        return None if self.board is None else schedule.board(resource_folder("boards"), self.board)

    @property
    def _limits(self) -> dict[str, float]:
        given = {"luts": self.max_luts, "block_rams": self.max_block_rams, "dsps": self.max_dsps}
        return {kind: most for kind, most in given.items() if most is not None}

    def _check_values(self) -> None:
        """Refuse what is wrong by itself."""
        if not 0 < self.utilisation <= 1:
            raise BnnhwError(f"folding: a utilisation of {self.utilisation:g} cannot be; give a fraction up to 1")
        for kind, most in self._limits.items():
            if not 0 <= most < inf:
                raise BnnhwError(f"folding: a budget of {most:g} {kind} cannot be; give a finite number from 0")
        if not 0 < self.clock <= schedule.MOST_MHZ:
            raise BnnhwError(f"folding: a clock of {self.clock:g} MHz cannot be; give more than 0 and at most {schedule.MOST_MHZ}")
        if self.fps is not None and not LEAST_FPS <= self.fps < inf:
            raise BnnhwError(f"folding: {self.fps:g} frames a second cannot be; give a finite rate of at least {LEAST_FPS:g}")
        if self.minimise not in schedule.MINIMISED:
            raise BnnhwError(f"folding: {self.minimise!r} cannot be minimised; give one of {', '.join(schedule.MINIMISED)}")
        if self.lut_levels < 1:
            raise BnnhwError(f"folding: {self.lut_levels} LUTs between registers cannot be; give 1 or more")
        resources.model(DEFAULT_TARGET if self.target is None else self.target)  # refuses a target that is not known

    def _check_together(self) -> None:
        """Refuse what contradicts, or has no use beside, the rest."""
        if self.target is not None and self.target != self.family:
            raise BnnhwError(f"folding: board {self.board!r} has an FPGA of {self.family}, not {self.target}; remove --target")
        if sum((self.fps is not None, self.design is not None, self.fully_folded)) > 1:
            raise BnnhwError("folding: --fps, --design and --fully-folded exclude each other; give one")
        if self.design is not None and self.clock_mhz is not None:
            raise BnnhwError("folding: --clock belongs into the design file when --design is given; remove one")
        if self.primitives and self.family not in schedule.XILINX:
            raise BnnhwError(f"folding: --primitives are those of {' and '.join(schedule.XILINX)}, not of {self.family}; remove it")
        folded, minimised = self.design is not None or self.fully_folded, self.minimise != "area"
        for unused, option, why in (
            (self.utilisation != DEFAULT_UTILISATION and self._board is None, "--utilisation", "without a board; remove it, or give --board"),
            (self.fully_folded and self.budget.limited, "a budget", "where the folding is given; remove it, or --fully-folded"),
            (folded and self.primitives, "--primitives", "where the folding is given; remove it, or write logic: carry into the design file"),
            (folded and minimised, "--minimise", "where the folding is given; remove it"),
            (folded and self.lut_levels != DEFAULT_LUT_LEVELS, "--lut-levels", "where the folding is given; remove it"),
            (minimised and self.fps is None and self.budget.limited, "--minimise", "beside a budget alone; remove it, or give --fps"),
        ):
            if unused:
                raise BnnhwError(f"folding: {option} has no use {why}")


def choose_design(net: Network, *, progress: Callable[[int, int], None] | None = None, **folding: Any) -> Design:
    """A design from a file, fully folded, or found: the least hardware for `fps`, or the most frames for a budget.

    `folding`: as in `Request`. A budget is what `max_...` allow and `utilisation` of what `board` has; with `fps` or `design` the design must be
    within it as well, as estimated. 100 frames a second if neither is given. Errors: BnnhwError.
    """
    asked = Request(**folding)
    budget, family = asked.budget, asked.family
    if asked.design is not None:
        chosen = schedule.read_design(net, asked.design, family, budget.luts)
        if asked.target is not None and chosen.logic is Logic.CARRY and family not in schedule.XILINX:
            raise BnnhwError(f"folding: the design's logic 'carry' is for {' and '.join(schedule.XILINX)}, not for {family}; use another")
        schedule.check_budget(net, chosen, family, budget)
        return chosen
    if asked.fully_folded:
        return schedule.fully_folded(net, asked.clock)
    folder = asked.folder(net)
    if asked.fps is None and budget.limited:
        return folder.fastest(progress)
    return folder.least(int(asked.clock * 1e6 / (DEFAULT_FPS if asked.fps is None else asked.fps)))


def generate(
    net: str | Path | TrainedNetwork,
    out: str | Path,
    *,
    weights: str | Path | None = None,
    design: str | Path | None = None,
    backend: str = "verilog",
    progress: Callable[[int, int], None] | None = None,
    **folding: Any,
) -> Generated:
    """Write the complete design of a trained network into the new folder `out`, as Verilog, HLS C++ or both.

    `backend`: one of BACKENDS. `net` is a YAML file, the name of a network of the zoo, or a trained network; `folding`: as for `choose_design`.
    Nothing is left behind where it fails. Errors: BnnhwError.
    """
    if backend not in BACKENDS:
        raise BnnhwError(f"generate: backend {backend!r} is not known; give one of {', '.join(BACKENDS)}")
    folding["design"] = None if design is None else Path(design)
    asked = Request(**folding)
    if backend != "verilog" and asked.part is None:
        raise BnnhwError(
            f"generate: backend {backend!r} is for {' and '.join(USUAL)}, of which Vitis knows FPGAs, not for {asked.family}; give verilog"
        )
    folder = _out(out).resolve()
    _check_free(folder)
    trained = net if isinstance(net, TrainedNetwork) else frontend.load(net, weights)
    expected = None if isinstance(net, TrainedNetwork) else frontend.expected_file(net)
    lowered = lower(trained)
    chosen = choose_design(lowered.network, progress=progress, **folding)
    chain = pipeline(lowered.network, chosen)
    files: dict[str, str | bytes] = {}
    for emit in BACKENDS[backend]:
        files |= emit(lowered.network, chosen)
    saved = None if expected is None else read_expected(expected)
    files |= _scripts(lowered.network, chosen, asked, backend, saved)
    files["network.npz"] = network_bytes(lowered.network)
    files["design.yaml"] = schedule.write_design(lowered.network, chosen)
    files["report.json"] = json.dumps(_report(lowered, chosen, chain), indent=1) + "\n"
    if expected is not None:
        files["expected.npz"] = expected.read_bytes()
    _write(folder, files)
    return Generated(lowered.network, chosen, chain, lowered, folder)


def _scripts(net: Network, design: Design, asked: Request, backend: str, saved: Expected | None) -> dict[str, str]:
    """{path: text} of the scripts for the vendor's tools, where the family is theirs."""
    files = dict[str, str]()
    if asked.part is not None and backend != "hls":
        files |= vivado_script(net, design, asked.part, asked.family)
    if asked.part is not None and backend != "verilog":
        files |= vitis_script(net, design, asked.part, *bench_frames(net, design, saved))
    return files


def _report(lowered: Lowered, design: Design, chain: Pipeline) -> dict[str, Any]:
    net, names = lowered.network, naming(lowered.network)
    return {
        "bnnhw": __version__,
        "network": net.name,
        "module": names.module,
        "identifiers": names.layers,
        "weight_bits": net.weight_bits,
        "interval_cycles": chain.interval,
        "clock_mhz": design.clock_mhz,
        "frames_per_second": design.clock_mhz * 1e6 / chain.interval,
        "limited_by": chain.bottleneck.name,
        "layers": layer_rows(net, design, chain),
        "constant_channels_dropped": lowered.dropped,
        "decisions_within_float32_error": [vars(c) for c in lowered.close],
    }


def _out(folder: str | Path) -> Path:
    """A folder to write to; BnnhwError for an empty name, which would be the current one."""
    if not str(folder):
        raise BnnhwError("output '': names no folder; give --out a name, a dot for the current folder")
    return Path(folder)


def _check_free(folder: Path) -> None:
    taken = folder.is_symlink() or folder.exists()
    if taken and (not folder.is_dir() or any(folder.iterdir())):
        raise BnnhwError(f"output {str(folder)!r}: exists and is not an empty folder; remove it or choose another --out")


def _write(folder: Path, files: dict[str, str | bytes]) -> None:
    """All files or none: written beside the target, then renamed."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name[:40]}-", dir=folder.parent))
    except OSError as e:
        raise BnnhwError(f"output {str(folder)!r}: cannot be written ({e.strerror}); choose another --out") from None
    try:
        partial.chmod(0o755)
        for path, content in files.items():
            target = partial / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        if folder.is_dir():  # empty, and perhaps somebody's working folder
            for child in partial.iterdir():
                os.replace(child, folder / child.name)
        else:
            os.replace(partial, folder)
    except OSError as e:
        raise BnnhwError(f"output {str(folder)!r}: cannot be written ({e.strerror}); choose another --out") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def open_generated(folder: str | Path) -> Generated:
    """The network and design of a generated folder; BnnhwError where it is none."""
    path = Path(folder)
    for name in ("network.npz", "design.yaml"):
        if not (path / name).is_file():
            raise BnnhwError(f"{str(path)!r}: no {name} in it; give a folder that bnnhw generate wrote")
    net = read_network(path / "network.npz")
    design = schedule.read_design(net, path / "design.yaml")
    return Generated(net, design, pipeline(net, design), None, path)


def _check_whole(generated: Generated, backend: str = "verilog") -> None:
    """Refuse a folder that lacks files of its design."""
    names = {"verilog": file_names, "hls": hls_names}[backend](generated.network, generated.design)
    missing = [name for name in names if not (generated.folder / name).is_file()]
    if len(missing) == len(names):
        raise BnnhwError(f"{str(generated.folder)!r}: holds no {TITLES[backend]}; generate it with --backend {backend}, or both")
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise BnnhwError(f"{str(generated.folder)!r}: no {min(missing)}{more} in it; generate it again")


def _opened(folder: str | Path, given: dict[str, Any], taken: Sequence[str] = ()) -> Generated:
    """A generated folder; BnnhwError where more is given than the keywords `taken`: it has its network and its design."""
    defaults = {f.name: f.default for f in fields(Request)}
    surplus = [name for name, value in given.items() if name not in taken and value != defaults.get(name)]
    if surplus:
        options = ", ".join(f"--{name.removesuffix('_mhz').replace('_', '-')}" for name in surplus)
        raise BnnhwError(f"{str(folder)!r}: has its own network and design; remove {options}")
    return open_generated(folder)


def _network(net: str | Path, weights: str | Path | None) -> Network:
    """The integer network of a generated folder, a YAML file or a zoo network."""
    return _opened(net, {"weights": weights}).network if Path(net).is_dir() else lower(frontend.load(net, weights)).network


def verify(
    folder: str | Path,
    *,
    frames: int = 1,
    level: str = "rtl",
    stalls: str = "none",
    data: str | Path | NDArray[np.integer] | None = None,
    seed: int = 1,
    target: str = "ice40",
    progress: Progress | None = None,
) -> Report:
    """Compare framework, golden and, as `level` says, the HLS C++ or the Verilog in `folder` and the netlist for `target` on the same frames.

    `data`: frames [N, ...], an `.npz` that holds them as `frames`, or the name of a data set (`digits`,
    `mnist`, `cifar10`) for its test images; without it, the network's saved frames, else random ones from `seed`.
    Errors: BnnhwError; ToolError where a simulator is missing or fails. Differences are in the report.
    """
    how = Climb(level, stalls, seed, target, progress)
    generated = open_generated(folder)
    if level != "golden":
        _check_whole(generated, "hls" if level == "csim" else "verilog")
    net, expected, chosen = generated.network, _expected(generated), _frames(generated, data, frames, seed)
    predicted = None if level in ("golden", "csim") else schedule.latency(generated.pipeline)
    return climb(net, generated.design, generated.folder, expected, chosen, how, predicted)


def _expected(generated: Generated) -> Expected | None:
    """Frames saved with the network, where it has some."""
    file = generated.folder / "expected.npz"
    return read_expected(file) if file.is_file() else None


def _frames(generated: Generated, data: str | Path | NDArray[np.integer] | None, frames: int, seed: int) -> Frames:
    """The frames that a caller asks for, as `verify` says."""
    if data is None:
        return seeded_frames(generated.network.port, _expected(generated), frames, seed)
    if isinstance(data, np.ndarray):
        check_count(frames, len(data), "given frames")
        return Frames(data[:frames], None, "given frames")
    if str(data) in datasets.NAMES:
        test = datasets.load_split(str(data), "test")
        check_count(frames, len(test.x), f"data set {data}")
        return Frames(test.x[:frames], test.y[:frames].astype(np.int64), f"test images of {data}")
    return file_frames(Path(data), frames)


def power(
    folder: str | Path,
    target: str,
    *,
    frames: int = 4,
    data: str | Path | NDArray[np.integer] | None = None,
    seed: int = 1,
    most_cycles: int = MOST_CYCLES,
    progress: Progress | None = None,
) -> Power:
    """Power of the Verilog in `folder` on a family of FPGAs: toggles counted in simulation, cells counted by synthesis; docs/power.md has the model.

    Toggles are of `frames` frames (`data` and `seed` as for `verify`), or of `most_cycles` cycles if these are fewer.
    Errors: BnnhwError; ToolError where Verilator or Yosys is missing or fails.
    """
    family_of(target)
    if not 1 <= frames <= MOST_POWER_FRAMES or seed < 0 or most_cycles < 1:
        raise BnnhwError(
            f"power: {frames} frames, seed {seed}, {most_cycles} cycles cannot be; give 1 to {MOST_POWER_FRAMES} frames, a seed from 0, cycles from 1"
        )
    tell = progress or (lambda *_: None)
    generated = open_generated(folder)
    _check_whole(generated)
    net, design, x = generated.network, generated.design, _frames(generated, data, frames, seed).x
    found = count_toggles(net, design, x, source=generated.folder, most_cycles=most_cycles, progress=lambda done, of: tell("count toggles", done, of))
    cells = synth(folder, target, whole=False, progress=lambda done, of: tell("synthesise", done, of))
    each = {m.name: m.cells for m in cells.modules}
    return power_of(target, found, each, interval_cycles=generated.pipeline.interval, clock_mhz=design.clock_mhz)


def synth(
    folder: str | Path, target: str, *, modules: bool = True, whole: bool = True, progress: Callable[[int, int], None] | None = None
) -> Synthesis:  # fmt: skip
    """Cells of the Verilog in `folder` in a family of FPGAs (xc7, xcup, ecp5, ice40, gowin): each module alone, and the whole.

    What was synthesised before, by the same Yosys, is not done again. Errors: BnnhwError; ToolError where Yosys is missing or fails.
    """
    if not (modules or whole):
        raise BnnhwError("synth: neither modules nor the whole are asked for; give one")
    generated = open_generated(folder)
    _check_whole(generated)
    files = read_verilog(generated.folder)
    return synthesise(generated.network, generated.design, target, files=files, modules=modules, whole=whole, progress=progress)


def estimate(
    net: str | Path, target: str | None = None, *, weights: str | Path | None = None, board: str | None = None, **folding: Any
) -> tuple[Estimate, Timing]:  # fmt: skip
    """Cells of a design before synthesis, with the errors that were measured, and the clock that it would reach.

    `net` as for `info`; `folding`: as for `choose_design`, a generated folder has its own. Errors: BnnhwError.
    """
    family = Request(target=target, board=board).family
    if Path(net).is_dir():
        made = _opened(net, {"weights": weights, **folding}, ["progress"])
        design, chain = made.design, made.pipeline
    else:
        network = _network(net, weights)
        design = choose_design(network, target=target, board=board, **folding)
        chain = pipeline(network, design)
    return resources.estimate(chain, family), timing(chain, family, design.clock_mhz)


def energy(net: str | Path, *, weights: str | Path | None = None, plot: str | Path | None = None) -> tuple[Version, ...]:
    """Arithmetic energy of a frame in float32, float16, int8, ternary and binary, and as the network is; docs/energy.md has the rules.

    `net` as for `info`; `plot`: an `.svg`, `.png` or `.pdf` file to draw (needs the plot extra). Errors: BnnhwError.
    """
    network = _network(net, weights)
    found = versions(network)
    if plot is not None:
        draw_energy(network.name, found, Path(plot))
    return found


def explore(
    net: str | Path,
    out: str | Path,
    *,
    evaluate: str = "estimate",
    targets: Sequence[str] | None = None,
    front: int | None = None,
    weights: str | Path | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    progress: PointProgress | None = None,
    **folding: Sequence[Value],
) -> Exploration:
    """Evaluate designs of a network in parallel and find the best: the fewest LUTs for the most frames a second.

    `net` as for `info`; `folding`: keywords of `choose_design`, each with a list of values, of which every combination is a
    point; `front`: in place of `fps` so many rates, from the slowest design to the fastest that there is, and least LUTs for each; `targets`:
    xc7, or the board's, if None; `evaluate`: estimate, synth or simulate; `jobs`: processes here, or `cluster`: dask://host:port, ray://host:port.
    `out` keeps results: what it has is not evaluated again (docs/explore.md). A point that fails is told of in the result.
    Errors: BnnhwError for input that concerns all points, ToolError where a tool is missing.
    """
    known = [f.name for f in fields(Request) if f.name not in ("design", "target")]
    for what, given, allowed in (
        ("evaluation", [evaluate], list(EVALUATIONS)), ("target", targets or (), FAMILIES), ("folding", folding, known),
    ):  # fmt: skip
        for name in given:
            if name not in allowed:
                raise BnnhwError(f"explore: {what} {name!r} is not known; give one of {', '.join(allowed)}")
    for what, values in {"target": targets, **folding}.items():
        if values is not None and not values:
            raise BnnhwError(f"explore: no value of {what} is given; give one or more")
    evaluation, folder = EVALUATIONS[evaluate], _out(out)
    points = tuple(dict.fromkeys(_checked(point, evaluation.for_target) for point in grid(folding, targets or [""])))
    network = _network(net, weights)
    if front is not None:
        points = tuple(faster for point in points for faster in _front(network, point, front))
    made = evaluate_all(
        network_bytes(network), points, folder, evaluation=evaluation, choose=choose_design, jobs=jobs, cluster=cluster, progress=progress
    )
    seen, plot = places(made.outcomes), folder / "pareto.svg"
    if not seen or not draw_front(f"{network.name}: designs", seen, places(made.front), plot):
        plot.unlink(missing_ok=True)
    return made


def _front(net: Network, point: Point, count: int) -> Iterator[Point]:
    """The point with so many rates, evenly spread on a logarithmic scale, each to be had with least LUTs."""
    given: dict[str, Any] = {"minimise": "luts", **dict(point.request)}
    asked = Request(**{"target": point.target or None, "fps": LEAST_FPS, **given})
    if count < 2 or "fps" in given or asked.budget.limited:
        raise BnnhwError(f"explore: a front of {count} rates cannot be here; give 2 or more, and neither rates nor budgets or boards beside")
    folder = asked.folder(net)
    for interval in np.unique(np.geomspace(folder.shortest(), folder.slowest, count).round()).tolist():
        yield replace(point, request=(*given.items(), ("fps", _rounded_down(asked.clock * 1e6 / interval))))


def _rounded_down(x: float) -> float:
    """A number of six digits."""
    return float(Context(prec=6, rounding=ROUND_DOWN).create_decimal(x))


def _checked(point: Point, for_target: bool) -> Point:
    """The point with its target where that matters. Errors: BnnhwError for what cannot be, whatever the network."""
    request: dict[str, Any] = {"target": point.target or None, **dict(point.request)}
    return replace(point, target=Request(**request).family if for_target else "")


def info(net: str | Path, *, weights: str | Path | None = None, **folding: Any) -> dict[str, Any]:
    """Layers, shapes, bits, folding and cycles of a generated folder, a YAML file or a zoo network.

    `folding`: as for `choose_design`; a generated folder has its own.
    """
    if Path(net).is_dir():
        g = _opened(net, {"weights": weights, **folding}, ["progress"])
        return {"network": g.network.name, **_summary(g.network, g.design, g.pipeline)}
    network = _network(net, weights)
    design = choose_design(network, **folding)
    return {"network": network.name, **_summary(network, design, pipeline(network, design))}


def _summary(net: Network, design: Design, chain: Pipeline) -> dict[str, Any]:
    return {
        "input": f"{net.port.raw} {'x'.join(map(str, net.port.shape))}",
        "weight_bits": net.weight_bits,
        "clock_mhz": design.clock_mhz,
        "interval_cycles": chain.interval,
        "latency_cycles": schedule.latency(chain),
        "frames_per_second": design.clock_mhz * 1e6 / chain.interval,
        "limited_by": chain.bottleneck.name,
        "layers": layer_rows(net, design, chain),
    }


def train(
    net: str | Path, out: str | Path, *, epochs: int | None = None, resume: bool = True, quiet: bool = False, own: Own | None = None
) -> dict[str, Any]:  # fmt: skip
    """Train a described network by its `train` recipe; needs the `train` extra.

    Writes into `out`: the description, packed weights and 16 seeded frames with PyTorch's outputs,
    which `generate` takes as they are, and a checkpoint from which a later call goes on.
    `own`: quantisers of the caller's by layer (docs/own-quantiser.md), given again to a later call.
    Returns accuracies in percent. Errors: BnnhwError.
    """
    topology, _ = frontend.read_topology(net)
    if topology.train is None:
        raise BnnhwError(f"network {topology.name!r}: has no 'train' section; add data and epochs")
    spec = topology.train if epochs is None else topology.train.model_copy(update={"epochs": epochs})
    if spec.epochs < 1:
        raise BnnhwError(f"train: {epochs} epochs train nothing; give at least 1")
    try:
        from bnnhw.nn.export import export, rehearse
        from bnnhw.nn.train import train as run
    except ImportError as e:
        raise BnnhwError(f"training needs {e.name}; pip install 'bnnhw[train]'") from None
    folder, rehearsed = _out(out), rehearse(topology, spec.epochs, own)
    if rehearsed is not None:  # what has no hardware form is not worth an epoch
        network = lower(rehearsed).network
        pipeline(network, schedule.fully_folded(network, DEFAULT_CLOCK_MHZ))
    metrics = run(topology, folder, spec, resume=resume, quiet=quiet, own=own)
    return {**metrics, **export(topology, folder, own)}
