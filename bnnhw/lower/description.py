"""The description of a recognised network in the making: its layers, the tensors that they store, and what is known of each stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir import graph as g
from bnnhw.ir.encoding import I64, signed_bits
from bnnhw.ir.topology import INPUT
from bnnhw.ir.trained import Close
from bnnhw.lower import exact as x
from bnnhw.lower.inputs import InputAs, Port
from bnnhw.lower.tensors import Problem, Product, Value, plain_ids

SMALL = 15
"""A factor up to this is a weight, a larger one a multiplication."""


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


class Description:
    """Layers so far, and how streams become layers."""

    def __init__(self, graph: g.Graph, port: InputAs | None) -> None:
        self.graph = graph
        self.port = Port.of(graph, port)
        self.layers: list[dict[str, Any]] = []
        self.tensors: dict[str, NDArray] = {}
        self.seen: list[Seen] = []
        self.close: list[Close] = []
        self.names: set[str] = {INPUT}

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

    def saw(self, tensor: str, node: str, value: Value) -> None:
        """A stream carries a tensor."""
        meaning = x.composed(value.pieces, value.channels)
        assert meaning is not None
        self.seen.append(Seen(tensor, node, value.stream, value.ids, meaning))

    def sums(self, value: Value) -> Value:
        """With the product's sums written as a layer of their own."""
        product = value.product
        if product is None:
            return value
        if product.written is None:
            product.written = self.write_product(product, product.weights)
            if value.tensors:
                plain = replace(value, stream=product.written, pieces=(product.meaning,), ids=plain_ids(value))
                self.saw(value.tensors[0], str(product.spec["name"]), plain)
        return replace(value, stream=product.written, product=None)

    def write_product(self, product: Product, weights: I64, **more: NDArray) -> str:
        """The layer of a product; `more`: alpha and bias."""
        spec = dict(product.spec)
        binary = bool((np.abs(weights) == 1).all())
        small = np.abs(weights).max(initial=0) < 1 << 15
        spec |= {"weights": "signs" if binary else "integers", **{key: True for key in more}}
        kind, name = spec.pop("type"), spec.pop("name")
        stored = weights.astype(np.int8 if binary else np.int16 if small else np.int32)
        return self.write(kind, name, [product.source], spec, weight=stored, **more)

    def write_fixed(self, name: str, stream: str, multiplier: I64, addend: I64, most: int) -> str:
        """Numbers of a stream through a multiplier that drops no bit."""
        bits = signed_bits(-most, most)
        if bits > 48:
            raise Problem(f"needs numbers of {bits} bits, at most 48 are generated; use quantisers whose scales are small multiples of each other")
        return self.write("fixed", name, [stream], {"bits": max(2, bits)}, multiplier=multiplier, addend=addend, shift=np.array([0]))

    def pooled(self, value: Value) -> Value:
        """With its pools written, of numbers."""
        for pool in value.pools:
            if (x.rising(value.pieces[: pool.at], value.channels) <= 0).any() or any(isinstance(p, g.Clip) for p in value.pieces[: pool.at]):
                raise Problem(f"its input, from max pool {pool.name!r}, is not quantised; put a quantiser between")
        value = self.sums(value)
        stream = value.stream
        for pool in value.pools:
            stream = self.write("maxpool", pool.name, [stream], pool_keys(pool.pool))
        return replace(value, stream=stream, shape=value.out, pools=())

    def multiplied(self, value: Value, factors: I64, name: str) -> str:
        """A stream of numbers times a factor for each channel; the layer's name."""
        stream = value.stream
        if value.levels is not None:
            c, small = value.channels, bool(np.abs(factors).max() <= SMALL)
            weights = (factors if small else np.ones(c, np.int64)).reshape(c, 1, 1, 1)
            product = Product(
                {"type": "conv", "name": f"{name}_{stream}", "out": c, "kernel": [1, 1], "groups": c}, stream, weights, x.Affine.of(c), True, 1
            )
            stream = self.write_product(product, weights)
            factors = np.ones_like(factors) if small else factors
        if (factors == 1).all():
            return stream
        most = int(np.abs(factors).max()) * max(abs(value.ends[0]), abs(value.ends[1]))
        return self.write_fixed(f"{name}_{stream}", stream, factors, np.zeros_like(factors), most)

    def integers(self, value: Value) -> tuple[Value, x.Affine]:
        """As numbers of a stream, and what they mean."""
        if value.stream == INPUT:
            raise Problem("reads the network's input; put a layer between")
        if value.pools:
            value = self.pooled(value)
        meaning = x.composed(value.pieces, value.channels)
        if meaning is None:
            raise Problem(f"its input, from {value.node!r}, is clipped and not quantised; put a quantiser behind it")
        if value.levels is None:
            value = self.sums(value)
        return value, meaning

    def counted(self, value: Value, why: str) -> Value:
        """Levels as sums of one product each, with ones."""
        assert value.levels is not None
        c = value.channels
        ones = np.ones((c, 1, 1, 1), np.int64)
        spec = {"type": "conv", "name": f"{value.stream}_{why}", "out": c, "kernel": [1, 1], "groups": c}
        product = Product(spec, value.stream, ones, x.Affine.of(c), True, 1)
        return replace(value, stream="", levels=None, product=product, tensors=())

    def behind_pools(self, stream: str) -> list[str]:
        """A layer and those that it pools, back to what is no max pool."""
        found = [stream]
        names = [layer["name"] for layer in self.layers]
        while found[-1] in names and self.layers[names.index(found[-1])]["type"] == "maxpool":
            at = names.index(found[-1])
            found.append(self.layers[at].get("inputs", [names[at - 1]])[0])
        return found


def pool_keys(pool: g.MaxPool) -> dict[str, Any]:
    """Keys of a max pool's layer."""
    return {"kernel": list(pool.kernel), "stride": list(pool.stride), "pad": list(pool.pad)}
