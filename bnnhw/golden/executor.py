"""Runs whole batches; binary layers as packed popcounts, others as exact matrix products."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from bnnhw.golden.dots import dot_products
from bnnhw.golden.windows import pad, taps
from bnnhw.ir.encoding import I64, Encoding, numbers
from bnnhw.ir.heads import Head, Thresholds
from bnnhw.ir.integer import PORT, Network
from bnnhw.ir.layers import Add, Concat, Gather, Layer, MatVec, Multiply, Pool, Requantise, SumPool, Table

FRAMES_PER_TASK = 16
"""At most: enough that NumPy's calls are long, few enough that every core has work."""
Stored = NDArray[np.integer]
"""[N, H, W, C] levels of an encoding (uint8), or integers."""


@dataclass
class Trace:
    """`outputs` int64 [N, O, H, W] (values, not levels), `labels` int64 [N], and every layer's output.

    `layers[name]` holds levels (uint8) or, for a layer of integers, the numbers; [N, C, H, W].
    """

    outputs: I64
    labels: I64
    layers: dict[str, Stored] = field(default_factory=dict)


def run(net: Network, frames: NDArray[np.integer], *, trace: bool = False, progress: Callable[[int], None] | None = None) -> Trace:
    """Evaluate `net` on raw frames [N, ...].

    `trace` keeps every layer's output; `progress` is called with the number of frames each task finished.
    """
    levels = net.port.levels(frames).transpose(0, 2, 3, 1)
    size = max(1, min(FRAMES_PER_TASK, -(-len(levels) // (os.cpu_count() or 1))))
    chunks = [levels[n : n + size] for n in range(0, max(1, len(levels)), size)]
    last_use = {name: layer.name for layer in net.layers for name in net.inputs_of(layer)}

    def work(chunk: Stored) -> dict[str, Stored]:
        alive: dict[str, Stored] = {PORT: chunk}
        kept: dict[str, Stored] = {}
        for layer in net.layers:
            sources = net.inputs_of(layer)
            out = evaluate(layer, *(alive[name] for name in sources))
            for name in set(sources):
                if last_use[name] == layer.name:
                    del alive[name]
            alive[layer.name] = out
            if trace or layer is net.layers[-1]:
                kept[layer.name] = out.transpose(0, 3, 1, 2)
        if progress:
            progress(len(chunk))
        return kept

    work(levels[:0])  # packs the weights once, before the threads share them
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(work, chunks))
    last = net.layers[-1]
    layers = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    outputs = numbers(last.out, layers[last.name])
    return Trace(outputs.astype(np.int64), net.labels(outputs), layers if trace else {})


@singledispatch
def evaluate(layer: Layer, *xs: Stored) -> Stored:
    """Output [N, H, W, C] of one layer for its inputs."""
    raise AssertionError(layer)


@evaluate.register
def _(layer: MatVec, x: Stored) -> Stored:
    total = dot_products(layer, x.astype(np.uint8, copy=False) if isinstance(layer.x, Encoding) else x)
    return _head(layer.head, total, layer.window.class_map)


@evaluate.register
def _(layer: Gather, x: Stored) -> Stored:
    w = layer.window
    seen = np.concatenate(taps(pad(x.astype(np.int64, copy=False), w), w), axis=-1)
    total = np.zeros((*seen.shape[:3], len(layer.index)), np.int64)
    for j in range(layer.index.shape[1]):
        total += seen[..., layer.index[:, j]] * layer.sign[:, j]
    return _head(layer.head, total, w.class_map)


@evaluate.register
def _(layer: Requantise, x: Stored) -> Stored:
    return _head(layer.head, x, np.zeros(x.shape[1:3], np.int64))


@evaluate.register
def _(layer: Pool, x: Stored) -> Stored:
    first, *others = taps(pad(x, layer.window), layer.window)
    out = first.copy()
    for other in others:
        np.maximum(out, other, out=out)
    return out


@evaluate.register
def _(layer: SumPool, x: Stored) -> Stored:
    return np.sum(taps(pad(x.astype(np.int64, copy=False), layer.window), layer.window), axis=0)


@evaluate.register
def _(layer: Add, a: Stored, b: Stored) -> Stored:
    return (a.astype(np.int64) << layer.shifts[0]) + (b.astype(np.int64) << layer.shifts[1])


@evaluate.register
def _(layer: Multiply, a: Stored, b: Stored) -> Stored:
    return a.astype(np.int64) * b.astype(np.int64)


@evaluate.register
def _(layer: Table, x: Stored) -> Stored:
    return layer.entries[x.astype(np.int64) - layer.x.low]


@evaluate.register
def _(layer: Concat, a: Stored, b: Stored) -> Stored:
    return np.concatenate([a, b], axis=-1)


def _head(head: Head, total: NDArray[np.integer], class_map: I64) -> Stored:
    """Levels or numbers of totals [N, H, W, O]."""
    per_class = head.per_class
    rows = per_class[0] if len(per_class) == 1 else per_class[class_map]
    return head.level(total, rows) if isinstance(head, Thresholds) else head.out(total, rows)
