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
from bnnhw.lutmap.dot import dot  # noqa: E402
from bnnhw.lutmap.fabric import CARRY, LUT4, LUT6  # noqa: E402
from bnnhw.lutmap.layer import unrolled, unrolled_stages  # noqa: E402
from bnnhw.lutmap.netlist import CarryCount, Netlist  # noqa: E402
from bnnhw.lutmap.popcount import popcount  # noqa: E402
from bnnhw.lutmap.share import Sharing  # noqa: E402
from bnnhw.lutmap.stages import stages_for  # noqa: E402
from bnnhw.schedule.stages import LUT_LEVELS  # noqa: E402
from bnnhw.tools import yosys  # noqa: E402
from bnnhw.tools.targets import TARGETS, Cells  # noqa: E402

STEPS = {
    "nothing": Sharing(constants=False, merge=False, references=0, group=1, again=False),
    "constants": Sharing(merge=False, references=0, group=1, again=False),
    "merge": Sharing(references=0, group=1, again=False),
    "reference": Sharing(references=1, group=1, again=False),
    "references": Sharing(group=1, again=False),
    "group": Sharing(again=False),
    "again": Sharing(),
    "one reference": Sharing(references=1),
}
"""What is shared, one more at a time; then all of it, but with a single reference."""
SHAPES = (("256x64", 256, 64, 1.0), ("256x256", 256, 256, 1.0), ("256x64, half zeros", 256, 64, 0.5), ("256x64, 90% zeros", 256, 64, 0.1))
TRAINED = {"digits_mlp": ("fc1", "fc2", "fc3"), "bnn_cifar10": ("conv1", "conv2", "fc3")}
"""Layers of the zoo's networks."""
PRUNED = [file for name in ("h500", "h1000") if (file := ROOT / "build" / "frontier" / name / "network.yaml").is_file()]
"""Of those that `frontier.py` trains."""


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


def synthesised(net: Netlist, target: str) -> Cells:
    """What Yosys makes of a netlist."""
    with tempfile.TemporaryDirectory() as work:
        return yosys.synthesise(emit_netlist(net, "top"), "top", TARGETS[target], Path(work))


def popcounts(synth: bool) -> Table:
    """Netlists of popcounts in each fabric."""
    forms = (("LUT6", LUT6, "xc7"), ("primitives", CARRY, "xc7"), ("LUT4", LUT4, "ice40"))
    heads = [head for title, _, _ in forms for head in (title, "a lane", "levels", *(("Yosys",) if synth else ()))]
    table = Table("XNOR popcount", *heads)
    for lanes in (16, 64, 256, 512):
        cells = list[str]()
        for _, fabric, target in forms:
            net = popcount(lanes, Gate.XNOR, fabric)
            n = luts(net, target, {})
            cells += [str(n), f"{n / lanes:.3f}", str(net.levels), *([str(synthesised(net, target).luts)] if synth else [])]
        table.add_row(str(lanes), *cells)
    return table


INT8 = (*(1 << q for q in range(7)), -128)


def joint_sums(synth: bool) -> Table:
    """8-bit inputs of folded layers: planes summed together, their popcounts with adders behind, and a tree of adds and subtracts."""
    table = Table(
        "lanes", "family", "joint, LUTs", "popcounts, LUTs", *(("Yosys: joint", "popcounts and adders", "adds and subtracts") if synth else ())
    )
    for lanes in (1, 2, 3, 6, 9, 16, 27):
        bits = 9 + lanes.bit_length()
        for title, fabric, target in (("LUT6", LUT6, "xc7"), ("primitives", CARRY, "xc7"), ("LUT4", LUT4, "ice40")):
            net, counts = dot(lanes, INT8, Gate.XNOR, bits, fabric), popcount(lanes, Gate.XNOR, fabric)
            forms = (("n", net, one_sum(bits)), ("n", counts, counts_and_adders(lanes, bits)), ("", None, adds_and_subtracts(lanes, bits)))
            seen = [yosys_luts(*form, lanes, bits, target) for form in forms] if synth else []
            table.add_row(str(lanes), title, str(luts(net, target, {})), str(8 * luts(counts, target, {})), *map(str, seen))
    return table


def yosys_luts(name: str, net: Netlist | None, body: str, lanes: int, bits: int, target: str) -> int:
    """LUTs of a module with inputs x of 8 planes and weights w, and a registered sum y."""
    ports = f"input clk, input [{8 * lanes - 1}:0] x, input [{lanes - 1}:0] w, output reg [{bits - 1}:0] y"
    files = ({} if net is None else emit_netlist(net, name)) | {"rtl/top.v": f"module top({ports}); {body} endmodule\n"}
    with tempfile.TemporaryDirectory() as work:
        return yosys.synthesise(files, "top", TARGETS[target], Path(work)).luts


def one_sum(bits: int) -> str:
    """A joint sum."""
    return f"wire [{bits - 1}:0] sum; n u_n (.clk(clk), .en(1'b1), .x({{w, x}}), .y(sum)); always @(posedge clk) y <= sum;"


