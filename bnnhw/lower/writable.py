"""Layers whose weights and heads are written at run time: they keep all their channels, and room for what is not known yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bnnhw.ir import specs as s
from bnnhw.ir.encoding import Alphabet
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.heads import Sums
from bnnhw.ir.integer import Network
from bnnhw.ir.layers import Layer, MatVec
from bnnhw.ir.topology import Topology

ALL = "all"


def marked(topology: Topology, names: Sequence[str], *, only: bool = False) -> Topology:
    """The description with the layers of these names, or ALL that have weights, marked as writable; the rest as they are, or not where `only`.

    Errors: BnnhwError for a name that is none.
    """
    known = [layer.name for layer in topology.layers if isinstance(layer, s.Conv | s.Dense)]
    for name in names:
        if name not in (*known, ALL):
            raise BnnhwError(f"writable: {name[:60]!r} is no layer with weights; give some of {', '.join(known)[:200]}, or {ALL}")

    def is_marked(layer: s.Conv | s.Dense) -> bool:
        return ALL in names or layer.name in names or (layer.writable and not only)

    layers = tuple(
        layer.model_copy(update={"writable": is_marked(layer)}) if isinstance(layer, s.Conv | s.Dense) else layer for layer in topology.layers
    )
    return topology.model_copy(update={"layers": layers})


def written(net: Network, topology: Topology) -> Network:
    """`net` with those layers writable that the description says. Errors: BnnhwError for a layer that cannot be."""
    names = {layer.name for layer in topology.layers if isinstance(layer, s.Conv | s.Dense) and layer.writable}
    return replace(net, layers=tuple(_writable(layer, layer is net.layers[-1]) if layer.name in names else layer for layer in net.layers))


def _writable(layer: Layer, last: bool) -> Layer:
    reason = None
    if not isinstance(layer, MatVec):
        reason = "its products are lookups"
    elif layer.partial is not None:
        reason = "its partial sums are narrowed"
    elif layer.weights.planes > 1:
        reason = f"its weights have {layer.weights.planes} planes"
    elif isinstance(layer.head, Sums) and not last:
        reason = "other layers read its numbers, whose range must be known"
    elif isinstance(layer.head, Sums) and layer.head.fixed is not None:
        reason = "its numbers are in a fixed-point format"
    if reason is not None:
        raise BnnhwError(f"layer {layer.name!r}: {reason}, it cannot be written at run time; take it from the writable ones")
    assert isinstance(layer, MatVec)
    head = layer.head
    if not isinstance(head, Sums) and head.flip is None and layer.weights.alphabet is not Alphabet.BIPOLAR:
        head = replace(head, flip=np.zeros(layer.weights.outputs, np.bool_))
    return replace(layer, head=head, writable=True)
