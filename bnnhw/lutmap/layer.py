"""Layers with constant weights as netlists: all outputs of one window position at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import log2

import numpy as np

from bnnhw.ir.encoding import I64, Alphabet, Integers
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.hardware import gives_levels, gives_numbers, number_bits
from bnnhw.ir.heads import Sums, Thresholds
from bnnhw.ir.layers import MatVec
from bnnhw.lutmap.builder import Builder
from bnnhw.lutmap.fabric import FABRICS, Fabric
from bnnhw.lutmap.heap import add_up, reached
from bnnhw.lutmap.netlist import ONE, ZERO, Netlist, literal
from bnnhw.lutmap.share import Number, Sharing, totals
from bnnhw.lutmap.stages import pipelined

DEFAULT = Sharing()
DIFFER = 0.4
"""Part of its inputs in which a neuron differs from the reference, as a rule."""
MOST_LUTS = 400_000
"""Of a layer, as predicted; more would take too much memory and time to build."""


@dataclass(frozen=True)
class _Rough:
    """What layers of random weights take in a fabric, roughly."""

    bit: float
    """LUTs of a bit in a long sum."""
    free: float
    """Bits of a sum that take none."""
    gain: float
    """How fast what is shared grows with the part of the inputs that neurons use, in the measure of LUT6;"""
    least: float
    """less so much of it."""

    def left(self, bits: int, used: float, neurons: int) -> float:
        """Part of the LUTs of sums that is left where neurons, of which each uses a part of the inputs' bits, share in groups."""
        shared = min(0.7, self.gain * used * (0.115 * log2(bits) - 0.375) - self.least)
        return 1 - max(0.0, shared) * (min(neurons, DEFAULT.group) - 1) / (DEFAULT.group - 1)


ROUGH = {"lut6": _Rough(1, 4, 1, 0), "lut4": _Rough(1.85, 3.5, 1.2, 0.25), "carry": _Rough(0.5, 2, 1, 0.07)}
"""By fabric."""


@lru_cache(maxsize=256)
def predicted_luts(layer: MatVec, logic: str = "lut6") -> int:
    """LUTs that a layer takes, roughly, from its weights alone: before a netlist is built."""
    rough, (sizes, counts) = ROUGH[logic], np.unique(np.abs(layer.weights.values), return_counts=True)
    inputs, neurons = layer.window.fan_in, layer.weights.outputs // layer.window.groups
    bits = inputs * _planes(layer)
    luts = 0.0
    for digit in signed_digits(sizes):
        used = int(counts[digit != 0].sum()) / layer.weights.values.size
        refers = used == 1 and neurons > 2
        differ = min(DIFFER, 0.1 + 0.045 * log2(inputs)) if neurons >= inputs else DIFFER  # with several references
        left = 1 / neurons + differ * rough.left(bits, differ, neurons) if refers else rough.left(bits, used, neurons)
        luts += layer.weights.outputs * rough.bit * max(used * bits - rough.free, used * bits / 6) * left
    return round(luts)


def check_size(layer: MatVec, logic: str = "lut6", most: float = MOST_LUTS, instead: Callable[[], str] = lambda: "with a PE and SIMD") -> None:
    """Refuse a layer that would be too large a netlist: BnnhwError with what it would take, and what to take instead."""
    luts, most = predicted_luts(layer, logic), min(most, MOST_LUTS)
    if luts > most:
        raise BnnhwError(
            f"layer {layer.name!r}: unrolled it takes about {luts} LUTs, over the limit of {most:.0f}; use implementation: folded {instead()}"
        )


@lru_cache(maxsize=64)
def unrolled(layer: MatVec, logic: str, sharing: Sharing = DEFAULT) -> Netlist:
    """A layer's outputs from its inputs; equal layers are netlists of their own.

    Inputs: the window's bits, plane by plane. Outputs: with thresholds the levels' bits, plane by plane; of sums with a
    constant the numbers; else the totals in two's complement, each of the bits of the widest.
    """
    check_size(layer, logic)
    fabric = FABRICS[logic]
    weights, (low, high) = layer.window_weights, layer.dot_range
    build = Builder(_planes(layer) * weights.shape[1], fabric)
    numbers = _numbers(build, layer, weights.shape[1])
    if gives_levels(layer):
        assert isinstance(layer.head, Thresholds)
        return build.netlist(_levels(build, numbers, weights, layer.head, (low, high), fabric, sharing))
    found = _weighted(build, numbers, weights, fabric, sharing)
    if gives_numbers(layer):
        assert isinstance(layer.head, Sums)
        for total, bias in zip(found, layer.head.bias[0].tolist(), strict=True):
            total.constant += bias
    return build.netlist([net for total in found for net in complement(build, total, number_bits(layer), fabric)])


@lru_cache(maxsize=64)
def unrolled_stages(layer: MatVec, logic: str, registers: int) -> Netlist:
    """The same with the default sharing, and registers on the way."""
    return pipelined(unrolled(layer, logic), registers)


def _planes(layer: MatVec) -> int:
    """Bits of an input."""
    return layer.x.bits if isinstance(layer.x, Integers) else layer.x.planes


def _numbers(build: Builder, layer: MatVec, k: int) -> list[Number]:
    """The k values of a window, from their bits."""
    if isinstance(layer.x, Integers):
        weights = [1 << q for q in range(layer.x.bits)]
        weights[-1] *= -1 if layer.x.low < 0 else 1
        offset = 0
    else:
        step = 2 if layer.x.alphabet is Alphabet.BIPOLAR else 1
        weights = [step * s for s in layer.x.scale]
        offset = layer.x.offset - (sum(layer.x.scale) if step == 2 else 0)
    found = [Number([], offset) for _ in range(k)]
    for q, weight in enumerate(weights):
        for at, number in enumerate(found):
            bit = Number([[literal(build.inputs[q * k + at])]])
            for n in range(abs(weight).bit_length()):
                if abs(weight) >> n & 1:
                    number.add(bit, 1 if weight > 0 else -1, n)
    return found


