"""Dot products of folded layers with inputs of several bit planes: all planes of a beat summed together, in one netlist."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from bnnhw.ir.encoding import signed_bits
from bnnhw.ir.hardware import Gate
from bnnhw.ir.wiring import entries
from bnnhw.lutmap.builder import Builder
from bnnhw.lutmap.fabric import FABRICS, Fabric
from bnnhw.lutmap.layer import complement, signed_digits
from bnnhw.lutmap.netlist import Netlist, literal
from bnnhw.lutmap.popcount import SPARE, gated, pins_of, popcount_stages
from bnnhw.lutmap.share import Number
from bnnhw.lutmap.stages import pipelined


def dot_form(parameters: Mapping[str, int | str]) -> tuple[tuple[int, ...], int]:
    """Coefficients and bits of the joint sum of a `bnn_matvec`."""
    bits = int(parameters["SUM_W"])
    return tuple(entries(parameters["COEFFS"], bits, int(parameters["PLANES"]))), bits


def of_matvec(parameters: Mapping[str, int | str]) -> Netlist:
    """The netlist of a popcount of a `bnn_matvec` with LOGIC, or of its joint sum."""
    lanes, gate, fabric = int(parameters["SIMD"]), Gate(int(parameters["GATE"])), FABRICS[str(parameters["LOGIC"])]
    registers = int(parameters.get("LATENCY", 0))
    if "JOINT" not in parameters:
        return popcount_stages(lanes, gate, fabric, registers)
    coeffs, bits = dot_form(parameters)
    return dot_stages(lanes, coeffs, gate, bits, fabric, registers)


@lru_cache(maxsize=1 << 8)
def dot(lanes: int, coeffs: tuple[int, ...], gate: Gate, bits: int, fabric: Fabric) -> Netlist:
    """The sum over planes q of coeffs[q] times the number of lanes that count, in two's complement of `bits`.

    Inputs are x plane by plane, then weights, then masks.
    """
    pins, planes = pins_of(gate), len(coeffs)
    build = Builder((planes + pins - 1) * lanes, fabric)
    together = max(1, fabric.lut_inputs // pins)
    digits = [digit[0].tolist() for digit in signed_digits(np.array([coeffs]))]
    total = Number()
    for plane in range(planes):
        for first in range(0, lanes, together):
            group = range(first, min(first + together, lanes))
            nets = [build.inputs[part * lanes + lane] for lane in group for part in (plane, *range(planes, planes + pins - 1))]
            hits = Number([[literal(net)] for net in build.luts(nets, gated(gate, len(group), 0))])
            for shift, digit in enumerate(digits):
                if digit[plane]:
                    total.add(hits, digit[plane], shift)
    needed = _needed(lanes, coeffs, bits)
    found = complement(build, total, needed, fabric)
    return build.netlist([*found, *found[-1:] * (bits - needed)])


def least_luts(lanes: int, coeffs: tuple[int, ...], gate: Gate, bits: int, fabric: Fabric) -> int:
    """LUTs that such a netlist has at least: one saves no more than a bit of what comes out of the gates, before carry chains two.

    In the two highest columns, whose carries are lost, it may save more. With coefficients of several digits many carries
    come there, and only the gates are known.
    """
    together, rest = divmod(lanes, most := max(1, fabric.lut_inputs // pins_of(gate)))
    groups = (most,) * together + ((rest,) if rest else ())
    bits = _needed(lanes, coeffs, bits)
    luts = counted = 0
    digits = np.array([digit[0] for digit in signed_digits(np.array([coeffs]))])
    for shifts in map(np.flatnonzero, digits[:bits].T):
        for group in groups if len(shifts) else ():
            luts += fabric.luts(group * pins_of(gate), min(group.bit_length(), bits - int(shifts[0])))
            counted += sum(min(group.bit_length(), max(0, bits - 2 - int(shift))) for shift in shifts)
    if (np.count_nonzero(digits, axis=0) > 1).any():
        return luts
    return luts + max(0, counted - bits - SPARE) // (2 if fabric.xilinx else 1)


def _needed(lanes: int, coeffs: tuple[int, ...], bits: int) -> int:
    """Bits of a sum of which the others are copies."""
    return min(bits, signed_bits(sum(min(c, 0) for c in coeffs) * lanes, sum(max(c, 0) for c in coeffs) * lanes))


@lru_cache(maxsize=1 << 8)
def dot_stages(lanes: int, coeffs: tuple[int, ...], gate: Gate, bits: int, fabric: Fabric, registers: int) -> Netlist:
    """The same, with registers on the way."""
    return pipelined(dot(lanes, coeffs, gate, bits, fabric), registers)
