"""Runs whole batches; binary layers as packed popcounts, others as exact matrix products."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bnnhw.golden.dots import dot_products
from bnnhw.golden.windows import pad, taps
from bnnhw.ir.encoding import I64, U8
from bnnhw.ir.integer import MatVec, Network, Pool, Sums, Thresholds

FRAMES_PER_TASK = 16
"""At most: enough that NumPy's calls are long, few enough that every core has work."""


@dataclass
class Trace:
    """`outputs` int64 [N, O, H, W] (values, not levels), `labels` int64 [N], and every layer's output.

    `layers[name]` holds levels (uint8) or, for a last layer of sums, the sums; [N, C, H, W].
    """

    outputs: I64
    labels: I64
    layers: dict[str, NDArray[np.integer]] = field(default_factory=dict)


def run(net: Network, frames: NDArray[np.integer], *, trace: bool = False, progress: Callable[[int], None] | None = None) -> Trace:
    """Evaluate `net` on raw frames [N, ...].

    `trace` keeps every layer's output; `progress` is called with the number of frames each task finished.
    """
    levels = net.port.levels(frames).transpose(0, 2, 3, 1)
    size = max(1, min(FRAMES_PER_TASK, -(-len(levels) // (os.cpu_count() or 1))))
    chunks = [levels[i : i + size] for i in range(0, max(1, len(levels)), size)]

    def work(chunk: U8) -> dict[str, NDArray[np.integer]]:
        kept: dict[str, NDArray[np.integer]] = {}
        x: NDArray[np.integer] = chunk
        for layer in net.layers:
            x = _pool(layer, x) if isinstance(layer, Pool) else _matvec(layer, x)
            if trace or layer is net.layers[-1]:
                kept[layer.name] = x.transpose(0, 3, 1, 2)
        if progress:
            progress(len(chunk))
        return kept

    work(levels[:0])  # packs the weights once, before the threads share them
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(work, chunks))
    last = net.layers[-1]
    layers = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    outputs = layers[last.name] if last.code is None else last.code.values[layers[last.name]]
    return Trace(outputs.astype(np.int64), net.labels(outputs), layers if trace else {})


def _pool(layer: Pool, x: NDArray[np.integer]) -> U8:
    first, *others = taps(pad(x.astype(np.uint8, copy=False), layer.window), layer.window)
    out = first.copy()
    for other in others:
        np.maximum(out, other, out=out)
    return out


def _matvec(layer: MatVec, x: NDArray[np.integer]) -> NDArray[np.integer]:
    dot = dot_products(layer, x.astype(np.uint8, copy=False))
    per_pixel = layer.window.class_map
    match layer.head:
        case Thresholds(values=values):
            rows = values[0] if len(values) == 1 else values[per_pixel]
            level = np.zeros(dot.shape, np.uint8)
            for k in range(values.shape[2]):
                level += dot >= rows[..., k]
            return level
        case Sums(scale=scale, bias=bias):
            return dot.astype(np.int64) * scale + (bias[0] if len(bias) == 1 else bias[per_pixel])
