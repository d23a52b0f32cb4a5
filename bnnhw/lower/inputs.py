"""How frames reach a foreign network: which integers a port takes for the real numbers that the network computes with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from bnnhw.ir import graph as g
from bnnhw.ir.encoding import I64
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.window import Shape
from bnnhw.lower import exact as x

KINDS = "none, x/255, 2x-1, mean=M,std=S, fixed<BITS,INTEGER> or ufixed<BITS,INTEGER>"
PIXEL = 255


InputQuantiser = g.Quantise | g.Bipolar | g.Round


@dataclass(frozen=True)
class InputAs:
    """Frames of integers that stand for unit * integer + offset."""

    unit: Fraction
    offset: Fraction = Fraction(0)
    ends: tuple[int, int] = (0, PIXEL)
    pixels: bool = True
    """Whether integers are uint8 pixels, which the port may quantise itself."""

    @staticmethod
    def parse(text: str) -> InputAs:
        """One of KINDS: of pixels p with x = p/255 what the network takes, or fixed-point numbers as in HLS. Errors: BnnhwError."""
        one = Fraction(1, PIXEL)
        plain = {"none": InputAs(Fraction(1)), "x/255": InputAs(one), "2x-1": InputAs(2 * one, Fraction(-1))}
        if text in plain:
            return plain[text]
        number = r"([+-]?[0-9]{0,12}\.?[0-9]{1,18}(?:e[+-]?[0-9]{1,2})?)"
        if found := re.fullmatch(rf"mean={number},std={number}", text):
            mean, std = (Fraction(v) for v in found.groups())
            if std > 0:
                return InputAs(one / std, -mean / std)
        if found := re.fullmatch(r"(u?)fixed<([0-9]{1,2}),\s*(-?[0-9]{1,2})>", text):
            unsigned, bits, whole = bool(found[1]), int(found[2]), int(found[3])
            if 2 <= bits <= 16:
                low = 0 if unsigned else -(1 << (bits - 1))
                return InputAs(Fraction(2) ** (whole - bits), ends=(low, low + (1 << bits) - 1), pixels=False)
        raise BnnhwError(f"input {text[:60]!r}: is no kind of frames; give {KINDS}, of 2 to 16 bits")


def _first(graph: g.Graph) -> g.Sizes:
    """Shape of the input, channels first: as the first operation leaves it that moves its axes, where those are channels last."""
    name, shape = graph.input, graph.shape
    for node in graph.nodes:
        if name not in node.inputs:
            continue
        match node.operation:
            case g.Transpose(order=order) if len(order) == 3:
                return tuple(shape[n] for n in order)
            case g.Reshape(shape=after) if len(after) == 3 and len(shape) == 3:
                return after
            case g.Scale() | g.Shift() | g.Clip() | g.Quantise() | g.Bipolar() | g.Round() | g.Pad():
                name = node.output
            case _:
                return shape
    return shape


def places(graph: g.Graph, shape: Shape) -> I64:
    """Place of each element of the graph's input among those of the port [C * rows * columns]."""
    name, ids = graph.input, np.arange(prod(shape))
    for node in graph.nodes:
        if name in node.inputs:
            match node.operation:
                case g.Transpose(order=order) if len(order) == 3:
                    return ids.reshape([graph.shape[n] for n in order]).transpose(np.argsort(order))
                case g.Reshape() | g.Conv() | g.Dense():
                    break
            name = node.output
    return ids.reshape(graph.shape)


