"""Contents of the ROMs: bits of every word, lane 0 of PE 0 first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bnnhw.ir import design as d
from bnnhw.ir.encoding import I64, U8
from bnnhw.ir.hardware import Gate, Headed, PopcountForm, affine_terms, gate, head_form, popcount_thresholds
from bnnhw.ir.heads import Thresholds
from bnnhw.ir.instances import Instance, Memory
from bnnhw.ir.layers import Gather, Layer, MatVec, Requantise, Table


@dataclass(frozen=True)
class Field:
    """Numbers in a memory, one for each lane of a word."""

    values: I64
    """[words, lanes]"""
    bits: int

    def words(self) -> U8:
        """[words, lanes, bits] in two's complement, the low bit first."""
        return ((self.values[..., None] >> np.arange(self.bits)) & 1).astype(np.uint8)

    @property
    def varying(self) -> int:
        """Bits, of all lanes, that are not the same in every word."""
        differ = np.bitwise_or.reduce(self.values) & ~np.bitwise_and.reduce(self.values) & ((1 << self.bits) - 1)
        return sum(n.bit_count() for n in differ.tolist())


def words(layer: Layer, folding: d.Folding, instance: Instance) -> U8:
    """[words, bits] of the memory that `instance` of `layer` reads."""
    match layer:
        case MatVec() if instance.memory is Memory.WEIGHTS:
            return weight_words(layer, folding)
        case Gather() if instance.memory is Memory.WEIGHTS:
            return gather_words(layer, folding, instance)
        case Table():
            return _whole(Field(_table_entries(layer), int(instance.parameters["OUT_W"])))
        case MatVec() | Gather() | Requantise():
            assert instance.memory is not None
            fields = [field.words() for field in head_fields(layer, folding, instance.memory, instance.parameters)]
            return np.concatenate(fields, axis=2).reshape(len(fields[0]), -1)
    raise AssertionError(layer)


def weight_words(layer: MatVec, f: d.Folding) -> U8:
    """[words, PE * planes * bits of SIMD lanes] bits in the order (group, row fold, plane fold, segment, input fold).

    Lanes, rows and planes beyond the layer's count nothing: bits are 1 against the 0 that pads the stream where
    weights are plain signs, else they are masked out.
    """
    w, kind = layer.weights, gate(layer)
    bits = w.bits if w.mask is None or kind is Gate.MASKED else w.bits & w.mask
    words = [_folded(bits, layer, f, int(kind is Gate.XNOR))]
    if kind is Gate.MASKED:
        assert w.mask is not None
        words.append(_folded(w.mask, layer, f, 0))
    return np.concatenate(words, axis=2).reshape(len(words[0]), -1)


def _folded(planes: U8, layer: MatVec, f: d.Folding, spare: int) -> U8:
    """[words, PE * planes, SIMD] of planes [P, O, K]."""
    w = layer.window
    groups, rows, turns, parts, beats = w.groups, d.row_folds(layer, f), d.plane_folds(layer, f), d.segments(layer), d.segment_folds(layer, f)
    per_group, taps = planes.shape[1] // groups, w.fan_in // parts
    full = np.full((turns * f.planes, groups, rows * f.pe, parts, beats * f.simd), spare, np.uint8)
    full[: len(planes), :, :per_group, :, :taps] = planes.reshape(len(planes), groups, per_group, parts, taps)
    split = full.reshape(turns, f.planes, groups, rows, f.pe, parts, beats, f.simd).transpose(2, 3, 0, 5, 6, 4, 1, 7)
    return split.reshape(-1, f.pe * f.planes, f.simd)


def gather_words(layer: Gather, f: d.Folding, instance: Instance) -> U8:
    """[words, PE * bits] lookups {minus, use, index} in the order (row fold, term)."""
    bits = int(instance.parameters["INDEX_W"])
    rows, (outputs, terms) = d.row_folds(layer, f), layer.index.shape
    code = layer.index | ((layer.sign != 0).astype(np.int64) << bits) | ((layer.sign < 0).astype(np.int64) << (bits + 1))
    full = np.zeros((rows * f.pe, terms), np.int64)
    full[:outputs] = code
    return _whole(Field(full.reshape(rows, f.pe, terms).transpose(0, 2, 1).reshape(rows * terms, f.pe), bits + 2))


