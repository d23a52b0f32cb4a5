"""The command line: one thin command per verb."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from inspect import Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bnnhw import api
from bnnhw.estimate.arithmetic import ACCESS_BITS, TABLE, Version, check_rate, dram_watts
from bnnhw.estimate.power import FAMILIES, Power, Range
from bnnhw.estimate.resources import Estimate
from bnnhw.estimate.timing import Timing
from bnnhw.explore import Exploration
from bnnhw.ir.errors import BnnhwError
from bnnhw.report.compared import Compared
from bnnhw.report.vivado import check_family, read_utilisation
from bnnhw.request import DEFAULT_LUT_LEVELS, DEFAULT_UTILISATION
from bnnhw.synth import Synthesis
from bnnhw.tools.targets import TARGETS, Cells
from bnnhw.tools.verilator import ToolError
from bnnhw.verify.ladder import Report
from bnnhw.verify.toggles import MOST_CYCLES

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
COUNTED = {"luts": "LUTs", "flip_flops": "flip-flops"}
SHOWN_FAILURES = 10
"""Failed points that explore prints."""
TABLE_WIDTH = 120  # where the output is no terminal
out = Console(highlight=False, markup=False, soft_wrap=True, width=None if sys.stdout.isatty() else TABLE_WIDTH)
err = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

Net = Annotated[str, typer.Option("--net", help="YAML file, or the name of a network of the zoo.")]
Weights = Annotated[Path | None, typer.Option(help="Weights file in place of the one that the YAML names.")]
Fps = Annotated[float | None, typer.Option(help="Frames a second to reach with the least hardware (100 if nothing is said).")]
Clock = Annotated[float | None, typer.Option("--clock", help="Clock in MHz (100 if nothing is said).")]
DesignFile = Annotated[Path | None, typer.Option("--design", help="Design file with PE and SIMD of every layer.")]
Folded = Annotated[bool, typer.Option("--fully-folded", help="One PE, one input a cycle.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
Where = Annotated[str, typer.Argument(help="Generated folder, YAML file, or the name of a network of the zoo.")]
Family = Annotated[
    str | None, typer.Option("--target", help="Family of FPGAs whose cells count: xc7 (if nothing is said), xcup, ecp5, ice40, gowin.")
]
Minimise = Annotated[
    str, typer.Option(help="What a design has least of: area (LUTs, and what block RAMs and DSPs would be in LUTs), luts, block_rams or energy.")
]
LutLevels = Annotated[int, typer.Option(help="LUTs one behind the other between the registers of popcounts, at most.")]
Primitives = Annotated[bool, typer.Option("--primitives", help="Sums of Xilinx' primitives (LUT6_2, CARRY4, CARRY8): fewer LUTs in xc7 and xcup.")]
BoardName = Annotated[str | None, typer.Option("--board", help="Board (see boards/) or board file: the most frames that fit on it.")]
Utilisation = Annotated[float, typer.Option(help="Part of the board's FPGA that the design may take.")]
MaxLuts = Annotated[float | None, typer.Option(help="LUTs that the design may take: the most frames within them.")]
MaxBlockRams = Annotated[float | None, typer.Option(help="Block RAMs that it may take.")]
MaxDsps = Annotated[float | None, typer.Option(help="DSPs that it may take.")]


def _folding(
    fps: Fps = None,
    clock: Clock = None,
    design: DesignFile = None,
    fully_folded: Folded = False,
    target: Family = None,
    minimise: Minimise = "area",
    lut_levels: LutLevels = DEFAULT_LUT_LEVELS,
    primitives: Primitives = False,
    board: BoardName = None,
    utilisation: Utilisation = DEFAULT_UTILISATION,
    max_luts: MaxLuts = None,
    max_block_rams: MaxBlockRams = None,
    max_dsps: MaxDsps = None,
) -> dict[str, Any]:
    return {
        "fps": fps, "clock_mhz": clock, "design": design, "fully_folded": fully_folded, "target": target, "minimise": minimise,
        "lut_levels": lut_levels, "primitives": primitives, "board": board,
        "utilisation": utilisation, "max_luts": max_luts, "max_block_rams": max_block_rams, "max_dsps": max_dsps,
    }  # fmt: skip


def folds(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a folding, which it gets as the dictionary `folding`."""
    own = [p for p in signature(command, eval_str=True).parameters.values() if p.name != "folding"]
    options = list(signature(_folding, eval_str=True).parameters.values())

    def run(**given: Any) -> None:
        command(**{p.name: given[p.name] for p in own}, folding=_folding(**{p.name: given[p.name] for p in options}))

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {p.name: p.annotation for p in (*own, *options)}
    run.__signature__ = Signature([p.replace(kind=p.KEYWORD_ONLY) for p in (*own, *options)])  # type: ignore[attr-defined]
    return run