class Port:
    """The input in the making: its rule is settled by what reads it first."""

    def __init__(self, source: str, shape: Shape, asked: InputAs | None) -> None:
        self.source, self.shape, self.asked = source, shape, asked
        self._settled: dict[str, Any] | None = None

    @staticmethod
    def of(graph: g.Graph, asked: InputAs | None) -> Port:
        """The port of a graph: of pixels x = p/255 where it takes a map and nothing is asked for."""
        match _first(graph):
            case (int(features),):
                shape = (features, 1, 1)
            case (int(channels), int(length)):
                shape = (channels, 1, length)
            case (int(channels), int(rows), int(columns)):
                shape = (channels, rows, columns)
            case _:
                raise BnnhwError(f"{graph.source}: its input has the shape {graph.shape}; networks take [features] or [channels, rows, columns]")
        if asked is None and len(graph.shape) > 1:
            asked = InputAs.parse("x/255")
        return Port(graph.source, shape, asked)

    @property
    def start(self) -> x.Affine:
        """What the integers are to the network."""
        a = self.asked
        return x.Affine.of(self.shape[0], a.unit if a else 1, a.offset if a else 0)

    @property
    def ends(self) -> tuple[int, int]:
        """Least and greatest integer of a frame."""
        return self.asked.ends if self.asked else (0, 1)

    def spec(self) -> dict[str, Any]:
        """The input of the network's description."""
        shape = [self.shape[0]] if self.shape[1:] == (1, 1) else list(self.shape)
        return {"shape": shape, **(self._settled or {"type": "uint8"})}

    def _settle(self, rule: dict[str, Any]) -> None:
        if self._settled not in (None, rule):
            raise BnnhwError(f"{self.source}: its input is read through two different quantisers; give both one")
        self._settled = rule

    def integers(self, meaning: x.Affine) -> tuple[x.Affine, tuple[int, int]]:
        """What the stream's integers mean, and their ends, where no quantiser stands before a product; `meaning` is that of a frame's."""
        a = self.asked
        if a is None:
            raise BnnhwError(f"{self.source}: its input is not quantised; say what frames hold with --input: {KINDS}")
        if not a.pixels:
            kind = ("int8" if a.ends[0] >= -128 and a.ends[1] <= 127 else "int16") if a.ends[0] < 0 else "uint8" if a.ends[1] <= PIXEL else "uint16"
            self._settle({"type": kind, "ends": list(a.ends), "real": {"unit": float(a.unit), "offset": float(a.offset)}})
            return meaning, a.ends
        centred = [-f * PIXEL / 2 for f in meaning.factor]
        real = {"real": {"unit": float(a.unit), "offset": float(a.offset)}}
        if all(o == c for o, c in zip(meaning.addend, centred, strict=True)):
            self._settle({"type": "uint8", "preprocess": "2p-255", **real})
            return x.Affine(meaning.factor / 2, x.Affine.of(self.shape[0]).addend), (-PIXEL, PIXEL)
        self._settle({"type": "uint8", "preprocess": "none", **real})
        return meaning, (0, PIXEL)

    def quantised(self, quantiser: InputQuantiser, pieces: tuple[x.Piece, ...], scale: x.Fractions, ends: tuple[int, int]) -> tuple[list[int], int]:
        """Rising levels of the stream behind an input quantiser whose integers have these ends, and the sign with which they count."""
        pixels = self.asked is not None and self.asked.pixels
        if pixels and ends[1] - ends[0] > PIXEL:
            raise BnnhwError(
                f"{self.source}: the quantiser of its input has {ends[1] - ends[0] + 1} levels, at most 256 are taken; use 8 bits, or none"
            )
        if len(set(scale)) > 1:
            raise BnnhwError(f"{self.source}: the quantiser of its input has a scale for each channel; use one for all")
        if pixels:
            return self._of_pixels(quantiser, pieces, scale, ends)
        if isinstance(quantiser, g.Round):
            raise BnnhwError(f"{self.source}: its input is rounded before the first layer; say what frames hold with --input: {KINDS}")
        return self._of_numbers(quantiser, pieces, scale[0])

    def _of_pixels(self, quantiser: InputQuantiser, pieces: tuple[x.Piece, ...], scale: x.Fractions, ends: tuple[int, int]) -> tuple[list[int], int]:
        """A rule from pixels to levels."""
        assert self.asked is not None
        values, found = x.steps(quantiser, scale[0], ends)
        falling = int(x.rising(pieces, len(scale))[0]) < 0
        rules = []
        for c in range(len(scale)):
            limits = [x.limit(step, pieces, c)[0] for step in found]
            rules.append([1 - v for v in reversed(limits)] if falling else limits)
        if any(rule != rules[0] for rule in rules):
            raise BnnhwError(f"{self.source}: its channels are quantised differently; normalise all alike before the quantiser")
        limits, sign = [min(max(v, 0), PIXEL + 1) for v in rules[0]], -1 if falling else 1
        values = [-v for v in reversed(values)] if falling else values
        if len(values) == 3 and limits[0] == limits[1] and isinstance(quantiser, g.Bipolar):
            values, limits = [-1, 1], limits[:1]
        one = values == [-1, 1] and 1 <= limits[0] <= PIXEL
        rule = {"threshold": limits[0]} if one else {"thresholds": limits, "values": values}
        self._settle({"type": "uint8", "preprocess": rule, "real": {"unit": float(self.asked.unit), "offset": float(self.asked.offset)}})
        return values, sign

    def _of_numbers(self, quantiser: g.Quantise | g.Bipolar, pieces: tuple[x.Piece, ...], scale: Fraction) -> tuple[list[int], int]:
        """The quantiser's own integers as frames."""
        start = pieces if self.asked is None else (x.Affine(1 / self.start.factor, -self.start.addend / self.start.factor), *pieces)
        meaning = x.composed(start, self.shape[0])
        even = not isinstance(quantiser, g.Quantise) or quantiser.rounding in ("ROUND", "HALF_EVEN")
        if meaning is None or len(set(meaning.factor)) > 1 or len(set(meaning.addend)) > 1 or meaning.factor[0] == 0 or not even:
            raise BnnhwError(
                f"{self.source}: its input is clipped, rounded or scaled by channel before the first layer; quantise it alike, to the nearest"
            )
        unit, offset = scale / meaning.factor[0], -meaning.addend[0] / meaning.factor[0]
        real = {"real": {"unit": float(unit), "offset": float(offset)}}
        if isinstance(quantiser, g.Bipolar) or (quantiser.bits == 1 and quantiser.signed):
            if isinstance(quantiser, g.Quantise) and quantiser.zero:
                raise BnnhwError(f"{self.source}: the quantiser of its input has one bit and the zero point {quantiser.zero}; use 0")
            if isinstance(quantiser, g.Bipolar) and quantiser.zero_to != 1:
                raise BnnhwError(f"{self.source}: the sign of its input takes 0 to {quantiser.zero_to}; use a sign that takes it to 1")
            self._settle({"type": "bipolar", **real})
            return [-1, 1], 1
        low, high = (end - quantiser.zero for end in quantiser.ends)
        if not -32768 <= low < high <= 32767 + 32768 * (low >= 0):
            raise BnnhwError(f"{self.source}: the quantiser of its input gives {low} to {high}, at most 16 bits are taken; use fewer")
        kind = ("int8" if low >= -128 and high <= 127 else "int16") if low < 0 else "uint8" if high <= PIXEL else "uint16"
        self._settle({"type": kind, "ends": [low, high], **real})
        return list(range(low, high + 1)), 1
