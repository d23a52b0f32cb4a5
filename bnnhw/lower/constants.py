"""Removes channels that never change or that nobody reads, and carries their constant into the next layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64, Encoding
from bnnhw.ir.heads import Sums, Thresholds
from bnnhw.ir.integer import Network
from bnnhw.ir.layers import Layer, MatVec, Pool


def drop_constants(net: Network) -> Network:
    """`net` without hidden channels that are constant or meet only zero weights; golden gives the same outputs.

    Only where one product reads another's levels, through pools or not. Layers in groups or with partial sums are left
    alone (they would become unequal), those that are written at run time as well, and one channel always stays.
    """
    layers = {layer.name: layer for layer in net.layers}
    for name in [*layers, *reversed(layers)]:  # constants travel forwards, channels without a reader backwards
        layer, between, consumer = layers[name], *_reader(net, layers, name)
        if not isinstance(layer, MatVec) or not isinstance(layer.head, Thresholds) or consumer is None:
            continue
        if layer.writable or consumer.writable or layer.window.groups > 1 or consumer.window.groups > 1 or consumer.partial is not None:
            continue
        unread = ~consumer.tap_sums.any((0, 1))
        level = np.where(unread, 0, constant_levels(layer))
        if (level >= 0).all():
            level[0] = -1
        keep = level < 0
        if keep.all():
            continue
        absorbed = _absorb(consumer, keep, level)
        if absorbed.out != consumer.out and net.readers[consumer.name]:
            continue  # its readers are sized for these integers
        head = layer.head
        flip = None if head.flip is None else head.flip[keep]
        layers[name] = replace(layer, weights=layer.weights.outputs_kept(keep), head=Thresholds(head.values[:, keep], head.code, flip))
        for pool in between:
            n = int(keep.sum())
            layers[pool.name] = replace(pool, window=replace(pool.window, shape=(n, *pool.window.shape[1:]), groups=n))
        layers[consumer.name] = absorbed
    return replace(net, layers=tuple(layers.values()))


def _reader(net: Network, layers: dict[str, Layer], name: str) -> tuple[list[Pool], MatVec | None]:
    """The pools behind a layer and the product behind them, which is None where another layer, or several, read it."""
    between: list[Pool] = []
    while True:
        readers = net.readers[name]
        reader = layers[readers[0]] if len(readers) == 1 else None
        if not isinstance(reader, Pool):
            return between, reader if isinstance(reader, MatVec) else None
        between.append(reader)
        name = reader.name


def constant_levels(layer: MatVec) -> I64:
    """[O] the level of each channel that is the same for every input and pixel, -1 where it varies."""
    assert isinstance(layer.head, Thresholds)
    values = layer.head.values
    ends = [layer.head.level(np.broadcast_to(end, values.shape[:2]), values).astype(np.int64) for end in layer.dot_range]
    constant = ((ends[0] == ends[1]) & (ends[0] == ends[0][0])).all(0)
    return np.where(constant, ends[0][0], -1)


def _absorb(layer: MatVec, keep: NDArray[np.bool_], level: I64) -> Layer:
    """`layer` without the inputs that are not kept; their contribution, per border class, goes to the head."""
    window = layer.window
    assert isinstance(layer.x, Encoding)
    by_tap = layer.tap_sums[:, :, ~keep]
    at_constant = layer.x.values[level[~keep]]
    inside = np.einsum("otc,c->ot", by_tap, at_constant)
    outside = by_tap.sum(2) * layer.x.values[window.pad_level]
    given = np.where(window.inside[:, None, :], inside[None], outside[None]).sum(2)
    given = given[:1] if (given == given[0]).all() else given
    weights = layer.weights.inputs_kept(np.flatnonzero(np.tile(keep, window.taps)))
    match layer.head:
        case Thresholds(values=values):
            head: Thresholds | Sums = replace(layer.head, values=values - given[..., None])
        case Sums(scale=scale, bias=bias):
            head = replace(layer.head, bias=bias + scale * given)
    shape = (int(keep.sum()), *window.shape[1:])
    return replace(layer, window=replace(window, shape=shape), weights=weights, head=head)
