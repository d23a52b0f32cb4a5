"""Quantisers of a foreign network as levels: where each sum crosses to the next, exactly, and where float32 may see it otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir import graph as g
from bnnhw.ir.encoding import I64
from bnnhw.ir.topology import INPUT
from bnnhw.ir.trained import Close
from bnnhw.lower import exact as x
from bnnhw.lower.description import Description, pool_keys
from bnnhw.lower.tensors import Problem, Value, per_channel

MOST_LEVELS = 256
UNIT_ROUNDOFF = 2.0**-24


class Levels(Description):
    """A description that takes quantisers."""

    def quantised(self, node: g.Node, quantiser: x.Quantiser, value: Value) -> Value:
        """The levels that a quantiser gives."""
        if value.stream == INPUT and value.levels is None:
            return self.quantised_input(node, quantiser, value)
        if value.levels is not None:
            same = self.unchanged(quantiser, value) or self.merged(quantiser, value)
            if same is not None:
                return same
            value = self.counted(value, "levels")
        scale = self.scales(quantiser, value)
        ends = ends_of(quantiser, value, scale)
        if ends[1] - ends[0] >= MOST_LEVELS:
            raise Problem(f"has {ends[1] - ends[0] + 1} levels, at most {MOST_LEVELS} are generated; use 8 bits")
        if ends[1] <= ends[0]:
            raise Problem("has one level only, so nothing passes; use more bits, or BipolarQuant")
        slopes = x.rising(value.pieces, value.channels)
        first = value.pools[0].at if value.pools else len(value.pieces)
        for pool in value.pools:
            if (x.rising(value.pieces[first : pool.at], value.channels) < 0).any():
                raise Problem(f"stands behind max pool {pool.name!r} and a falling function; pool behind the quantiser")
        before = x.rising(value.pieces[:first], value.channels)
        turned = slopes * before < 0  # a falling function behind a pool: the stream carries minus the level
        table = [x.steps(quantiser, s, ends) for s in scale]
        values = table[0][0]
        if turned.any() and not turned.all() and values != [-v for v in reversed(values)]:
            return self.quantised(node, quantiser, self.pooled(value))  # levels of both signs do not fit one stream
        limits, exactly = self.limits(value, table, turned)
        if turned.all():
            values = [-v for v in reversed(values)]
        if isinstance(quantiser, g.Bipolar) and quantiser.zero_to == 0 and (limits[:, 0] == limits[:, 1]).all():
            values, limits, exactly = [-1, 1], limits[:, :1], exactly[:, :1]
        self.doubt(node, value, exactly, before)
        name = self.write_levels(node, value, limits, exactly, values, before)
        sign = np.where(turned, -1, 1)
        out = x.Affine(
            np.array([s * int(t) for s, t in zip(out_scale(quantiser, scale), sign, strict=True)], object), x.Affine.of(value.channels).addend
        )
        for pool in value.pools:
            name = self.write("maxpool", pool.name, [name], pool_keys(pool.pool))
        shape = value.out
        made = Value(name, shape, value.ids, (out,), (values[0], values[-1]), tuple(values), out=shape)
        return made

    def write_levels(self, node: g.Node, value: Value, limits: I64, exactly: NDArray[np.object_], values: list[int], before: I64) -> str:
        """The product, where it is this quantiser's alone, and the layer of its levels."""
        own = value.product is not None and value.product.written is None and all(self.graph.uses.get(t, 0) == 1 for t in value.tensors)
        stored: dict[str, NDArray] = {"thresholds": limits.astype(np.float64), "values": np.array(values, np.int32)}
        if own and value.product is not None and value.product.margin != int(value.product.margin):  # borders add no integers
            stored["thresholds"] = np.array(
                [[between(*pair) for pair in zip(*rows, strict=True)] for rows in zip(limits.tolist(), exactly, strict=True)]
            )
        if own:
            assert value.product is not None
            shape = (-1, *[1] * (value.product.weights.ndim - 1))
            stream = self.write_product(value.product, value.product.weights * np.where(before < 0, -1, 1).reshape(shape))
            return self.write("levels", _behind(stream, node.name), [stream], {}, **stored)
        value = self.sums(value)
        stream = value.stream
        if (before < 0).any():
            stream = self.write("scale", f"{node.name}_sign", [stream], {}, alpha=np.where(before < 0, -1.0, 1.0))
        return self.write("levels", node.name, [stream], {}, **stored)

    def limits(self, value: Value, table: list[tuple[list[int], list[x.Step]]], turned: NDArray[np.bool_]) -> tuple[I64, NDArray[np.object_]]:
        """[C, L-1] least rising sums that pass each step, and where exactly; of channels that are turned, the steps of minus the level."""
        limits = np.zeros((value.channels, len(table[0][1])), np.int64)
        exactly = np.full(limits.shape, None, object)
        for c, (_, found) in enumerate(table):
            for k, step in enumerate(found):
                limits[c, k], exactly[c, k] = x.limit(step, value.pieces, c)
            if turned[c]:  # -level >= v where level < 1 - v: the mirrored steps, not passed
                limits[c], exactly[c] = mirrored(limits[c], exactly[c])
        return limits, exactly

    def doubt(self, node: g.Node, value: Value, exactly: NDArray[np.object_], before: I64) -> None:
        """Note decisions that lie within what float32 rounds of a sum."""
        product = value.product
        meaning = x.composed(tuple(p for p in value.pieces if isinstance(p, x.Affine)), value.channels)
        assert meaning is not None
        slope, intercept = (np.array([abs(float(v)) for v in part]) for part in (meaning.factor, meaning.addend))
        rounded = 8 + (0 if product is None or product.exact else product.fan_in)
        sure = product is None or product.exact
        reach = max(abs(value.ends[0]), abs(value.ends[1]))
        plain = sure and not value.error and exact_in_float32(meaning, reach)
        for c, row in enumerate(exactly) if not plain else ():
            for at in row:
                if at is None or not value.ends[0] - 1 <= at.at * int(before[c] or 1) <= value.ends[1] + 1:
                    continue
                away = float(abs(at.at - round(at.at))) * slope[c]
                bound = rounded * UNIT_ROUNDOFF * (slope[c] * (abs(float(at.at)) if sure else reach) + intercept[c]) + slope[c] * value.error
                if away < bound:
                    self.close.append(Close(node.name, c, away, float(bound)))
                    break

    def unchanged(self, quantiser: x.Quantiser, value: Value) -> Value | None:
        """The value itself where a quantiser has no effect on its levels."""
        meaning = x.composed(value.pieces, value.channels)
        if meaning is None or value.pools or not isinstance(quantiser, g.Quantise | g.Bipolar):
            return None
        scale = self.scales(quantiser, value)
        assert value.levels is not None
        for c in range(value.channels):
            values, found = x.steps(quantiser, scale[c], ends_of(quantiser, value, scale))
            for level in value.levels:
                real = meaning.factor[c] * level + meaning.addend[c]
                passed = sum(step.passed(real) for step in found)
                if values[passed] * scale[c] != real:
                    return None
        return value

    def merged(self, quantiser: x.Quantiser, value: Value) -> Value | None:
        """A quantiser right behind the quantiser of levels that nobody else reads, as one; None where they are not."""
        streams = self.behind_pools(value.stream)
        layer = next((d for d in self.layers if d["name"] == streams[-1]), None)
        meaning = x.composed(value.pieces, value.channels)
        alone = all(self.graph.uses.get(t, 0) == 1 for t in value.tensors)
        if layer is None or layer["type"] != "levels" or meaning is None or not alone or any(f <= 0 for f in meaning.factor):
            return None
        assert value.levels is not None
        scale = self.scales(quantiser, value)
        ends = ends_of(quantiser, value, scale)
        old = self.tensors[f"{streams[-1]}.thresholds"]
        values: list[int] = []
        rows = []
        for c in range(value.channels):
            reals = [meaning.factor[c] * level + meaning.addend[c] for level in value.levels]
            values, found = x.steps(quantiser, scale[c], ends)
            rows.append([sum(not step.passed(real) for real in reals) for step in found])
        places = np.array(rows, np.int64)
        full = np.concatenate([np.full((value.channels, 1), -float(x.NEVER)), old, np.full((value.channels, 1), float(x.NEVER))], axis=1)
        thresholds = np.take_along_axis(full, places, axis=1)
        if isinstance(quantiser, g.Bipolar) and quantiser.zero_to == 0 and (thresholds[:, 0] == thresholds[:, 1]).all():
            values, thresholds = [-1, 1], thresholds[:, :1]
        self.tensors |= {f"{streams[-1]}.thresholds": thresholds, f"{streams[-1]}.values": np.array(values, np.int32)}
        self.seen = [one for one in self.seen if one.stream not in streams]
        out = x.Affine(out_scale(quantiser, scale), x.Affine.of(value.channels).addend)
        return replace(value, pieces=(out,), levels=tuple(values), ends=(values[0], values[-1]), tensors=())

    def scales(self, quantiser: x.Quantiser, value: Value) -> x.Fractions:
        """[C] the quantiser's scale."""
        if isinstance(quantiser, g.Round):
            return x.Affine.of(value.channels).factor
        scale = per_channel(value, np.asarray(quantiser.scale))
        if any(s <= 0 for s in scale):
            raise Problem(f"has the scale {float(min(scale)):g}; scales are positive")
        return scale

    def quantised_input(self, node: g.Node, quantiser: x.Quantiser, value: Value) -> Value:
        """The input port's rule."""
        if value.pools or isinstance(quantiser, g.Truncate):
            raise Problem("quantises what was pooled, or truncates, before the first layer; quantise the input itself")
        scale = self.scales(quantiser, value)
        levels, sign = self.port.quantised(quantiser, value.pieces, scale, ends_of(quantiser, value, scale))
        made = Value(
            INPUT, value.shape, value.ids, (x.Affine.of(value.channels, scale[0] * sign),), (levels[0], levels[-1]), tuple(levels), out=value.shape
        )
        return made


