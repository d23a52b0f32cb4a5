"""Integers in real weights that no quantiser node gives: those that are whole multiples of one number, exactly."""

from __future__ import annotations

import numpy as np

from bnnhw.ir.graph import F64, Codes

MANTISSA = 53
LARGEST = 1 << 15
"""Codes beyond are no quantiser's: random float32 numbers are multiples of 2**-24 too."""


def whole_codes(weights: F64) -> Codes | None:
    """The weights [O, ...] as integers times a unit for each output; None where they have none, as trained real weights have not."""
    if not weights.size or not np.isfinite(weights).all():
        return None
    rows = weights.reshape(len(weights), -1).astype(np.float64)
    codes, units = np.zeros(rows.shape, np.int64), np.ones(len(rows))
    for n, row in enumerate(rows):
        given = np.unique(np.abs(row[row != 0]))
        if not len(given):
            continue
        _, exponents = np.frexp(given)
        shift = MANTISSA - int(exponents.max())
        scaled = np.ldexp(given, shift)
        if (scaled != np.rint(scaled)).any():
            return None
        unit = int(np.gcd.reduce(scaled.astype(np.int64)))
        units[n] = np.ldexp(float(unit), -shift)
        if given[-1] / units[n] > LARGEST:
            return None
        codes[n] = np.rint(row / units[n]).astype(np.int64)
    return Codes(codes.reshape(weights.shape), units.reshape(-1, *[1] * (weights.ndim - 1)))
