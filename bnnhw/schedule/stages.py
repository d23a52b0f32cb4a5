"""Pipeline registers: as many as keep the LUTs between them below a wanted number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from bnnhw.estimate.features import digits
from bnnhw.ir import design as d
from bnnhw.ir.hardware import Gate, gate, popcount_form
from bnnhw.ir.integer import Network
from bnnhw.ir.layers import Layer, MatVec
from bnnhw.ir.pipeline import sum_coeffs, sum_width
from bnnhw.lutmap.dot import dot
from bnnhw.lutmap.fabric import FABRICS
from bnnhw.lutmap.layer import predicted_luts, unrolled
from bnnhw.lutmap.netlist import Netlist
from bnnhw.lutmap.popcount import popcount
from bnnhw.lutmap.stages import stages_for

LUT_LEVELS = 4
"""LUTs between registers where nothing else is asked for."""
SMALL, LARGE = 5_000, 100_000
"""Predicted LUTs of a netlist that takes no time to speak of, and of one that takes some seconds."""
JOINT = 512
"""Bits of a beat up to which planes may be summed together."""
BEHIND = 3
"""LUTs of an adder behind popcounts for more than their bits."""
LOGIC = {"xc7": d.Logic.LUT6, "xcup": d.Logic.LUT6, "ecp5": d.Logic.LUT4, "ice40": d.Logic.LUT4, "gowin": d.Logic.LUT4}
"""What suits each family."""


def registers(layer: MatVec, f: d.Folding, logic: d.Logic, levels: int) -> int:
    """Registers in the popcounts of a product of this folding, or in an unrolled one."""
    if f.implementation is d.Implementation.UNROLLED:
        return min(d.MOST_REGISTERS, stages_for(unrolled(layer, logic.of_netlists), levels))
    if f.joint:
        return min(d.MOST_REGISTERS, stages_for(_dot(layer, f.simd, logic), levels))
    return 0 if d.weight_words(layer, f) == 1 else popcount_registers(f.simd, gate(layer), logic, levels)


@lru_cache(maxsize=1 << 14)
def popcount_registers(simd: int, kind: Gate, logic: d.Logic, levels: int) -> int:
    """Registers in a popcount of `simd` lanes with weights from a memory; none in a plain one."""
    if logic is d.Logic.PLAIN or simd == 1:
        return 0
    return min(d.MOST_REGISTERS, stages_for(popcount(simd, kind, FABRICS[logic]), levels))


def joint(layer: MatVec, f: d.Folding, logic: d.Logic) -> bool:
    """Whether a product sums its input planes together: where that takes fewer LUTs than their popcounts and the adders behind."""
    return f.simd * layer.x.planes <= JOINT and d.may_be_joint(layer, f, logic) and _joint_is_smaller(layer, f.simd, logic)


@lru_cache(maxsize=1 << 14)
def _joint_is_smaller(layer: MatVec, simd: int, logic: d.Logic) -> bool:
    adders = sum(map(digits, popcount_form(layer).coeffs)) - 1
    apart = layer.x.planes * popcount(simd, gate(layer), FABRICS[logic]).luts + adders * (simd.bit_length() + BEHIND)
    return bool(_dot(layer, simd, logic).luts < apart)


@lru_cache(maxsize=1 << 10)
def _dot(layer: MatVec, simd: int, logic: d.Logic) -> Netlist:
    return dot(simd, sum_coeffs(layer, simd), gate(layer), sum_width(layer, simd), FABRICS[logic])


def with_joint(net: Network, design: d.Design) -> d.Design:
    """The design in which products sum their input planes together where that is cheaper."""
    layers = tuple(
        replace(f, joint=joint(layer, f, design.logic)) if isinstance(layer, MatVec) else f
        for layer, f in zip(net.layers, design.layers, strict=True)
    )
    return replace(design, layers=layers)


def with_registers(net: Network, design: d.Design, levels: int = LUT_LEVELS) -> d.Design:
    """The design with the registers of its products chosen."""
    layers = tuple(
        replace(f, registers=registers(layer, f, design.logic, levels)) if isinstance(layer, MatVec) else f
        for layer, f in zip(net.layers, design.layers, strict=True)
    )
    return replace(design, layers=layers)


def most_registers(net: Network, logic: d.Logic, levels: int) -> Mapping[str, int]:
    """Per layer, the registers that its product may have; none where no streams meet that could wait for each other."""
    if all(len(net.inputs_of(layer)) < 2 for layer in net.layers):
        return {}
    found = {}
    for layer in net.layers:
        if isinstance(layer, MatVec):
            folded = d.Folding(layer.name, simd=layer.window.fan_in // d.segments(layer))
            forms = [folded, d.unrolled(layer, folded)] if may_unroll(net, layer) else [folded]
            found[layer.name] = max(registers(layer, f, logic, levels) for f in forms)
            if layer.x.planes > 1 and logic is not d.Logic.PLAIN:
                widest = max(1, min(folded.simd, JOINT // layer.x.planes))
                found[layer.name] = max(found[layer.name], 1 + registers(layer, replace(folded, simd=widest, joint=True), logic, levels))
    return found


def may_have_lines(net: Network) -> list[str]:
    """Layers that may have a line buffer."""
    return [layer.name for layer in net.layers if d.has_lines(layer) and may_unroll(net, layer)]


def may_unroll(net: Network, layer: Layer) -> bool:
    """Whether a search may unroll a layer: it must be built to be priced, and where streams meet, for its registers even before."""
    if not isinstance(layer, MatVec) or d.unrolled_obstacle(layer) is not None:
        return False
    joins = any(len(net.inputs_of(layer)) > 1 for layer in net.layers)
    return predicted_luts(layer) <= (SMALL if joins else LARGE)
