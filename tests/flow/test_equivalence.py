"""The Verilog of netlists equals a plain sum: proved by the SAT solver of Yosys for every input, on the flattened modules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bnnhw.emit import emit_netlist
from bnnhw.ir.encoding import Encoding
from bnnhw.ir.hardware import Gate
from bnnhw.ir.heads import Thresholds
from bnnhw.ir.layers import MatVec
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window
from bnnhw.lutmap.dot import dot
from bnnhw.lutmap.fabric import FABRICS
from bnnhw.lutmap.layer import unrolled
from bnnhw.lutmap.netlist import Luts, Netlist
from bnnhw.lutmap.popcount import popcount
from bnnhw.tools import yosys
from bnnhw.tools.verilator import ToolError

RTL = Path(__file__).parents[2] / "rtl"
GATED = {Gate.XNOR: "x[{x}] == x[{w}]", Gate.AND: "x[{x}] && x[{w}]", Gate.MASKED: "x[{x}] == x[{w}] && x[{m}]"}
"""When a lane counts, by the positions of its input, weight and mask."""
PROOF = """
read_verilog rtl/*.v; hierarchy -check -top made; setattr -mod -unset keep_hierarchy *; proc; flatten; opt -full; design -stash made
read_verilog plain.v; hierarchy -top plain; proc; opt -full; design -copy-from made made
miter -equiv -flatten plain made miter; hierarchy -top miter; opt -full; sat -verify -prove trigger 0 miter
"""


def prove(net: Netlist, value: str, folder: Path) -> None:
    """ToolError unless the outputs of a netlist are `value`, statements that set `y` from the inputs `x`."""
    for path, text in emit_netlist(net, "made").items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    ports = f"input clk, input en, input [{net.n_inputs - 1}:0] x, output reg [{len(net.outputs) - 1}:0] y"
    (folder / "plain.v").write_text(f"module plain({ports}); integer i; reg [7:0] sum; always @* begin {value} end endmodule\n")
    yosys.run(PROOF.strip().replace("\n", "; "), folder)


SAME = """
read_verilog rtl/{module}.v; {given}; hierarchy -top {module}; setattr -mod -unset keep_hierarchy *; proc; opt -full; rename -top plain; design -stash plain
read_verilog -D{macro} rtl/{module}.v; {given}; hierarchy -top {module}; read_verilog {models}; hierarchy -check; setattr -mod -unset keep_hierarchy *; proc; flatten; opt -full
rename -top made; design -copy-from plain plain
miter -equiv -flatten plain made miter; hierarchy -top miter; opt -full; sat -verify -prove trigger 0 miter
"""


@pytest.mark.parametrize("target", ["xc7", "xcup"])
@pytest.mark.parametrize(
    ("module", "parameters"),
    [*(("bnn_carry_count", {"TWO": two, "INVERTED": n}) for two in (0, 1) for n in (0, 9, 15)),
     ("bnn_lut_pairs", {"N_IN": 3, "N_OUT": 3, "TABLES": 0xE896A5}), ("bnn_lut_pairs", {"N_IN": 5, "N_OUT": 2, "TABLES": 0x123456789ABCDEF0})],
)  # fmt: skip
def test_primitives_do_what_the_plain_module_does(module: str, parameters: dict[str, int], target: str, tmp_path: Path) -> None:
    family = yosys.target_of(target)
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / f"{module}.v").write_text((RTL / f"{module}.v").read_text())
    given = "chparam " + " ".join(f"-set {k} 64'd{v}" for k, v in parameters.items()) + f" {module}"
    script = SAME.format(module=module, given=given, macro=family.primitives, models=yosys.models(family))
    yosys.run(script.strip().replace("\n", "; "), tmp_path)


def count(lanes: int, gate: Gate, plane: int = 0, planes: int = 1) -> str:
    """The plain sum of the lanes of a plane that count."""
    at = ((plane * lanes + lane, planes * lanes + lane, (planes + 1) * lanes + lane) for lane in range(lanes))
    return summed(GATED[gate].format(x=x, w=w, m=m) for x, w, m in at)


def summed(conditions: Iterable[str]) -> str:
    """How many hold, three by three: of a sum of one behind the other the solver finds the answer twenty times slower."""
    terms = [f"{{7'd0, {condition}}}" for condition in conditions]
    while len(terms) > 1:
        terms = [f"({' + '.join(terms[at : at + 3])})" for at in range(0, len(terms), 3)]
    return terms[0]


@pytest.mark.parametrize(
    ("lanes", "gate", "logic"),
    [
        (40, Gate.XNOR, "lut6"), (26, Gate.XNOR, "lut4"), (26, Gate.XNOR, "carry"), (24, Gate.AND, "lut6"), (24, Gate.MASKED, "lut4"), (1, Gate.XNOR, "lut6"),
        *(pytest.param(lanes, Gate.XNOR, logic, marks=pytest.mark.slow) for lanes in (48, 56) for logic in ("lut6", "lut4")),
    ],
)  # fmt: skip
def test_popcounts_are_plain_sums(lanes: int, gate: Gate, logic: str, tmp_path: Path) -> None:
    prove(popcount(lanes, gate, FABRICS[logic]), f"y = {count(lanes, gate)};", tmp_path)


@pytest.mark.parametrize("logic", FABRICS)
@pytest.mark.parametrize(("lanes", "gate"), [(1, Gate.XNOR), (3, Gate.XNOR), (3, Gate.AND), (3, Gate.MASKED)])
def test_joint_sums_are_plain_sums(lanes: int, gate: Gate, logic: str, tmp_path: Path) -> None:
    """Of int8 inputs."""
    coeffs = (1, 2, 4, 8, 16, 32, 64, -128)
    planes = (f"y = y + ({c}) * {count(lanes, gate, q, len(coeffs))};" for q, c in enumerate(coeffs))
    prove(dot(lanes, coeffs, gate, 12, FABRICS[logic]), "y = 0; " + " ".join(planes), tmp_path)


@pytest.mark.parametrize("logic", FABRICS)
def test_a_wrong_table_is_no_sum(logic: str, tmp_path: Path) -> None:
    net = popcount(12, Gate.XNOR, FABRICS[logic])
    at = next(n for n, node in enumerate(net.nodes) if isinstance(node, Luts))
    node = net.nodes[at]
    assert isinstance(node, Luts)
    wrong = replace(node, tables=(node.tables[0] ^ 1, *node.tables[1:]))
    with pytest.raises(ToolError, match="proof did fail"):
        prove(replace(net, nodes=(*net.nodes[:at], wrong, *net.nodes[at + 1 :])), f"y = {count(12, Gate.XNOR)};", tmp_path)


@pytest.mark.parametrize(("inputs", "zeros", "logic"), [(24, 0.0, "lut6"), (40, 0.5, "lut4"), (24, 0.3, "lut6"), (24, 0.3, "carry")])
def test_neurons_are_compared_plain_sums(inputs: int, zeros: float, logic: str, tmp_path: Path) -> None:
    """Two that share what they have in common, so many inputs wide."""
    rng = np.random.default_rng(inputs + len(logic))
    weights = np.where(rng.random((2, inputs)) < zeros, 0, rng.choice([-1, 1], (2, inputs)))
    limits = rng.integers(-3, 4, (1, 2, 1))
    layer = MatVec("fc", Encoding.bipolar(), Window.dense((inputs, 1, 1)), Weights.of_values(weights), Thresholds(limits, Encoding.bipolar()))
    counts = (summed(f"x[{k}] == 1'b{int(w > 0)}" for k, w in enumerate(row) if w) for row in weights)
    least = -(-(limits[0, :, 0] + abs(weights).sum(1)) // 2)
    value = " ".join(f"sum = {counted}; y[{o}] = sum >= {limit};" for o, (counted, limit) in enumerate(zip(counts, least, strict=True)))
    prove(unrolled(layer, logic), value, tmp_path)
