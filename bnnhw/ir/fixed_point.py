"""Real scales as integers of a stated format: the one place where training and hardware agree on the rounding."""

from __future__ import annotations

from math import floor, log2

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64
from bnnhw.ir.errors import BnnhwError

LARGEST_SHIFT = 40


def fixed_affine(layer: str, scale: NDArray[np.float64], bias: NDArray[np.float64], multiplier_bits: int, nearest: bool) -> tuple[I64, I64, int]:
    """Multiplier [C], addend [C] and shift with (multiplier * x + addend) >> shift about scale * x + bias, rounded or cut.

    The largest multiplier has `multiplier_bits` magnitude bits; half of the last place rounds up.
    """
    largest = float(np.abs(scale).max())
    if not np.isfinite(scale).all() or not np.isfinite(bias).all() or largest == 0:
        raise BnnhwError(f"layer {layer!r}: its scale is 0, NaN or infinite; lower the learning rate or change the seed")
    shift = min(max(multiplier_bits - floor(log2(largest)) - 1, 0), LARGEST_SHIFT)
    multiplier = np.rint(scale * 2.0**shift).astype(np.int64)
    addend = np.rint(bias * 2.0**shift)
    if np.abs(addend).max() >= 2**46 or np.abs(multiplier).max() >= 2**32:
        raise BnnhwError(f"layer {layer!r}: its affine overflows 46 bits; normalise its input")
    half = 1 << (shift - 1) if nearest and shift else 0
    return multiplier, addend.astype(np.int64) + half, shift
