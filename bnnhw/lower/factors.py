"""Weights that are stored in two steps, and become two layers: a product, and sums of what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bnnhw.ir.encoding import I64, Integers
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.heads import Head, Sums
from bnnhw.ir.layers import Gather, Layer, MatVec
from bnnhw.ir.specs import Conv, Dense
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window
from bnnhw.lower.source import Source
from bnnhw.lower.weights import ordered, stored_shape, whole


@dataclass(frozen=True, eq=False)
class TwoSteps:
    """The first layer, the second for a given head, and the weights [O, K] that both stand for."""

    inner: MatVec
    outer: Callable[[Head, Weights | None], Layer]
    values: I64


def two_steps(trained: TrainedNetwork, layer: Conv | Dense, window: Window, src: Source, fed: tuple[str, ...]) -> TwoSteps:
    """The two layers of `factored` or `lookup` weights. Errors: BnnhwError naming the layer."""
    name = layer.name
    if (src.sign < 0).any() or src.mean.any() or src.units_per_one != 1:
        raise BnnhwError(f"layer {name!r}: {layer.weights} weights take integers as they are; use preprocess none or 2p-255 before them")
    if layer.partial is not None:
        raise BnnhwError(f"layer {name!r}: partial sums of {layer.weights} weights are not generated; remove partial")
    if isinstance(layer, Conv) and layer.groups > 1:
        raise BnnhwError(f"layer {name!r}: {layer.weights} weights in groups are not generated; use groups: 1")
    if layer.weights == "factored":
        return _factored(trained, layer, window, src, fed)
    return _lookup(trained, layer, window, src, fed)


def _check_margin(layer: Conv | Dense, src: Source) -> None:
    if isinstance(layer, Conv) and any(layer.pad) and src.code.level_of(layer.pad_value) is None:
        raise BnnhwError(f"layer {layer.name!r}: pads {layer.weights} weights with {layer.pad_value}, no level of its input; pad with -1 or 1")


def _stored(trained: TrainedNetwork, layer: Conv | Dense, parameter: str, dims: int) -> I64:
    name = layer.tensor_name(parameter)
    found = trained.tensors.get(name)
    if found is None or found.ndim != dims or not found.size:
        raise BnnhwError(f"layer {layer.name!r}: weights file has no {name!r} of {dims} dimensions; export it again")
    return whole(trained.tensor(layer.name, name, (found.shape,)), layer, name)


def _factored(trained: TrainedNetwork, layer: Conv | Dense, window: Window, src: Source, fed: tuple[str, ...]) -> TwoSteps:
    """W = outer * diag(middle) * inner: a product, a scale per channel, a second product over the channels."""
    _check_margin(layer, src)
    first = _stored(trained, layer, "inner", 4 if isinstance(layer, Conv) else 2)
    second = _stored(trained, layer, "outer", 2)
    middle = _stored(trained, layer, "middle", 1)
    if second.shape != (layer.out, len(first)) or len(middle) != len(first) or first.shape[1:] != stored_shape(layer, window)[1:]:
        raise BnnhwError(f"layer {layer.name!r}: factors {second.shape}, {len(middle)} and {first.shape} do not chain; export them again")
    w = ordered(first, window)
    inner = MatVec(f"{layer.name}_inner", src.code, window, Weights.of_values(w), Sums(middle, np.zeros((1, len(w)), np.int64)), None, fed)

    def outer(head: Head, _: Weights | None) -> Layer:
        return MatVec(layer.name, inner.out, Window(inner.out_shape, (1, 1)), Weights.of_values(second), head)

    return TwoSteps(inner, outer, second @ (middle[:, None] * w))


def _lookup(trained: TrainedNetwork, layer: Conv | Dense, window: Window, src: Source, fed: tuple[str, ...]) -> TwoSteps:
    """Products with the rows of a table [G * n, C / G, h, w], in G groups of channels, and signed sums of those that `index` [O, J] names.

    The table has the layer's own kernel, and sums run over its channels; or a kernel of 1, and sums run over the window too.
    """
    table, index, sign = _stored(trained, layer, "table", 4), _stored(trained, layer, "index", 2), _stored(trained, layer, "sign", 2)
    shape = window.shape
    groups = shape[0] // max(1, table.shape[1])
    own = table.shape[2:] == window.kernel
    if isinstance(layer, Dense) and not own:
        raise BnnhwError(
            f"layer {layer.name!r}: looked-up products of a dense layer take a vector, not a map of {shape[1]}x{shape[2]}; use a conv of that kernel"
        )
    if groups * table.shape[1] != shape[0] or len(table) % groups or not (own or table.shape[2:] == (1, 1)):
        raise BnnhwError(f"layer {layer.name!r}: a table {table.shape} does not fit {shape[0]} channels under {window.kernel}; export it again")
    inside = (
        Window(shape, window.kernel, window.stride, window.dilation, window.pad, window.pad_level, groups)
        if own
        else Window(shape, (1, 1), groups=groups)
    )
    beyond = Window((len(table), window.out_rows, window.out_columns), (1, 1)) if own else Window((len(table), *shape[1:]), *_geometry(window))
    if own:
        _check_margin(layer, src)
    elif any(window.pad) and isinstance(layer, Conv) and layer.pad_value != 0:
        raise BnnhwError(f"layer {layer.name!r}: a table of 1x1 products is padded with 0 only, not {layer.pad_value}; set pad_value: 0")
    if np.abs(sign).max() > 1:
        raise BnnhwError(f"layer {layer.name!r}: signs of lookups are -1, 0 or 1, {np.abs(sign).max()} is among them; export them again")
    if index.shape != sign.shape or len(index) != layer.out or index.min() < 0 or index.max() >= beyond.fan_in:
        raise BnnhwError(f"layer {layer.name!r}: lookups {index.shape} do not fit {beyond.fan_in} products; export them again")
    channel, tap = index // beyond.taps, index % beyond.taps
    places = tap * len(table) + channel
    rows = ordered(table, inside)
    inner = MatVec(
        f"{layer.name}_table", src.code, inside, Weights.of_values(rows),
        Sums(np.ones(len(rows), np.int64), np.zeros((1, len(rows)), np.int64)), None, fed,
    )  # fmt: skip
    assert isinstance(inner.out, Integers)
    code = inner.out

    def outer(head: Head, _: Weights | None) -> Layer:
        return Gather(layer.name, code, beyond, places, sign.astype(np.int8), head)

    return TwoSteps(inner, outer, _expanded(rows, places, sign, window, groups, own))


def _geometry(window: Window) -> tuple:
    return window.kernel, window.stride, window.dilation, window.pad


def _expanded(rows: I64, places: I64, sign: I64, window: Window, groups: int, own: bool) -> I64:
    """[O, K] the weights that lookups [O, J] into table rows [G * n, ...] stand for."""
    channels = window.shape[0] // groups
    total = np.zeros((len(places), window.taps, window.shape[0]), np.int64)
    outputs = np.arange(len(places))
    for place, s in zip(places.T, sign.T, strict=True):
        tap, row = place // len(rows), place % len(rows)
        group = row // (len(rows) // groups)
        for c in range(channels):
            at = group * channels + c
            if own:
                total[outputs, :, at] += s[:, None] * rows[row].reshape(len(row), window.taps, channels)[:, :, c]
            else:
                total[outputs, tap, at] += s * rows[row, c]
    return total.reshape(len(places), -1)
