"""What Yosys makes of the library's modules: `python benchmarks/sweep.py` rewrites the data behind the resource model.

Instances come from random networks at random and chosen foldings. Every synthesis is kept, so a run that was cut
off goes on where it was; about an hour on two cores from nothing.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, replace
from itertools import count, islice
from pathlib import Path

import numpy as np
from rich.progress import track

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bnnhw import schedule  # noqa: E402
from bnnhw.emit.verilog import emit_verilog, library, naming, parameter_texts  # noqa: E402
from bnnhw.estimate.features import TABLES  # noqa: E402
from bnnhw.ir.design import Design, Folding, Implementation, Logic, has_lines, may_be_joint, segments  # noqa: E402
from bnnhw.ir.encoding import Integers  # noqa: E402
from bnnhw.ir.errors import BnnhwError  # noqa: E402
from bnnhw.ir.hardware import Gate  # noqa: E402
from bnnhw.ir.instances import Instance, Stream, Wire  # noqa: E402
from bnnhw.ir.integer import Network  # noqa: E402
from bnnhw.ir.layers import MatVec  # noqa: E402
from bnnhw.ir.pipeline import pipeline  # noqa: E402
from bnnhw.ir.wiring import Wiring  # noqa: E402
from bnnhw.lutmap.cost import LUT_INPUTS  # noqa: E402
from bnnhw.lutmap.fabric import LUT4, LUT6  # noqa: E402
from bnnhw.lutmap.netlist import Luts  # noqa: E402
from bnnhw.lutmap.popcount import popcount  # noqa: E402
from bnnhw.schedule.folding import input_lanes, output_lanes  # noqa: E402
from bnnhw.schedule.stages import LOGIC, registers, with_registers  # noqa: E402
from bnnhw.synth.design import sources  # noqa: E402
from bnnhw.synth.paths import longest_path  # noqa: E402
from bnnhw.tools import yosys  # noqa: E402
from bnnhw.tools.targets import KINDS, TARGETS, Target  # noqa: E402
from support.practical import practical_network  # noqa: E402
from support.random_integer import random_network  # noqa: E402
from support.random_nets import random_design  # noqa: E402

DATA = ROOT / "bnnhw" / "estimate" / "data"
WANTED = {
    "bnn_matvec": 64, "bnn_window": 26, "bnn_gearbox": 30, "bnn_threshold": 26, "bnn_affine": 20, "bnn_accumulate": 14, "bnn_replay": 12,
    "bnn_fifo": 10, "bnn_pool": 10, "bnn_frame": 4, "bnn_last": 4, "bnn_turns": 6, "bnn_fork": 4, "bnn_add": 4, "bnn_concat": 5, "bnn_multiply": 6,
    "bnn_table": 6, "bnn_gather": 10,
}  # fmt: skip
"""Instances of each module; wires and resets are not swept."""
SEARCHED = {"bnn_matvec": 18, "bnn_replay": 16, "bnn_window": 8, "bnn_gearbox": 6, "bnn_threshold": 6, "bnn_affine": 4}
"""Instances besides, as searches choose them for least LUTs: narrow ones, and block memories that need not be any."""
WRITTEN = {"bnn_matvec": 14, "bnn_threshold": 10, "bnn_affine": 6, "bnn_hold": 3, "bnn_control": 5}
"""Instances besides, of networks that are written at run time."""
LINE_BUFFERS, JOINT_SUMS = 24, 24
LARGEST = 1600
"""XNOR lanes of an instance; more would take the time of many."""
EVERY = {"xcup": 3}
"""Targets that take only every n-th instance: UltraScale+ maps nearly as 7 series does, and takes as long."""
LUTS = (Logic.LUT6, Logic.LUT4)
"""What is swept beside plain logic; an instance has as many registers in both."""
RAMS, DISTRIBUTED = ("bnn_window", "bnn_replay", "bnn_line_buffer"), '"distributed"'
PATH = ("path_luts", "path_muxes", "path_carries", "path_fanout")
Sample = tuple[Instance, dict[Logic, tuple[str, dict[str, str], dict[str, str]]]]
"""An instance; for each logic its module, the files it needs, and its parameters as Verilog text."""


def designs() -> Iterator[tuple[Network, Design]]:
    """Networks with foldings, without end."""
    seed = 0
    while True:
        rng = np.random.default_rng(seed)
        if seed % 3 == 0:  # these have every layer, but are tiny
            small = random_network(seed, "net")
            yield small, apart(random_design(small, seed))
        net = practical_network(seed, "net")
        slowest = pipeline(net, schedule.fully_folded(net, 100.0)).interval
        for n in range(2):
            logic = Logic.PLAIN if seed % 4 == 1 and n else Logic.LUT6
            try:
                found = schedule.fold_for_interval(net, max(1, int(slowest / 10 ** rng.uniform(1, 4))), 100.0, logic)
                yield net, with_registers(net, apart(found))
            except BnnhwError:  # faster than any folding
                continue
        seed += 1


def searched() -> Iterator[tuple[Network, Design]]:
    """Networks with the designs that searches find, without end."""
    for seed in count(30_000):
        net, rng = practical_network(seed, "net"), np.random.default_rng(seed)
        folder = schedule.Folder(net, "xc7", 100.0, "luts")
        slowest = pipeline(net, schedule.fully_folded(net, 100.0)).interval
        yield net, apart(folder.least(max(16, int(slowest / 10 ** rng.uniform(0, 2.5)))))


def written() -> Iterator[tuple[Network, Design]]:
    """Networks all of whose products are written at run time, where they can be, without end."""
    for seed in count(40_000):
        net, rng = practical_network(seed, "net"), np.random.default_rng(seed)
        layers = (
            replace(layer, writable=True) if isinstance(layer, MatVec) and layer.weights.planes == 1 and layer.partial is None else layer
            for layer in net.layers
        )
        try:
            net = replace(net, layers=tuple(layers))
            slowest = pipeline(net, schedule.fully_folded(net, 100.0)).interval
            yield net, apart(schedule.fold_for_interval(net, max(16, int(slowest / 10 ** rng.uniform(0, 3))), 100.0))
        except BnnhwError:  # numbers that other layers read
            continue


def apart(design: Design) -> Design:
    """The design without joint sums, which are swept on their own."""
    return replace(design, layers=tuple(replace(f, joint=False) for f in design.layers))


def line_buffers() -> Iterator[Sample]:
    """Line buffers of the convolutions of such networks, which are too large to be unrolled here, each as a design has it."""
    for seed in count():
        net = practical_network(seed, "net")
        for layer in net.layers:
            if isinstance(layer, MatVec) and has_lines(layer):
                chain, (channels, rows, columns) = Wiring(), layer.window.shape
                planes = layer.x.bits if isinstance(layer.x, Integers) else layer.x.planes
                f = Folding(layer.name, lanes=channels, implementation=Implementation.UNROLLED)
                chain.line_buffer(layer, f, Wire("", Stream(channels * rows * columns, channels, channels, planes)), layer.window.pad_level)
                i = chain.instances[-1]
                files = {f"rtl/{name}": text for name, text in library().items() if name in ("bnn_line_buffer.v", "bnn_ram.v")}
                yield i, {Logic.PLAIN: (i.module, files, dict(parameter_texts(i)))}


def joint_sums() -> Iterator[Sample]:
    """Products of such networks that sum their input planes together, of a few inputs a beat, as schedules choose them."""
    for seed in count():
        net, rng = practical_network(seed, "net"), np.random.default_rng(seed)
        foldings = schedule.fully_folded(net, 100.0).layers
        for layer, f in zip(net.layers, foldings, strict=True):
            if not isinstance(layer, MatVec) or layer.x.planes < 2:
                continue
            simd, pe = (
                int(rng.integers(1, min(most, n) + 1))
                for most, n in ((16, layer.window.fan_in // segments(layer)), (8, layer.out_shape[0] // layer.window.groups))
            )
            if not may_be_joint(layer, replace(f, pe=pe, simd=simd), Logic.LUT6):
                continue
            chosen, names = replace(f, pe=pe, simd=simd, joint=True), naming(net)
            chosen = replace(chosen, registers=registers(layer, chosen, Logic.LUT6, int(rng.choice([2, 3, 4, 8]))))
            layers = tuple(chosen if g is f else g for g in foldings)
            made = {}
            for logic in LUTS:
                design = Design(net.name, 100.0, input_lanes(net, 1 << 62), output_lanes(net, 1 << 62), layers, logic)
                chain = pipeline(net, design)
                i = next(i for i in chain.instances if i.name == f"{layer.name}_matvec")
                made[logic] = (names.module_of(i), *sources(emit_verilog(net, design), i, names))
            yield i, made


def suited(parameters: dict[str, int | str], target: str) -> dict[str, int | str]:
    """Parameters of an instance of the sweep with the logic that suits a family."""
    return {k: str(LOGIC[target]) if k == "LOGIC" else v for k, v in parameters.items()}


def lanes(i: Instance) -> int:
    """What the size of an instance is judged by."""
    given = {k: v if isinstance(v, int) else 1 for k, v in i.parameters.items()}
    if i.module == "bnn_gearbox" and given["N_IN"] > given["GRAIN"] < given["N_OUT"]:  # every bit can come from many places
        return given["N_IN"] // given["GRAIN"] * given["N_OUT"] * given["ELEM_W"] * given["PLANES"] // 4
    return given.get("PE", 1) * given.get("SIMD", 1) * given.get("PLANES", 1) if i.module == "bnn_matvec" else i.m.width


def drawn() -> list[Sample]:
    """The instances of the sweep."""
    small = (s for s in line_buffers() if lanes(s[0]) <= LARGEST)
    usual = firsts(islice(designs(), 400), WANTED)
    return [
        *usual,
        *islice(small, LINE_BUFFERS),
        *islice(joint_sums(), JOINT_SUMS),
        *firsts(islice(searched(), 60), SEARCHED),
        *firsts(islice(written(), 200), WRITTEN),
    ]


def firsts(chosen: Iterable[tuple[Network, Design]], wanted: dict[str, int]) -> list[Sample]:
    """Of every design the first instance of each module, as long as that module is wanted."""
    found: dict[str, dict[str, Sample]] = defaultdict(dict)
    for net, design in chosen:
        names, logics = naming(net), (design.logic,) if design.logic is Logic.PLAIN else LUTS
        made = {logic: (pipeline(net, other), emit_verilog(net, other)) for logic in logics if (other := replace(design, logic=logic))}
        taken: set[str] = set()
        for n, i in enumerate(made[logics[0]][0].parts):
            if wanted is WRITTEN and not i.writable and i.module not in ("bnn_hold", "bnn_control"):
                continue
            key = json.dumps(i.parameters)
            if i.module in RAMS and i.parameters.get("STYLE") == DISTRIBUTED:  # which not every family has
                continue
            if i.module in taken or len(found[i.module]) >= wanted.get(i.module, 0) or key in found[i.module] or lanes(i) > LARGEST:
                continue
            found[i.module][key] = (
                i,
                {logic: (names.module_of(i), *sources(files, chain.parts[n], names)) for logic, (chain, files) in made.items()},
            )
            taken.add(i.module)
        if all(len(found[module]) >= n for module, n in wanted.items()):
            break
    return [sample for module in wanted for sample in found[module].values()]


def measured(sample: Sample, target: Target, folder: Path) -> tuple[float, ...]:
    """Cells and the longest path of an instance."""
    made = sample[1]
    top, files, parameters = made[LOGIC[target.name]] if Logic.PLAIN not in made else made[Logic.PLAIN]
    text = yosys.mapped(files, top, target, folder, parameters)
    (module,) = json.loads(text)["modules"].values()
    counts: dict[str, int] = defaultdict(int)
    for cell in module["cells"].values():
        counts[cell["type"]] += 1
    return *astuple(target.cells(counts)), *astuple(longest_path(text))


def tables() -> set[tuple[int, int]]:
    """Inputs and truth tables of the LUTs of popcounts that not every family has the inputs for."""
    nets = [popcount(lanes, gate, LUT6) for lanes in (5, 64, 65, 66, 100, 512) for gate in Gate]
    found = [(len(node.inputs), table) for net in nets for node in net.nodes if isinstance(node, Luts) for table in node.tables]
    return {(inputs, table) for inputs, table in found if inputs > LUT4.lut_inputs}


def mapped(inputs: int, table: int, target: Target, folder: Path) -> int:
    """LUTs that a family makes of a table."""
    files = {"rtl/bnn_luts.v": (ROOT / "rtl" / "bnn_luts.v").read_text()}
    parameters = {"N_IN": str(inputs), "N_OUT": "1", "TABLES": f"{1 << inputs}'h{table:x}"}
    return yosys.synthesise(files, "bnn_luts", target, folder, parameters).luts


def write(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """A CSV file."""
    with path.open("w", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main(names: list[str]) -> None:
    """Sweep the named targets, all by default."""
    DATA.mkdir(exist_ok=True)
    samples = drawn()
    print(f"{len(samples)} instances, {yosys.version()}")
    write(
        DATA / "instances.csv", ("instance", "module", "parameters"), ((n, s[0].module, json.dumps(s[0].parameters)) for n, s in enumerate(samples))
    )
    for name in names or TARGETS:
        with tempfile.TemporaryDirectory() as work, ThreadPoolExecutor(os.cpu_count()) as pool:
            chosen = list(enumerate(samples))[:: EVERY.get(name, 1)]
            jobs = [(n, pool.submit(measured, s, TARGETS[name], Path(work) / str(n))) for n, s in chosen]
            rows = [(n, *(f"{x:g}" for x in job.result())) for n, job in track(jobs, name)]
        write(DATA / f"{name}.csv", ("instance", *KINDS, *PATH), rows)
    with tempfile.TemporaryDirectory() as work:
        narrow = [TARGETS[name] for name, inputs in LUT_INPUTS.items() if inputs < LUT6.lut_inputs]
        wide = [(t.name, n, f"{table:x}", mapped(n, table, t, Path(work))) for t in narrow for n, table in sorted(tables())]
    write(TABLES, ("target", "inputs", "table", "luts"), wide)
    (DATA / "yosys.txt").write_text(yosys.version() + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
