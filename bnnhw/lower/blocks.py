"""Groups a chain of layers into blocks: matrix-vector product, pools, batch norm, activation."""

from __future__ import annotations

from dataclasses import dataclass, field

from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.topology import BatchNorm, Conv, Dense, Flatten, LayerSpec, MaxPool, SignActivation, Threshold, Topology


@dataclass
class Block:
    """One matrix-vector layer and what follows it up to the next."""

    matvec: Conv | Dense
    pools_before: list[MaxPool] = field(default_factory=list)
    """On the sums, before the batch norm."""
    norm: BatchNorm | None = None
    activation: SignActivation | Threshold | None = None
    pools_after: list[MaxPool] = field(default_factory=list)
    """After the batch norm; a rising activation commutes with them."""


def blocks(net: Topology) -> list[Block]:
    """The blocks of `net` in order; BnnhwError for an order of layers that has no hardware form."""
    net.shapes()
    found: list[Block] = []
    for layer in net.layers:
        if isinstance(layer, Flatten):
            continue
        if isinstance(layer, Conv | Dense):
            if found and found[-1].activation is None:
                raise BnnhwError(f"layer {layer.name!r}: its input, from {found[-1].matvec.name!r}, is not binary; put a sign between them")
            found.append(Block(layer))
        elif not found:
            raise BnnhwError(f"layer {layer.name!r}: {layer.type} stands before the first conv or dense; start with one of those")
        else:
            _append(found[-1], layer)
    if not found:
        raise BnnhwError(f"network {net.name!r}: no conv or dense layer; add one")
    last = found[-1]
    if last.activation is None and (last.pools_before or last.pools_after):
        raise BnnhwError(f"layer {last.matvec.name!r}: a max pool of sums ends the network; put a sign after it or drop it")
    return found


def _append(block: Block, layer: LayerSpec) -> None:
    match layer:
        case MaxPool():
            (block.pools_after if block.norm or block.activation else block.pools_before).append(layer)
        case BatchNorm():
            if block.norm or block.activation:
                raise BnnhwError(f"layer {layer.name!r}: batchnorm must stand between a product and its sign, once; move or merge it")
            block.norm = layer
        case SignActivation() | Threshold():
            if block.activation:
                raise BnnhwError(f"layer {layer.name!r}: its input is binary already; remove it")
            if isinstance(layer, Threshold) and block.norm:
                raise BnnhwError(f"layer {layer.name!r}: a threshold takes the sums, not a batch norm's output; remove {block.norm.name!r}")
            block.activation = layer
