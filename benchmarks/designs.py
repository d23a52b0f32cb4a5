"""Whole designs, synthesised flat: `python benchmarks/designs.py` rewrites what the resource model is judged by.

None of their networks is in the sweep. Those of CALIBRATION tell what flattening saves over the sum of the modules;
the others are only compared. Every synthesis is kept, so a run that was cut off goes on where it was.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path

from rich.progress import track
from sweep import DATA, apart, write

from bnnhw import frontend, schedule
from bnnhw.emit.verilog import emit_verilog, naming
from bnnhw.ir.design import Design, Logic
from bnnhw.ir.integer import Network
from bnnhw.ir.pipeline import pipeline
from bnnhw.lower import lower
from bnnhw.schedule.stages import LOGIC, with_registers
from bnnhw.tools import yosys
from bnnhw.tools.targets import KINDS, TARGETS
from support.practical import practical_network

ZOO = (("digits_mlp", 1_000), ("digits_mlp", 100_000), ("digits_cnn", 1_000), ("digits_cnn", 10_000))
"""Network of the zoo and frames a second at 100 MHz."""
SEARCHED = (
    ("digits_mlp", "luts", 1), ("digits_mlp", "luts", 20_000), ("digits_mlp", "luts", 50_000), ("digits_mlp", "area", 1_000_000),
    ("digits_cnn", "block_rams", 1), ("digits_cnn", "luts", 20_000),
)  # fmt: skip
"""Network of the zoo, what its design has least of, and frames a second: designs as the search finds them."""
KEPT = Path(__file__).parent / "searched"
"""Their design files."""
COMPARED = {
    10_000: 5, 10_001: 30, 10_002: 10, 10_003: 10, 10_004: 100, 10_008: 30, 10_013: 10, 10_015: 30, 10_017: 30, 10_020: 30, 10_022: 30,
}  # fmt: skip
"""Seeds of random networks, and how much faster than fully folded they are."""
CALIBRATION = {
    20_000: 30, 20_002: 30, 20_004: 5, 20_005: 1, 20_006: 100, 20_007: 5, 20_008: 30, 20_010: 2, 20_011: 10, 20_012: 30, 20_014: 100, 20_015: 5,
    20_017: 10, 20_019: 30, 20_020: 100,
}  # fmt: skip


def random_design(seed: int, speed: int, logic: Logic) -> tuple[str, Network, Design]:
    """The random network of a seed, `speed` times as fast as fully folded, without joint sums: the zoo's have these."""
    net = practical_network(seed, f"net{seed}")
    slowest = pipeline(net, schedule.fully_folded(net, 100.0)).interval
    found = schedule.fold_for_interval(net, max(1, slowest // speed), 100.0, logic)
    return f"net{seed}_{speed}", net, with_registers(net, apart(found))


def searched_design(name: str, minimised: str, rate: int, target: str) -> tuple[str, Network, Design]:
    """What a search found once, with the model of that time; it is kept, so that what was synthesised stays the same design."""
    net, title = lower(frontend.load(name)).network, f"{name}_{minimised}_{rate}"
    file = KEPT / target / f"{title}.yaml"
    if not file.is_file():
        slowest = pipeline(net, schedule.fully_folded(net, 100.0)).interval
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(schedule.write_design(net, schedule.Folder(net, target, 100.0, minimised).least(min(slowest, int(1e8 / rate)))))
    return title, net, schedule.read_design(net, file)


def designs(target: str) -> Iterator[tuple[str, str, Network, Design]]:
    """Role, name, network and design, with the logic that suits a family."""
    logic = LOGIC[target]
    for name, rate in ZOO:
        net = lower(frontend.load(name)).network
        yield "compared", f"{name}_{rate}", net, schedule.fold_for_interval(net, int(1e8 / rate), 100.0, logic)
    yield from (("compared", *searched_design(*chosen, target)) for chosen in SEARCHED)
    yield from (("compared", *random_design(*chosen, logic)) for chosen in COMPARED.items())
    yield from (("calibration", *random_design(*chosen, logic)) for chosen in CALIBRATION.items())


def measured(net: Network, design: Design, target: str, folder: Path) -> tuple[float, ...]:
    """Cells of the flat design."""
    return astuple(yosys.synthesise(emit_verilog(net, design), naming(net).module, TARGETS[target], folder))


def main(names: list[str]) -> None:
    """Synthesise for the named targets, all by default."""
    for target in names or TARGETS:
        chosen = list(designs(target))
        with tempfile.TemporaryDirectory() as work, ThreadPoolExecutor(os.cpu_count()) as pool:
            jobs = [(role, name, pool.submit(measured, net, design, target, Path(work) / name)) for role, name, net, design in chosen]
            rows = [(role, name, *(f"{x:g}" for x in job.result())) for role, name, job in track(jobs, target)]
        write(DATA / f"{target}_designs.csv", ("role", "design", *KINDS), rows)


if __name__ == "__main__":
    main(sys.argv[1:])