def ends_of(quantiser: x.Quantiser, value: Value, scale: x.Fractions) -> tuple[int, int]:
    """Least and greatest integer of a quantiser."""
    match quantiser:
        case g.Bipolar():
            return -1, 1
        case g.Quantise():
            return (-1, 1) if quantiser.bits == 1 and quantiser.signed else quantiser.ends
        case g.Round(rounding=rounding):
            low, high = (x.rounded(rounding, end) for end in x.reached(value.pieces, value.channels, value.ends))
            return low, high
        case g.Truncate(ends=None, rounding=rounding, zero=zero, divisor=divisor):
            low, high = (
                x.rounded(rounding, Fraction(round(end / scale[0] + zero), divisor)) for end in x.reached(value.pieces, value.channels, value.ends)
            )
            return low, high
        case g.Truncate(ends=ends):
            assert ends is not None
            return ends


def out_scale(quantiser: x.Quantiser, scale: x.Fractions) -> x.Fractions:
    """[C] unit of the levels."""
    return x.fractions(np.full(len(scale), quantiser.scale_out)) if isinstance(quantiser, g.Truncate) else scale


def mirrored(limits: I64, exactly: NDArray[np.object_]) -> tuple[I64, NDArray[np.object_]]:
    """Steps of minus the level, for totals that count the other way: level < k where total < limit, so minus total > -limit."""
    turned = [1 - int(v) if abs(v) < x.NEVER else -int(v) for v in limits[::-1]]
    return np.array(turned, np.int64), np.array([None if at is None else x.Step(-at.at, not at.closed) for at in exactly[::-1]], object)


def between(limit: int, at: x.Step | None) -> float:
    """Where a step is, of numbers that need not be integers."""
    if at is None:
        return float(limit)
    place = float(at.at)
    return place if at.closed else float(np.nextafter(place, np.inf))


def dyadic(values: Sequence[Fraction]) -> bool:
    """Whether all are powers of two."""
    return all(abs(v.numerator) & (abs(v.numerator) - 1) == 0 and v.denominator & (v.denominator - 1) == 0 for v in values)


def exact_in_float32(meaning: x.Affine, reach: int) -> bool:
    """Whether factor * integer + addend has no rounding for integers up to a magnitude."""
    for factor, addend in zip(meaning.factor, meaning.addend, strict=True):
        unit = x.common_unit((factor, addend))
        if unit and (unit.denominator & (unit.denominator - 1) or (abs(factor) * reach + abs(addend)) / unit >= 1 << 24):
            return False
    return True


def _behind(product: str, node: str) -> str:
    """Name of the levels behind a product."""
    return node if node != product else f"{node}_levels"