@app.callback()
def _main() -> None:
    """Trained binarized networks in, bit-exact hardware out."""


@app.command()
@folds
def generate(
    net: Net,
    out_folder: Annotated[str, typer.Option("--out", metavar="<folder>", help="New or empty folder for the design.")],
    *,
    weights: Weights = None,
    backend: Annotated[str, typer.Option(help="What to write: verilog, hls or both.")] = "verilog",
    writable: Annotated[str | None, typer.Option(help="Layers, commas between, or all, whose weights can be written at run time.")] = None,
    as_json: Json = False,
    folding: dict[str, Any],
) -> None:
    """Write the complete design of a trained network: Verilog, HLS C++ or both."""
    with _bars() as bars:
        made = api.generate(
            net,
            out_folder,
            weights=weights,
            backend=backend,
            writable=() if writable is None else [name.strip() for name in writable.split(",")],
            progress=_counting(bars, "fold"),
            **folding,
        )
    report = json.loads((made.folder / "report.json").read_text())
    if as_json:
        print(json.dumps(report))
        return
    _print_layers(report)
    dropped = sum(report["constant_channels_dropped"].values())
    if dropped:
        out.print(f"{dropped} channels never change or are never read and were removed: {report['constant_channels_dropped']}")
    if made.lowered and made.lowered.close:
        out.print(f"{len(made.lowered.close)} channels decide within the float32 error of the framework's own sums; they are listed in report.json")
    tops = [top for top in (f"rtl/{report['module']}.v", f"hls/{report['module']}.cpp") if (made.folder / top).is_file()]
    out.print(f"Wrote {out_folder}: {' and '.join(tops)} {'is the top' if len(tops) == 1 else 'are the tops'}, design.yaml regenerates it.")


@app.command()
def update(
    folder: Annotated[Path, typer.Argument(help="Folder that generate wrote with --writable.")],
    net: Net,
    out_folder: Annotated[str, typer.Option("--out", metavar="<folder>", help="New or empty folder for the design with the new weights.")],
    weights: Weights = None,
) -> None:
    """Make a file of new weights for running hardware, and the design with them, to verify."""
    made = api.update(folder, net, out_folder, weights=weights)
    size = (made.folder / "host" / "update.bin").stat().st_size
    out.print(f"Wrote {out_folder}: host/update.bin, {size:,} bytes, is for the hardware of {folder}; bnnhw verify {out_folder} compares.")


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="Folder that generate wrote.")],
    frames: Annotated[int, typer.Option(help="Frames to compare.")] = 1,
    level: Annotated[str, typer.Option(help="Highest rung: golden, csim, rtl or netlist.")] = "rtl",
    target: Annotated[str, typer.Option(help="Family whose netlist is simulated: xc7, xcup, ecp5, ice40 or gowin.")] = "ice40",
    stalls: Annotated[str, typer.Option(help="Stalls on the ports: none, random, source or sink.")] = "none",
    data: Annotated[str | None, typer.Option(help="Frames: an .npz with 'frames', or digits, mnist, cifar10.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of random frames and stalls.")] = 1,
    as_json: Json = False,
) -> None:
    """Compare framework, golden model and C simulation, or RTL and netlist, on the same frames, bit for bit."""
    with _bars() as bars:
        tasks: dict[str, Any] = {}

        def progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done)

        report = api.verify(folder, frames=frames, level=level, stalls=stalls, data=data, seed=seed, target=target, progress=progress)
    if as_json:
        print(json.dumps(report.as_dict()))
    else:
        _print_report(report)
    if not report.passed:
        raise typer.Exit(1)


