"""Pipeline registers: a netlist cut after so many levels of LUTs."""

from __future__ import annotations

from dataclasses import replace

from bnnhw.lutmap.netlist import Netlist, Node, Register, arrivals


def stages_for(net: Netlist, levels: int) -> int:
    """Registers on every path of which no more than `levels` LUTs lie one behind the other."""
    return max(0, -(-net.levels // levels) - 1)


def pipelined(net: Netlist, registers: int) -> Netlist:
    """The same function `registers` cycles later, with the fewest levels between registers.

    A node stands in the stage of its level; what is read in a later stage passes the registers between.
    """
    if not registers:
        return net
    levels = -(-net.levels // (registers + 1)) or 1
    level, firsts = arrivals(net), net.firsts
    stages = [(level[first] - 1) // levels for first in firsts[:-1]]
    last = {o: registers for o in net.outputs}
    for node, stage in zip(net.nodes, stages, strict=True):
        for i in node.inputs:
            last[i] = max(last.get(i, 0), stage)
    renamed = list(range(2 + net.n_inputs)) + [0] * (firsts[-1] - 2 - net.n_inputs)
    nodes, n = list[Node](), 2 + net.n_inputs
    born = list(net.inputs)
    for stage in range(registers + 1):
        for node, first, at in zip(net.nodes, firsts, stages, strict=False):
            if at == stage:
                assert not isinstance(node, Register)
                nodes.append(node.reading(renamed))
                renamed[first : first + node.n_outputs] = range(n, n + node.n_outputs)
                born += range(first, first + node.n_outputs)
                n += node.n_outputs
        kept = [i for i in born if last.get(i, 0) > stage]
        if stage < registers and kept:
            nodes.append(Register(tuple(renamed[i] for i in kept)))
            for k, i in enumerate(kept):
                renamed[i] = n + k
            n += len(kept)
            born = kept
    return replace(net, nodes=tuple(nodes), outputs=tuple(renamed[o] for o in net.outputs))
