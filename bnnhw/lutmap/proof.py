"""Proof that a netlist counts: every node exhaustively, and a walk that each bit is used once at its weight."""

from __future__ import annotations

from bnnhw.ir.hardware import Gate
from bnnhw.lutmap.netlist import ZERO, Adder, CarryCount, Luts, Netlist, Register
from bnnhw.lutmap.popcount import HITS


class Unproved(AssertionError):
    """What the walk stumbled over."""


def prove_count(net: Netlist, lanes: int, gate: Gate) -> None:
    """Unproved unless the outputs of a netlist of `popcount` are the number of lanes that count, whatever its width.

    Each net gets the weight of what it stands for. A node must give, for every value of its inputs, bits whose weighted
    sum is theirs; no net may be read twice, and what is not read must be the outputs, with weights 1, 2, 4 and so on.
    """
    pins = len(HITS[gate]).bit_length() - 1
    weight: dict[int, int] = {}
    """Of nets that are made and not read yet."""
    lanes_left = {tuple(net.inputs[part * lanes + lane] for part in range(pins)) for lane in range(lanes)}
    behind: dict[int, int] = {}
    """Outputs of registers, and what stands before the first of them."""
    for node, first in zip(net.nodes, net.firsts, strict=False):
        made = range(first, first + node.n_outputs)
        read = [behind.get(i, i) for i in node.inputs]
        if isinstance(node, Register):
            behind |= dict(zip(made, read, strict=True))
        elif isinstance(node, Adder):
            unit = min(weight[i] for i in read if i in weight)
            bits = len(node.a)
            for at, i in enumerate(read):
                if i != ZERO and weight.pop(i, 0) != (unit << at % bits if at < 2 * bits else unit):
                    raise Unproved(f"net {i} is not added at its weight")
            weight |= {o: unit << n for n, o in enumerate(made)}
        elif isinstance(node, CarryCount):
            unit = weight.get(read[0], 0)
            if not unit or node.inverted or any(weight.pop(i, 0) != w * unit for i, w in zip(read, node.weights, strict=True)):
                raise Unproved(f"nets {node.inputs} are not counted at their weights")
            weight |= {o: unit << n for n, o in enumerate(made)}
        else:
            terms, at = list[tuple[int, tuple[int, ...]]](), 0
            while at < len(read):
                lane = tuple(read[at : at + pins])
                if lane in lanes_left:
                    lanes_left.remove(lane)
                    terms.append((1, HITS[gate]))
                    at += pins
                else:
                    terms.append((weight.pop(read[at], 0), (0, 1)))
                    at += 1
            unit = min(w for w, _ in terms)
            if not unit:
                raise Unproved(f"node of nets {node.inputs} reads one that is not left")
            _check(node, terms, unit, lanes)
            weight |= {o: unit << n for n, o in enumerate(made)}
    if lanes_left:
        raise Unproved(f"{len(lanes_left)} lanes are not counted")
    outputs = {behind.get(o, o): 1 << n for n, o in enumerate(net.outputs) if o != ZERO}
    left = {o: w for o, w in weight.items() if o not in outputs}
    if any(weight.get(o) != w for o, w in outputs.items()) or any(w <= lanes for w in left.values()):
        raise Unproved(f"outputs {outputs} are not the sum, nets {weight} are left")


def _check(node: Luts, terms: list[tuple[int, tuple[int, ...]]], unit: int, most: int) -> None:
    """Whether the tables are the bits of the weighted sum of the terms, for every value of the inputs; those above `most` may lack."""
    kept = unit << len(node.tables)
    for value in range(1 << len(node.inputs)):
        total, at = 0, value
        for w, table in terms:
            total += w * table[at % len(table)]
            at //= len(table)
        if sum((table >> value & 1) * (unit << n) for n, table in enumerate(node.tables)) != (total if kept <= most else total % kept):
            raise Unproved(f"tables {node.tables} of {node.inputs} do not give {total} for {value}")
