"""The trained network in a graph of real operations: which tensors are integers times a scale, and where each sum crosses to its next level.

Every tensor is followed as the integers of some stream and what was done to them since, in exact arithmetic. Quantisers become levels with
integer thresholds; whatever stands between a sum and its quantiser, or between two quantised tensors, ends in thresholds, weights and offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import reduce
from math import ceil, floor, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bnnhw.ir import graph as g
from bnnhw.ir.encoding import I64, signed_bits
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.text import first_problem
from bnnhw.ir.topology import INPUT, Topology
from bnnhw.ir.trained import Close, TrainedNetwork
from bnnhw.ir.window import Shape, slide
from bnnhw.lower import exact as x
from bnnhw.lower.clips import rounded_last
from bnnhw.lower.grid import whole_codes
from bnnhw.lower.inputs import InputAs, Port, places
from bnnhw.lower.weights import LARGEST_WEIGHT

MOST_MULTIPLE = 1 << 12
"""Times which the scale of one input channel may be that of another."""
MOST_LEVELS = 256
SMALL = 15
"""A factor up to this is a weight, a larger one a multiplication."""
UNIT_ROUNDOFF = 2.0**-24
SHARED, ROUNDED = 1 << 12, 1 << 22
"""A common unit of two scales is used if the larger is at most SHARED of it, else both are rounded to a part in ROUNDED of the largest."""
LOWEST = 1e30
"""Minus this never wins a max pool."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A tensor of the graph and the stream that carries it: real = factor[c] * integer + addend[c]."""

    tensor: str
    node: str
    stream: str
    """Layer of the description whose output it is, or `input`."""
    ids: I64
    """Place of each element among the stream's [C * rows * columns]."""
    meaning: x.Affine

    @property
    def affine(self) -> tuple[g.F64, g.F64]:
        """[C] factor and addend, rounded to float64."""
        factor, addend = (np.array([float(v) for v in part]) for part in (self.meaning.factor, self.meaning.addend))
        return factor, addend


@dataclass(frozen=True, eq=False)
class Recognised:
    """A graph's network, and which streams carry which tensors."""

    trained: TrainedNetwork
    seen: tuple[Seen, ...]
    places: I64
    """Place of each element of the graph's input among those of a frame [C * rows * columns]."""


@dataclass(eq=False)
class _Product:
    """A convolution or dense layer that is not written yet: whether its sums stay sums depends on who reads them."""

    spec: dict[str, Any]
    source: str
    weights: I64
    meaning: x.Affine
    """Of its sums."""
    exact: bool
    """Whether a framework's float32 sums have no rounding."""
    fan_in: int
    margin: int | float = 0
    """What stands around the map, in integers or between them."""
    written: str | None = None


@dataclass(frozen=True, eq=False)
class _Pool:
    """A max pool after the first `at` pieces."""

    at: int
    pool: g.MaxPool
    name: str


@dataclass(frozen=True, eq=False)
class _Value:
    """A tensor: elements of a stream of integers, and what was done to them since."""

    stream: str
    shape: Shape
    ids: I64
    pieces: tuple[x.Piece, ...]
    ends: tuple[int, int]
    """No integer is less, or greater."""
    levels: tuple[int, ...] | None = None
    """The integers, where they are levels."""
    product: _Product | None = None
    pools: tuple[_Pool, ...] = ()
    tensors: tuple[str, ...] = ()
    """Names since the stream."""
    node: str = ""
    """What gave the last of them."""
    out: Shape = field(default=(0, 0, 0))
    """Shape behind the pools."""
    padded: g.Pad | None = None
    """A margin around it."""
    error: float = 0.0
    """By how much, in integers, the stream may miss them: where scales had no common unit and were rounded to one."""

    @property
    def carried(self) -> bool:
        """Whether the stream holds exactly this tensor."""
        exact = not self.error and not self.pools and self.padded is None and all(isinstance(p, x.Affine) for p in self.pieces)
        return exact and bool(self.stream) and (self.stream != INPUT or self.levels is not None)

    @property
    def channels(self) -> int:
        return self.shape[0]

    def after(self, piece: x.Piece) -> _Value:
        """With one more piece; affine ones melt together where no pool stands between."""
        old = self.pieces
        between = bool(self.pools) and self.pools[-1].at == len(old)
        if old and not between and isinstance(piece, x.Affine) and isinstance(old[-1], x.Affine):
            return replace(self, pieces=(*old[:-1], old[-1].then(piece)))
        return replace(self, pieces=(*old, piece))


def recognise(given: g.Graph, port: InputAs | None = None) -> Recognised:
    """The network of a graph, whose frames are as `port` says: pixels where None and the input is a map. Errors: BnnhwError naming the node."""
    graph = rounded_last(given)
    work = _Recogniser(graph, port)
    values = {graph.input: work.entrance()}
    for node in graph.nodes:
        try:
            made = work.run(node, [values[name] for name in node.inputs])
        except _Problem as e:
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
    except (_Problem, ArithmeticError) as e:
        raise BnnhwError(f"{graph.source}: {values[graph.output].node!r}: {e}") from None
    return work.result(last)