def _weighted(build: Builder, numbers: list[Number], weights: I64, fabric: Fabric, sharing: Sharing) -> list[Number]:
    """[O] sums of numbers with integer weights [O, K], digit by digit of the weights."""
    found = [Number() for _ in weights]
    for shift, digits in enumerate(signed_digits(weights)):
        rows = np.flatnonzero((digits != 0).any(1))
        columns = np.flatnonzero((digits != 0).any(0))
        sums = totals(build, [numbers[k] for k in columns], digits[np.ix_(rows, columns)], fabric, sharing)
        for row, total in zip(rows, sums, strict=True):
            found[row].add(total, 1, shift)
    return found


def signed_digits(weights: I64) -> list[np.ndarray]:
    """[O, K] of -1, 0 and +1 for each power of two, as few of them not 0 as can be."""
    found = []
    left = weights.astype(np.int64)
    while left.any():
        digit = np.where(left & 1, 2 - (left & 3), 0)
        found.append(digit.astype(np.int8))
        left = (left - digit) >> 1
    return found


def _levels(
    build: Builder, numbers: list[Number], weights: I64, head: Thresholds, bounds: tuple[I64, I64], fabric: Fabric, sharing: Sharing
) -> list[int]:
    """Nets of the bits of every output's level, plane by plane."""
    limits = head.values[0].tolist()
    crossed = [[not sharing.constants or low < limit <= high for limit in own] for own, low, high in zip(limits, *bounds, strict=True)]
    live = [o for o, any_crossed in enumerate(map(any, crossed)) if any_crossed]
    rows, which, signs = _merged(weights[live]) if sharing.merge else (weights[live], list(range(len(live))), [1] * len(live))
    total_of, sign = dict(zip(live, which, strict=True)), dict(zip(live, signs, strict=True))
    wanted: list[set[int]] = [set() for _ in rows]
    """Of each total, the limits."""

    def wants(o: int, k: int) -> int:
        return limits[o][k] if sign[o] > 0 else 1 - limits[o][k]

    for o in live:
        wanted[total_of[o]] |= {wants(o, k) for k, is_crossed in enumerate(crossed[o]) if is_crossed}
    found = []
    for total, asked in zip(_weighted(build, numbers, rows, fabric, sharing), map(sorted, wanted), strict=True):
        found.append(dict(zip(asked, reached(build, total.columns, [v - total.constant for v in asked], fabric), strict=True)))
    planes: list[list[int]] = [[ZERO] * len(weights) for _ in range(head.code.planes)]
    for o, own in enumerate(limits):
        flip = head.flip is not None and bool(head.flip[o])
        nets = [found[total_of[o]][wants(o, k)] if crossed[o][k] else (ONE if limit <= bounds[0][o] else ZERO) for k, limit in enumerate(own)]
        opposite = [flip ^ (is_crossed and sign[o] < 0) for is_crossed in crossed[o]]
        for q, bits in enumerate(zip(*head.code.codebook, strict=True)):
            changed = [k for k, (a, b) in enumerate(pairwise(bits)) if a != b]
            inverted = bits[0] ^ (sum(opposite[k] for k in changed) & 1)
            planes[q][o] = _odd(build, [nets[k] for k in changed], inverted, fabric)
    return [net for plane in planes for net in plane]


def _merged(weights: I64) -> tuple[I64, list[int], list[int]]:
    """Neurons of the same weights, or of opposite ones, as one: the different rows, and each neuron's row and sign.

    A total reaches a limit where its opposite does not reach 1 less the limit. The sign is the one with which few do.
    """
    first = np.array([np.sign(row[np.flatnonzero(row)[0]]) if row.any() else 1 for row in weights], np.int64)
    rows, which = np.unique(weights * first[:, None], axis=0, return_inverse=True)
    which = which.reshape(-1)
    usual = np.where(np.bincount(which, first, len(rows)) < 0, -1, 1)
    return rows * usual[:, None], which.tolist(), (first * usual[which]).tolist()


def _odd(build: Builder, nets: list[int], inverted: int, fabric: Fabric) -> int:
    """Net of whether an odd number of nets is 1, or an even one."""
    nets = list(nets)
    while len(nets) > fabric.lut_inputs:
        nets = [*nets[fabric.lut_inputs :], build.lut(nets[: fabric.lut_inputs], _parity(fabric.lut_inputs))]
    every = (1 << (1 << len(nets))) - 1
    return build.lut(nets, _parity(len(nets)) ^ (every if inverted else 0))


def _parity(inputs: int) -> int:
    """Truth table of an odd number of inputs that are 1."""
    return sum((i.bit_count() & 1) << i for i in range(1 << inputs))


def complement(build: Builder, total: Number, bits: int, fabric: Fabric) -> list[int]:
    """Nets of a number in two's complement."""
    columns = [list(column) for column in total.columns[:bits]] + [[] for _ in range(bits - len(total.columns))]
    for n in range(bits):
        columns[n] += [literal(ONE)] * (total.constant >> n & 1)
    nets = [build.plain(x) for x in add_up(build, columns, fabric)[:bits]]
    return nets + [ZERO] * (bits - len(nets))
