"""Verilog of netlists: every node an instance of the library."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from bnnhw.ir.hardware import Gate
from bnnhw.ir.instances import Instance, Pipeline
from bnnhw.ir.wiring import literal
from bnnhw.lutmap.dot import dot_form, dot_stages
from bnnhw.lutmap.fabric import FABRICS, Fabric
from bnnhw.lutmap.layer import unrolled_stages
from bnnhw.lutmap.netlist import ONE, ZERO, Adder, CarryCount, Luts, Netlist, Node
from bnnhw.lutmap.popcount import popcount_stages

Port = tuple[str, int]
"""Name and bits."""
Choice = dict[str, object]
"""A netlist for the template of a module that chooses one."""


def popcounts(chain: Pipeline) -> list[Choice]:
    """What the template needs of each popcount that a design's products have as a netlist."""
    return [_popcount(*shape) for shape in sorted({_shape(i) for i in chain.instances if _has_netlists(i) and "JOINT" not in i.parameters})]


def dots(chain: Pipeline) -> list[Choice]:
    """The same of each joint sum of several planes; coefficients are compared in words of one width."""
    found = sorted({(*_shape(i), *dot_form(i.parameters)) for i in chain.instances if _has_netlists(i) and "JOINT" in i.parameters})
    width = 1 + max((len(coeffs) * bits for *_, coeffs, bits in found), default=0)
    return [_dot(*shape, width) for shape in found]


def _has_netlists(i: Instance) -> bool:
    return i.module == "bnn_matvec" and "LOGIC" in i.parameters


def _shape(i: Instance) -> tuple[int, Gate, int, str]:
    p = i.parameters
    return int(p["SIMD"]), Gate(int(p["GATE"])), int(p.get("LATENCY", 0)), str(p["LOGIC"])


def _popcount(lanes: int, gate: Gate, registers: int, logic: str) -> Choice:
    net = popcount_stages(lanes, gate, FABRICS[logic], registers)
    name, title = f"{gate.name.lower()}_{lanes}_{registers}", f"Popcount of {lanes} lanes, of {FABRICS[logic].title}."
    return _choice(net, (lanes, gate, registers, logic), name, title, [("x", lanes), ("weight", net.n_inputs - lanes)], "count")


def _dot(lanes: int, gate: Gate, registers: int, logic: str, coeffs: tuple[int, ...], bits: int, width: int) -> Choice:
    net, digest = dot_stages(lanes, coeffs, gate, bits, FABRICS[logic], registers), sha256(literal(coeffs, bits).encode()).hexdigest()
    name = f"{gate.name.lower()}_{lanes}x{len(coeffs)}_{registers}_{digest[:8]}"
    title, x = f"Sum of {lanes} lanes of planes that count {', '.join(map(str, coeffs))}, of {FABRICS[logic].title}.", lanes * len(coeffs)
    chosen = _choice(net, (lanes, gate, registers, logic), name, title, [("x", x), ("weight", net.n_inputs - x)], "dot")
    wide = "{{" + f"{width} - PLANES * SUM_W" + "{1'b0}}, COEFFS}"
    return chosen | {"bits": bits, "coeffs": literal(coeffs, bits, width), "wide": wide}


def _choice(net: Netlist, shape: tuple[int, Gate, int, str], name: str, title: str, inputs: Sequence[Port], output: str) -> Choice:
    """A netlist, and by what it is chosen."""
    lanes, gate, registers, logic = shape
    made = f"bnn_{logic}_{name}"
    chosen = {"lanes": lanes, "gate": int(gate), "registers": registers, "name": name, "module": made}
    return chosen | {"netlist": module(net, made, title, inputs, output)}


def unrolled(i: Instance, name: str) -> dict[str, object]:
    """What the template needs of the netlist of an unrolled product, as the Verilog module `name`."""
    assert i.product is not None
    net = unrolled_stages(i.product, str(i.parameters["LOGIC"]), int(i.parameters["LATENCY"]) - 1)
    return module(net, name, f"Layer {i.layer!r} as {FABRICS[str(i.parameters['LOGIC'])].title}.", [("x", net.n_inputs)], "y")


def module(net: Netlist, name: str, title: str, inputs: Sequence[Port], output: str) -> dict[str, object]:
    """What the template needs of a netlist as a Verilog module: `inputs` share the netlist's in order, `output` has all its outputs."""
    nets = ["1'b0", "1'b1", *(f"{port}[{bit}]" for port, bits in inputs for bit in range(bits))]
    made = []
    for n, node in enumerate(net.nodes):
        made.append({"name": f"n{n}", "msb": node.n_outputs - 1, **_instance(node, f"n{n}", nets, net.fabric)})
        nets += [f"n{n}[{k}]" for k in range(node.n_outputs)]
    used = {ZERO, ONE, *net.outputs, *(i for node in net.nodes for i in node.inputs)}
    unused = [nets[i] for i in range(len(nets)) if i not in used]
    return {
        "title": title,
        "note": f"{net.luts} LUTs, {net.levels} one behind the other, {net.flip_flops} flip-flops.",
        "module": name,
        "inputs": [{"name": port, "msb": bits - 1} for port, bits in inputs],
        "output": {"name": output, "msb": len(net.outputs) - 1, "value": _joined(net.outputs, nets)},
        "nodes": made,
        "unused": ", ".join(["clk", "en", *unused]),
    }


def _instance(node: Node, name: str, nets: Sequence[str], fabric: Fabric) -> dict[str, str]:
    """Module, parameters and ports of a node."""
    match node:
        case Luts():
            n = len(node.inputs)
            tables = sum(table << (k << n) for k, table in enumerate(node.tables))
            literal = f"{len(node.tables) << n}'h{tables:x}"
            module = "bnn_lut_pairs" if n <= fabric.paired_inputs and len(node.tables) > 1 else "bnn_luts"
            return {"module": module, "parameters": f".N_IN({n}), .N_OUT({len(node.tables)}), .TABLES({literal})",
                    "ports": f".i({{{_joined(node.inputs, nets)}}}), .o({name})"}  # fmt: skip
        case CarryCount():
            return {"module": "bnn_carry_count", "parameters": f".TWO({int(len(node.counted) == 4)}), .INVERTED(5'd{node.inverted})",
                    "ports": f".i({{{_joined(node.inputs, nets)}}}), .sum({name})"}  # fmt: skip
        case Adder():
            return {"module": "bnn_carry_sum", "parameters": f".N_BITS({len(node.a)})",
                    "ports": f".a({{{_joined(node.a, nets)}}}), .b({{{_joined(node.b, nets)}}}), .carry({nets[node.carry]}), .sum({name})"}  # fmt: skip
        case _:
            return {"module": "bnn_stage", "parameters": f".N_BITS({node.n_outputs})",
                    "ports": f".clk(clk), .en(en), .d({{{_joined(node.inputs, nets)}}}), .q({name})"}  # fmt: skip


def _joined(bits: Sequence[int], nets: Sequence[str]) -> str:
    """The inside of a concatenation, low bit last."""
    return ", ".join(nets[i] for i in reversed(bits))
