"""One row a layer: shape, bits, folding, cycles."""

from __future__ import annotations

from typing import Any

from bnnhw.ir.design import Design
from bnnhw.ir.hardware import signed_bits
from bnnhw.ir.integer import MatVec, Network
from bnnhw.ir.pipeline import Pipeline


def layer_rows(net: Network, design: Design, chain: Pipeline) -> list[dict[str, Any]]:
    """Per layer: name, kind, shapes, weight and sum bits, PE, SIMD, border classes, cycles a frame."""
    rows = []
    for layer in net.layers:
        f, w = design[layer.name], layer.window
        row: dict[str, Any] = {
            "name": layer.name,
            "kind": ("dense" if w.kernel == w.shape[1:] and not any(w.pad) else "conv") if isinstance(layer, MatVec) else "maxpool",
            "input": list(w.shape),
            "output": list(layer.out_shape),
            "kernel": list(w.kernel),
            "cycles": max(i.beats for i in chain.instances if i.layer == layer.name),
        }
        if isinstance(layer, MatVec):
            low, high = layer.dot_range
            row |= {
                "weight_bits": int(layer.weights.bits.size),
                "input_planes": layer.x.planes,
                "sum_bits": signed_bits(int(low.min()), int(high.max())),
                "border_classes": layer.border_classes,
                "pe": f.pe,
                "simd": f.simd,
            }
        if f.lanes:
            row |= {"window_lanes": f.lanes, "window_words": f.buffer_words}
        rows.append(row)
    return rows
