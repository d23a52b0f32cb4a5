"""The verbs of the command line, in Python: generate, verify, import_check, info, synth, energy, explore, train."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from decimal import ROUND_DOWN, Context
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bnnhw import data as datasets
from bnnhw import folders, frontend, schedule
from bnnhw.emit import emit_verilog, naming
from bnnhw.emit.hls import emit_hls, hls_names
from bnnhw.emit.host import emit_host, layout, update_bytes
from bnnhw.emit.qonnx import qonnx_bytes
from bnnhw.emit.scripts import board_scripts, ip_scripts, uart_files, vitis_script, vivado_script
from bnnhw.emit.verilog import file_names, read_verilog
from bnnhw.estimate import resources
from bnnhw.estimate.arithmetic import Version, versions
from bnnhw.estimate.power import Power, family_of
from bnnhw.estimate.power import power as power_of
from bnnhw.estimate.resources import Estimate
from bnnhw.estimate.timing import Timing, timing
from bnnhw.explore import EVALUATIONS, FAMILIES, Exploration, Point, Value, evaluate_all, grid, places
from bnnhw.explore import Progress as PointProgress
from bnnhw.imports import CHECKED_FRAMES, check, expected_file, foreign, trained_network
from bnnhw.ir.design import Design
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.expected import Expected, read_expected
from bnnhw.ir.instances import Pipeline
from bnnhw.ir.integer import Network
from bnnhw.ir.layers import MatVec
from bnnhw.ir.pipeline import pipeline
from bnnhw.ir.store import network_bytes, read_network
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.lower import Lowered, lower, marked
from bnnhw.report.compared import Compared, compared, reports_of
from bnnhw.report.energy import draw_energy
from bnnhw.report.front import draw_front
from bnnhw.report.layers import layer_rows
from bnnhw.report.vivado import check_family
from bnnhw.request import DEFAULT_CLOCK_MHZ, LEAST_FPS, USUAL, Request, choose_design
from bnnhw.synth import Synthesis, synthesise
from bnnhw.verify.csim import bench_frames
from bnnhw.verify.frames import Frames, check_count, file_frames, seeded_frames
from bnnhw.verify.imported import ImportCheck
from bnnhw.verify.ladder import Climb, Progress, Report, climb
from bnnhw.verify.toggles import MOST_CYCLES, count_toggles

if TYPE_CHECKING:
    from bnnhw.nn.quantiser import Own

__version__ = version("bnnhw")
BACKENDS = {"verilog": (emit_verilog,), "hls": (emit_hls,), "both": (emit_verilog, emit_hls)}
"""What `generate` writes, and how."""
WRITTEN = ("rtl/*.v", "mem/*.mem", "host/*", "board/*", "ip/component.xml", "*.tcl", "design.yaml")
"""What `generate` writes that an update has as well."""
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


def generate(
    net: str | Path | TrainedNetwork,
    out: str | Path,
    *,
    weights: str | Path | None = None,
    input_as: str | None = None,
    design: str | Path | None = None,
    backend: str = "verilog",
    writable: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
    **folding: Any,
) -> Generated:
    """Write the complete design of a trained network into the new folder `out`, as Verilog, HLS C++ or both.

    `backend`: one of BACKENDS. `writable`: layers, or "all", whose weights and thresholds can be written at run time, beside those that the YAML names. `net` is a YAML file, the name of a network of the zoo, an ONNX file, or a trained network;
    `input_as`: what frames hold, of an ONNX file (docs/import.md); `folding`: as for `choose_design`.
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
    folder = folders.named(out).resolve()
    folders.check_free(folder)
    trained = trained_network(net, weights, input_as)
    expected = expected_file(net)
    lowered = lower(replace(trained, topology=marked(trained.topology, writable)))
    chosen = choose_design(lowered.network, progress=progress, **folding)
    chain = pipeline(lowered.network, chosen)
    files: dict[str, str | bytes] = {}
    for emit in BACKENDS[backend]:
        files |= emit(lowered.network, chosen)
    files |= emit_host(lowered.network, chosen)
    saved = None if expected is None else read_expected(expected)
    files |= _scripts(lowered.network, chosen, asked, backend, saved)
    files["network.npz"] = network_bytes(lowered.network)
    files["design.yaml"] = schedule.write_design(lowered.network, chosen)
    files["report.json"] = json.dumps(_report(lowered, chosen, chain, asked.family), indent=1) + "\n"
    if expected is not None:
        files["expected.npz"] = expected.read_bytes()
    folders.write(folder, files)
    return Generated(lowered.network, chosen, chain, lowered, folder)


