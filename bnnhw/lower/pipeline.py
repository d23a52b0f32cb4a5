"""The whole way: blocks, then weights and thresholds block by block, then clean-up passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from bnnhw.ir import specs as s
from bnnhw.ir.encoding import I64, MAX_INTEGER_BITS, Alphabet, Encoding, Format, Integers
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.fixed_point import LARGEST_SHIFT
from bnnhw.ir.heads import Fixed, Head, Partial, Sums, Thresholds
from bnnhw.ir.integer import PORT, Network
from bnnhw.ir.layers import Add, Concat, Gather, Layer, MatVec, Multiply, Pool, Requantise, SumPool, Table
from bnnhw.ir.methods import RealActivationSpec, RealWeightSpec
from bnnhw.ir.topology import INPUT, Topology
from bnnhw.ir.trained import Close, TrainedNetwork
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Shape, Window
from bnnhw.lower.blocks import Block, blocks
from bnnhw.lower.constants import drop_constants
from bnnhw.lower.factors import two_steps
from bnnhw.lower.response import Response, product_response, stream_response
from bnnhw.lower.source import Source, source
from bnnhw.lower.weights import weights, whole
from bnnhw.lower.writable import written

LARGEST_FACTOR = (1 << 46) - 1
"""Of a fixed-point layer's multipliers and addends."""


@dataclass(frozen=True, eq=False)
class Lowered:
    """An integer network and what its user should know of how it came about."""

    network: Network
    close: tuple[Close, ...]
    """Decisions that lie within the float32 error of a framework whose sums are not exact."""
    dropped: dict[str, int]
    """Constant channels removed, by layer."""


def lower(trained: TrainedNetwork, drop: bool = True) -> Lowered:
    """The integer network of `trained`, without the channels that are constant or that nobody reads where `drop`.

    Equal to the float32 evaluation where the network's sums are exact in float32, else to the
    float64 evaluation, with the decisions in doubt listed. Errors: BnnhwError naming the layer.
    """
    top = trained.topology
    _refuse_real(top)
    src = source(top.input)
    work = _Lowering(trained, blocks(top), src)
    for block in work.blocks:
        work.lower(block)
    last = work.streams[work.blocks[-1].end]
    layers = work.layers
    if (last.source.sign < 0).any() and isinstance(layers[-1].out, Encoding):
        raise BnnhwError(
            f"layer {layers[-1].name!r}: the network ends in signs behind a max pool of sums and a batch norm with negative gamma; "
            "pool after the sign or end with a dense layer"
        )
    if top.label == "highest_bit" and isinstance(layers[-1].out, Integers):
        raise BnnhwError(f"network {top.name!r}: label highest_bit takes bits, it ends in sums; end with a sign or threshold, or use argmax")
    if top.classes is not None and len(top.classes) != np.prod(last.shape):
        raise BnnhwError(f"network {top.name!r}: {len(top.classes)} classes are named, it has {np.prod(last.shape)} outputs; name each once")
    raw = written(Network(top.name, src.port(top.input), src.code, tuple(layers), top.label, top.classes), top)
    network = drop_constants(raw) if drop else raw
    dropped = {
        layer.name: layer.out_shape[0] - new.out_shape[0]
        for layer, new in zip(raw.layers, network.layers, strict=True)
        if isinstance(layer, MatVec) and layer.out_shape != new.out_shape
    }
    return Lowered(network, (*trained.close, *work.close), dropped)


@dataclass(frozen=True, eq=False)
class _Stream:
    """A finished stream: the layer of the integer network that gives it, its shape, and what its integers mean."""

    layer: str
    shape: Shape
    source: Source