def _table_entries(layer: Table) -> I64:
    """[words, 1] an entry for every pattern of bits; those that no number has hold 0."""
    full = np.zeros(1 << layer.x.bits, np.int64)
    full[np.arange(layer.x.low, layer.x.high + 1) & ((1 << layer.x.bits) - 1)] = layer.entries
    return full[:, None]


def head_fields(layer: Headed, f: d.Folding, memory: Memory, parameters: Mapping[str, int | str]) -> list[Field]:
    """Limits below flips, or scales below biases; words in the order (border class, group, row fold, part)."""
    if isinstance(layer.head, Thresholds) and memory in (Memory.HEAD, Memory.TOTAL):
        return _limits(layer, layer.head, f, head_form(layer, memory), int(parameters["LIMIT_W"]))
    scale, bias = affine_terms(layer, memory)
    fold = {Memory.HEAD: _rows, Memory.TOTAL: _rows, Memory.SCALE: _plane_rows, Memory.PARTIAL: _segment_rows}[memory]
    scales = Field(fold(np.broadcast_to(scale, bias.shape), layer, f, 0), int(parameters["SCALE_W"]))
    return [scales, Field(fold(bias, layer, f, 0), int(parameters["BIAS_W"]))]


def _limits(layer: Headed, head: Thresholds, f: d.Folding, form: PopcountForm, bits: int) -> list[Field]:
    limits = popcount_thresholds(head, form)
    never = int(form.high.max()) + 1
    fields = [Field(_rows(limits[..., k], layer, f, never), bits) for k in range(limits.shape[2])]
    if head.flip is not None:
        fields.append(Field(_rows(np.broadcast_to(head.flip.astype(np.int64), limits.shape[:2]), layer, f, 0), 1))
    return fields


def _rows(values: I64, layer: Headed, f: d.Folding, spare: int) -> I64:
    """[words, PE] of values [B, O]; rows that the layer does not have hold `spare`."""
    if isinstance(layer, Requantise):
        return values.reshape(-1, f.lanes)
    groups, rows = d.groups_in_turn(layer, f), d.row_folds(layer, f)
    per_group = values.shape[1] // groups
    full = np.full((len(values), groups, rows * f.pe), spare, np.int64)
    full[:, :, :per_group] = values.reshape(len(values), groups, per_group)
    return full.reshape(-1, f.pe)


def _plane_rows(values: I64, layer: Headed, f: d.Folding, spare: int) -> I64:
    """[words, PE * planes] of values [1, P * O]."""
    assert isinstance(layer, MatVec)
    groups, rows, turns, planes = layer.window.groups, d.row_folds(layer, f), d.plane_folds(layer, f), layer.weights.planes
    per_plane = values.reshape(planes, groups, -1)
    full = np.full((turns * f.planes, groups, rows * f.pe), spare, np.int64)
    full[:planes, :, : per_plane.shape[2]] = per_plane
    return full.reshape(turns, f.planes, groups, rows, f.pe).transpose(2, 3, 0, 4, 1).reshape(-1, f.pe * f.planes)


def _segment_rows(values: I64, layer: Headed, f: d.Folding, spare: int) -> I64:
    """[words, PE] of values [1, S * O]."""
    assert isinstance(layer, MatVec)
    groups, rows, parts = layer.window.groups, d.row_folds(layer, f), d.segments(layer)
    per_part = values.reshape(parts, groups, -1)
    full = np.full((parts, groups, rows * f.pe), spare, np.int64)
    full[:, :, : per_part.shape[2]] = per_part
    return full.reshape(parts, groups, rows, f.pe).transpose(1, 2, 0, 3).reshape(-1, f.pe)


def _whole(field: Field) -> U8:
    """[words, lanes * bits]"""
    return field.words().reshape(len(field.values), -1)
