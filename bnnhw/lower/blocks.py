"""Groups the layers of a description into blocks: one operation, then pools, a scale, a batch norm and an activation."""

from __future__ import annotations

from dataclasses import dataclass, field

from bnnhw.ir import specs as s
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.topology import INPUT, Topology

Operation = s.Conv | s.Dense | s.AvgPool | s.Add | s.Multiply | s.Concat | s.Table
Activation = s.SignActivation | s.Threshold | s.Levels | s.FixedPoint


@dataclass
class Block:
    """What one layer of the integer network, with its pools, stands for."""

    operation: Operation | None
    """None where the rest works on a stream as it is."""
    inputs: tuple[str, ...]
    """Ends of the blocks that feed it; INPUT for the network's input."""
    end: str
    """The last layer in it: what others name to read it."""
    pools_before: list[s.MaxPool] = field(default_factory=list)
    """On the sums, before the batch norm."""
    scale: s.Scale | None = None
    norm: s.BatchNorm | None = None
    activation: Activation | None = None
    pools_after: list[s.MaxPool] = field(default_factory=list)
    """After the batch norm; a rising activation commutes with them."""
    readers: int = 0
    """Blocks that read it."""

    @property
    def name(self) -> str:
        """Name of the layer in the integer network."""
        if self.operation is not None:
            return self.operation.name
        return self.activation.name if self.activation else self.end

    @property
    def real(self) -> bool:
        """Whether it ends in real numbers: between a scale or batch norm and the activation that must follow."""
        product = isinstance(self.operation, s.Conv | s.Dense) and (self.operation.alpha or self.operation.bias)
        return self.activation is None and bool(self.scale or self.norm or product)


def blocks(net: Topology) -> list[Block]:
    """The blocks of `net` in order; BnnhwError for an order of layers that has no hardware form."""
    net.shape_of()
    same = {layer.name: net.inputs_of(n)[0] for n, layer in enumerate(net.layers) if isinstance(layer, s.Flatten)}

    def source(name: str) -> str:
        while name in same:
            name = same[name]
        return name

    reads = [tuple(source(name) for name in net.inputs_of(n)) for n in range(len(net.layers))]
    count: dict[str, int] = {}
    for layer, names in zip(net.layers, reads, strict=True):
        for name in () if isinstance(layer, s.Flatten) else names:
            count[name] = count.get(name, 0) + 1
    found: list[Block] = []
    for layer, names in zip(net.layers, reads, strict=True):
        if isinstance(layer, s.Flatten):
            continue
        if isinstance(layer, Operation):
            found.append(Block(layer, names, layer.name))
            continue
        if not found and not isinstance(layer, s.MaxPool):
            raise BnnhwError(f"layer {layer.name!r}: {layer.type} stands before the first conv or dense; start with one of those")
        joins = bool(found) and found[-1].end == names[0] and count[names[0]] == 1
        if not (joins and _append(found[-1], layer)):
            found.append(Block(None, names, layer.name))
            _append(found[-1], layer)
    _check(net, found)
    ends = {block.end: block for block in found}
    for block in found:
        for name in block.inputs:
            if name in ends:
                ends[name].readers += 1
    return found


def ends_of_blocks(net: Topology) -> dict[str, str]:
    """The layer of the integer network that gives what a layer of `net` gives, of those whose output is one."""
    found: dict[str, str] = {}
    for block in blocks(net):
        found |= {pool.name: pool.name for pool in (*block.pools_before, *block.pools_after)}
        product = isinstance(block.operation, s.Conv | s.Dense)
        if block.operation is not None and not (product and block.activation):
            found[block.operation.name] = block.operation.name
        if block.activation is not None and not (product and block.pools_before):
            found[block.activation.name] = block.name if product else block.activation.name
    return found


def _append(block: Block, layer: s.LayerSpec) -> bool:
    """Take `layer` into the block; False where it needs a block of its own."""
    done = block.activation is not None
    match layer:
        case s.MaxPool():
            fixed = isinstance(block.activation, s.FixedPoint)
            if fixed or (done and block.operation is None):
                return False
            (block.pools_after if block.scale or block.norm or done else block.pools_before).append(layer)
        case s.Scale():
            if done or block.scale or block.norm:
                raise BnnhwError(f"layer {layer.name!r}: a scale must stand between sums and their batch norm, once; move or merge it")
            block.scale = layer
        case s.BatchNorm():
            if isinstance(block.activation, s.FixedPoint):
                return False
            if block.norm or done:
                raise BnnhwError(f"layer {layer.name!r}: batchnorm must stand between a product and its sign, once; move or merge it")
            block.norm = layer
        case s.SignActivation() | s.Threshold() | s.Levels() | s.FixedPoint():
            if isinstance(block.activation, s.FixedPoint):
                return False
            if done:
                raise BnnhwError(f"layer {layer.name!r}: its input is binary already; remove it")
            if isinstance(layer, s.Threshold | s.FixedPoint) and block.norm:
                what = "a threshold takes the sums" if isinstance(layer, s.Threshold) else "a fixed-point layer takes integers"
                raise BnnhwError(f"layer {layer.name!r}: {what}, not a batch norm's output; remove {block.norm.name!r}")
            if isinstance(layer, s.FixedPoint) and (block.scale or block.real):
                raise BnnhwError(f"layer {layer.name!r}: takes integers, {block.end!r} gives real numbers; fold the scale into its multiplier")
            if isinstance(layer, s.FixedPoint) and block.pools_before:
                return False
            block.activation = layer
    block.end = layer.name
    return True


def _check(net: Topology, found: list[Block]) -> None:
    if not any(isinstance(b.operation, s.Conv | s.Dense) for b in found):
        raise BnnhwError(f"network {net.name!r}: no conv or dense layer; add one")
    ends = {block.end: block for block in found}
    for block in found:
        for name in block.inputs:
            if name != INPUT and name not in ends:
                raise BnnhwError(
                    f"layer {block.name!r}: reads {name!r}, which others read in mid-block too; put an activation or a fixed layer behind it"
                )
            if name in ends and ends[name].real and sum(name in b.inputs for b in found) > 1:
                raise BnnhwError(f"layer {block.name!r}: reads {name!r}, real numbers that others read too; put a fixed layer behind its sums")
            if name in ends and ends[name].real:
                raise BnnhwError(
                    f"layer {block.name!r}: its input, from {ends[name].name!r}, is not binary; put a sign between them, or a fixed layer"
                )
    last = found[-1]
    if last.activation is None and (last.pools_before or last.pools_after):
        raise BnnhwError(f"layer {last.name!r}: a max pool of sums ends the network; put a sign after it or drop it")
