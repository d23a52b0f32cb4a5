"""Sliding window: the words under every window position, the margin filled in, frames back to back."""

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
from bnnhw.schedule.folding import complete_folding
from sim.corners import Corner, pack, unpack
from sim.streams import Traffic, stream_tests

FRAMES = 5


def corner(window: Window, lanes: int = 1, planes: int = 1, least: bool = False) -> Corner:
    """Parameters as the pipeline computes them; `least` takes the smallest buffer that works at all."""
    weights = Weights.binary(np.ones((window.groups, window.fan_in), np.int64))
    head = Sums(np.ones(window.groups, np.int64), np.zeros((1, window.groups), np.int64))
    layer = MatVec("layer", Encoding.uint(planes), window, weights, head)
    folding = design.Folding("layer", lanes=lanes)
    if least:
        words = max(2, design.least_buffer_words(layer, lanes))
        folding = design.Folding("layer", lanes=lanes, buffer_words=1 << (words - 1).bit_length())
    channels, rows, columns = window.shape
    stream = Stream(channels * rows * columns, channels, lanes, planes)
    chain = Wiring()
    chain.window(layer, complete_folding(layer, folding, 1), Wire("", stream), window.pad_level)
    return Corner({k: int(v) for k, v in chain.instances[-1].parameters.items()})


SHAPES = {
    "one_pixel": corner(Window((1, 1, 1), (1, 1), pad=(0, 0, 1, 0))),
    "plain_3x3": corner(Window((1, 4, 5), (3, 3))),
    "padded": corner(Window((2, 7, 8), (3, 3), pad=(1, 1, 1, 1), pad_level=1), lanes=2),
    "asymmetric": corner(Window((1, 5, 6), (3, 2), (2, 1), pad=(0, 1, 2, 0), pad_level=2), planes=2),
    "groups": corner(Window((6, 5, 4), (3, 3), pad=(1, 1, 1, 1), groups=3)),
    "depthwise": corner(Window((3, 5, 4), (2, 2), (1, 2), groups=3), planes=3),
    "words": corner(Window((9, 4, 4), (2, 2)), lanes=3),
    "dilated": corner(Window((2, 9, 8), (3, 2), dilation=(2, 3), pad=(2, 0, 1, 3), pad_level=3), planes=2),
    "strided": corner(Window((1, 9, 7), (3, 3), (2, 2))),
    "tall_kernel": corner(Window((1, 7, 9), (7, 2))),
    "tall_kernel_padded": corner(Window((1, 5, 4), (5, 4), pad=(2, 1, 2, 1))),
    "left_over": corner(Window((1, 9, 9), (1, 1), (4, 4))),
    "left_over_end": corner(Window((2, 8, 7), (2, 2), (3, 3)), lanes=2),
    "in_the_margin": corner(Window((1, 3, 3), (2, 2), pad=(3, 3, 3, 3), pad_level=1)),
    "dilated_past_the_map": corner(Window((1, 2, 2), (2, 2), dilation=(3, 3), pad=(3, 3, 3, 3))),
    "pool_2x2": corner(Window((4, 8, 8), (2, 2), (2, 2)), lanes=4),
    "wide_words": corner(Window((130, 3, 3), (3, 3), pad=(1, 1, 1, 1)), lanes=65),
}
LEAST = {
    "least_3x3": corner(Window((1, 8, 8), (3, 3), pad=(1, 1, 1, 1)), least=True),
    "least_strided": corner(Window((2, 9, 4), (2, 3), (3, 1)), least=True),
    "least_dilated": corner(Window((1, 7, 4), (2, 2), dilation=(3, 2), pad=(1, 2, 0, 1), pad_level=1), least=True),
}
"""Too small a buffer for the stated rate, but not for the right words."""
CORNERS = {**SHAPES, **LEAST}


def traffic(name: str, rng: random.Random) -> Traffic:
    """Five frames."""
    c = CORNERS[name]
    rows, columns, pixel = c["ROWS"], c["COLS"], c["N_GROUPS"] * c["N_WORDS"]
    margin = pack([b * ((1 << c["LANES"]) - 1) for b in unpack(c["PAD_BITS"], c["PLANES"], 1)], c["LANES"])
    sent, expected = [], []
    for _ in range(FRAMES):
        frame = [rng.getrandbits(c["LANES"] * c["PLANES"]) for _ in range(rows * columns * pixel)]
        sent += frame
        for oy in range(c["OUT_ROWS"]):
            for ox in range(c["OUT_COLS"]):
                for group in range(c["N_GROUPS"]):
                    for tap in range(c["KERNEL_Y"] * c["KERNEL_X"]):
                        y = oy * c["STRIDE_Y"] - c["PAD_Y"] + tap // c["KERNEL_X"] * c["DILATION_Y"]
                        x = ox * c["STRIDE_X"] - c["PAD_X"] + tap % c["KERNEL_X"] * c["DILATION_X"]
                        inside = 0 <= y < rows and 0 <= x < columns
                        at = (y * columns + x) * pixel + group * c["N_WORDS"]
                        expected += frame[at : at + c["N_WORDS"]] if inside else [margin] * c["N_WORDS"]
    beats = len(expected) // FRAMES
    rate = None if name in LEAST else (beats, max(beats, rows * columns * pixel))
    return Traffic({"s": sent}, {"m": expected}, rate, settle=1)


carries, restarts = stream_tests(CORNERS, traffic)
