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
from dataclasses import astuple
from itertools import islice
from pathlib import Path

import numpy as np
from rich.progress import track

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bnnhw import schedule  # noqa: E402
from bnnhw.emit.verilog import emit_verilog, naming  # noqa: E402
from bnnhw.ir.design import Design  # noqa: E402
from bnnhw.ir.errors import BnnhwError  # noqa: E402
from bnnhw.ir.instances import Instance  # noqa: E402
from bnnhw.ir.integer import Network  # noqa: E402
from bnnhw.ir.pipeline import pipeline  # noqa: E402
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
LARGEST = 1600
"""XNOR lanes of an instance; more would take the time of many."""
EVERY = {"xcup": 3}
"""Targets that take only every n-th instance: UltraScale+ maps nearly as 7 series does, and takes as long."""
PATH = ("path_luts", "path_muxes", "path_carries", "path_fanout")
Sample = tuple[Instance, dict[str, str], dict[str, str]]
"""An instance, the files it needs, its parameters as Verilog text."""


def designs() -> Iterator[tuple[Network, Design]]:
    """Networks with foldings, without end."""
    seed = 0
    while True:
        rng = np.random.default_rng(seed)
        if seed % 3 == 0:  # these have every layer, but are tiny
            small = random_network(seed, "net")
            yield small, random_design(small, seed)
        net = practical_network(seed, "net")
        slowest = pipeline(net, schedule.fully_folded(net, 100.0)).interval
        for _ in range(2):
            try:
                yield net, schedule.fold_for_interval(net, max(1, int(slowest / 10 ** rng.uniform(1, 4))), 100.0)
            except BnnhwError:  # faster than any folding
                continue
        seed += 1


def lanes(i: Instance) -> int:
    """What the size of an instance is judged by."""
    given = {k: v if isinstance(v, int) else 1 for k, v in i.parameters.items()}
    if i.module == "bnn_gearbox" and given["N_IN"] > given["GRAIN"] < given["N_OUT"]:  # every bit can come from many places
        return given["N_IN"] // given["GRAIN"] * given["N_OUT"] * given["ELEM_W"] * given["PLANES"] // 4
    return given.get("PE", 1) * given.get("SIMD", 1) * given.get("PLANES", 1) if i.module == "bnn_matvec" else i.m.width


def drawn() -> list[Sample]:
    """The instances of the sweep: of every design the first of each module, as long as that module is wanted."""
    found: dict[str, dict[str, Sample]] = defaultdict(dict)
    for net, design in islice(designs(), 400):
        files, names = emit_verilog(net, design), naming(net)
        taken: set[str] = set()
        for i in pipeline(net, design).instances:
            key = json.dumps(i.parameters)
            if i.module in taken or len(found[i.module]) >= WANTED.get(i.module, 0) or key in found[i.module] or lanes(i) > LARGEST:
                continue
            found[i.module][key] = (i, *sources(files, i, names.memory(i) if i.memory else None))
            taken.add(i.module)
        if all(len(found[module]) >= n for module, n in WANTED.items()):
            break
    return [sample for module in WANTED for sample in found[module].values()]


def measured(sample: Sample, target: Target, folder: Path) -> tuple[float, ...]:
    """Cells and the longest path of an instance."""
    instance, files, parameters = sample
    text = yosys.mapped(files, instance.module, target, folder, parameters)
    (module,) = json.loads(text)["modules"].values()
    counts: dict[str, int] = defaultdict(int)
    for cell in module["cells"].values():
        counts[cell["type"]] += 1
    return *astuple(target.cells(counts)), *astuple(longest_path(text))


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
    (DATA / "yosys.txt").write_text(yosys.version() + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
