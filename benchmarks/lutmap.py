"""LUTs of netlists, as built and as Yosys counts them: `python benchmarks/lutmap.py [--synth]` prints the tables of docs/lutmap.md."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from bnnhw import frontend  # noqa: E402
from bnnhw.emit import emit_netlist  # noqa: E402
from bnnhw.ir.encoding import Encoding  # noqa: E402
from bnnhw.ir.hardware import Gate  # noqa: E402
from bnnhw.ir.heads import Thresholds  # noqa: E402
from bnnhw.ir.layers import MatVec  # noqa: E402
from bnnhw.ir.weights import Weights  # noqa: E402
from bnnhw.ir.window import Window  # noqa: E402
from bnnhw.lower import lower  # noqa: E402
from bnnhw.lutmap.cost import luts  # noqa: E402
from bnnhw.lutmap.fabric import LUT4, LUT6  # noqa: E402
from bnnhw.lutmap.layer import unrolled, unrolled_stages  # noqa: E402
from bnnhw.lutmap.netlist import Netlist  # noqa: E402
from bnnhw.lutmap.popcount import popcount  # noqa: E402
from bnnhw.lutmap.share import Sharing  # noqa: E402
from bnnhw.lutmap.stages import stages_for  # noqa: E402
from bnnhw.schedule.stages import LUT_LEVELS  # noqa: E402
from bnnhw.tools import yosys  # noqa: E402
from bnnhw.tools.targets import TARGETS  # noqa: E402

STEPS = {
    "nothing": Sharing(reference=False, group=1, again=False),
    "reference": Sharing(group=1, again=False),
    "group": Sharing(again=False),
    "again": Sharing(),
}
"""What is shared, one more at a time."""
SHAPES = (("256x64", 256, 64, 1.0), ("256x256", 256, 256, 1.0), ("256x64, half zeros", 256, 64, 0.5), ("256x64, 90% zeros", 256, 64, 0.1))
TRAINED = {"digits_mlp": ("fc1", "fc2", "fc3"), "bnn_cifar10": ("conv2", "fc3")}
"""Layers of the zoo's networks."""


def random_layer(inputs: int, outputs: int, density: float) -> MatVec:
    """A dense layer of random weights, its thresholds near the middle."""
    rng = np.random.default_rng(inputs * outputs)
    weights = rng.choice([-1, 1], (outputs, inputs)) * (rng.random((outputs, inputs)) < density)
    head = Thresholds(rng.integers(-9, 10, (1, outputs, 1)), Encoding.bipolar())
    return MatVec("fc", Encoding.bipolar(), Window.dense((inputs, 1, 1)), Weights.of_values(weights), head)


def trained_layers() -> Iterator[tuple[str, MatVec]]:
    """Layers of the zoo."""
    for name, layers in TRAINED.items():
        net = lower(frontend.load(name)).network
        for layer in (net[one] for one in layers):
            assert isinstance(layer, MatVec)
            yield f"{name} {layer.name}, {layer.window.fan_in}x{layer.weights.outputs}", layer


def synthesised(net: Netlist, target: str) -> int:
    """LUTs of a netlist in Yosys."""
    with tempfile.TemporaryDirectory() as work:
        return yosys.synthesise(emit_netlist(net, "top"), "top", TARGETS[target], Path(work)).luts


def main(synth: bool) -> None:
    """Print both tables."""
    console = Console()
    table = Table("XNOR popcount", "LUT6", "a lane", "levels", "LUT4", "a lane", "levels", *(("xc7", "ice40") if synth else ()))
    for lanes in (16, 64, 256, 512):
        wide, narrow = popcount(lanes, Gate.XNOR, LUT6), popcount(lanes, Gate.XNOR, LUT4)
        counts = [(luts(net, target, {}), net.levels) for net, target in ((wide, "xc7"), (narrow, "ice40"))]
        cells = [str(x) for n, levels in counts for x in (n, f"{n / lanes:.3f}", levels)]
        seen = [str(synthesised(net, target)) for net, target in ((wide, "xc7"), (narrow, "ice40"))] if synth else []
        table.add_row(str(lanes), *cells, *seen)
    console.print(table)
    table = Table("layer", *STEPS, "levels", "seconds", *(("xc7",) if synth else ()), title="LUT6 of a weight")
    for name, inputs, outputs, density in SHAPES:
        layer, start = random_layer(inputs, outputs, density), time.perf_counter()
        nets = [unrolled(layer, 6, how) for how in STEPS.values()]
        taken = time.perf_counter() - start
        seen = [f"{synthesised(nets[-1], 'xc7') / inputs / outputs:.4f}"] if synth else []
        table.add_row(name, *(f"{luts(net, 'xc7', {}) / inputs / outputs:.4f}" for net in nets), str(nets[-1].levels), f"{taken:.1f}", *seen)
    console.print(table)
    table = Table("trained layer", *STEPS, title="LUT6 of a weight")
    for name, layer in trained_layers():
        table.add_row(name, *(f"{luts(unrolled(layer, 6, how), 'xc7', {}) / layer.weights.values.size:.4f}" for how in STEPS.values()))
    console.print(table)
    table = Table("784-256-256-256-10", "LUT6", "of a weight", "flip-flops", "LUTs between registers", title="All layers unrolled, one image a clock")
    start, total, registers = time.perf_counter(), 0, 0
    for inputs, outputs in pairwise((784, 256, 256, 256, 10)):
        layer = random_layer(inputs, outputs, 1.0)
        net = unrolled_stages(layer, 6, stages_for(unrolled(layer, 6), LUT_LEVELS))
        size, flip_flops = luts(net, "xc7", {}), net.flip_flops + len(net.outputs)
        total, registers = total + size, registers + flip_flops
        table.add_row(f"{inputs}x{outputs}", f"{size:,}", f"{size / inputs / outputs:.3f}", f"{flip_flops:,}", str(net.levels))
    table.add_row("all", f"{total:,}", "", f"{registers:,}", "")
    console.print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    console.print(f"{time.perf_counter() - start:.1f} s, {peak:.2f} GB at most")


if __name__ == "__main__":
    main("--synth" in sys.argv[1:])
