"""Level maps as windows see them; maps are [N, H, W, C] in here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.window import Window


def pad(x: NDArray, window: Window) -> NDArray:
    """The map with the window's margin filled in."""
    top, left, bottom, right = window.pad
    if not any(window.pad):
        return x
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=window.pad_level)


def taps(x: NDArray, window: Window) -> list[NDArray]:
    """What each tap sees of the padded map: [N, out rows, out columns, C] each, row by row."""
    (sy, sx), (dy, dx) = window.stride, window.dilation
    high, wide = (window.out_rows - 1) * sy + 1, (window.out_columns - 1) * sx + 1
    corners = [(ky * dy, kx * dx) for ky in range(window.kernel[0]) for kx in range(window.kernel[1])]
    return [x[:, y : y + high : sy, c : c + wide : sx] for y, c in corners]
