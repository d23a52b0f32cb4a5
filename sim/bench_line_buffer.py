"""Line buffer: all pixels under every window position at once, the margin filled in, frames back to back."""

from __future__ import annotations

import random

import numpy as np

from bnnhw.ir import design
from bnnhw.ir.encoding import Encoding
from bnnhw.ir.heads import Sums
from bnnhw.ir.instances import Stream, Wire
from bnnhw.ir.layers import MatVec
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window
from bnnhw.ir.wiring import Wiring
from sim.corners import Corner, pack, unpack
from sim.streams import Traffic, stream_tests

FRAMES = 5


def corner(window: Window, planes: int = 1) -> Corner:
    """Parameters as the pipeline computes them."""
    head = Sums(np.ones(1, np.int64), np.zeros((1, 1), np.int64))
    layer = MatVec("layer", Encoding.uint(planes), window, Weights.binary(np.ones((1, window.fan_in), np.int64)), head)
    channels, rows, columns = window.shape
    chain = Wiring()
    stream = Stream(channels * rows * columns, channels, channels, planes)
    chain.line_buffer(layer, design.Folding("layer", lanes=channels), Wire("", stream), window.pad_level)
    return Corner({k: int(v) for k, v in chain.instances[-1].parameters.items()})


CORNERS = {
    "plain_3x3": corner(Window((1, 4, 5), (3, 3))),
    "padded": corner(Window((2, 7, 8), (3, 3), pad=(1, 1, 1, 1), pad_level=1)),
    "asymmetric": corner(Window((1, 5, 6), (3, 2), (2, 1), pad=(0, 1, 2, 0), pad_level=2), planes=2),
    "channels": corner(Window((9, 4, 4), (2, 2)), planes=3),
    "dilated": corner(Window((2, 9, 8), (3, 2), dilation=(2, 3), pad=(2, 0, 1, 3), pad_level=3), planes=2),
    "strided": corner(Window((1, 9, 7), (3, 3), (2, 2))),
    "strided_padded": corner(Window((1, 9, 8), (3, 3), (2, 3), pad=(1, 2, 1, 0), pad_level=1)),
    "tall_kernel": corner(Window((1, 7, 9), (7, 2))),
    "tall_kernel_padded": corner(Window((1, 5, 4), (5, 4), pad=(2, 1, 2, 1))),
    "one_row": corner(Window((2, 1, 6), (1, 3), pad=(0, 1, 0, 1), pad_level=1)),
    "one_column": corner(Window((1, 6, 1), (3, 1))),
    "one_column_padded": corner(Window((1, 6, 1), (3, 3), pad=(1, 1, 1, 1), pad_level=1)),
    "two_columns": corner(Window((1, 5, 2), (2, 2))),
    "left_over": corner(Window((1, 9, 9), (1, 1), (4, 4))),
    "left_over_end": corner(Window((2, 8, 7), (2, 2), (3, 3))),
    "wide_margin": corner(Window((1, 3, 3), (2, 2), pad=(1, 1, 3, 3), pad_level=1)),
    "wider_at_the_left": corner(Window((1, 4, 5), (3, 3), pad=(2, 2, 0, 0), pad_level=1)),
    "dilated_past_the_map": corner(Window((1, 2, 2), (2, 2), dilation=(3, 3), pad=(3, 3, 3, 3))),
    "one_pixel": corner(Window((3, 1, 1), (1, 1), pad=(0, 0, 1, 0))),
}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Five frames."""
    c = CORNERS[name]
    rows, columns, lanes, planes, taps = c["ROWS"], c["COLS"], c["LANES"], c["PLANES"], c["KERNEL_Y"] * c["KERNEL_X"]
    out_rows = (rows + c["TAIL_Y"] + c["PAD_Y"] - (c["KERNEL_Y"] - 1) * c["DILATION_Y"] - 1) // c["STRIDE_Y"] + 1
    margin = [b * ((1 << lanes) - 1) for b in unpack(c["PAD_BITS"], planes, 1)]
    sent, expected = list[int](), list[int]()
    for _ in range(FRAMES):
        frame = [rng.getrandbits(lanes * planes) for _ in range(rows * columns)]
        sent += frame
        for oy in range(out_rows):
            for ox in range(c["OUT_COLS"]):
                pixels = []
                for tap in range(taps):
                    y = oy * c["STRIDE_Y"] - c["PAD_Y"] + tap // c["KERNEL_X"] * c["DILATION_Y"]
                    x = ox * c["STRIDE_X"] - c["PAD_X"] + tap % c["KERNEL_X"] * c["DILATION_X"]
                    inside = 0 <= y < rows and 0 <= x < columns
                    pixels.append(unpack(frame[y * columns + x], planes, lanes) if inside else margin)
                expected.append(pack([pack([pixel[q] for pixel in pixels], lanes) for q in range(planes)], taps * lanes))
    beats = len(expected) // FRAMES
    return Traffic({"s": sent}, {"m": expected}, (beats, (rows + c["TAIL_Y"]) * (columns + c["TAIL_X"])), settle=1)


carries, restarts = stream_tests(CORNERS, traffic)