class _Lowering:
    """Layers so far, and the streams that later blocks may read."""

    def __init__(self, trained: TrainedNetwork, found: list[Block], src: Source) -> None:
        self.trained, self.blocks = trained, found
        self.layers: list[Layer] = []
        self.close: list[Close] = []
        self.streams = {INPUT: _Stream(PORT, trained.topology.input.chw, src)}

    def add(self, layer: Layer) -> None:
        try:
            layer.out  # noqa: B018  (the range of its numbers is first derived here)
        except BnnhwError as e:
            raise BnnhwError(f"layer {layer.name!r}: {e}") from None
        self.layers.append(layer)

    def lower(self, block: Block) -> None:
        """The layers of one block."""
        ins = [self.streams[name] for name in block.inputs]
        names = tuple(stream.layer for stream in ins)
        before = self.layers[-1].name if self.layers else PORT
        fed = () if names == (before,) else names
        sign: np.ndarray | None = None
        if isinstance(block.operation, s.Conv | s.Dense):
            sign = self.product(block, block.operation, ins[0], fed)
        else:
            for name, stream in zip(block.inputs, ins, strict=True):
                _refuse_inverted(block, name, stream)
            self.plain(block, block.operation, ins, fed)
        last = self.layers[-1]
        channels = last.out_shape[0]
        signs = np.ones(channels, np.int8) if sign is None else sign
        self.streams[block.end] = _Stream(last.name, last.out_shape, Source(last.out, 1, np.zeros(channels), signs))

    def pools(self, pools: list[s.MaxPool], *, stream: _Stream | None = None, fed: tuple[str, ...] = ()) -> None:
        """Max pools behind the last layer, or behind a given stream."""
        for pool in pools:
            shape = stream.shape if stream else self.layers[-1].out_shape
            code = stream.source.code if stream else self.layers[-1].out
            self.add(Pool(pool.name, code, Window(shape, pool.kernel, pool.step, (1, 1), pool.pad, 0, shape[0]), fed))
            stream, fed = None, ()

    def plain(self, block: Block, operation: s.LayerSpec | None, ins: list[_Stream], fed: tuple[str, ...]) -> None:
        """A block whose operation is no product: the operation, pools of its numbers, and a head of its own."""
        shape, code = ins[0].shape, ins[0].source.code
        match operation:
            case s.AvgPool():
                kernel, stride = operation.sized(shape)
                self.add(self.average(operation, Window(shape, kernel, stride, (1, 1), operation.pad, 0, shape[0]), code, fed))
            case s.Add():
                a, b = (_integers(operation, stream) for stream in ins)
                self.add(Add(operation.name, (a, b), shape, operation.shifts, tuple(stream.layer for stream in ins)))
            case s.Multiply():
                a, b = (_integers(operation, stream) for stream in ins)
                self.add(Multiply(operation.name, (a, b), shape, ins[1].shape, tuple(stream.layer for stream in ins)))
            case s.Concat():
                self.add(Concat(operation.name, (code, ins[1].source.code), (shape, ins[1].shape), tuple(stream.layer for stream in ins)))
            case s.Table():
                x = _integers(operation, ins[0])
                self.add(Table(operation.name, x, shape, self.entries(operation, x), fed))
        self.pools(block.pools_before, stream=None if operation else ins[0], fed=() if operation else fed)
        if operation or block.pools_before:
            fed, shape, code = (), self.layers[-1].out_shape, self.layers[-1].out
        if block.activation is None and not block.real:
            return
        if isinstance(code, Encoding):
            raise BnnhwError(f"layer {block.end!r}: its input is binary already; remove it")
        if block.activation is None:
            raise BnnhwError(f"layer {block.end!r}: the network ends in real numbers of a stream; end with a fixed layer")
        self.requantise(block, shape, code, fed)
        self.pools(block.pools_after)

    def requantise(self, block: Block, shape: Shape, code: Integers, fed: tuple[str, ...]) -> None:
        """The block's activation as a head of its own on a stream of integers."""
        assert block.activation is not None
        if isinstance(block.activation, s.FixedPoint):
            reach = np.full(shape[0], max(abs(code.low), abs(code.high)))
            head: Head = self.fixed(block.activation, np.zeros((1, shape[0]), np.int64), reach)
        else:
            act = stream_response(self.trained, block, shape[0], code)
            assert act.steps is not None
            limits, doubts = act.limits(np.ones(shape[0], np.int64), act.falling)
            self.close += doubts
            head = Thresholds(np.clip(limits, code.low, code.high + 1), act.steps.code, _flips(act.falling))
        self.add(Requantise(block.activation.name, code, shape, head, fed))

    def average(self, layer: s.AvgPool, window: Window, code: Format, fed: tuple[str, ...]) -> Layer:
        """The sum over a window: of integers as they are, of levels by a product with ones."""
        if isinstance(code, Integers):
            return SumPool(layer.name, code, window, fed)
        level = code.level_of(0)
        if any(layer.pad) and level is None:
            raise BnnhwError(f"layer {layer.name!r}: pads with 0, which is no level of its input; pool without pad")
        channels = window.shape[0]
        ones = Weights(Alphabet.UNIPOLAR, np.ones((1, channels, window.taps), np.uint8), np.ones((1, channels), np.int64))
        head = Sums(np.ones(channels, np.int64), np.zeros((1, channels), np.int64))
        return MatVec(layer.name, code, replace(window, pad_level=level or 0), ones, head, None, fed)

    def entries(self, layer: s.Table, x: Integers) -> I64:
        """Entries of a table for the numbers that its input can have."""
        name = layer.tensor_name("entries")
        found = self.trained.tensor(layer.name, name, (np.shape(self.trained.tensors.get(name, np.zeros(1))),))
        stored, low = whole(found.ravel(), layer, name), self.number(layer, "low")
        if not low <= x.low <= x.high < low + len(stored):
            raise BnnhwError(
                f"layer {layer.name!r}: its input runs from {x.low} to {x.high}, the entries from {low} to {low + len(stored) - 1}; export the table again"
            )
        return stored[x.low - low : x.high - low + 1]

    def number(self, layer: s.LayerSpec, parameter: str) -> int:
        """A stored integer."""
        name = layer.tensor_name(parameter)
        return int(whole(self.trained.tensor(layer.name, name, ((1,), ())), layer, name).item())

    def fixed(self, layer: s.FixedPoint, offset: I64, reach: I64) -> Sums:
        """A fixed-point layer as a head: what is added to totals up to +-`reach` [O], `offset` [B, O], goes through its multiplier."""
        names = [layer.tensor_name(parameter) for parameter in ("multiplier", "addend")]
        multiplier, addend = (whole(self.trained.tensor(layer.name, name, (reach.shape,)), layer, name, LARGEST_FACTOR) for name in names)
        shift = self.number(layer, "shift")
        if not 0 <= shift <= LARGEST_SHIFT:
            raise BnnhwError(f"layer {layer.name!r}: {layer.tensor_name('shift')!r} is {shift}, a shift is 0 to {LARGEST_SHIFT}; export it again")
        largest = (np.abs(multiplier) * (reach + np.abs(offset).max(0)).astype(np.float64) + np.abs(addend)).max()
        if largest >= 2.0 ** (MAX_INTEGER_BITS - 1):
            raise BnnhwError(
                f"layer {layer.name!r}: multiplied sums reach {largest:.3g}, which overflows {MAX_INTEGER_BITS} bits; use smaller multipliers"
            )
        return Sums(multiplier, _collapse(addend + multiplier * offset), 0, Fixed(shift, layer.low, layer.high, layer.overflow))

    def product(self, block: Block, layer: s.Conv | s.Dense, stream: _Stream, fed: tuple[str, ...]) -> np.ndarray:
        """A block that starts with a product; the sign [O] with which its bits leave."""
        src, window = stream.source, _window(layer, stream)
        if layer.weights in ("factored", "lookup"):
            two = two_steps(self.trained, layer, window, src, fed)
            self.add(two.inner)
            values, plain, make = two.values, None, two.outer
            padded = values if two.inner.window.kernel == window.kernel else np.zeros_like(values)
        else:
            plain = weights(self.trained, layer, window)
            columns = np.repeat(src.column_sign(window), plain.outputs // window.groups, axis=0) < 0
            values = plain.values
            if columns.any():
                plain = plain.negated(columns)

            def make(head: Head, w: Weights | None) -> Layer:
                assert w is not None
                return MatVec(layer.name, src.code, window, w, head, _partial(layer), fed)

        def extra() -> I64:
            return _extra(padded if plain is None else plain.values, src, window)

        act = product_response(self.trained, block, src, window, values)
        if layer.partial is not None:
            _check_partial(layer, act, extra())
        sign = np.ones(len(values), np.int64)
        if act.steps is None:
            self.add(make(self.sums(block, act, -extra()), plain))
            self.pools(block.pools_before + block.pools_after)
            return sign.astype(np.int8)
        # Behind a max pool a falling batch norm asks for the minimum: send the inverted bit, whose maximum it is.
        inverted = act.reversed & bool(block.pools_before)
        if inverted.any() and (block.pools_after or not self.takes_inverted(block, act)):
            self.pooled_sums(block, act, -extra(), make, plain)
            return sign.astype(np.int8)
        falling = act.falling ^ inverted
        flips = None
        if plain is not None and plain.alphabet is Alphabet.BIPOLAR and layer.partial is None:
            sign = np.where(falling, -1, 1)
            plain = plain.negated(np.broadcast_to(falling[:, None], values.shape)) if falling.any() else plain
        else:
            flips = _flips(falling)
        limits, doubts = act.limits(sign, inverted if flips is None else inverted ^ falling)
        self.close += doubts
        limits = np.clip(limits + extra()[..., None], -act.reach[:, None], act.reach[:, None] + 1)
        layer_made = make(Thresholds(_collapse(limits), act.steps.code, flips), plain)
        self.add(_clipped(layer_made))
        self.pools(block.pools_before + block.pools_after)
        return np.where(inverted, -1, 1).astype(np.int8)

    def sums(self, block: Block, act: Response, total: I64) -> Sums:
        """The head of a product without steps: a fixed-point format, plain sums, or the network's last scale; `total` [B, O] is added to dots."""
        if isinstance(block.activation, s.FixedPoint):
            return self.fixed(block.activation, total + _integral(block, act), act.reach)
        if block.real or block is self.blocks[-1]:
            scale, bias, bits = act.affine()
            return Sums(scale, _collapse(bias + scale * total), bits)
        return Sums(np.ones(total.shape[1], np.int64), _collapse(total + _integral(block, act)))

    def takes_inverted(self, block: Block, act: Response) -> bool:
        """Whether what reads the block can undo inverted bits: binary weights, whose signs turn with them; the network's end is told apart later."""
        assert act.steps is not None
        readers = [b for b in self.blocks if block.end in b.inputs]
        binary = all(isinstance(b.operation, s.Conv | s.Dense) and b.operation.weights in ("signs", "latent") for b in readers)
        return act.steps.code == Encoding.bipolar() and binary

    def pooled_sums(self, block: Block, act: Response, total: I64, make: Callable[[Head, Weights | None], Layer], plain: Weights | None) -> None:
        """A product whose plain sums are pooled, and the activation behind: for falling channels behind a pool."""
        assert act.steps is not None and block.operation is not None
        if not (act.offset == act.offset[0]).all():
            raise BnnhwError(f"layer {block.name!r}: a pool between padded sums and a batch norm with negative gamma; pool after the activation")
        one = np.ones(total.shape[1], np.int64)
        self.add(make(Sums(one, _collapse(total)), plain))
        self.pools(block.pools_before)
        code = self.layers[-1].out
        assert isinstance(code, Integers) and block.activation is not None
        limits, doubts = act.limits(one, act.falling)
        self.close += doubts
        head = Thresholds(np.clip(limits[:1], code.low, code.high + 1), act.steps.code, _flips(act.falling))
        self.add(Requantise(block.activation.name, code, self.layers[-1].out_shape, head))
        self.pools(block.pools_after)


def _refuse_real(top: Topology) -> None:
    for layer in top.resolved().layers:
        method = getattr(layer, "quantiser", None)
        if isinstance(method, RealWeightSpec | RealActivationSpec):
            what = "weights" if isinstance(method, RealWeightSpec) else "activations"
            raise BnnhwError(f"layer {layer.name!r}: real {what} have no hardware form; train on from them with a quantiser")


def _flips(falling: np.ndarray) -> np.ndarray | None:
    return falling.copy() if falling.any() else None


def _integers(layer: s.LayerSpec, stream: _Stream) -> Integers:
    code = stream.source.code
    if not isinstance(code, Integers):
        raise BnnhwError(
            f"layer {layer.name!r}: {layer.type} takes integers, {stream.layer or 'the input'!r} gives levels; put a fixed layer before it"
        )
    return code


def _refuse_inverted(block: Block, name: str, stream: _Stream) -> None:
    if (stream.source.sign < 0).any():
        raise BnnhwError(f"layer {block.name!r}: reads {name!r}, whose bits are inverted behind a max pool of sums; pool after the activation")


def _window(layer: s.Conv | s.Dense, stream: _Stream) -> Window:
    if isinstance(layer, s.Dense):
        return Window.dense(stream.shape)
    src = stream.source
    level = src.code.level_of(layer.pad_value * src.units_per_one)
    return Window(stream.shape, layer.kernel, layer.stride, layer.dilation, layer.pad, level or 0, layer.groups)


def _partial(layer: s.Conv | s.Dense) -> Partial | None:
    p = layer.partial
    if p is None:
        return None
    half = 1 << (p.bits - 1)
    return Partial(p.taps, Fixed(p.shift, -half, half - 1, p.overflow))


def _check_partial(layer: s.Conv | s.Dense, act: Response, extra: I64) -> None:
    """BnnhwError where what a margin or a mean adds cannot be told from the sums that were narrowed."""
    if not act.exact or (act.offset != extra).any():
        raise BnnhwError(
            f"layer {layer.name!r}: partial sums need a margin of levels and whole inputs; set pad_value to a level, preprocess to none or 2p-255"
        )


def _integral(block: Block, act: Response) -> I64:
    """The offset [B, O] of a total that goes on as integers."""
    if not act.exact or (act.offset != np.rint(act.offset)).any():
        raise BnnhwError(f"layer {block.name!r}: its sums are no integers of the framework's; normalise its input to integers (none or 2p-255)")
    return np.rint(act.offset).astype(np.int64)


def _extra(values: I64, src: Source, window: Window) -> I64:
    """[B, O] what the margin's level adds to a dot product with weights [O, K]."""
    at_margin = src.code.values[window.pad_level] if isinstance(src.code, Encoding) else window.pad_level
    per_tap = values.reshape(len(values), window.taps, -1).sum(2)
    return (~window.inside).astype(np.int64) @ per_tap.T * int(at_margin)


def _clipped(layer: Layer) -> Layer:
    """The layer with limits that no total passes, or every one does, just beyond its range."""
    assert isinstance(layer, MatVec | Gather) and isinstance(layer.head, Thresholds)
    low, high = layer.dot_range if isinstance(layer, MatVec) else layer.total_range
    limits = np.clip(layer.head.values, low[:, None], high[:, None] + 1)
    return replace(layer, head=replace(layer.head, values=limits))


def _collapse(per_class: np.ndarray) -> np.ndarray:
    """One border class where all are equal."""
    return per_class[:1] if (per_class == per_class[:1]).all() else per_class
