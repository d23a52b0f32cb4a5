"""Products of integers and a scale, as they are before floating point rounds them."""

from __future__ import annotations

import numpy as np

from bnnhw.ir.graph import F64, Codes

LARGEST = 1 << 15


def times(a: F64, b: F64, divide: bool = False) -> Codes | None:
    """a * b, or a / b, as codes where the larger is of whole numbers and the other is a scale for it; else None."""
    for integers, scale in ((a, b),) if divide else ((a, b), (b, a)):
        whole = integers.size > scale.size and np.abs(integers).max(initial=0) <= LARGEST and bool((integers == np.rint(integers)).all())
        if whole and scale.size and (scale != 0).all() and np.broadcast_shapes(integers.shape, scale.shape) == integers.shape:
            return Codes(integers.astype(np.int64), 1 / scale if divide else scale)
    return None
