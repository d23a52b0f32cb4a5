"""Signs in a weights file, eight a byte."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.errors import BnnhwError

BITS, SHAPE = "#bits", "#shape"
"""Suffixes of a packed tensor: bits (numpy.packbits, +1 is 1) and shape."""


def pack_signs(name: str, signs: NDArray) -> dict[str, NDArray]:
    """The entries that `unpack_signs` reads as tensor `name` of -1 and +1."""
    return {f"{name}{BITS}": np.packbits(signs.ravel() > 0), f"{name}{SHAPE}": np.array(signs.shape, np.int64)}


def unpack_signs(tensors: dict[str, NDArray], where: str) -> dict[str, NDArray]:
    """`tensors` with packed signs unpacked to int8; BnnhwError naming `where` for bits that do not fit their shape."""
    found: dict[str, NDArray] = {}
    for name, value in tensors.items():
        if name.endswith(SHAPE):
            continue
        if name.endswith(BITS):
            base = name.removesuffix(BITS)
            shape = tensors.get(base + SHAPE)
            count = int(np.prod(shape)) if shape is not None else -1
            if shape is None or count < 0 or (count + 7) // 8 != value.size or value.dtype != np.uint8:
                raise BnnhwError(f"weights {where!r}: {name!r} does not agree with its shape; save it again")
            bits = np.unpackbits(value.ravel(), count=count)
            found[base] = (bits.astype(np.int8) * 2 - 1).reshape(shape)
        else:
            found[name] = value
    return found
