"""What netlists cost when each node is mapped by itself, which is how the library keeps them."""

from __future__ import annotations

from collections.abc import Mapping

from bnnhw.ir.errors import BnnhwError
from bnnhw.lutmap.fabric import COUNTER_LUTS, Fabric
from bnnhw.lutmap.netlist import Adder, CarryCount, Luts, Netlist

LUT_INPUTS = {"xc7": 6, "xcup": 6, "ecp5": 4, "gowin": 4, "ice40": 4}
"""By family."""
XILINX = ("xc7", "xcup")
"""Families that have LUTs of two outputs, and carry chains beside them."""
Wide = Mapping[tuple[int, int], int]
"""LUTs of tables that have more inputs than a family's LUTs, by inputs and table."""


def luts(net: Netlist, target: str, wide: Wide) -> int:
    """LUTs of a netlist in the family named `target`."""
    check_family(net.fabric, target)
    return sum(node_luts(node, target, wide, net.fabric) for node in net.nodes)


def check_family(fabric: Fabric, target: str) -> None:
    """BnnhwError where netlists of `fabric` take primitives that the family named `target` has not."""
    if fabric.xilinx and target not in XILINX:
        raise BnnhwError(f"logic 'carry' is for {' and '.join(XILINX)}, not for target {target!r}; use logic: lut{LUT_INPUTS[target]}")


def node_luts(node: object, target: str, wide: Wide, fabric: Fabric) -> int:
    """LUTs of a node: one for each table, or two of few inputs, and for each bit of an adder, with what its family adds at the ends of the chain."""
    match node:
        case Luts():
            n = len(node.inputs)
            if n <= LUT_INPUTS[target]:
                return fabric.luts(n, len(node.tables))
            return sum(wide.get((n, table), 1 << n - LUT_INPUTS[target]) for table in node.tables)
        case CarryCount():
            return COUNTER_LUTS
        case Adder():
            bits = len(node.a)
            return {"ecp5": 2 * (bits // 2 + 1), "gowin": bits + 1}.get(target, bits)
    return 0
