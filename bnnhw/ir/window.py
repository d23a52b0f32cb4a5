"""Which inputs one output sees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64

Bool = NDArray[np.bool_]
Shape = tuple[int, int, int]
"""Channels, rows, columns."""


def slide(size: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> int:
    """Positions of a window along one axis; less than 1 where it does not fit."""
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


@dataclass(frozen=True)
class Window:
    """Which inputs one output sees. A dense layer sees the whole map; taps run (row, column, channel)."""

    shape: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    """top, left, bottom, right."""
    pad_level: int = 0
    """The level that stands in the margin; what it adds beyond the trained meaning, the head takes back."""
    groups: int = 1

    @staticmethod
    def dense(shape: Shape) -> Window:
        """The window of a dense layer over `shape`."""
        return Window(shape, shape[1:])

    @property
    def out_rows(self) -> int:
        """Rows of the output map."""
        return slide(self.shape[1], self.kernel[0], self.stride[0], self.dilation[0], self.pad[0], self.pad[2])

    @property
    def out_columns(self) -> int:
        """Columns of the output map."""
        return slide(self.shape[2], self.kernel[1], self.stride[1], self.dilation[1], self.pad[1], self.pad[3])

    @property
    def out_pixels(self) -> int:
        """Positions of the window."""
        return self.out_rows * self.out_columns

    @property
    def taps(self) -> int:
        """Pixels under the window."""
        return self.kernel[0] * self.kernel[1]

    @property
    def group_channels(self) -> int:
        """Input channels of one group."""
        return self.shape[0] // self.groups

    @property
    def fan_in(self) -> int:
        """K: inputs of one output."""
        return self.taps * self.group_channels

    @property
    def whole(self) -> bool:
        """Whether the stream of pixels already is the stream of windows, in order and each pixel once."""
        one_by_one = self.kernel == (1, 1) and self.stride == (1, 1)
        whole_map = self.kernel == self.shape[1:] and self.groups == 1
        return not any(self.pad) and self.dilation_is_free and (one_by_one or whole_map)

    @property
    def dilation_is_free(self) -> bool:
        """Whether dilation moves no tap."""
        return all(d == 1 or k == 1 for d, k in zip(self.dilation, self.kernel, strict=True))

    @cached_property
    def row_classes(self) -> tuple[tuple[int, ...], Bool]:
        """Border class of each output row, and per class which kernel rows lie inside the map."""
        return _classes(self.out_rows, self.shape[1], self.kernel[0], self.stride[0], self.dilation[0], self.pad[0])

    @cached_property
    def column_classes(self) -> tuple[tuple[int, ...], Bool]:
        """As `row_classes`, for columns."""
        return _classes(self.out_columns, self.shape[2], self.kernel[1], self.stride[1], self.dilation[1], self.pad[1])

    @cached_property
    def inside(self) -> Bool:
        """[B, taps]: per border class (row class major) which taps lie inside the map."""
        rows, columns = self.row_classes[1], self.column_classes[1]
        both = rows[:, None, :, None] & columns[None, :, None, :]
        return both.reshape(len(rows) * len(columns), self.taps)

    @cached_property
    def class_map(self) -> I64:
        """[out_rows, out_columns] border class of every output pixel."""
        rows, columns = np.array(self.row_classes[0]), np.array(self.column_classes[0])
        return rows[:, None] * len(self.column_classes[1]) + columns[None, :]


def _classes(out: int, size: int, kernel: int, stride: int, dilation: int, before: int) -> tuple[tuple[int, ...], Bool]:
    at = np.arange(out)[:, None] * stride - before + np.arange(kernel) * dilation
    seen: dict[tuple[bool, ...], int] = {}
    index = tuple(seen.setdefault(tuple(row), len(seen)) for row in ((at >= 0) & (at < size)).tolist())
    return index, np.array(list(seen), bool)


@dataclass(frozen=True)
class Raster:
    """What a line buffer goes through for a frame, a pixel a cycle: the map, and of its margin what is below and at the right."""

    below: int
    """Rows of margin."""
    right: int
    """Columns of margin; they serve the next row's left margin too."""
    rows: int
    """All of them."""
    columns: int
    first: int
    """Pixel that completes the first window, of all."""
    last: int
    """The same of the last window."""

    @staticmethod
    def of(w: Window) -> Raster:
        """The raster of a window whose left and upper margins are within its reach."""
        (_, rows, columns), outputs = w.shape, (w.out_rows, w.out_columns)
        first_y, first_x = (w.dilation[axis] * (w.kernel[axis] - 1) - w.pad[axis] for axis in (0, 1))
        last_y, last_x = (first + (n - 1) * step for first, n, step in zip((first_y, first_x), outputs, w.stride, strict=True))
        below, right = max(0, last_y - (rows - 1)), max(w.pad[1], last_x - (columns - 1))
        width = columns + right
        return Raster(below, right, rows + below, width, first_y * width + first_x, last_y * width + last_x)

    @property
    def beats(self) -> int:
        """Cycles of a frame."""
        return self.rows * self.columns

    @property
    def pause(self) -> int:
        """Cycles between the last window of a frame and the first of the next."""
        return self.beats - 1 - self.last + self.first
