"""Removes channels that never change, and carries their constant into the next layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64
from bnnhw.ir.integer import Layer, MatVec, Network, Sums, Thresholds, Weights


def drop_constants(net: Network) -> Network:
    """`net` without constant hidden channels; golden gives the same outputs.

    Layers in groups are left alone (their groups would become unequal), and one channel always stays.
    """
    layers = list(net.layers)
    for i, layer in enumerate(layers):
        j = next((j for j in range(i + 1, len(layers)) if isinstance(layers[j], MatVec)), None)
        if not isinstance(layer, MatVec) or not isinstance(layer.head, Thresholds) or j is None:
            continue
        consumer = layers[j]
        assert isinstance(consumer, MatVec)
        if layer.window.groups > 1 or consumer.window.groups > 1:
            continue
        level = constant_levels(layer)
        if (level >= 0).all():
            level[0] = -1
        keep = level < 0
        if keep.all():
            continue
        layers[i] = replace(layer, weights=_rows(layer.weights, keep), head=Thresholds(layer.head.values[:, keep], layer.head.code))
        for k in range(i + 1, j):
            pool = layers[k]
            n = int(keep.sum())
            layers[k] = replace(pool, window=replace(pool.window, shape=(n, *pool.window.shape[1:]), groups=n))
        layers[j] = _absorb(consumer, keep, level)
    return replace(net, layers=tuple(layers))


def constant_levels(layer: MatVec) -> I64:
    """[O] the level of each channel that is the same for every input and pixel, -1 where it varies."""
    assert isinstance(layer.head, Thresholds)
    low, high = layer.dot_range
    values = layer.head.values
    lowest, highest = (values <= low[:, None]).sum(2), (values <= high[:, None]).sum(2)
    constant = ((lowest == highest) & (lowest == lowest[0])).all(0)
    return np.where(constant, lowest[0], -1)


def _rows(weights: Weights, keep: NDArray[np.bool_]) -> Weights:
    mask = None if weights.mask is None else weights.mask[:, keep]
    return Weights(weights.alphabet, weights.bits[:, keep], weights.scale[:, keep], mask)


def _absorb(layer: MatVec, keep: NDArray[np.bool_], level: I64) -> Layer:
    """`layer` without the inputs that are not kept; their contribution, per border class, goes to the head."""
    window, weights = layer.window, layer.weights
    by_tap = layer.tap_sums[:, :, ~keep]
    at_constant = layer.x.values[level[~keep]]
    inside = np.einsum("otc,c->ot", by_tap, at_constant)
    outside = by_tap.sum(2) * layer.x.values[window.pad_level]
    given = np.where(window.inside[:, None, :], inside[None], outside[None]).sum(2)
    given = given[:1] if (given == given[0]).all() else given

    def columns(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        by_channel = planes.reshape(*planes.shape[:2], window.taps, -1)[..., keep]
        return np.ascontiguousarray(by_channel.reshape(*planes.shape[:2], -1))

    mask = None if weights.mask is None else columns(weights.mask)
    new = Weights(weights.alphabet, columns(weights.bits), weights.scale, mask)
    match layer.head:
        case Thresholds(values=values, code=code):
            head: Thresholds | Sums = Thresholds(values - given[..., None], code)
        case Sums(scale=scale, bias=bias, fraction_bits=bits):
            head = Sums(scale, bias + scale * given, bits)
    shape = (int(keep.sum()), *window.shape[1:])
    return replace(layer, window=replace(window, shape=shape), weights=new, head=head)
