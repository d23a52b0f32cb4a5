"""Contents of the ROMs, as text for `$readmemh`: one word a line, lane 0 of PE 0 in the low bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir import design as d
from bnnhw.ir.encoding import I64, U8
from bnnhw.ir.hardware import popcount_affine, popcount_form, popcount_thresholds
from bnnhw.ir.integer import MatVec, Sums
from bnnhw.ir.pipeline import Instance


def memory_text(layer: MatVec, folding: d.Folding, instance: Instance) -> str:
    """The file that `instance`, a matrix-vector unit or a head of `layer`, reads."""
    if instance.memory == "weights":
        return hex_words(weight_words(layer, folding))
    return hex_words(head_words(layer, folding, instance))


def weight_words(layer: MatVec, f: d.Folding) -> U8:
    """[words, PE * SIMD] bits in the order (group, row fold, input fold).

    Lanes and rows beyond the layer's hold 1: against the 0 that pads the stream they count nothing.
    """
    w, bits = layer.window, layer.weights.bits[0]
    groups, rows, beats = w.groups, d.row_folds(layer, f), d.input_folds(layer, f)
    per_group = len(bits) // groups
    full = np.ones((groups, rows * f.pe, beats * f.simd), np.uint8)
    full[:, :per_group, : w.fan_in] = bits.reshape(groups, per_group, w.fan_in)
    split = full.reshape(groups, rows, f.pe, beats, f.simd).transpose(0, 1, 3, 2, 4)
    return split.reshape(groups * rows * beats, f.pe * f.simd)


def head_words(layer: MatVec, f: d.Folding, instance: Instance) -> U8:
    """[words, bits] thresholds, or biases above scales, in the order (border class, group, row fold)."""
    form = popcount_form(layer)
    bits = int(instance.parameters["SUM_W"])
    if not isinstance(layer.head, Sums):
        limits = popcount_thresholds(layer, form)
        never = int(form.high.max()) + 1
        return _fields(_fold(limits, layer, f, never), bits)
    scale, bias = popcount_affine(layer, form)
    low, high = int(instance.parameters["SCALE_W"]), int(instance.parameters["OUT_W"])
    scales = _fields(_fold(np.broadcast_to(scale, bias.shape), layer, f, 0), low).reshape(-1, f.pe, low)
    biases = _fields(_fold(bias, layer, f, 0), high).reshape(-1, f.pe, high)
    return np.concatenate([scales, biases], axis=2).reshape(len(scales), -1)


def _fold(values: I64, layer: MatVec, f: d.Folding, spare: int) -> I64:
    """[words, PE] of values [B, O]; rows that the layer does not have hold `spare`."""
    groups, rows = layer.window.groups, d.row_folds(layer, f)
    per_group = values.shape[1] // groups
    full = np.full((len(values), groups, rows * f.pe), spare, np.int64)
    full[:, :, :per_group] = values.reshape(len(values), groups, per_group)
    return full.reshape(-1, f.pe)


def _fields(values: I64, bits: int) -> U8:
    """[words, PE * bits] two's complement bits of values [words, PE], low bit first."""
    return ((values[..., None] >> np.arange(bits)) & 1).astype(np.uint8).reshape(len(values), -1)


def hex_words(bits: NDArray[np.uint8]) -> str:
    """One line a word for bits [words, width], the first bit of a word being its lowest."""
    packed = np.packbits(bits, axis=1, bitorder="little")[:, ::-1]
    digits = (bits.shape[1] + 3) // 4
    text, step = packed.tobytes().hex(), 2 * packed.shape[1]
    lines = [text[i + step - digits : i + step] for i in range(0, len(text), step)]
    return "\n".join(lines) + "\n"