def update(
    folder: str | Path, net: str | Path | TrainedNetwork, out: str | Path, *, weights: str | Path | None = None, input_as: str | None = None
) -> Generated:  # fmt: skip
    """Write into the new folder `out` what is in `folder`, with the weights and thresholds of another network in its writable layers.

    The Verilog is the same; `host/update.bin` is what a host driver writes into the running hardware. Errors: BnnhwError where the other network needs
    other hardware.
    """
    old, place = open_generated(folder), folders.named(out).resolve()
    _check_whole(old)
    folders.check_free(place)
    if place.is_relative_to(old.folder.resolve()):
        raise BnnhwError(f"output {str(out)!r}: lies in {str(folder)!r}; choose an --out beside it")
    names = [layer.name for layer in old.network.layers if isinstance(layer, MatVec) and layer.writable]
    if not names:
        raise BnnhwError(f"{str(folder)!r}: no layer is writable; generate it with --writable")
    trained = trained_network(net, weights, input_as)
    expected = expected_file(net)
    lowered = lower(replace(trained, topology=marked(trained.topology, names, only=True)))
    design = schedule.read_design(lowered.network, old.folder / "design.yaml")
    chain = pipeline(lowered.network, design)
    verilog, target = emit_verilog(lowered.network, design), _target(old.folder)
    _check_same_hardware(old, chain, verilog)
    if layout(lowered.network, design) != layout(old.network, old.design):
        raise BnnhwError(
            "update: its input, its outputs' names or how a label follows differ, which hosts have in host/layout.json; generate it anew"
        )
    files: dict[str, str | bytes] = {
        str(p.relative_to(old.folder)): p.read_bytes() for part in WRITTEN for p in sorted(old.folder.glob(part)) if p.is_file()
    }
    files |= verilog
    files["network.npz"] = network_bytes(lowered.network)
    files["report.json"] = json.dumps(_report(lowered, design, chain, target), indent=1) + "\n"
    files["host/update.bin"] = update_bytes(lowered.network, design)
    files.pop("expected.npz", None)
    if expected is not None:
        files["expected.npz"] = expected.read_bytes()
    folders.write(place, files)
    return Generated(lowered.network, design, chain, lowered, place)


def _target(folder: Path) -> str:
    """The family that a generated folder was made for. Errors: BnnhwError."""
    try:
        return str(json.loads((folder / "report.json").read_text())["target"])
    except (OSError, ValueError, TypeError, KeyError):
        raise BnnhwError(f"{str(folder / 'report.json')!r}: is missing or damaged; generate it again") from None


def _check_same_hardware(old: Generated, new: Pipeline, verilog: dict[str, str]) -> None:
    """Refuse a design that is not the old one with other words in the memories that are written."""
    for a, b in zip(old.pipeline.instances, new.instances, strict=False):
        for name in dict.fromkeys((*a.parameters, *b.parameters)):
            if (a.module, a.parameters.get(name)) != (b.module, b.parameters.get(name)):
                raise BnnhwError(
                    f"update: {a.name} has {name} {a.parameters.get(name)}, the new weights need {b.parameters.get(name)}; generate and build it anew"
                )
    names, had = naming(old.network), read_verilog(old.folder)
    written = {names.memory(i) for i in old.pipeline.written}
    other = next((path for path, text in verilog.items() if had.get(path) != text and path not in written), None)
    if other is not None:
        raise BnnhwError(f"update: {other} differs, which cannot be written at run time; train with those layers as they were, or generate it anew")


def _scripts(net: Network, design: Design, asked: Request, backend: str, saved: Expected | None) -> dict[str, str]:
    """{path: text} of the scripts for the vendor's tools, where the family is theirs."""
    files = dict[str, str]()
    if asked.part is not None and backend != "hls":
        files |= vivado_script(net, design, asked.part, asked.family) | ip_scripts(net, design, asked.family)
        board = asked.given_board
        if board is not None and board.system is not None:
            files |= (
                board_scripts(net, design, board.title, board.part, board.system, board.board_parts)
                if board.has_dma
                else uart_files(net, design, board.title, board.part, board.target, str(asked.board), board.clock_mhz)
            )
    if asked.part is not None and backend != "verilog":
        files |= vitis_script(net, design, asked.part, *bench_frames(net, design, saved))
    return files


def _report(lowered: Lowered, design: Design, chain: Pipeline, target: str) -> dict[str, Any]:
    net, names = lowered.network, naming(lowered.network)
    return {
        "bnnhw": __version__,
        "network": net.name,
        "module": names.module,
        "identifiers": names.layers,
        "weight_bits": net.weight_bits,
        "interval_cycles": chain.interval,
        "clock_mhz": design.clock_mhz,
        "target": target,
        "frames_per_second": design.clock_mhz * 1e6 / chain.interval,
        "limited_by": chain.bottleneck.name,
        "layers": layer_rows(net, design, chain),
        "constant_channels_dropped": lowered.dropped,
        "decisions_within_float32_error": [vars(c) for c in lowered.close],
    }


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
        options = ", ".join(f"--{name.removesuffix('_mhz').removesuffix('_as').replace('_', '-')}" for name in surplus)
        raise BnnhwError(f"{str(folder)!r}: has its own network and design; remove {options}")
    return open_generated(folder)


def _network(net: str | Path, weights: str | Path | None, input_as: str | None) -> Network:
    """The integer network of a generated folder, a YAML file, a zoo network or an ONNX file."""
    if Path(net).is_dir():
        return _opened(net, {"weights": weights, "input_as": input_as}).network
    return lower(trained_network(net, weights, input_as)).network


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
    return frames_of(data, frames)