@app.command()
def synth(
    folder: Annotated[Path, typer.Argument(help="Folder that generate wrote.")],
    target: Annotated[str, typer.Option(help="Family of FPGAs: xc7, xcup, ecp5, ice40 or gowin.")] = "xc7",
    modules: Annotated[bool, typer.Option(help="Each module alone.")] = True,
    whole: Annotated[bool, typer.Option(help="The whole design, flattened.")] = True,
    as_json: Json = False,
) -> None:
    """Synthesise with Yosys: LUTs, flip-flops, carries, block RAMs and DSPs of every layer."""
    with _bars() as bars:
        task = bars.add_task(f"synthesise for {target}", total=None)
        found = api.synth(folder, target, modules=modules, whole=whole, progress=lambda done, all_: bars.update(task, completed=done, total=all_))
    if as_json:
        print(json.dumps(found.as_dict()))
    else:
        _print_synthesis(found)


@app.command()
def power(
    folder: Annotated[Path, typer.Argument(help="Folder that generate wrote.")],
    target: Annotated[str, typer.Option(help="Family of FPGAs: xc7, xcup, ecp5, ice40 or gowin.")] = "xc7",
    frames: Annotated[int, typer.Option(help="Frames whose toggles are counted.")] = 4,
    data: Annotated[str | None, typer.Option(help="Frames: an .npz with 'frames', or digits, mnist, cifar10.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of random frames.")] = 1,
    cycles: Annotated[int, typer.Option(help="Cycles counted at most.")] = MOST_CYCLES,
    as_json: Json = False,
) -> None:
    """Estimate power on an FPGA: toggles in simulation, cells by synthesis, energies with their ranges (docs/power.md)."""
    with _bars() as bars:
        tasks: dict[str, Any] = {}

        def progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        found = api.power(folder, target, frames=frames, data=data, seed=seed, most_cycles=cycles, progress=progress)
    if as_json:
        print(json.dumps(found.as_dict()))
    else:
        _print_power(found)


@app.command()
@folds
def estimate(
    net: Where,
    *,
    weights: Weights = None,
    against: Annotated[Path | None, typer.Option(help="Report of Vivado's report_utilization to compare with.")] = None,
    as_json: Json = False,
    folding: dict[str, Any],
) -> None:
    """Say what a design costs before synthesis: cells of every layer, and the clock that it may reach."""
    real = None if against is None else read_utilisation(against)
    with _bars() as bars:
        found, timed = api.estimate(net, weights=weights, progress=_counting(bars, "fold"), **folding)
    if real:
        check_family(found.target)
    if as_json:
        compared = {} if real is None else {"against": real.without_carries()}
        print(json.dumps({**found.as_dict(), "timing": timed.as_dict(), **compared}))
    else:
        _print_estimate(found, timed, real)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder that generate wrote.")],
    files: Annotated[list[Path] | None, typer.Argument(help="Reports of Vivado or Vitis HLS; those in the folder if none are given.")] = None,
    as_json: Json = False,
) -> None:
    """Show estimates beside the reports of Vivado (utilisation, timing, power) and Vitis HLS (C synthesis)."""
    found = api.compare(folder, files or ())
    if as_json:
        print(json.dumps(found.as_dict()))
    else:
        _print_compared(found)


