"""The whole way: blocks, then signs and thresholds block by block, then clean-up passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import Layer, MatVec, Network, Pool, Sums, Thresholds, Weights, Window, span
from bnnhw.ir.topology import Conv
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.lower.blocks import Block, blocks
from bnnhw.lower.constants import drop_constants
from bnnhw.lower.response import Close, Response, response
from bnnhw.lower.source import Source, source
from bnnhw.lower.weights import signs


@dataclass(frozen=True, eq=False)
class Lowered:
    """An integer network and what its user should know of how it came about."""

    network: Network
    close: tuple[Close, ...]
    """Decisions that lie within the float32 error of a framework whose sums are not exact."""
    dropped: dict[str, int]
    """Constant channels removed, by layer."""


def lower(trained: TrainedNetwork) -> Lowered:
    """The integer network of `trained`.

    Equal to the float32 evaluation where the network's sums are exact in float32, else to the
    float64 evaluation, with the decisions in doubt listed. Errors: BnnhwError naming the layer.
    """
    src = source(trained.topology.input)
    layers: list[Layer] = []
    close: list[Close] = []
    stream, shape = src, trained.topology.input.chw
    for block in blocks(trained.topology):
        new, stream, doubts = _lower_block(trained, block, stream, shape)
        layers += new
        close += doubts
        shape = layers[-1].out_shape
    if (stream.sign < 0).any() and layers[-1].code is not None:
        raise BnnhwError(
            f"layer {layers[-1].name!r}: the network ends in signs behind a max pool of sums and a batch norm with negative gamma; "
            "pool after the sign or end with a dense layer"
        )
    top = trained.topology
    if top.label == "highest_bit" and layers[-1].code is None:
        raise BnnhwError(f"network {top.name!r}: label highest_bit takes bits, it ends in sums; end with a sign or threshold, or use argmax")
    if top.classes is not None and len(top.classes) != np.prod(shape):
        raise BnnhwError(f"network {top.name!r}: {len(top.classes)} classes are named, it has {np.prod(shape)} outputs; name each once")
    raw = Network(top.name, src.port(top.input), src.code, tuple(layers), top.label, top.classes)
    network = drop_constants(raw)
    dropped = {
        layer.name: layer.weights.outputs - new.weights.outputs
        for layer, new in zip(raw.layers, network.layers, strict=True)
        if isinstance(layer, MatVec) and isinstance(new, MatVec) and layer.weights.outputs != new.weights.outputs
    }
    return Lowered(network, tuple(close), dropped)


def _window(block: Block, stream: Source, shape: tuple[int, int, int]) -> Window:
    match block.matvec:
        case Conv() as conv:
            level = stream.code.level_of(conv.pad_value * stream.units_per_one)
            return Window(shape, conv.kernel, conv.stride, conv.dilation, conv.pad, level or 0, conv.groups)
        case _:
            return Window.dense(shape)


def _lower_block(trained: TrainedNetwork, block: Block, stream: Source, shape: tuple[int, int, int]) -> tuple[list[Layer], Source, list[Close]]:
    """Layers of one block, what its output stream means, and decisions in doubt."""
    window = _window(block, stream, shape)
    w = signs(trained, block.matvec, window)
    act: Response = response(trained, block, stream, window, w)
    # Behind a max pool a falling batch norm asks for the minimum: send the inverted bit, whose maximum it is.
    inverted = act.reversed & bool(block.pools_before)
    if inverted.any() and block.pools_after:
        raise BnnhwError(f"layer {block.matvec.name!r}: pools on both sides of a batch norm with negative gamma; keep one of them")
    row_sign = np.where(act.falling ^ inverted, -1, 1)
    columns = np.repeat(stream.column_sign(window), len(w) // window.groups, axis=0)
    rows = w * row_sign.astype(np.int8)[:, None] * columns
    extra = stream.code.values[window.pad_level] * _by_tap(rows, ~window.inside, window)
    if act.code is None:
        scale, bias, bits = act.affine()
        head: Thresholds | Sums = Sums(scale, _collapse(bias - scale * extra), bits)
        doubts: list[Close] = []
    else:
        first, doubts = act.first_firing(row_sign, inverted)
        low, high = span(rows, int(stream.code.values[0]), int(stream.code.values[-1]))
        head = Thresholds(_collapse(np.clip(first + extra, low, high + 1))[..., None], act.code)
    weights = Weights.binary(rows)
    layers: list[Layer] = [MatVec(block.matvec.name, stream.code, window, weights, head)]
    for pool in block.pools_before + block.pools_after:
        shape = layers[-1].out_shape
        code = layers[-1].code
        assert code is not None  # blocks() refuses a pool of sums
        layers.append(Pool(pool.name, code, Window(shape, pool.kernel, pool.step, (1, 1), pool.pad, 0, shape[0])))
    out_sign = np.where(inverted, -1, 1).astype(np.int8)
    return layers, Source(act.code or stream.code, 1, np.zeros(len(w)), out_sign), doubts


def _by_tap(rows: np.ndarray, taps: np.ndarray, window: Window) -> np.ndarray:
    """[B, O] sum of weights over the taps chosen per border class."""
    per_tap = rows.reshape(len(rows), window.taps, -1).sum(2, dtype=np.int64)
    return taps.astype(np.int64) @ per_tap.T


def _collapse(per_class: np.ndarray) -> np.ndarray:
    """One border class where all are equal."""
    return per_class[:1] if (per_class == per_class[:1]).all() else per_class
