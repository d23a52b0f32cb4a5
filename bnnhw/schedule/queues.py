"""Depths of the queues where two streams meet: a short branch must wait for a long one without stopping their source."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir import design as d
from bnnhw.ir.encoding import I64
from bnnhw.ir.integer import PORT, Network
from bnnhw.ir.layers import Layer, Multiply, Windowed

IN_FLIGHT = 4
"""Pixels that a layer may hold between its input and output: a vector buffer's two, and its neighbours'."""


class Waits:
    """How long the branches of a network's joins wait for each other."""

    def __init__(self, net: Network, registers: Mapping[str, int], whole: Collection[str], maybe: Collection[str] = ()) -> None:
        """`registers`: per layer, those in its products; `whole`: layers whose windows come whole; `maybe`: those of which that is open."""
        self.net = net
        self.soonest, self.depth = _needs(net, whole)
        self.latest, _ = _needs(net, {*whole, *maybe}) if maybe else (self.soonest, None)
        self.late = dict.fromkeys(self.depth, 0)
        for layer in net.layers:
            self.late[layer.name] = registers.get(layer.name, 0) + max(self.late[name] for name in net.inputs_of(layer))

    def words(self, layer: Layer, words_per_pixel: tuple[int, ...]) -> tuple[int, ...]:
        """Words of the queue before each input of a layer that has two, given the words of a pixel in each.

        A branch's queue holds all that the branch can give while the other branch still waits for what its next pixel
        needs of the network's input, and what the other's layers hold on the way, so that no stream stops its source;
        and a word for each cycle that the other's registers take.
        """
        a, b = self.net.inputs_of(layer)
        return (
            self._waiting(layer, a, b) * words_per_pixel[0] + self.late[b],
            self._waiting(layer, b, a) * words_per_pixel[1] + self.late[a],
        )

    def _waiting(self, layer: Layer, mine: str, other: str) -> int:
        """Pixels that wait at most, in one branch, for the other: however soon they come, and however late both are needed."""
        soonest, latest = self.soonest[mine], self.latest[mine]
        if isinstance(layer, Multiply) and len(soonest) != len(self.latest[other]):
            pixels = len(soonest)  # the other needs the whole frame, or this is the one pixel that waits
        else:
            reached = np.maximum(latest, self.latest[other])
            pixels = int((np.searchsorted(soonest, reached, side="right") - np.arange(len(soonest))).max())
        return pixels + IN_FLIGHT * (self.depth[other] + 1)


def join_queues(net: Network, layers: dict[str, d.Folding]) -> dict[str, tuple[int, ...]]:
    """Per layer with two inputs, the words of the queue before each."""
    joins = [layer for layer in net.layers if len(net.inputs_of(layer)) > 1]
    if not joins:
        return {}
    whole = [layer.name for layer in net.layers if d.line_buffered(layer, layers[layer.name])]
    waits = Waits(net, {name: f.registers for name, f in layers.items()}, whole)
    return {layer.name: waits.words(layer, tuple(_words(net, layers, name) for name in net.inputs_of(layer))) for layer in joins}


def _words(net: Network, layers: dict[str, d.Folding], name: str) -> int:
    """Words of a pixel, at most, in the stream that a layer sends."""
    return net.port.shape[0] if name == PORT else words_of_pixel(net[name], layers[name])


def words_of_pixel(layer: Layer, f: d.Folding) -> int:
    """Words of a pixel, at most, in the stream that a layer of this folding sends."""
    lanes = f.lanes if d.elementwise(layer) or (d.windowed(layer) and not hasattr(layer, "head")) else f.pe
    return layer.out_shape[0] if layer.out_shape[0] % lanes else ceil(layer.out_shape[0] / lanes)


def _needs(net: Network, whole: Collection[str]) -> tuple[dict[str, I64], dict[str, int]]:
    """Per layer, how many pixels of the network's input each of its pixels waits for, and how many layers they pass."""
    need: dict[str, I64] = {PORT: np.arange(1, prod(net.port.shape[1:]) + 1)}
    depth = {PORT: 0}
    for layer in net.layers:
        names = net.inputs_of(layer)
        if isinstance(layer, Windowed):
            own = need[names[0]][_last_seen(layer, layer.name in whole)]
        else:
            longest = max(len(need[name]) for name in names)
            own = np.max([np.broadcast_to(need[name] if len(need[name]) == longest else need[name].max(), longest) for name in names], axis=0)
        need[layer.name] = np.maximum.accumulate(own)
        depth[layer.name] = 1 + max(depth[name] for name in names)
    return need, depth


def _last_seen(layer: Windowed, whole: bool) -> NDArray[np.int64]:
    """[out pixels] index of the last input pixel under each window; where they come whole, of the last one before its corner."""
    w = layer.window

    def last(axis: int, count: int) -> I64:
        return np.arange(count) * w.stride[axis] - w.pad[axis] + w.dilation[axis] * (w.kernel[axis] - 1)

    rows, columns = last(0, w.out_rows)[:, None], last(1, w.out_columns)[None]
    _, height, width = w.shape
    seen = np.clip(rows, 0, height - 1) * width + np.clip(columns, 0, width - 1)
    return np.where(whole & (rows >= height), height * width - 1, seen).ravel()