@app.command()
def energy(
    net: Annotated[str | None, typer.Argument(help="Generated folder, YAML file, or the name of a network of the zoo.")] = None,
    weights: Weights = None,
    parameters: Annotated[float | None, typer.Option("--params", help="Without a network: parameters read from DRAM.")] = None,
    rate: Annotated[float | None, typer.Option(help="Frames, or readings of all parameters, a second.")] = None,
    bits: Annotated[int | None, typer.Option(help="Bits of each of --params (32 if nothing is said).")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the table into an .svg, .png or .pdf file.")] = None,
    as_json: Json = False,
) -> None:
    """Compare the arithmetic energy of number formats (45 nm, published tables); it says nothing of an FPGA's."""
    if (net is None) == (parameters is None):
        raise BnnhwError("energy: a network or --params is needed, not both; give one")
    if parameters is not None:
        _print_dram(parameters, rate, ACCESS_BITS if bits is None else bits, {"--weights": weights, "--plot": plot}, as_json)
        return
    if bits is not None:
        raise BnnhwError(f"energy: --bits {bits} is of --params, a network has its own; leave it out")
    if rate is not None:
        check_rate(rate)
    found = api.energy(str(net), weights=weights, plot=plot)
    if as_json:
        print(json.dumps([v.as_dict() | _milliwatts(v, rate) for v in found]))
    else:
        _print_energy(found, rate)


@app.command()
def explore(
    net: Net,
    out_folder: Annotated[str, typer.Option("--out", metavar="<folder>", help="Folder for the results; those that it has are not evaluated again.")],
    weights: Weights = None,
    fps: Annotated[str | None, typer.Option(help="Frames a second to reach, commas between (100 if nothing is said).")] = None,
    front: Annotated[
        int | None,
        typer.Option(metavar="<count>", help="So many rates in place of --fps, from the slowest design to the fastest, with least LUTs each."),
    ] = None,
    minimise: Annotated[str | None, typer.Option(help="What designs have least of, commas between: area, luts, block_rams or energy.")] = None,
    clock: Annotated[str | None, typer.Option(help="Clocks in MHz, commas between (100 if nothing is said).")] = None,
    target: Annotated[
        str | None, typer.Option(help="Families of FPGAs, commas between: xc7 (or the boards', if nothing is said), xcup, ecp5, ice40, gowin.")
    ] = None,
    max_luts: Annotated[str | None, typer.Option(help="LUTs that a design may take, commas between: the most frames within them.")] = None,
    board: Annotated[str | None, typer.Option(help="Boards, commas between: the most frames that fit.")] = None,
    evaluate: Annotated[str, typer.Option(help="How: estimate, synth or simulate.")] = "estimate",
    jobs: Annotated[int | None, typer.Option(help="Processes on this machine (one a core if nothing is said).")] = None,
    cluster: Annotated[str | None, typer.Option(help="Cluster in place of this machine: dask://host:port or ray://host:port.")] = None,
    as_json: Json = False,
) -> None:
    """Evaluate many designs in parallel: tables of all, of the best, and a plot."""
    asked = {"fps": fps, "clock_mhz": clock, "max_luts": max_luts}
    folding: dict[str, Any] = {name: _numbers(name, text) for name, text in asked.items() if text is not None}
    folding |= {name: text.split(",") for name, text in {"board": board, "minimise": minimise}.items() if text is not None}
    with _bars() as bars:
        task = bars.add_task("evaluate", total=None)

        def progress(done: int, failed: int, total: int) -> None:
            bars.update(task, completed=done, total=total, description=f"evaluate, {failed} failed" if failed else "evaluate")

        made = api.explore(
            net, out_folder, evaluate=evaluate, targets=target and target.split(","), front=front, weights=weights, jobs=jobs, cluster=cluster, progress=progress,
            **folding,
        )  # fmt: skip
    print(json.dumps(made.as_dict())) if as_json else _print_exploration(made, out_folder)
    if made.failed:
        raise typer.Exit(1)


@app.command()
@folds
def info(net: Where, *, weights: Weights = None, as_json: Json = False, folding: dict[str, Any]) -> None:
    """Show layers, shapes, bits, folding and cycles."""
    with _bars() as bars:
        found = api.info(net, weights=weights, progress=_counting(bars, "fold"), **folding)
    if as_json:
        print(json.dumps(found))
    else:
        _print_layers(found)


@app.command()
def train(
    net: Net,
    out_folder: Annotated[str, typer.Option("--out", metavar="<folder>", help="Folder for weights and checkpoints; a run that was cut off goes on.")],
    epochs: Annotated[int | None, typer.Option(help="Epochs in place of the recipe's.")] = None,
    as_json: Json = False,
) -> None:
    """Train a network by the recipe in its YAML file (needs the train extra)."""
    metrics = api.train(net, out_folder, epochs=epochs, quiet=as_json)
    if as_json:
        print(json.dumps(metrics))
    else:
        out.print(f"Wrote {out_folder}: {metrics}")


def _bars() -> Progress:
    """Progress bars on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn())
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def _counting(bars: Progress, name: str) -> Callable[[int, int], None]:
    """A bar that appears with its first count."""
    tasks: list[Any] = []

    def progress(done: int, total: int) -> None:
        if not tasks:
            tasks.append(bars.add_task(name, total=total))
        bars.update(tasks[0], completed=done)

    return progress


def _print_estimate(found: Estimate, timed: Timing, real: Cells | None) -> None:
    table = Table(title=f"{TARGETS[found.target].title} as by {found.tool}", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("layer", "LUTs", "flip-flops", "block RAMs", "DSPs"):
        table.add_column(name, justify="left" if name == "layer" else "right", no_wrap=True)
    rows = [*found.layers().items(), ("whole, flattened", found.whole)] + ([("report", real)] if real else [])
    for name, cells in rows:
        table.add_row(name, f"{cells.luts:,}", f"{cells.flip_flops:,}", f"{cells.block_rams:g}", f"{cells.dsps:,}")
    if real:
        pairs = [(getattr(found.whole, kind), getattr(real, kind)) for kind in ("luts", "flip_flops", "block_rams", "dsps")]
        table.add_row("estimate is", *(f"{100 * (a - b) / b:+.0f}%" if b else "" for a, b in pairs))
    out.print(table)
    checked = [f"{title} within {100 * found.errors[kind][0]:.0f}%" for kind, title in COUNTED.items() if kind in found.errors]
    if checked:
        worst = max(most for _, most in found.errors.values())
        out.print(f"Of nine in ten designs that were synthesised to check: {', '.join(checked)}; of all: {100 * worst:.0f}% (docs/estimates.md)")
    f, slack = timed.fmax_mhz, timed.slack_ns
    out.print(f"Clock: {f.low:.0f} to {f.high:.0f} MHz (delays of {timed.grade}, unplaced; typical {f.typical:.0f}), limited by {timed.limit.name}")
    out.print(f"Slack at {timed.clock_mhz:g} MHz: {slack.low:+.1f} to {slack.high:+.1f} ns")


def _print_compared(found: Compared) -> None:
    table = Table(title="Estimate / vendor", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("layer", "LUTs", "flip-flops", "block RAMs", "DSPs"):
        table.add_column(name, justify="left" if name == "layer" else "right", no_wrap=True)
    kinds = ("luts", "flip_flops", "block_rams", "dsps")
    each = [(name, cells, found.layers.get(name)) for name, cells in found.estimate.layers().items()]
    each += [("whole", found.estimate.whole, found.cells)] + ([("whole, HLS", found.estimate.whole, found.csynth.cells)] if found.csynth else [])
    for name, ours, theirs in each:
        pairs = ((getattr(ours, kind), None if theirs is None else getattr(theirs, kind)) for kind in kinds)
        table.add_row(name, *(f"{a:,g} / {'-' if b is None else f'{b:,g}'}{f' ({100 * (a - b) / b:+.0f}%)' if b else ''}" for a, b in pairs))
    out.print(table)
    f = found.timing.fmax_mhz
    out.print(f"Clock: estimated {f.low:.0f} to {f.high:.0f} MHz" + _clock_of(found))
    cycles = f"Cycles: interval {found.interval_cycles:,}, first output after {found.latency_cycles or 0:,} in the Verilog"
    if found.csynth:
        cycles += f"; of the C++ interval {_bounds(found.csynth.interval)}, latency {_bounds(found.csynth.latency)}"
    out.print(cycles)
    if found.watts:
        w = found.watts
        out.print(
            f"Power: {w.total:.3f} W, {w.dynamic:.3f} of them dynamic (confidence {w.confidence}); bnnhw power estimates that of the network alone"
        )
    for path, kind in found.files.items():
        out.print(f"  {kind}: {path}")


def _clock_of(found: Compared) -> str:
    """What the vendor says of the clock."""
    told = ""
    if found.timed and found.timed.slack_ns is None:
        told += "; no constraints in Vivado"
    elif found.timed:
        t = found.timed
        fmax = "" if t.fmax_mhz is None else f"{t.fmax_mhz:.0f} MHz, "
        told += f"; Vivado {fmax}slack {t.slack_ns:+.3f} ns, {'met' if t.met else 'NOT met'}"
    if found.csynth:
        told += f"; HLS estimates {found.csynth.estimated_ns:g} ns of {found.csynth.target_ns:g}"
    return told


def _bounds(pair: tuple[int | None, int | None]) -> str:
    """Cycles from least to most, where known."""
    least, most = ("not known" if n is None else f"{n:,}" for n in pair)
    return least if least == most else f"{least} to {most}"


def _print_synthesis(found: Synthesis) -> None:
    table = Table(title=f"{TARGETS[found.target].title} by {found.tool}", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("layer", "LUTs", "flip-flops", "carries", "block RAMs", "DSPs"):
        table.add_column(name, justify="left" if name == "layer" else "right", no_wrap=True)
    rows = list(found.layers().items()) + ([("all modules", found.total())] if found.modules else [])
    rows += [("whole, flattened", found.whole)] if found.whole else []
    for name, cells in rows:
        table.add_row(name, f"{cells.luts:,}", f"{cells.flip_flops:,}", f"{cells.carries:,}", f"{cells.block_rams:g}", f"{cells.dsps:,}")
    out.print(table)


def _print_dram(parameters: float, rate: float | None, bits: int, of_networks: dict[str, Path | None], as_json: bool) -> None:
    for option, given in of_networks.items():
        if given is not None:
            raise BnnhwError(f"energy: {option} {given} is of a network, --params has none; leave it out")
    if rate is None:
        raise BnnhwError("energy: --params says nothing of how often they are read; give --rate")
    watts = dram_watts(parameters, rate, bits)
    if as_json:
        print(json.dumps({"dram_watts": watts}))
    else:
        out.print(f"Reading {parameters:g} parameters of {bits} bits from DRAM {rate:g} times a second takes {watts:.4g} W.")


def _milliwatts(v: Version, rate: float | None) -> dict[str, float]:
    """At `rate` frames a second, with all weights on chip and in DRAM; nothing without a rate."""
    return {} if rate is None else {"on_chip_mw": v.on_chip_pj * rate / 1e9, "off_chip_mw": v.off_chip_pj * rate / 1e9}


def _print_power(found: Power) -> None:
    table = Table(title=f"{TARGETS[found.target].title}: microjoules a frame", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("layer", "logic", "clock", "memory", "DSPs", "dynamic", "low", "high"):
        table.add_column(name, justify="left" if name == "layer" else "right", no_wrap=True)
    rows = [(x.name, [f"{part.typical:.4g}" for part in (x.logic, x.clock, x.memory, x.dsp)], x.total) for x in found.layers]
    rows += [("clock network", [""] * 4, found.network), (f"static, {FAMILIES[found.target].device}", [""] * 4, found.static_uj)]
    for name, parts, total in [*rows, ("all", [""] * 4, found.frame_uj)]:
        table.add_row(name, *parts, *(f"{x:.4g}" for x in (total.typical, total.low, total.high)))
    out.print(table)
    out.print(
        f"{_ranged(found.watts, 1e3)} mW at {found.frames_per_second:,.1f} frames/s and {found.clock_mhz:g} MHz, "
        f"static {_ranged(found.static_watts, 1e3)} mW; {_ranged(found.frames_per_joule)} frames/s/W"
    )
    whole = f"{found.counted_frames} whole frame{'' if found.counted_frames == 1 else 's'}"
    out.print(
        f"Toggles counted in {found.counted_cycles:,} cycles, {whole}; the range is that of the coefficients, many of them assumptions: docs/power.md"
    )


def _ranged(x: Range, by: float = 1) -> str:
    """Typical, and from what to what."""
    return f"{x.typical * by:.4g} ({x.low * by:.4g} to {x.high * by:.4g})"


def _print_energy(found: tuple[Version, ...], rate: float | None) -> None:
    table = Table(title="Arithmetic energy of a frame (45 nm)", box=box.SIMPLE_HEAD, pad_edge=False)
    columns = ["format", "weight bits", "on chip µJ", "weights in DRAM µJ", "of float32"] + (["on chip mW", "in DRAM mW"] if rate else [])
    for name in columns:
        table.add_column(name, justify="left" if name == "format" else "right", no_wrap=True)
    for v in found:
        row = [v.name, f"{v.weight_bits:,}", f"{v.on_chip_pj / 1e6:.4g}", f"{v.off_chip_pj / 1e6:.4g}", f"1/{found[0].on_chip_pj / v.on_chip_pj:.0f}"]
        table.add_row(*row, *(f"{mw:.4g}" for mw in _milliwatts(v, rate).values()))
    out.print(table)
    for source in dict.fromkeys(e.source for e in TABLE.values()):
        assumed = next((e for e in TABLE.values() if e.source == source and e.assumed), None)
        ours = f"; our assumption, {assumed.assumed[0]:.2g} to {assumed.assumed[1]:.2g} pJ" if assumed and assumed.assumed else ""
        out.print(f"  {source}{ours}")


def _numbers(name: str, text: str) -> list[float]:
    """Numbers with commas between."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise BnnhwError(f"explore: {name} {text!r} are no numbers; give them with commas between") from None


def _print_exploration(made: Exploration, folder: str) -> None:
    if made.front:
        table = Table(title="Fewest LUTs for most frames/s", box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("target", "asked for", "LUTs", "frames/s", "cycles"):
            table.add_column(name, justify="left" if name in ("target", "asked for") else "right", no_wrap=True)
        for r in made.front:
            asked = ", ".join(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in r.point.request)
            table.add_row(r.point.target, asked, f"{r.values['luts']:,}", f"{r.values['frames_per_second']:,.1f}", f"{r.values['interval_cycles']:,}")
        out.print(table)
    for o in made.failed[:SHOWN_FAILURES]:
        out.print(f"failed: {o.point}: {o.reason}")
    if len(made.failed) > SHOWN_FAILURES:
        out.print(f"and {len(made.failed) - SHOWN_FAILURES} more, listed in points.csv")
    kept = len(made.outcomes) - made.evaluated
    out.print(f"{len(made.outcomes)} points: {made.evaluated} evaluated, {kept} kept from before, {len(made.failed)} failed")
    out.print(
        f"Wrote {folder}: points.csv has all points, pareto.csv the best" + (", pareto.svg the plot." if Path(folder, "pareto.svg").exists() else ".")
    )


def _print_layers(report: dict[str, Any]) -> None:
    table = Table(title=f"{report['network']}: {report['weight_bits']:,} weight bits", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, justify in (("layer", "left"), ("kind", "left"), ("input", "right"), ("output", "right"), ("weights", "right"), ("planes", "right"),
                          ("sum bits", "right"), ("borders", "right"), ("PE", "right"), ("SIMD", "right"), ("cycles", "right")):  # fmt: skip
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for row in report["layers"]:
        shapes = ["x".join(map(str, row[k])) for k in ("input", "output")]
        bits = f"{row['weight_bits']:,}" if "weight_bits" in row else ""
        planes = f"{row['weight_planes']}x{row['input_planes']}" if row.get("weight_planes", 1) > 1 else str(row.get("input_planes", ""))
        unrolled = row.get("implementation") == "unrolled"
        units = ["all", "all"] if unrolled else [str(row.get(k, "")) for k in ("pe", "simd")]
        rest = [planes, *(str(row.get(k, "")) for k in ("sum_bits", "border_classes")), *units]
        table.add_row(row["name"], row["kind"], *shapes, bits, *rest, f"{row['cycles']:,}")
    out.print(table)
    out.print(
        f"One frame every {report['interval_cycles']:,} cycles: {report['frames_per_second']:,.1f} frames/s at {report['clock_mhz']:g} MHz, "
        f"limited by {report['limited_by']}"
    )
    if report.get("latency_cycles") is not None:
        out.print(f"First output {report['latency_cycles']:,} cycles after a frame's first input")


def _print_report(report: Report) -> None:
    for rung in report.rungs:
        verdict = "equal" if rung.passed else "DIFFERENT"
        out.print(f"{rung.name:>9}: {verdict} to golden, {rung.frames} frame{'' if rung.frames == 1 else 's'} ({rung.source})")
        if rung.difference:
            out.print(f"           {rung.difference}")
        for problem in rung.problems:
            out.print(f"           {problem}")
        if rung.latency_cycles is not None:
            interval = f", interval {rung.interval_cycles:,}" if rung.interval_cycles else ""
            first = "" if report.predicted_latency is None else f"{report.predicted_latency:,}, "
            predicted = f"predicted without stalls: {first}interval {report.predicted_interval:,}"
            out.print(f"           cycles: first output after {rung.latency_cycles:,}{interval} ({predicted})")
        if rung.queues:
            full, most = sum(q.most == q.words for q in rung.queues), max(rung.queues, key=lambda q: q.most)
            held = f"most words: {most.most:,} of {most.words:,}, in {most.name}"
            out.print(f"           queues: {full} of {len(rung.queues)} were full at some time; {held} (--json tells how full each was)")
    named = report.classes or [str(i) for i in range(max(report.labels) + 1)]
    shown = ", ".join(named[i] for i in report.labels[:16]) + (", ..." if len(report.labels) > 16 else "")
    out.print(f"   labels: {shown}")
    if report.accuracy is not None:
        out.print(f" accuracy: {report.accuracy:.2f}% of {len(report.labels)} frames")


def main() -> None:
    """Entry point: one line and exit code 2 for what a user can mend."""
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], prog_name="bnnhw", standalone_mode=False))
    except typer.TyperException as e:
        verb = getattr(e, "ctx", None)
        err.print(f"bnnhw: {' '.join(e.format_message().split()).rstrip('.')}; see {verb.command_path if verb else 'bnnhw'} --help")
        sys.exit(2)
    except (BnnhwError, ToolError) as e:
        err.print(f"bnnhw: {e}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as e:
        reason = " ".join((e.strerror or str(e) or type(e).__name__).split())[:200]
        named = e.filename is not None
        err.print(f"bnnhw: {str(e.filename)[:300]}: {reason}; choose another path" if named else f"bnnhw: {reason}; mend that and try again")
        sys.exit(2)
    except MemoryError:
        err.print("bnnhw: out of memory; use a smaller network or a machine with more")
        sys.exit(2)
    except Exception as e:  # whatever it is, a user gets one line
        if os.environ.get("BNNHW_DEBUG"):
            raise
        reason = " ".join(str(e).split())[:200]
        err.print(f"bnnhw: unexpected {type(e).__name__} ({reason}); a fault of bnnhw, BNNHW_DEBUG=1 shows where: please report it")
        sys.exit(2)