def counts_and_adders(lanes: int, bits: int) -> str:
    """A popcount a plane, registers, and the adders."""
    w = lanes.bit_length()
    each = (
        f"wire [{w - 1}:0] c{q}; reg [{w - 1}:0] q{q}; always @(posedge clk) q{q} <= c{q}; "
        f"n u_{q} (.clk(clk), .en(1'b1), .x({{w, x[{q * lanes}+:{lanes}]}}), .y(c{q}));"
        for q in range(8)
    )
    total = " + ".join(f"({bits}'d{1 << q} * q{q})" for q in range(7))
    return f"{' '.join(each)} always @(posedge clk) y <= {total} - ({bits}'d128 * q7);"


def adds_and_subtracts(lanes: int, bits: int) -> str:
    """Numbers that are added or subtracted, as one writes it; twice the sum of the popcounts, but for a constant."""
    numbers = (
        f"wire signed [{bits - 1}:0] v{i} = $signed({{{', '.join(f'x[{q * lanes + i}]' for q in reversed(range(8)))}}});" for i in range(lanes)
    )
    return f"{' '.join(numbers)} always @(posedge clk) y <= {' + '.join(f'(w[{i}] ? v{i} : -v{i})' for i in range(lanes))};"


def layers(synth: bool) -> Table:
    """Layers of random weights, as more and more is shared, and with primitives."""
    heads = (*STEPS, "levels", "primitives", "levels", "counters", "seconds", *(("Yosys", "Yosys, primitives") if synth else ()))
    table = Table("layer", *heads, title="LUT6 of a weight")
    for name, inputs, outputs, density in SHAPES:
        layer, start = random_layer(inputs, outputs, density), time.perf_counter()
        nets = [unrolled(layer, "lut6", how) for how in STEPS.values()]
        chained = unrolled(layer, "carry")
        taken = time.perf_counter() - start
        each = [f"{luts(net, 'xc7', {}) / inputs / outputs:.4f}" for net in (*nets, chained)]
        counted = sum(isinstance(node, CarryCount) for node in chained.nodes)
        seen = [f"{synthesised(net, 'xc7').luts / inputs / outputs:.4f}" for net in (nets[-1], chained)] if synth else []
        table.add_row(name, *each[:-1], str(nets[-1].levels), each[-1], str(chained.levels), str(counted), f"{taken:.1f}", *seen)
    return table


def trained() -> Table:
    """Layers of the zoo, likewise."""
    table = Table("trained layer", *STEPS, "primitives", title="LUT6 of a weight")
    for name, layer in trained_layers():
        nets = [*(unrolled(layer, "lut6", how) for how in STEPS.values()), unrolled(layer, "carry")]
        table.add_row(name, *(f"{luts(net, 'xc7', {}) / layer.weights.values.size:.4f}" for net in nets))
    return table


def channels() -> Table:
    """Whole networks with and without channels that are constant or that nobody reads."""
    table = Table("network", "channels dropped", "LUT6 with them", "without", title="Constants go into the next layer")
    for net in ("digits_mlp", "digits_cnn", *PRUNED):
        trained, sizes = frontend.load(net), list[str]()
        for drop in (False, True):
            made = lower(trained, drop)
            products = [layer for layer in made.network.layers if isinstance(layer, MatVec)]
            sizes.append(f"{sum(luts(unrolled(layer, 'lut6'), 'xc7', {}) for layer in products):,}")
        table.add_row(made.network.name, str(sum(made.dropped.values())), *sizes)
    return table


def network(logic: str) -> Table:
    """A whole network, every layer unrolled."""
    table = Table(
        "784-256-256-256-10", "LUT6", "of a weight", "flip-flops", "LUTs between registers", title=f"All layers unrolled, one image a clock, {logic}"
    )
    start, total, registers = time.perf_counter(), 0, 0
    for inputs, outputs in pairwise((784, 256, 256, 256, 10)):
        layer = random_layer(inputs, outputs, 1.0)
        net = unrolled_stages(layer, logic, stages_for(unrolled(layer, logic), LUT_LEVELS))
        size, flip_flops = luts(net, "xc7", {}), net.flip_flops + len(net.outputs)
        total, registers = total + size, registers + flip_flops
        table.add_row(f"{inputs}x{outputs}", f"{size:,}", f"{size / inputs / outputs:.3f}", f"{flip_flops:,}", str(net.levels))
    table.add_row("all", f"{total:,}", "", f"{registers:,}", "")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    table.caption = f"{time.perf_counter() - start:.1f} s, {peak:.2f} GB at most"
    return table


def main(synth: bool) -> None:
    """Print the tables."""
    console = Console()
    console.print(popcounts(synth))
    console.print(joint_sums(synth))
    console.print(layers(synth))
    console.print(trained())
    console.print(channels())
    for logic in ("lut6", "carry"):
        console.print(network(logic))


if __name__ == "__main__":
    main("--synth" in sys.argv[1:])
