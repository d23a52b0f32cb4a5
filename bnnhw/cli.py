"""The command line: one thin command per verb."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from inspect import Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bnnhw import api
from bnnhw.estimate.arithmetic import ACCESS_BITS, check_rate, dram_watts
from bnnhw.imports import CHECKED_FRAMES
from bnnhw.ir.errors import BnnhwError
from bnnhw.printed import (
    milliwatts,
    out,
    print_compared,
    print_energy,
    print_estimate,
    print_exploration,
    print_import,
    print_layers,
    print_power,
    print_report,
    print_synthesis,
)
from bnnhw.report.vivado import check_family, read_utilisation
from bnnhw.request import DEFAULT_LUT_LEVELS, DEFAULT_UTILISATION
from bnnhw.tools.verilator import ToolError
from bnnhw.verify.toggles import MOST_CYCLES

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
err = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

Net = Annotated[str, typer.Option("--net", help="YAML file, name of a network of the zoo, or ONNX file.")]
Weights = Annotated[Path | None, typer.Option(help="Weights file in place of the one that the YAML names.")]
InputAs = Annotated[
    str | None,
    typer.Option("--input", help="What frames of an ONNX file hold: none, x/255, 2x-1 or mean=M,std=S of pixels, or fixed<BITS,INTEGER>."),
]
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
    input_as: InputAs = None,
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
            input_as=input_as,
            backend=backend,
            writable=() if writable is None else [name.strip() for name in writable.split(",")],
            progress=_counting(bars, "fold"),
            **folding,
        )
    report = json.loads((made.folder / "report.json").read_text())
    if as_json:
        print(json.dumps(report))
        return
    print_layers(report)
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
    input_as: InputAs = None,
) -> None:
    """Make a file of new weights for running hardware, and the design with them, to verify."""
    made = api.update(folder, net, out_folder, weights=weights, input_as=input_as)
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
        print_report(report)
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
        print_synthesis(found)


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
        print_power(found)


@app.command()
@folds
def estimate(
    net: Where,
    *,
    weights: Weights = None,
    input_as: InputAs = None,
    against: Annotated[Path | None, typer.Option(help="Report of Vivado's report_utilization to compare with.")] = None,
    as_json: Json = False,
    folding: dict[str, Any],
) -> None:
    """Say what a design costs before synthesis: cells of every layer, and the clock that it may reach."""
    real = None if against is None else read_utilisation(against)
    with _bars() as bars:
        found, timed = api.estimate(net, weights=weights, input_as=input_as, progress=_counting(bars, "fold"), **folding)
    if real:
        check_family(found.target)
    if as_json:
        compared = {} if real is None else {"against": real.without_carries()}
        print(json.dumps({**found.as_dict(), "timing": timed.as_dict(), **compared}))
    else:
        print_estimate(found, timed, real)


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
        print_compared(found)


@app.command()
def energy(
    net: Annotated[str | None, typer.Argument(help="Generated folder, YAML file, or the name of a network of the zoo.")] = None,
    weights: Weights = None,
    input_as: InputAs = None,
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
        _print_dram(parameters, rate, ACCESS_BITS if bits is None else bits, {"--weights": weights, "--input": input_as, "--plot": plot}, as_json)
        return
    if bits is not None:
        raise BnnhwError(f"energy: --bits {bits} is of --params, a network has its own; leave it out")
    if rate is not None:
        check_rate(rate)
    found = api.energy(str(net), weights=weights, input_as=input_as, plot=plot)
    if as_json:
        print(json.dumps([v.as_dict() | milliwatts(v, rate) for v in found]))
    else:
        print_energy(found, rate)


@app.command()
def explore(
    net: Net,
    out_folder: Annotated[str, typer.Option("--out", metavar="<folder>", help="Folder for the results; those that it has are not evaluated again.")],
    weights: Weights = None,
    input_as: InputAs = None,
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
            net, out_folder, evaluate=evaluate, targets=target and target.split(","), front=front, weights=weights, input_as=input_as, jobs=jobs, cluster=cluster, progress=progress,
            **folding,
        )  # fmt: skip
    print(json.dumps(made.as_dict())) if as_json else print_exploration(made, out_folder)
    if made.failed:
        raise typer.Exit(1)


@app.command()
@folds
def info(net: Where, *, weights: Weights = None, input_as: InputAs = None, as_json: Json = False, folding: dict[str, Any]) -> None:
    """Show layers, shapes, bits, folding and cycles."""
    with _bars() as bars:
        found = api.info(net, weights=weights, input_as=input_as, progress=_counting(bars, "fold"), **folding)
    if as_json:
        print(json.dumps(found))
    else:
        print_layers(found)


@app.command(name="import-check")
def import_check(
    net: Annotated[str, typer.Option("--net", help="ONNX file.")],
    frames: Annotated[int, typer.Option(help="Frames to compare.")] = CHECKED_FRAMES,
    data: Annotated[
        str | None, typer.Option(help="Frames: an .npz with 'frames', or digits, mnist, cifar10; random ones if nothing is said.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of random frames.")] = 1,
    input_as: InputAs = None,
    as_json: Json = False,
) -> None:
    """Run a model in its own framework and in integers, layer by layer, and tell where they first part."""
    found = api.import_check(net, frames=frames, data=data, seed=seed, input_as=input_as)
    if as_json:
        print(json.dumps({**asdict(found), "equal": found.equal}))
    else:
        print_import(found, net)
    if not found.equal:
        raise typer.Exit(1)


@app.command()
def export(
    net: Where,
    out_file: Annotated[Path, typer.Option("--out", metavar="<file>", help="New .onnx file.")],
    weights: Weights = None,
    input_as: InputAs = None,
) -> None:
    """Write the integer network as a QONNX model, for other tools to run and to check."""
    out.print(f"Wrote {api.export_qonnx(net, out_file, weights=weights, input_as=input_as)}")


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


def _print_dram(parameters: float, rate: float | None, bits: int, of_networks: dict[str, Path | str | None], as_json: bool) -> None:
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


def _numbers(name: str, text: str) -> list[float]:
    """Numbers with commas between."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise BnnhwError(f"explore: {name} {text!r} are no numbers; give them with commas between") from None


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