def frames_of(data: str | Path | NDArray, frames: int) -> Frames:
    """The first frames of an array, of a data set's test images or of a file. Errors: BnnhwError."""
    if isinstance(data, np.ndarray):
        check_count(frames, len(data), "given frames")
        return Frames(data[:frames], None, "given frames")
    if str(data) in datasets.NAMES:
        test = datasets.load_split(str(data), "test")
        check_count(frames, len(test.x), f"data set {data}")
        return Frames(test.x[:frames], test.y[:frames].astype(np.int64), f"test images of {data}")
    return file_frames(Path(data), frames)


def import_check(
    net: str | Path | Any,
    *,
    example_input: Any = None,
    frames: int = CHECKED_FRAMES,
    data: str | Path | NDArray | None = None,
    seed: int = 1,
    input_as: str | None = None,
) -> ImportCheck:
    """Run a model in its own framework and in golden on the same frames, and compare every tensor that both have.

    `net`: an ONNX file, or a PyTorch module with an `example_input`; `data`: raw frames, or frames of the model's own real numbers, as for `verify`,
    random ones if None; `input_as`: as for `generate`. Errors: BnnhwError.
    """
    given = None if data is None else frames_of(data, frames)
    return check(foreign(net, example_input, input_as), frames, given, seed)


def export_qonnx(net: str | Path, out: str | Path, *, weights: str | Path | None = None, input_as: str | None = None) -> Path:
    """Write the integer network as the new ONNX file `out`, which QONNX' executor and other tools run with the same outputs; its path.

    `net` as for `info`. Errors: BnnhwError.
    """
    path = Path(out)
    if path.suffix != ".onnx" or path.exists() or not path.resolve().parent.is_dir():
        raise BnnhwError(f"export: {str(out)[:200]!r} cannot be written; give a new .onnx file in a folder that there is")
    data = qonnx_bytes(_network(net, weights, input_as))
    path.write_bytes(data)
    return path


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
    net: str | Path, target: str | None = None, *, weights: str | Path | None = None, input_as: str | None = None, board: str | None = None, **folding: Any
) -> tuple[Estimate, Timing]:  # fmt: skip
    """Cells of a design before synthesis, with the errors that were measured, and the clock that it would reach.

    `net` as for `info`; `folding`: as for `choose_design`, a generated folder has its own. Errors: BnnhwError.
    """
    family = Request(target=target, board=board).family
    if Path(net).is_dir():
        made = _opened(net, {"weights": weights, "input_as": input_as, **folding}, ["progress"])
        design, chain = made.design, made.pipeline
    else:
        network = _network(net, weights, input_as)
        design = choose_design(network, target=target, board=board, **folding)
        chain = pipeline(network, design)
    return resources.estimate(chain, family), timing(chain, family, design.clock_mhz)


def compare(folder: str | Path, files: Sequence[str | Path] = ()) -> Compared:
    """Estimates of a generated folder beside the reports of Vivado and Vitis HLS: those given, or those that its scripts left in it.

    Errors: BnnhwError for a family that is not Xilinx', for no report, and for one of another format.
    """
    made = open_generated(folder)
    family = _target(made.folder)
    check_family(family)
    reports = reports_of(made.folder, [Path(file) for file in files])
    found, timed = resources.estimate(made.pipeline, family), timing(made.pipeline, family, made.design.clock_mhz)
    return compared(made.pipeline, naming(made.network), found, timed, schedule.latency(made.pipeline), reports)


def energy(net: str | Path, *, weights: str | Path | None = None, input_as: str | None = None, plot: str | Path | None = None) -> tuple[Version, ...]:
    """Arithmetic energy of a frame in float32, float16, int8, ternary and binary, and as the network is; docs/energy.md has the rules.

    `net` as for `info`; `plot`: an `.svg`, `.png` or `.pdf` file to draw (needs the plot extra). Errors: BnnhwError.
    """
    network = _network(net, weights, input_as)
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
    input_as: str | None = None,
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
    evaluation, folder = EVALUATIONS[evaluate], folders.named(out)
    points = tuple(dict.fromkeys(_checked(point, evaluation.for_target) for point in grid(folding, targets or [""])))
    network = _network(net, weights, input_as)
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


def info(net: str | Path, *, weights: str | Path | None = None, input_as: str | None = None, **folding: Any) -> dict[str, Any]:
    """Layers, shapes, bits, folding and cycles of a generated folder, a YAML file or a zoo network.

    `folding`: as for `choose_design`; a generated folder has its own.
    """
    if Path(net).is_dir():
        g = _opened(net, {"weights": weights, "input_as": input_as, **folding}, ["progress"])
        return {"network": g.network.name, **_summary(g.network, g.design, g.pipeline)}
    network = _network(net, weights, input_as)
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
    folder, rehearsed = folders.named(out), rehearse(topology, spec.epochs, own)
    if rehearsed is not None:  # what has no hardware form is not worth an epoch
        network = lower(rehearsed).network
        pipeline(network, schedule.fully_folded(network, DEFAULT_CLOCK_MHZ))
    metrics = run(topology, folder, spec, resume=resume, quiet=quiet, own=own)
    return {**metrics, **export(topology, folder, own)}
