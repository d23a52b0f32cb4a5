"""Clips of integers before their rounding: clip(round(x)) as round(clip(x)), so that a quantiser has no more levels than go on."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

import numpy as np

from bnnhw.ir import graph as g


def rounded_last(graph: g.Graph) -> g.Graph:
    """The graph with clips to integers, behind a rounding and perhaps an integer shift, moved before the rounding."""
    readers = {name: [n for n in graph.nodes if name in n.inputs] for name in (n.output for n in graph.nodes)}
    changed: dict[str, list[g.Node]] = {}
    """What stands for nodes, by their outputs."""
    for node in graph.nodes:
        chain, moved = [node], 0.0
        while isinstance(node.operation, g.Round) and len(readers[chain[-1].output]) == 1 and graph.uses[chain[-1].output] == 1:
            (end,) = readers[chain[-1].output]
            if isinstance(end.operation, g.Shift) and np.size(end.operation.addend) == 1 and float(end.operation.addend.item()).is_integer():
                moved += float(end.operation.addend.item())
                chain.append(end)
                continue
            if isinstance(end.operation, g.Clip) and all(not isfinite(v) or float(v).is_integer() for v in (end.operation.low, end.operation.high)):
                clip = g.Clip(end.operation.low - moved, end.operation.high - moved)
                changed |= dict(zip((n.output for n in (*chain, end)), _moved(chain, end, clip), strict=True))
            break
    nodes = (new for node in graph.nodes for new in changed.get(node.output, [node]))
    return replace(graph, nodes=tuple(nodes))


def _moved(chain: list[g.Node], end: g.Node, clip: g.Clip) -> list[list[g.Node]]:
    """Nodes in place of each of a rounding and shifts, `chain`, and of the clip behind them."""
    names = [f"{chain[0].output}:{n}" for n in range(len(chain))] + [end.output]
    made = [[replace(node, inputs=(names[n],), output=names[n + 1])] for n, node in enumerate(chain)]
    return [[g.Node(clip, end.name, chain[0].inputs, names[0]), *made[0]], *made[1:], []]
