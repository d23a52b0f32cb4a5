"""The trained network in a graph of real operations: which tensors are integers times a scale, and where each sum crosses to its next level.

Every tensor is followed as the integers of some stream and what was done to them since, in exact arithmetic. Quantisers become levels with
integer thresholds; whatever stands between a sum and its quantiser, or between two quantised tensors, ends in thresholds, weights and offsets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from math import ceil, floor, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bnnhw.ir import graph as g
from bnnhw.ir.encoding import I64
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.text import first_problem
from bnnhw.ir.topology import INPUT, Topology
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.ir.window import Shape, slide
from bnnhw.lower import exact as x
from bnnhw.lower.clips import rounded_last
from bnnhw.lower.description import Seen, pool_keys
from bnnhw.lower.grid import whole_codes
from bnnhw.lower.inputs import InputAs, places
from bnnhw.lower.levels import Levels, dyadic
from bnnhw.lower.tensors import (
    Operand,
    PendingPool,
    Problem,
    Product,
    Value,
    as_map,
    margins_of,
    normalised,
    per_channel,
    plain_ids,
    ranked,
    slid,
    within,
)
from bnnhw.lower.weights import LARGEST_WEIGHT

MOST_MULTIPLE = 1 << 12
"""Times which the scale of one input channel may be that of another."""
SHARED, ROUNDED = 1 << 12, 1 << 22
"""A common unit of two scales is used if the larger is at most SHARED of it, else both are rounded to a part in ROUNDED of the largest."""
LOWEST = 1e30
"""Minus this never wins a max pool."""


@dataclass(frozen=True, eq=False)
class Recognised:
    """A graph's network, and which streams carry which tensors."""

    trained: TrainedNetwork
    seen: tuple[Seen, ...]
    places: I64
    """Place of each element of the graph's input among those of a frame [C * rows * columns]."""


def recognise(given: g.Graph, port: InputAs | None = None) -> Recognised:
    """The network of a graph, whose frames are as `port` says: pixels where None and the input is a map. Errors: BnnhwError naming the node."""
    graph = rounded_last(given)
    work = _Recogniser(graph, port)
    values = {graph.input: work.entrance()}
    for node in graph.nodes:
        try:
            made = work.run(node, [values[name] for name in node.inputs])
        except Problem as e:
            raise BnnhwError(f"{graph.source}: {_kind(node)} {node.name!r}: {e}") from None
        except (ValueError, IndexError, TypeError, ArithmeticError) as e:  # what numbers and shapes that do not fit trip
            raise BnnhwError(
                f"{graph.source}: {_kind(node)} {node.name!r}: its input or constants do not fit it ({_told(e)}); export the model again"
            ) from None
        made = replace(made, tensors=(*made.tensors, node.output), node=node.name)
        values[node.output] = made
        if made.carried and not isinstance(node.operation, g.Reshape | g.Transpose | g.Rank):
            work.saw(node.output, node.name, made)
    try:
        last = work.finish(values[graph.output])
    except (Problem, ArithmeticError) as e:
        raise BnnhwError(f"{graph.source}: {values[graph.output].node!r}: {e}") from None
    return work.result(last)


def _told(e: Exception) -> str:
    return str(e).splitlines()[0][:100] if str(e) else type(e).__name__


def _kind(node: g.Node) -> str:
    return type(node.operation).__name__