class _Problem(Exception):
    """What is wrong with a node, and the remedy."""


def _told(e: Exception) -> str:
    return str(e).splitlines()[0][:100] if str(e) else type(e).__name__


def _kind(node: g.Node) -> str:
    return type(node.operation).__name__


class _Recogniser:
    """The description in the making."""

    def __init__(self, graph: g.Graph, port: InputAs | None) -> None:
        self.graph = graph
        self.port = Port.of(graph, port)
        self.layers: list[dict[str, Any]] = []
        self.tensors: dict[str, NDArray] = {}
        self.seen: list[Seen] = []
        self.close: list[Close] = []
        self.names: set[str] = {INPUT}

    def entrance(self) -> _Value:
        """The network's input."""
        shape = self.port.shape
        return _Value(INPUT, shape, places(self.graph, shape), (self.port.start,), self.port.ends, out=shape, node=self.graph.input)

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

    def run(self, node: g.Node, ins: list[_Value]) -> _Value:
        """What a node gives."""
        self.node, value, name = node, ins[0], node.name
        if any(v.padded for v in ins) and not isinstance(node.operation, g.Conv | g.MaxPool | g.Transpose):
            raise _Problem("takes a padded map, as only convolutions and max pools can; pad right before those")
        match node.operation:
            case g.Quantise() | g.Bipolar() | g.Truncate() | g.Round():
                return self.quantised(node, node.operation, value)
            case g.Conv():
                return self.conv(name, node.operation, value)
            case g.Dense():
                return self.dense(name, node.operation, value)
            case g.Scale(factor=factor, divide=divide):
                f = _per_channel(value, factor)
                if divide and any(v == 0 for v in f):
                    raise _Problem("divides by 0; mend the model")
                return value.after(x.Affine(1 / f if divide else f, x.Affine.of(value.channels).addend))
            case g.Shift(addend=addend):
                return value.after(x.Affine(x.Affine.of(value.channels).factor, _per_channel(value, addend)))
            case g.BatchNorm():
                return value.after(_normalised(value, node.operation))
            case g.Clip():
                return value if _within(value, node.operation) else value.after(node.operation)
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

    def write(self, kind: str, name: str, inputs: Sequence[str], keys: dict[str, Any], **tensors: NDArray) -> str:
        """One more layer; its name, which may have become another."""
        name = self.fresh(name)
        before = self.layers[-1]["name"] if self.layers else INPUT
        fed = {} if list(inputs) == [before] else {"inputs": list(inputs)}
        self.layers.append({"type": kind, "name": name, **keys, **fed})
        self.tensors |= {f"{name}.{parameter}": value for parameter, value in tensors.items()}
        return name

    def fresh(self, name: str) -> str:
        """The name, or one like it that is new."""
        n, found = 2, name
        while found in self.names:
            found, n = f"{name}_{n}", n + 1
        self.names.add(found)
        return found

    def saw(self, tensor: str, node: str, value: _Value) -> None:
        """A stream carries a tensor."""
        meaning = x.composed(value.pieces, value.channels)
        assert meaning is not None
        self.seen.append(Seen(tensor, node, value.stream, value.ids, meaning))

    # Products.

    def conv(self, name: str, conv: g.Conv, value: _Value) -> _Value:
        """A convolution, its sums not written yet."""
        value = _as_map(value)
        around, at = conv.pad, 0.0
        if value.padded:
            extra, at = _around(value.padded), value.padded.value
            if any(conv.pad) and at != 0:
                raise _Problem(f"pads with 0 what is padded with {at:g}; pad once")
            around = (conv.pad[0] + extra[0], conv.pad[1] + extra[1], conv.pad[2] + extra[2], conv.pad[3] + extra[3])
        operand = self.operand(value)
        codes, unit = self.weights(conv.weights)
        groups, (o, each, *kernel) = conv.groups, codes.shape
        if groups < 1 or min(conv.stride) < 1 or not codes.size or o % groups or each * groups != operand.shape[0]:
            raise _Problem(f"its weights {codes.shape} in {groups} groups do not fit {operand.shape[0]} channels; mend the model")
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
            raise _Problem(f"its kernel {tuple(kernel)} does not fit a map of {rows}x{columns}; mend the model")
        spec: dict[str, Any] = {"name": name, "out": o, "kernel": list(kernel), "stride": list(stride), "dilation": list(dilation), "groups": groups}
        ends = operand.ends
        if any(around):
            margin = operand.margin(Fraction(at))
            spec |= {"pad": list(around), "pad_value": margin}
            ends = (min(ends[0], floor(margin)), max(ends[1], ceil(margin)))
        made = self.product("conv", spec, operand, whole, unit, addend, ends, (o, *out))
        assert made.product is not None
        made.product.margin = spec.get("pad_value", 0)
        return replace(made, ids=_ranked(made.ids, value.ids.ndim))

    def dense(self, name: str, dense: g.Dense, value: _Value) -> _Value:
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
            raise _Problem(f"its weights {codes.shape} do not fit {value.ids.size} inputs; mend the model")
        pixels = prod(operand.shape[1:])
        channel = value.ids // pixels
        whole = np.zeros((o, prod(operand.shape)), np.int64)
        whole[:, value.ids] = codes * operand.multiple[channel]
        addend = self.bias(dense.bias, o) + unit * _offsets(codes, operand.offset[channel][None], np.zeros(o, np.int64))
        return self.product("dense", {"name": name, "out": o}, operand, whole, unit, addend, operand.ends, (o, 1, 1))

    def product(
        self, kind: str, spec: dict[str, Any], operand: _Operand, whole: I64, unit: x.Fractions, addend: x.Fractions, ends: tuple[int, int], out: Shape
    ) -> _Value:  # fmt: skip
        """A product's sums."""
        if np.abs(whole).max(initial=0) > LARGEST_WEIGHT:
            raise _Problem(f"its weights need integers up to {np.abs(whole).max()}, at most {LARGEST_WEIGHT} fit; use fewer bits")
        flat = whole.reshape(len(whole), -1)
        up, down = np.maximum(flat, 0).sum(1), np.minimum(flat, 0).sum(1)
        low, high = int((up * ends[0] + down * ends[1]).min()), int((up * ends[1] + down * ends[0]).max())
        finest = x.common_unit([operand.unit, *operand.offset])
        most = max(abs(low), abs(high)) * operand.unit + int(np.abs(flat).sum(1).max(initial=0)) * max(map(abs, operand.offset))
        exact = _dyadic([*unit, finest]) and most < finest * (1 << 24)
        meaning = x.Affine(unit * operand.unit, addend)
        made = _Product({"type": kind, **spec}, operand.stream, whole, meaning, exact, flat.shape[1])
        ids = np.arange(prod(out)).reshape(out if kind == "conv" else out[:1])
        return _Value("", out, ids, (meaning,), (min(low, 0), max(high, 0)), product=made, out=out)

    def weights(self, weights: g.Codes | g.F64) -> tuple[I64, x.Fractions]:
        """Integers, and the unit [O] of each output's."""
        found = weights if isinstance(weights, g.Codes) else whole_codes(weights)
        if found is None:
            raise _Problem("its weights are not quantised; put a Quant or BipolarQuant on them, or export the quantised model")
        codes, scale = found.integers, np.broadcast_to(found.scale, found.integers.shape).reshape(len(found.integers), -1)
        if not (scale == scale[:, :1]).all():
            raise _Problem("its weights have a scale for each input, which no sum of integers can hold; use one scale for each output")
        return codes, x.fractions(scale[:, 0])

    def bias(self, bias: g.F64 | None, o: int) -> x.Fractions:
        """[O] the bias."""
        if bias is not None and bias.size not in (1, o):
            raise _Problem(f"has {bias.size} biases for {o} outputs; mend the model")
        return x.fractions(np.zeros(o) if bias is None else np.broadcast_to(bias.reshape(-1), (o,)))

    def operand(self, value: _Value) -> _Operand:
        """A product's input as integers of a stream."""
        if value.product is not None and value.product.written is None:
            raise _Problem(f"its input, from {value.node!r}, is not quantised; put a quantiser of at most 8 bits between")
        if value.pools:
            value = self.pooled(value)
        meaning = x.composed(value.pieces, value.channels)
        if meaning is None:
            raise _Problem(f"its input, from {value.node!r}, is not quantised; put a quantiser of at most 8 bits between")
        if value.stream == INPUT and value.levels is None:
            meaning, ends = self.port.integers(meaning)
            value = replace(value, ends=ends)
        unit = x.common_unit(meaning.factor)
        if unit == 0:
            raise _Problem(f"its input, from {value.node!r}, is constant; remove the layer")
        multiple = np.array([int(f / unit) if abs(f / unit) <= MOST_MULTIPLE else 0 for f in meaning.factor], np.int64)
        if not multiple.any() or (multiple == 0).any():
            raise _Problem(
                f"its input, from {value.node!r}, has channels whose scales are no small multiples of one unit; put a quantiser with one scale between"
            )
        return _Operand(value.stream, value.shape, unit, multiple, meaning.addend, value.ends)

    def sums(self, value: _Value) -> _Value:
        """With the product's sums written as a layer of their own."""
        product = value.product
        if product is None:
            return value
        if product.written is None:
            product.written = self.write_product(product, product.weights)
            if value.tensors:
                plain = replace(value, stream=product.written, pieces=(product.meaning,), ids=_plain_ids(value))
                self.saw(value.tensors[0], str(product.spec["name"]), plain)
        return replace(value, stream=product.written, product=None)

    def write_product(self, product: _Product, weights: I64, **more: NDArray) -> str:
        """The layer of a product; `more`: alpha and bias."""
        spec = dict(product.spec)
        binary = bool((np.abs(weights) == 1).all())
        small = np.abs(weights).max(initial=0) < 1 << 15
        spec |= {"weights": "signs" if binary else "integers", **{key: True for key in more}}
        kind, name = spec.pop("type"), spec.pop("name")
        stored = weights.astype(np.int8 if binary else np.int16 if small else np.int32)
        return self.write(kind, name, [product.source], spec, weight=stored, **more)

    # Quantisers.

    def quantised(self, node: g.Node, quantiser: x.Quantiser, value: _Value) -> _Value:
        """The levels that a quantiser gives."""
        if value.stream == INPUT and value.levels is None:
            return self.quantised_input(node, quantiser, value)
        if value.levels is not None:
            same = self.unchanged(quantiser, value) or self.merged(quantiser, value)
            if same is not None:
                return same
            value = self.counted(value, "levels")
        scale = self.scales(quantiser, value)
        ends = _ends(quantiser, value, scale)
        if ends[1] - ends[0] >= MOST_LEVELS:
            raise _Problem(f"has {ends[1] - ends[0] + 1} levels, at most {MOST_LEVELS} are generated; use 8 bits")
        if ends[1] <= ends[0]:
            raise _Problem("has one level only, so nothing passes; use more bits, or BipolarQuant")
        slopes = x.rising(value.pieces, value.channels)
        first = value.pools[0].at if value.pools else len(value.pieces)
        for pool in value.pools:
            if (x.rising(value.pieces[first : pool.at], value.channels) < 0).any():
                raise _Problem(f"stands behind max pool {pool.name!r} and a falling function; pool behind the quantiser")
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
            np.array([s * int(t) for s, t in zip(_out_scale(quantiser, scale), sign, strict=True)], object), x.Affine.of(value.channels).addend
        )
        for pool in value.pools:
            name = self.write("maxpool", pool.name, [name], _pool_keys(pool.pool))
        shape = value.out
        made = _Value(name, shape, value.ids, (out,), (values[0], values[-1]), tuple(values), out=shape)
        return made

    def write_levels(self, node: g.Node, value: _Value, limits: I64, exactly: NDArray[np.object_], values: list[int], before: I64) -> str:
        """The product, where it is this quantiser's alone, and the layer of its levels."""
        own = value.product is not None and value.product.written is None and all(self.graph.uses.get(t, 0) == 1 for t in value.tensors)
        stored: dict[str, NDArray] = {"thresholds": limits.astype(np.float64), "values": np.array(values, np.int32)}
        if own and value.product is not None and value.product.margin != int(value.product.margin):  # borders add no integers
            stored["thresholds"] = np.array(
                [[_between(*pair) for pair in zip(*rows, strict=True)] for rows in zip(limits.tolist(), exactly, strict=True)]
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

    def limits(self, value: _Value, table: list[tuple[list[int], list[x.Step]]], turned: NDArray[np.bool_]) -> tuple[I64, NDArray[np.object_]]:
        """[C, L-1] least rising sums that pass each step, and where exactly; of channels that are turned, the steps of minus the level."""
        limits = np.zeros((value.channels, len(table[0][1])), np.int64)
        exactly = np.full(limits.shape, None, object)
        for c, (_, found) in enumerate(table):
            for k, step in enumerate(found):
                limits[c, k], exactly[c, k] = x.limit(step, value.pieces, c)
            if turned[c]:  # -level >= v where level < 1 - v: the mirrored steps, not passed
                limits[c], exactly[c] = _mirrored(limits[c], exactly[c])
        return limits, exactly

    def doubt(self, node: g.Node, value: _Value, exactly: NDArray[np.object_], before: I64) -> None:
        """Note decisions that lie within what float32 rounds of a sum."""
        product = value.product
        meaning = x.composed(tuple(p for p in value.pieces if isinstance(p, x.Affine)), value.channels)
        assert meaning is not None
        slope, intercept = (np.array([abs(float(v)) for v in part]) for part in (meaning.factor, meaning.addend))
        rounded = 8 + (0 if product is None or product.exact else product.fan_in)
        sure = product is None or product.exact
        reach = max(abs(value.ends[0]), abs(value.ends[1]))
        plain = sure and not value.error and _exact_in_float32(meaning, reach)
        for c, row in enumerate(exactly) if not plain else ():
            for at in row:
                if at is None or not value.ends[0] - 1 <= at.at * int(before[c] or 1) <= value.ends[1] + 1:
                    continue
                away = float(abs(at.at - round(at.at))) * slope[c]
                bound = rounded * UNIT_ROUNDOFF * (slope[c] * (abs(float(at.at)) if sure else reach) + intercept[c]) + slope[c] * value.error
                if away < bound:
                    self.close.append(Close(node.name, c, away, float(bound)))
                    break

    def unchanged(self, quantiser: x.Quantiser, value: _Value) -> _Value | None:
        """The value itself where a quantiser has no effect on its levels."""
        meaning = x.composed(value.pieces, value.channels)
        if meaning is None or value.pools or not isinstance(quantiser, g.Quantise | g.Bipolar):
            return None
        scale = self.scales(quantiser, value)
        assert value.levels is not None
        for c in range(value.channels):
            values, found = x.steps(quantiser, scale[c], _ends(quantiser, value, scale))
            for level in value.levels:
                real = meaning.factor[c] * level + meaning.addend[c]
                passed = sum(step.passed(real) for step in found)
                if values[passed] * scale[c] != real:
                    return None
        return value

    def merged(self, quantiser: x.Quantiser, value: _Value) -> _Value | None:
        """A quantiser right behind the quantiser of levels that nobody else reads, as one; None where they are not."""
        streams = self.behind_pools(value.stream)
        layer = next((d for d in self.layers if d["name"] == streams[-1]), None)
        meaning = x.composed(value.pieces, value.channels)
        alone = all(self.graph.uses.get(t, 0) == 1 for t in value.tensors)
        if layer is None or layer["type"] != "levels" or meaning is None or not alone or any(f <= 0 for f in meaning.factor):
            return None
        assert value.levels is not None
        scale = self.scales(quantiser, value)
        ends = _ends(quantiser, value, scale)
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
        out = x.Affine(_out_scale(quantiser, scale), x.Affine.of(value.channels).addend)
        return replace(value, pieces=(out,), levels=tuple(values), ends=(values[0], values[-1]), tensors=())

    def behind_pools(self, stream: str) -> list[str]:
        """A layer and those that it pools, back to what is no max pool."""
        found = [stream]
        names = [layer["name"] for layer in self.layers]
        while found[-1] in names and self.layers[names.index(found[-1])]["type"] == "maxpool":
            at = names.index(found[-1])
            found.append(self.layers[at].get("inputs", [names[at - 1]])[0])
        return found

    def scales(self, quantiser: x.Quantiser, value: _Value) -> x.Fractions:
        """[C] the quantiser's scale."""
        if isinstance(quantiser, g.Round):
            return x.Affine.of(value.channels).factor
        scale = _per_channel(value, np.asarray(quantiser.scale))
        if any(s <= 0 for s in scale):
            raise _Problem(f"has the scale {float(min(scale)):g}; scales are positive")
        return scale

    def quantised_input(self, node: g.Node, quantiser: x.Quantiser, value: _Value) -> _Value:
        """The input port's rule."""
        if value.pools or isinstance(quantiser, g.Truncate):
            raise _Problem("quantises what was pooled, or truncates, before the first layer; quantise the input itself")
        scale = self.scales(quantiser, value)
        levels, sign = self.port.quantised(quantiser, value.pieces, scale, _ends(quantiser, value, scale))
        made = _Value(
            INPUT, value.shape, value.ids, (x.Affine.of(value.channels, scale[0] * sign),), (levels[0], levels[-1]), tuple(levels), out=value.shape
        )
        return made

    # Streams of integers.

    def counted(self, value: _Value, why: str) -> _Value:
        """Levels as sums of one product each, with ones."""
        assert value.levels is not None
        c = value.channels
        ones = np.ones((c, 1, 1, 1), np.int64)
        spec = {"type": "conv", "name": f"{value.stream}_{why}", "out": c, "kernel": [1, 1], "groups": c}
        product = _Product(spec, value.stream, ones, x.Affine.of(c), True, 1)
        return replace(value, stream="", levels=None, product=product, tensors=())

    def integers(self, value: _Value) -> tuple[_Value, x.Affine]:
        """As numbers of a stream, and what they mean."""
        if value.stream == INPUT:
            raise _Problem("reads the network's input; put a layer between")
        if value.pools:
            value = self.pooled(value)
        meaning = x.composed(value.pieces, value.channels)
        if meaning is None:
            raise _Problem(f"its input, from {value.node!r}, is clipped and not quantised; put a quantiser behind it")
        if value.levels is None:
            value = self.sums(value)
        return value, meaning

    def pooled(self, value: _Value) -> _Value:
        """With its pools written, of numbers."""
        for pool in value.pools:
            if (x.rising(value.pieces[: pool.at], value.channels) <= 0).any() or any(isinstance(p, g.Clip) for p in value.pieces[: pool.at]):
                raise _Problem(f"its input, from max pool {pool.name!r}, is not quantised; put a quantiser between")
        value = self.sums(value)
        stream = value.stream
        for pool in value.pools:
            stream = self.write("maxpool", pool.name, [stream], _pool_keys(pool.pool))
        return replace(value, stream=stream, shape=value.out, pools=())

    def multiplied(self, value: _Value, factors: I64, name: str) -> str:
        """A stream of numbers times a factor for each channel; the layer's name."""
        stream = value.stream
        if value.levels is not None:
            c, small = value.channels, bool(np.abs(factors).max() <= SMALL)
            weights = (factors if small else np.ones(c, np.int64)).reshape(c, 1, 1, 1)
            product = _Product(
                {"type": "conv", "name": f"{name}_{stream}", "out": c, "kernel": [1, 1], "groups": c}, stream, weights, x.Affine.of(c), True, 1
            )
            stream = self.write_product(product, weights)
            factors = np.ones_like(factors) if small else factors
        if (factors == 1).all():
            return stream
        most = int(np.abs(factors).max()) * max(abs(value.ends[0]), abs(value.ends[1]))
        return self.write_fixed(f"{name}_{stream}", stream, factors, np.zeros_like(factors), most)

    def write_fixed(self, name: str, stream: str, multiplier: I64, addend: I64, most: int) -> str:
        """Numbers of a stream through a multiplier that drops no bit."""
        bits = signed_bits(-most, most)
        if bits > 48:
            raise _Problem(f"needs numbers of {bits} bits, at most 48 are generated; use quantisers whose scales are small multiples of each other")
        return self.write("fixed", name, [stream], {"bits": max(2, bits)}, multiplier=multiplier, addend=addend, shift=np.array([0]))

    def add(self, name: str, a: _Value, b: _Value) -> _Value:
        """The sum of two tensors in the largest unit that both are multiples of, channel by channel."""
        if a.ids.shape != b.ids.shape or (a.ids != b.ids).any() or a.out != b.out:
            raise _Problem("adds tensors that are not laid out alike; add maps of one shape")
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
        made = _Value(stream, a.shape, a.ids, (x.Affine(unit, first.addend + second.addend),), ends, out=a.shape, error=error)
        return made

    def average(self, name: str, pool: g.AveragePool, value: _Value) -> _Value:
        """The sum of each window, in a unit of as many parts."""
        value, meaning = self.integers(_as_map(value))
        if any(pool.pad) and any(a != 0 for a in meaning.addend):
            raise _Problem("pads what has an offset with 0; pool without pad")
        shape, taps = _slid(value.shape, pool.kernel, pool.stride, pool.pad), prod(pool.kernel)
        stream = self.write("avgpool", name, [value.stream], {"kernel": list(pool.kernel), "stride": list(pool.stride), "pad": list(pool.pad)})
        ends = (min(0, value.ends[0] * taps), max(0, value.ends[1] * taps))
        ids, piece = _ranked(np.arange(prod(shape)).reshape(shape), value.ids.ndim), x.Affine(meaning.factor / taps, meaning.addend)
        made = _Value(stream, shape, ids, (piece,), ends, out=shape, error=value.error * taps)
        return made

    def max_pool(self, name: str, pool: g.MaxPool, value: _Value) -> _Value:
        """The pool, at once behind levels, else with the quantiser that follows."""
        value = _as_map(value)
        if value.padded:
            if value.padded.value > -LOWEST or any(pool.pad):
                raise _Problem("pools a padded map; pad inside the pool, where margins never win")
            pool = replace(pool, pad=_around(value.padded))
            value = replace(value, padded=None)
        shape = _slid(value.out, pool.kernel, pool.stride, pool.pad)
        if any(2 * p > k for p, k in zip(pool.pad, pool.kernel * 2, strict=True)):
            raise _Problem(f"pads {pool.pad} around a kernel of {pool.kernel}; at most half of it is generated")
        ids = _ranked(np.arange(prod(shape)).reshape(shape), value.ids.ndim)
        if value.levels is None or value.stream == INPUT:
            if value.stream == INPUT:
                raise _Problem("pools the network's input; put a layer before it")
            return replace(value, ids=ids, out=shape, pools=(*value.pools, _Pool(len(value.pieces), pool, name)))
        meaning = x.composed(value.pieces, value.channels)
        if meaning is None or any(f < 0 for f in meaning.factor):
            raise _Problem("pools levels that are turned or clipped; pool behind a quantiser")
        stream = self.write("maxpool", name, [value.stream], _pool_keys(pool))
        made = replace(value, stream=stream, shape=shape, out=shape, ids=ids, tensors=())
        return made

    def concat(self, name: str, a: _Value, b: _Value) -> _Value:
        """Channels of one behind those of the other."""
        a, b = _as_map(a), _as_map(b)
        (a, first), (b, second) = self.integers(a), self.integers(b)
        if a.shape[1:] != b.shape[1:]:
            raise _Problem(f"its inputs have maps of {a.shape[1:]} and {b.shape[1:]}; make them the same size")
        streams = [a.stream, b.stream]
        same = a.levels == b.levels
        if not same:
            ones = [np.ones(v.channels, np.int64) for v in (a, b)]
            streams = [self.multiplied(v, one, name) for v, one in zip((a, b), ones, strict=True)]
        stream = self.write("concat", name, streams, {})
        shape = (a.shape[0] + b.shape[0], *a.shape[1:])
        meaning = x.Affine(np.concatenate([first.factor, second.factor]), np.concatenate([first.addend, second.addend]))
        ends = (min(a.ends[0], b.ends[0]), max(a.ends[1], b.ends[1]))
        made = _Value(
            stream,
            shape,
            _ranked(np.arange(prod(shape)).reshape(shape), a.ids.ndim),
            (meaning,),
            ends,
            a.levels if same else None,
            out=shape,
            error=max(a.error, b.error),
        )
        return made

    # The end.

    def finish(self, value: _Value) -> str:
        """The last layer, whose outputs rank as the graph's; its name."""
        if value.padded is not None:
            raise _Problem("the network ends in a margin; end without")
        if value.stream == INPUT:
            raise _Problem("the network has no layer; give one")
        if (value.ids.ravel() != np.arange(value.ids.size)).any():
            raise _Problem("its outputs stand in another order than channels first; end without a transpose")
        if value.pools or any(isinstance(p, g.Clip) for p in value.pieces):
            raise _Problem(
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
            raise _Problem("every output's scale is 0, so no input changes the result; retrain")
        more: dict[str, NDArray] = {}
        if (factor != unit).any():
            more["alpha"] = np.array([float(f / unit) for f in factor])
        if len(set(meaning.addend)) > 1 or more:
            more["bias"] = np.array([float(a / unit) for a in meaning.addend])
        weights = product.weights * sign.reshape(-1, *[1] * (product.weights.ndim - 1))
        name = self.write_product(product, weights, **more)
        if not more and value.tensors and product.margin == int(product.margin):
            plain = x.Affine(product.meaning.factor * sign, product.meaning.addend)
            self.seen.append(Seen(value.tensors[0], str(product.spec["name"]), name, _plain_ids(value), plain))
        return name

    def finish_stream(self, value: _Value, meaning: x.Affine) -> str:
        """A stream of numbers as the network's outputs."""
        unit = x.common_unit([*meaning.factor, *(a - meaning.addend[0] for a in meaning.addend)])
        if unit == 0:
            raise _Problem("every output's scale is 0, so no input changes the result; retrain")
        unit = max(unit, max(map(abs, meaning.factor)) / ROUNDED)
        factors, addends = ([round(v / unit) for v in part] for part in (meaning.factor, meaning.addend - meaning.addend[0]))
        most = max(map(abs, factors)) * max(abs(value.ends[0]), abs(value.ends[1])) + max(map(abs, addends))
        stream = self.sums(value).stream
        return self.write_fixed(f"{stream}_outputs", stream, np.array(factors, np.int64), np.array(addends, np.int64), most)


@dataclass(frozen=True, eq=False)
class _Operand:
    """A product's input: real = unit * multiple[c] * integer + offset[c]."""

    stream: str
    shape: Shape
    unit: Fraction
    multiple: I64
    offset: x.Fractions
    ends: tuple[int, int]

    def margin(self, real: Fraction) -> int | float:
        """The integer, or number, that stands for a real one."""
        found = {(real - o) / (self.unit * int(m)) for o, m in zip(self.offset, self.multiple, strict=True)}
        if len(found) > 1:
            raise _Problem("pads what has another scale or offset in each channel; pad after one normalisation for all, or with the offset")
        at = found.pop()
        return int(at) if at.denominator == 1 else float(at)


def _offsets(codes: I64, offset: x.Fractions, group: I64) -> x.Fractions:
    """[O] sum of codes [O, K] times the offsets [groups, K] of each output's group."""
    total = np.array([Fraction(0)] * len(codes), object)
    for value in set(offset.ravel()) - {0}:
        at = offset == value
        total = total + value * (codes * at[group]).sum(1).astype(object)
    return total


def _plain_ids(value: _Value) -> I64:
    """Places of a product's own output."""
    assert value.product is not None
    return np.arange(prod(value.shape)).reshape(value.shape if value.product.spec["type"] == "conv" else value.shape[:1])


def _around(padded: g.Pad) -> tuple[int, int, int, int]:
    """Margins of a map."""
    found = padded.around
    if found is None:
        raise _Problem("takes channels that are padded; pad rows and columns")
    return found


def _tall(scale: g.F64) -> g.F64:
    """A scale of [O, K] weights for [O, K, 1, 1]."""
    return scale.reshape(*scale.shape, 1, 1) if scale.ndim == 2 else scale


def _per_channel(value: _Value, given: NDArray) -> x.Fractions:
    """[C] a constant that spreads over the tensor. Errors: _Problem where it differs within a channel."""
    shape = value.ids.shape
    try:
        spread = np.broadcast_to(given, (1, *shape) if np.ndim(given) > len(shape) else shape).reshape(-1)
    except ValueError:
        raise _Problem(f"its constant {np.shape(given)} does not spread over {shape}; mend the model") from None
    channel = (value.ids // prod(value.out[1:])).ravel()
    if not np.isfinite(spread).all():
        raise _Problem("has a constant that is infinite or no number; mend the model")
    found = np.zeros(value.out[0])
    found[channel] = spread
    if (found[channel] != spread).any():
        raise _Problem("its constant differs within a channel, which no threshold of a channel can hold; use one for each channel")
    return x.fractions(found)


def _normalised(value: _Value, norm: g.BatchNorm) -> x.Affine:
    """A batch norm over the channels of a value."""
    spread = (-1, *[1] * (value.ids.ndim - 1))
    given = (norm.weight, norm.bias, norm.mean, norm.var)
    if len({len(v) for v in given}) > 1 or not all(np.isfinite(v).all() for v in given):
        raise _Problem("has parameters of different lengths, or that are no numbers; mend the model")
    if len(norm.mean) != len(value.ids):
        raise _Problem(f"has {len(norm.mean)} channels, its input {len(value.ids)}; mend the model")
    try:
        piece = x.normalisation(norm)
    except ValueError:
        raise _Problem("a variance and eps are 0, or less; mend the model") from None
    places = _per_channel(value, np.arange(len(norm.mean), dtype=np.float64).reshape(spread))
    index = [int(p) for p in places]
    return x.Affine(piece.factor[index], piece.addend[index])


def _as_map(value: _Value) -> _Value:
    """With the elements of its stream in their own order, as a map."""
    c, rows, columns = value.out
    shapes = (value.out, *([(c, columns)] if rows == 1 else []), *([(c,)] if rows * columns == 1 else []))
    if value.ids.shape not in shapes or (value.ids.ravel() != np.arange(value.ids.size)).any():
        raise _Problem("takes a map, its input is transposed or reshaped into none; give [N, C, rows, columns]")
    return value


def _unit(first: x.Fractions, second: x.Fractions) -> x.Fractions:
    """[C] what two scales are whole multiples of, or nearly."""
    units = [x.common_unit(pair) for pair in zip(first, second, strict=True)]
    largest = [max(map(abs, pair)) for pair in zip(first, second, strict=True)]
    if all(f <= SHARED * u for f, u in zip(largest, units, strict=True)):
        return np.array([u or Fraction(1) for u in units], object)
    return np.array([(max(largest) or Fraction(1)) / ROUNDED] * len(units), object)


def _within(value: _Value, clip: g.Clip) -> bool:
    """Whether a clip changes nothing, as levels lie within its ends."""
    meaning = x.composed(value.pieces, value.channels)
    if value.levels is None or meaning is None:
        return False
    reals = [f * level + a for f, a in zip(meaning.factor, meaning.addend, strict=True) for level in (value.levels[0], value.levels[-1])]
    return bool(clip.low <= min(reals) and max(reals) <= clip.high)


def _slid(shape: Shape, kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int, int, int]) -> Shape:
    c, rows, columns = shape
    if min(*kernel, *stride) < 1:
        raise _Problem(f"has a kernel {kernel} and stride {stride}; give 1 or more")
    out = (c, slide(rows, kernel[0], stride[0], 1, pad[0], pad[2]), slide(columns, kernel[1], stride[1], 1, pad[1], pad[3]))
    if min(out) < 1:
        raise _Problem(f"its kernel {kernel} does not fit a map of {rows}x{columns}; mend the model")
    return out


def _pool_keys(pool: g.MaxPool) -> dict[str, Any]:
    return {"kernel": list(pool.kernel), "stride": list(pool.stride), "pad": list(pool.pad)}


def _ends(quantiser: x.Quantiser, value: _Value, scale: x.Fractions) -> tuple[int, int]:
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


def _out_scale(quantiser: x.Quantiser, scale: x.Fractions) -> x.Fractions:
    """[C] unit of the levels."""
    return x.fractions(np.full(len(scale), quantiser.scale_out)) if isinstance(quantiser, g.Truncate) else scale


def _mirrored(limits: I64, exactly: NDArray[np.object_]) -> tuple[I64, NDArray[np.object_]]:
    """Steps of minus the level, for totals that count the other way: level < k where total < limit, so minus total > -limit."""
    turned = [1 - int(v) if abs(v) < x.NEVER else -int(v) for v in limits[::-1]]
    return np.array(turned, np.int64), np.array([None if at is None else x.Step(-at.at, not at.closed) for at in exactly[::-1]], object)


def _between(limit: int, at: x.Step | None) -> float:
    """Where a step is, of numbers that need not be integers."""
    if at is None:
        return float(limit)
    place = float(at.at)
    return place if at.closed else float(np.nextafter(place, np.inf))


def _ranked(ids: I64, rank: int) -> I64:
    """Elements of a map [C, rows, columns] as [C, columns] or [C], as its input was."""
    c, rows, columns = ids.shape
    if rank == 2 and rows == 1:
        return ids.reshape(c, columns)
    return ids.reshape(c) if rank == 1 and rows * columns == 1 else ids


def _dyadic(values: Sequence[Fraction]) -> bool:
    """Whether all are powers of two."""
    return all(abs(v.numerator) & (abs(v.numerator) - 1) == 0 and v.denominator & (v.denominator - 1) == 0 for v in values)


def _exact_in_float32(meaning: x.Affine, reach: int) -> bool:
    """Whether factor * integer + addend has no rounding for integers up to a magnitude."""
    for factor, addend in zip(meaning.factor, meaning.addend, strict=True):
        unit = x.common_unit((factor, addend))
        if unit and (unit.denominator & (unit.denominator - 1) or (abs(factor) * reach + abs(addend)) / unit >= 1 << 24):
            return False
    return True


def _behind(product: str, node: str) -> str:
    """Name of the levels behind a product."""
    return node if node != product else f"{node}_levels"
