"""One row a layer: shape, bits, folding, cycles."""

from __future__ import annotations

from typing import Any

from bnnhw.ir.design import Design
from bnnhw.ir.encoding import signed_bits
from bnnhw.ir.instances import Pipeline
from bnnhw.ir.integer import Network
from bnnhw.ir.layers import Gather, Layer, MatVec, Windowed


def layer_rows(net: Network, design: Design, chain: Pipeline) -> list[dict[str, Any]]:
    """Per layer: name, kind, shapes, weight and sum bits, PE, SIMD, border classes, cycles a frame."""
    rows = []
    for layer in net.layers:
        f = design[layer.name]
        row: dict[str, Any] = {
            "name": layer.name,
            "kind": _kind(layer),
            "input": list(layer.sources[0][0]),
            "output": list(layer.out_shape),
            "cycles": max(i.beats for i in chain.instances if i.layer == layer.name),
        }
        if isinstance(layer, Windowed):
            row["kernel"] = list(layer.window.kernel)
        if isinstance(layer, MatVec):
            low, high = layer.dot_range
            row |= {
                "weight_bits": layer.weights.stored_bits,
                "weight_planes": layer.weights.planes,
                "input_planes": layer.x.planes,
                "sum_bits": signed_bits(int(low.min()), int(high.max())),
                "border_classes": layer.border_classes,
                "implementation": str(f.implementation),
                "pe": f.pe,
                "simd": f.simd,
            }
        if isinstance(layer, Gather):
            row |= {"pe": f.pe, **_shared_additions(net, layer)}
        if f.buffer_words:
            row |= {"window_lanes": f.lanes, "window_words": f.buffer_words}
        rows.append(row)
    return rows


def _shared_additions(net: Network, layer: Gather) -> dict[str, int]:
    """Additions for one pixel of all outputs: with products of their own, and with those that they look up.

    Each pixel of the table is computed once, whatever the windows that it lies under.
    """
    (name,) = net.inputs_of(layer)
    outputs, terms = layer.index.shape
    table = net[name]
    if not isinstance(table, MatVec):
        return {}
    products, each = table.weights.outputs, table.window.fan_in
    return {"additions_alone": outputs * (terms * each - 1), "additions_shared": products * (each - 1) + outputs * (terms - 1)}


def _kind(layer: Layer) -> str:
    if not isinstance(layer, MatVec):
        return {"Pool": "maxpool", "SumPool": "sumpool"}.get(type(layer).__name__, type(layer).__name__.lower())
    w = layer.window
    return "dense" if w.kernel == w.shape[1:] and not any(w.pad) else "conv"