class _Recogniser(Levels):
    """The description in the making."""

    def entrance(self) -> Value:
        """The network's input."""
        shape = self.port.shape
        return Value(INPUT, shape, places(self.graph, shape), (self.port.start,), self.port.ends, out=shape, node=self.graph.input)

    def result(self, last: str) -> Recognised:
        """All that was found."""
        described = {"bnnhw": 1, "name": self.graph.name, "input": self.port.spec(), "layers": self.layers}
        if self.graph.classes is not None:
            described["classes"] = list(self.graph.classes)
        try:
            topology = Topology.model_validate(described)
        except ValidationError as e:
            raise BnnhwError(f"{self.graph.source}: {first_problem(e, 'network')}") from None
        return Recognised(TrainedNetwork(topology, self.tensors, tuple(self.close)), tuple(self.seen), places(self.graph, self.port.shape))

    # Nodes.

    def run(self, node: g.Node, ins: list[Value]) -> Value:
        """What a node gives."""
        self.node, value, name = node, ins[0], node.name
        if any(v.padded for v in ins) and not isinstance(node.operation, g.Conv | g.MaxPool | g.Transpose):
            raise Problem("takes a padded map, as only convolutions and max pools can; pad right before those")
        match node.operation:
            case g.Quantise() | g.Bipolar() | g.Truncate() | g.Round():
                return self.quantised(node, node.operation, value)
            case g.Conv():
                return self.conv(name, node.operation, value)
            case g.Dense():
                return self.dense(name, node.operation, value)
            case g.Scale(factor=factor, divide=divide):
                f = per_channel(value, factor)
                if divide and any(v == 0 for v in f):
                    raise Problem("divides by 0; mend the model")
                return value.after(x.Affine(1 / f if divide else f, x.Affine.of(value.channels).addend))
            case g.Shift(addend=addend):
                return value.after(x.Affine(x.Affine.of(value.channels).factor, per_channel(value, addend)))
            case g.BatchNorm():
                return value.after(normalised(value, node.operation))
            case g.Clip():
                return value if within(value, node.operation) else value.after(node.operation)
            case g.MaxPool():
                return self.max_pool(name, node.operation, value)
            case g.AveragePool():
                return self.average(name, node.operation, value)
            case g.Pad():
                return replace(value, padded=node.operation)
            case g.Add(negate=negate):
                second = ins[1].after(x.Affine.of(ins[1].channels, -1)) if negate else ins[1]
                return self.add(name, value, second)
            case g.Concat():
                return reduce(lambda a, b: self.concat(name, a, b), ins)
            case g.Reshape(shape=shape):
                return replace(value, ids=value.ids.reshape(shape))
            case g.Transpose(order=order):
                moved = None if value.padded is None else g.Pad(tuple(value.padded.pads[n] for n in order), value.padded.value)
                return replace(value, ids=value.ids.transpose(order), padded=moved)
            case g.Rank():
                return value

    # Layers of the description.

    # Products.

    def conv(self, name: str, conv: g.Conv, value: Value) -> Value:
        """A convolution, its sums not written yet."""
        value = as_map(value)
        around, at = conv.pad, 0.0
        if value.padded:
            extra, at = margins_of(value.padded), value.padded.value
            if any(conv.pad) and at != 0:
                raise Problem(f"pads with 0 what is padded with {at:g}; pad once")
            around = (conv.pad[0] + extra[0], conv.pad[1] + extra[1], conv.pad[2] + extra[2], conv.pad[3] + extra[3])
        operand = self.operand(value)
        codes, unit = self.weights(conv.weights)
        groups, (o, each, *kernel) = conv.groups, codes.shape
        if groups < 1 or min(conv.stride) < 1 or not codes.size or o % groups or each * groups != operand.shape[0]:
            raise Problem(f"its weights {codes.shape} in {groups} groups do not fit {operand.shape[0]} channels; mend the model")
        multiple, offset = operand.multiple.reshape(groups, each), operand.offset.reshape(groups, each)
        group = np.arange(o) // (o // groups)
        whole = codes * multiple[group][:, :, None, None]
        addend = self.bias(conv.bias, o) + unit * _offsets(codes.sum((2, 3)), offset, group)
        _, rows, columns = operand.shape
        stride, dilation = conv.stride, conv.dilation
        out = tuple(
            slide(n, k, s, d, a, b) for n, k, s, d, a, b in zip((rows, columns), kernel, stride, dilation, around[:2], around[2:], strict=True)
        )
        if min(out) < 1:
            raise Problem(f"its kernel {tuple(kernel)} does not fit a map of {rows}x{columns}; mend the model")
        spec: dict[str, Any] = {"name": name, "out": o, "kernel": list(kernel), "stride": list(stride), "dilation": list(dilation), "groups": groups}
        ends = operand.ends
        if any(around):
            margin = operand.margin(Fraction(at))
            spec |= {"pad": list(around), "pad_value": margin}
            ends = (min(ends[0], floor(margin)), max(ends[1], ceil(margin)))
        made = self.product("conv", spec, operand, whole, unit, addend, ends, (o, *out))
        assert made.product is not None
        made.product.margin = spec.get("pad_value", 0)
        return replace(made, ids=ranked(made.ids, value.ids.ndim))

    def dense(self, name: str, dense: g.Dense, value: Value) -> Value:
        """A dense layer, its sums not written yet; of every pixel where the tensor has further axes before its last."""
        if value.ids.ndim > 1:
            w = dense.weights
            tall = g.Codes(w.integers[:, :, None, None], _tall(w.scale)) if isinstance(w, g.Codes) else w[:, :, None, None]
            moved = np.moveaxis(value.ids, -1, 0)
            made = self.conv(name, g.Conv(tall, dense.bias, (1, 1), (0, 0, 0, 0), (1, 1), 1), replace(value, ids=moved))
            return replace(made, ids=np.moveaxis(made.ids, 0, -1))
        operand = self.operand(value)
        codes, unit = self.weights(dense.weights)
        o, k = codes.shape
        if k != value.ids.size:
            raise Problem(f"its weights {codes.shape} do not fit {value.ids.size} inputs; mend the model")
        pixels = prod(operand.shape[1:])
        channel = value.ids // pixels
        whole = np.zeros((o, prod(operand.shape)), np.int64)
        whole[:, value.ids] = codes * operand.multiple[channel]
        addend = self.bias(dense.bias, o) + unit * _offsets(codes, operand.offset[channel][None], np.zeros(o, np.int64))
        return self.product("dense", {"name": name, "out": o}, operand, whole, unit, addend, operand.ends, (o, 1, 1))

    def product(
        self, kind: str, spec: dict[str, Any], operand: Operand, whole: I64, unit: x.Fractions, addend: x.Fractions, ends: tuple[int, int], out: Shape
    ) -> Value:  # fmt: skip
        """A product's sums."""
        if np.abs(whole).max(initial=0) > LARGEST_WEIGHT:
            raise Problem(f"its weights need integers up to {np.abs(whole).max()}, at most {LARGEST_WEIGHT} fit; use fewer bits")
        flat = whole.reshape(len(whole), -1)
        up, down = np.maximum(flat, 0).sum(1), np.minimum(flat, 0).sum(1)
        low, high = int((up * ends[0] + down * ends[1]).min()), int((up * ends[1] + down * ends[0]).max())
        finest = x.common_unit([operand.unit, *operand.offset])
        most = max(abs(low), abs(high)) * operand.unit + int(np.abs(flat).sum(1).max(initial=0)) * max(map(abs, operand.offset))
        exact = dyadic([*unit, finest]) and most < finest * (1 << 24)
        meaning = x.Affine(unit * operand.unit, addend)
        made = Product({"type": kind, **spec}, operand.stream, whole, meaning, exact, flat.shape[1])
        ids = np.arange(prod(out)).reshape(out if kind == "conv" else out[:1])
        return Value("", out, ids, (meaning,), (min(low, 0), max(high, 0)), product=made, out=out)

    def weights(self, weights: g.Codes | g.F64) -> tuple[I64, x.Fractions]:
        """Integers, and the unit [O] of each output's."""
        found = weights if isinstance(weights, g.Codes) else whole_codes(weights)
        if found is None:
            raise Problem("its weights are not quantised; put a Quant or BipolarQuant on them, or export the quantised model")
        codes, scale = found.integers, np.broadcast_to(found.scale, found.integers.shape).reshape(len(found.integers), -1)
        if not (scale == scale[:, :1]).all():
            raise Problem("its weights have a scale for each input, which no sum of integers can hold; use one scale for each output")
        return codes, x.fractions(scale[:, 0])

    def bias(self, bias: g.F64 | None, o: int) -> x.Fractions:
        """[O] the bias."""
        if bias is not None and bias.size not in (1, o):
            raise Problem(f"has {bias.size} biases for {o} outputs; mend the model")
        return x.fractions(np.zeros(o) if bias is None else np.broadcast_to(bias.reshape(-1), (o,)))

    def operand(self, value: Value) -> Operand:
        """A product's input as integers of a stream."""
        if value.product is not None and value.product.written is None:
            raise Problem(f"its input, from {value.node!r}, is not quantised; put a quantiser of at most 8 bits between")
        if value.pools:
            value = self.pooled(value)
        meaning = x.composed(value.pieces, value.channels)
        if meaning is None:
            raise Problem(f"its input, from {value.node!r}, is not quantised; put a quantiser of at most 8 bits between")
        if value.stream == INPUT and value.levels is None:
            meaning, ends = self.port.integers(meaning)
            value = replace(value, ends=ends)
        unit = x.common_unit(meaning.factor)
        if unit == 0:
            raise Problem(f"its input, from {value.node!r}, is constant; remove the layer")
        multiple = np.array([int(f / unit) if abs(f / unit) <= MOST_MULTIPLE else 0 for f in meaning.factor], np.int64)
        if not multiple.any() or (multiple == 0).any():
            raise Problem(
                f"its input, from {value.node!r}, has channels whose scales are no small multiples of one unit; put a quantiser with one scale between"
            )
        return Operand(value.stream, value.shape, unit, multiple, meaning.addend, value.ends)

    # Quantisers.

    # Streams of integers.

    def add(self, name: str, a: Value, b: Value) -> Value:
        """The sum of two tensors in the largest unit that both are multiples of, channel by channel."""
        if a.ids.shape != b.ids.shape or (a.ids != b.ids).any() or a.out != b.out:
            raise Problem("adds tensors that are not laid out alike; add maps of one shape")
        (a, first), (b, second) = self.integers(a), self.integers(b)
        unit = _unit(first.factor, second.factor)
        streams, ends, shifts, error = [], (0, 0), [], 0.0
        for value, meaning in ((a, first), (b, second)):
            found = np.array([round(f / u) for f, u in zip(meaning.factor, unit, strict=True)], np.int64)
            away = max(abs(float(f / u) - int(n)) for f, u, n in zip(meaning.factor, unit, found, strict=True))
            error += away * max(map(abs, value.ends)) + value.error * int(np.abs(found).max())
            power = int(found[0]).bit_length() - 1
            shift = power if value.levels is None and power > 0 and (found == 1 << power).all() else 0
            streams.append(self.multiplied(value, found >> shift, name))
            shifts.append(shift)
            most = int(np.abs(found).max())
            ends = (ends[0] + min(value.ends[0] * most, -value.ends[1] * most), ends[1] + max(value.ends[1] * most, -value.ends[0] * most))
        stream = self.write("add", name, streams, {"shifts": shifts} if any(shifts) else {})
        made = Value(stream, a.shape, a.ids, (x.Affine(unit, first.addend + second.addend),), ends, out=a.shape, error=error)
        return made

    def average(self, name: str, pool: g.AveragePool, value: Value) -> Value:
        """The sum of each window, in a unit of as many parts."""
        value, meaning = self.integers(as_map(value))
        if any(pool.pad) and any(a != 0 for a in meaning.addend):
            raise Problem("pads what has an offset with 0; pool without pad")
        shape, taps = slid(value.shape, pool.kernel, pool.stride, pool.pad), prod(pool.kernel)
        stream = self.write("avgpool", name, [value.stream], {"kernel": list(pool.kernel), "stride": list(pool.stride), "pad": list(pool.pad)})
        ends = (min(0, value.ends[0] * taps), max(0, value.ends[1] * taps))
        ids, piece = ranked(np.arange(prod(shape)).reshape(shape), value.ids.ndim), x.Affine(meaning.factor / taps, meaning.addend)
        made = Value(stream, shape, ids, (piece,), ends, out=shape, error=value.error * taps)
        return made

    def max_pool(self, name: str, pool: g.MaxPool, value: Value) -> Value:
        """The pool, at once behind levels, else with the quantiser that follows."""
        value = as_map(value)
        if value.padded:
            if value.padded.value > -LOWEST or any(pool.pad):
                raise Problem("pools a padded map; pad inside the pool, where margins never win")
            pool = replace(pool, pad=margins_of(value.padded))
            value = replace(value, padded=None)
        shape = slid(value.out, pool.kernel, pool.stride, pool.pad)
        if any(2 * p > k for p, k in zip(pool.pad, pool.kernel * 2, strict=True)):
            raise Problem(f"pads {pool.pad} around a kernel of {pool.kernel}; at most half of it is generated")
        ids = ranked(np.arange(prod(shape)).reshape(shape), value.ids.ndim)
        if value.levels is None or value.stream == INPUT:
            if value.stream == INPUT:
                raise Problem("pools the network's input; put a layer before it")
            return replace(value, ids=ids, out=shape, pools=(*value.pools, PendingPool(len(value.pieces), pool, name)))
        meaning = x.composed(value.pieces, value.channels)
        if meaning is None or any(f < 0 for f in meaning.factor):
            raise Problem("pools levels that are turned or clipped; pool behind a quantiser")
        stream = self.write("maxpool", name, [value.stream], pool_keys(pool))
        made = replace(value, stream=stream, shape=shape, out=shape, ids=ids, tensors=())
        return made

    def concat(self, name: str, a: Value, b: Value) -> Value:
        """Channels of one behind those of the other."""
        a, b = as_map(a), as_map(b)
        (a, first), (b, second) = self.integers(a), self.integers(b)
        if a.shape[1:] != b.shape[1:]:
            raise Problem(f"its inputs have maps of {a.shape[1:]} and {b.shape[1:]}; make them the same size")
        streams = [a.stream, b.stream]
        same = a.levels == b.levels
        if not same:
            ones = [np.ones(v.channels, np.int64) for v in (a, b)]
            streams = [self.multiplied(v, one, name) for v, one in zip((a, b), ones, strict=True)]
        stream = self.write("concat", name, streams, {})
        shape = (a.shape[0] + b.shape[0], *a.shape[1:])
        meaning = x.Affine(np.concatenate([first.factor, second.factor]), np.concatenate([first.addend, second.addend]))
        ends = (min(a.ends[0], b.ends[0]), max(a.ends[1], b.ends[1]))
        made = Value(
            stream,
            shape,
            ranked(np.arange(prod(shape)).reshape(shape), a.ids.ndim),
            (meaning,),
            ends,
            a.levels if same else None,
            out=shape,
            error=max(a.error, b.error),
        )
        return made

    # The end.

    def finish(self, value: Value) -> str:
        """The last layer, whose outputs rank as the graph's; its name."""
        if value.padded is not None:
            raise Problem("the network ends in a margin; end without")
        if value.stream == INPUT:
            raise Problem("the network has no layer; give one")
        if (value.ids.ravel() != np.arange(value.ids.size)).any():
            raise Problem("its outputs stand in another order than channels first; end without a transpose")
        if value.pools or any(isinstance(p, g.Clip) for p in value.pieces):
            raise Problem(
                "the network ends in a clip or a max pool of sums, which changes which output is largest; remove it or put a quantiser behind it"
            )
        meaning = x.composed(value.pieces, value.channels)
        assert meaning is not None
        alike = len(set(meaning.factor)) == 1 and len(set(meaning.addend)) == 1 and meaning.factor[0] > 0
        if value.levels == (-1, 1) and alike:
            return value.stream
        if value.levels is not None:
            value = self.counted(value, "outputs")
        if value.product is None or value.product.written is not None:
            return self.finish_stream(value, meaning)
        product, sign = value.product, np.where(meaning.sign < 0, -1, 1)
        factor = np.array([abs(f) for f in meaning.factor], object)
        unit = max(factor)
        if unit == 0:
            raise Problem("every output's scale is 0, so no input changes the result; retrain")
        more: dict[str, NDArray] = {}
        if (factor != unit).any():
            more["alpha"] = np.array([float(f / unit) for f in factor])
        if len(set(meaning.addend)) > 1 or more:
            more["bias"] = np.array([float(a / unit) for a in meaning.addend])
        weights = product.weights * sign.reshape(-1, *[1] * (product.weights.ndim - 1))
        name = self.write_product(product, weights, **more)
        if not more and value.tensors and product.margin == int(product.margin):
            plain = x.Affine(product.meaning.factor * sign, product.meaning.addend)
            self.seen.append(Seen(value.tensors[0], str(product.spec["name"]), name, plain_ids(value), plain))
        return name

    def finish_stream(self, value: Value, meaning: x.Affine) -> str:
        """A stream of numbers as the network's outputs."""
        unit = x.common_unit([*meaning.factor, *(a - meaning.addend[0] for a in meaning.addend)])
        if unit == 0:
            raise Problem("every output's scale is 0, so no input changes the result; retrain")
        unit = max(unit, max(map(abs, meaning.factor)) / ROUNDED)
        factors, addends = ([round(v / unit) for v in part] for part in (meaning.factor, meaning.addend - meaning.addend[0]))
        most = max(map(abs, factors)) * max(abs(value.ends[0]), abs(value.ends[1])) + max(map(abs, addends))
        stream = self.sums(value).stream
        return self.write_fixed(f"{stream}_outputs", stream, np.array(factors, np.int64), np.array(addends, np.int64), most)


def _offsets(codes: I64, offset: x.Fractions, group: I64) -> x.Fractions:
    """[O] sum of codes [O, K] times the offsets [groups, K] of each output's group."""
    total = np.array([Fraction(0)] * len(codes), object)
    for value in set(offset.ravel()) - {0}:
        at = offset == value
        total = total + value * (codes * at[group]).sum(1).astype(object)
    return total


def _tall(scale: g.F64) -> g.F64:
    """A scale of [O, K] weights for [O, K, 1, 1]."""
    return scale.reshape(*scale.shape, 1, 1) if scale.ndim == 2 else scale


def _unit(first: x.Fractions, second: x.Fractions) -> x.Fractions:
    """[C] what two scales are whole multiples of, or nearly."""
    units = [x.common_unit(pair) for pair in zip(first, second, strict=True)]
    largest = [max(map(abs, pair)) for pair in zip(first, second, strict=True)]
    if all(f <= SHARED * u for f, u in zip(largest, units, strict=True)):
        return np.array([u or Fraction(1) for u in units], object)
    return np.array([(max(largest) or Fraction(1)) / ROUNDED] * len(units), object)
