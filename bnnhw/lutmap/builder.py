"""Builds netlists: constants and equal nodes are folded as they are added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from bnnhw.lutmap.fabric import Fabric
from bnnhw.lutmap.netlist import ONE, ZERO, Adder, CarryCount, Luts, Netlist, Node


class Builder:
    """A netlist in the making."""

    def __init__(self, n_inputs: int, fabric: Fabric) -> None:
        self.n_inputs, self.fabric = n_inputs, fabric
        self.nodes: list[Node] = []
        self.arrival = [0] * (2 + n_inputs)
        """LUTs before each net."""
        self._known: dict[Node, int] = {}

    @property
    def inputs(self) -> range:
        """Nets of the inputs."""
        return range(2, 2 + self.n_inputs)

    def luts(self, inputs: Sequence[int], tables: Sequence[int]) -> list[int]:
        """Nets of LUTs of the same inputs. What is constant, or one of the inputs, becomes no LUT."""
        nets, tables = _without_constants(tuple(inputs), tuple(tables))
        found = [_trivial(t, nets) for t in tables]
        left = [t for t, net in zip(tables, found, strict=True) if net is None]
        made = iter(self._add(Luts(nets, tuple(left))) if left else ())
        return [next(made) if net is None else net for net in found]

    def lut(self, inputs: Sequence[int], table: int) -> int:
        """Net of one LUT."""
        return self.luts(inputs, (table,))[0]

    def adder(self, a: Sequence[int], b: Sequence[int], carry: int = ZERO) -> list[int]:
        """Nets of a + b + carry, the carry out last."""
        return self._add(Adder(tuple(a), tuple(b), carry))

    def counter(self, counted: Sequence[int], entering: tuple[int, int], inverted: int) -> list[int]:
        """Nets of the three bits of a sum, as of CarryCount."""
        return self._add(CarryCount(tuple(counted), entering, inverted))

    def plain(self, x: int) -> int:
        """Net of a literal."""
        return self.lut([x >> 1], 0b01) if x & 1 else x >> 1

    def netlist(self, outputs: Sequence[int]) -> Netlist:
        """What leads to these outputs."""
        return _needed(Netlist(self.n_inputs, tuple(self.nodes), tuple(outputs), self.fabric))

    def _add(self, node: Node) -> list[int]:
        first = self._known.get(node)
        if first is None:
            first = self._known[node] = len(self.arrival)
            self.nodes.append(node)
            at = 1 + max((self.arrival[i] for i in node.inputs), default=0)
            self.arrival += [at] * node.n_outputs
        return list(range(first, first + node.n_outputs))


def _without_constants(nets: tuple[int, ...], tables: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The same functions without inputs that are constant."""
    for k, net in enumerate(nets):
        if net in (ZERO, ONE):
            kept = [i for i in range(1 << len(nets)) if i >> k & 1 == net]
            halves = tuple(sum((t >> i & 1) << n for n, i in enumerate(kept)) for t in tables)
            return _without_constants(nets[:k] + nets[k + 1 :], halves)
    return nets, tables


def _trivial(table: int, nets: tuple[int, ...]) -> int | None:
    """The net that a table is, where it is a constant or one of its inputs."""
    n = 1 << len(nets)
    if table in (0, (1 << n) - 1):
        return ONE if table else ZERO
    return next((net for k, net in enumerate(nets) if table == projection(len(nets), k)), None)


@lru_cache
def projection(n_inputs: int, k: int) -> int:
    """Truth table of input k."""
    return sum(1 << i for i in range(1 << n_inputs) if i >> k & 1)


def _needed(net: Netlist) -> Netlist:
    """The netlist without nodes that no output depends on."""
    firsts, live = net.firsts, bytearray(net.firsts[-1])
    for o in net.outputs:
        live[o] = 1
    kept = []
    for node, first in zip(reversed(net.nodes), reversed(firsts[:-1]), strict=True):
        if any(live[first : first + node.n_outputs]):
            kept.append((node, first))
            for i in node.inputs:
                live[i] = 1
    renamed = list(range(2 + net.n_inputs)) + [ZERO] * (firsts[-1] - 2 - net.n_inputs)
    nodes, n = list[Node](), 2 + net.n_inputs
    for node, first in reversed(kept):
        match node:
            case Luts():
                ports = [k for k in range(len(node.tables)) if live[first + k]]
                kept_node = node if len(ports) == len(node.tables) else replace(node, tables=tuple(node.tables[k] for k in ports))
                nodes.append(kept_node.reading(renamed))
            case Adder() | CarryCount():
                ports = list(range(node.n_outputs))
                nodes.append(node.reading(renamed))
            case _:
                raise AssertionError("registers are set when all is built")
        for k in ports:
            renamed[first + k] = n
            n += 1
    return replace(net, nodes=tuple(nodes), outputs=tuple(renamed[o] for o in net.outputs))
