"""Bits on the wire: elements of a frame to the beats of a stream, and back. The one written layout.

Within a beat bit (q * lanes + i) * elem_bits + b is bit b of plane q of element i; a vector's
elements follow each other, element 0 first; bits of a short last beat are 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64, U8, Encoding, Integers, numbers
from bnnhw.ir.instances import Stream
from bnnhw.ir.integer import Network


def beat_bytes(stream: Stream) -> int:
    """Bytes that hold one beat."""
    return (stream.width + 7) // 8


def pack(stream: Stream, codes: NDArray[np.integer]) -> U8:
    """[N, beats, bytes] of codes [N, elements]; plane q of a code is its bits from q * elem_bits."""
    n, lanes = len(codes), stream.lanes
    per_vector = -(-stream.vector // lanes)
    vectors = codes.reshape(n, -1, stream.vector)
    full = np.zeros((n, vectors.shape[1], per_vector * lanes), codes.dtype)
    full[:, :, : stream.vector] = vectors
    bits = (full.reshape(n, -1, 1, lanes, 1) >> _shifts(stream)) & 1
    return np.packbits(bits.astype(np.uint8).reshape(n, stream.beats, -1), axis=2, bitorder="little")


def spare_bits(stream: Stream) -> U8:
    """[1, beats, bytes] ones where `pack` leaves bits unused: a receiver must not care for them."""
    return ~pack(stream, np.full((1, stream.elements), (1 << (stream.planes * stream.elem_bits)) - 1))


def unpack(stream: Stream, raw: U8, *, signed: bool = False) -> I64:
    """[N, elements] codes of raw beats [N, beats, bytes]; two's complement where `signed`."""
    n, lanes = len(raw), stream.lanes
    bits = np.unpackbits(raw, axis=2, count=stream.width, bitorder="little")
    bits = bits.reshape(n, stream.beats, stream.planes, lanes, stream.elem_bits).astype(np.int64)
    codes = (bits << _shifts(stream)[0]).sum((2, 4))
    if signed:
        codes -= (codes >> (stream.elem_bits - 1)) << stream.elem_bits
    per_vector = -(-stream.vector // lanes)
    vectors = codes.reshape(n, stream.elements // stream.vector, per_vector * lanes)
    return vectors[:, :, : stream.vector].reshape(n, stream.elements)


def _shifts(stream: Stream) -> NDArray[np.int64]:
    """[1, planes, 1, elem_bits] place of each bit in a code."""
    return (np.arange(stream.planes)[:, None, None] * stream.elem_bits + np.arange(stream.elem_bits))[None]


def level_codes(code: Encoding) -> I64:
    """[L] the bits of every level as a number, plane 0 in the low bit."""
    return (code.bits.astype(np.int64) << np.arange(code.planes)).sum(1)


def code_levels(code: Encoding, codes: I64) -> I64:
    """Levels of codes; -1 for a code that the encoding does not use."""
    table = np.full(1 << code.planes, -1, np.int64)
    table[level_codes(code)] = np.arange(code.levels)
    return table[codes]


def pack_frames(net: Network, port: Stream, frames: NDArray[np.integer]) -> U8:
    """[N, beats, bytes] for the input port from raw frames, channel fastest."""
    levels = net.port.levels(frames).transpose(0, 2, 3, 1).reshape(len(frames), -1)
    return pack(port, level_codes(net.x)[levels] if isinstance(net.x, Encoding) else levels)


def pack_outputs(net: Network, port: Stream, values: NDArray[np.integer]) -> U8:
    """[N, beats, bytes] of the output port from the last layer's levels, or integers, [N, O, H, W]."""
    out, flat = net.layers[-1].out, values.transpose(0, 2, 3, 1).reshape(len(values), -1)
    return pack(port, flat.astype(np.int64) if isinstance(out, Integers) else level_codes(out)[flat])


def layer_output(net: Network, name: str, stream: Stream, raw: U8) -> I64:
    """[N, C, H, W] levels, or integers, of a layer's raw beats."""
    layer = net[name]
    c, rows, columns = layer.out_shape
    codes = unpack(stream, raw, signed=isinstance(layer.out, Integers))
    values = codes if isinstance(layer.out, Integers) else code_levels(layer.out, codes)
    return values.reshape(len(raw), rows, columns, c).transpose(0, 3, 1, 2)


def output_values(net: Network, port: Stream, raw: U8) -> I64:
    """[N, O, H, W] values of the network's outputs from the output port's raw beats."""
    last = net.layers[-1]
    outputs = layer_output(net, last.name, port, raw)
    if (outputs >= 0).all() or isinstance(last.out, Integers):  # -1 stands for a code that is none
        outputs = numbers(last.out, outputs).astype(np.int64)
    return outputs


def read_frames(path: Path, beats: int, size: int) -> U8:
    """[N, beats, size] the whole frames in a file of raw beats of `size` bytes."""
    raw = np.fromfile(path, np.uint8)
    n = raw.size // (beats * size)
    return raw[: n * beats * size].reshape(n, beats, size)
