"""The fast paths of the golden model against a direct int64 evaluation of the integer network."""

from __future__ import annotations

import numpy as np
import pytest

from bnnhw.golden import run
from bnnhw.golden.dots import dot_products
from bnnhw.golden.executor import evaluate
from bnnhw.ir.encoding import Alphabet, Encoding, Integers
from bnnhw.ir.heads import Sums
from bnnhw.ir.integer import InputPort, Network
from bnnhw.ir.layers import MatVec, SumPool
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window

ENCODINGS = {
    "bipolar": Encoding.bipolar(),
    "uint8": Encoding.uint(8),
    "int8": Encoding.sint(8),
    "centred": Encoding.centred(8),
    "uint2": Encoding.uint(2),
}


def direct(layer: MatVec, levels: np.ndarray) -> np.ndarray:
    """[N, rows, columns, O] by the definition: int64, tap by tap."""
    w = layer.window
    top, left, bottom, right = w.pad
    x = np.pad(levels, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=w.pad_level)
    x = layer.x.values[x]
    out = np.zeros((len(x), w.out_rows, w.out_columns, layer.weights.outputs), np.int64)
    per = layer.weights.outputs // w.groups
    values = layer.weights.values.reshape(-1, w.kernel[0], w.kernel[1], w.group_channels)
    for o in range(layer.weights.outputs):
        first = o // per * w.group_channels
        for y in range(w.out_rows):
            for c in range(w.out_columns):
                for ky in range(w.kernel[0]):
                    for kx in range(w.kernel[1]):
                        pixel = x[:, y * w.stride[0] + ky * w.dilation[0], c * w.stride[1] + kx * w.dilation[1], first : first + w.group_channels]
                        out[:, y, c, o] += pixel @ values[o, ky, kx]
    return out


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("channels", [1, 3, 31, 64, 65, 130])
def test_dot_products_equal_the_definition(encoding: str, channels: int, rng: np.random.Generator) -> None:
    window = Window((channels, 5, 4), (3, 2), (1, 2), (1, 1), (1, 0, 2, 1), pad_level=int(rng.integers(2)))
    weights = Weights.binary(rng.choice([-1, 1], (7, window.fan_in)))
    layer = MatVec("l", ENCODINGS[encoding], window, weights, Sums(np.ones(7, np.int64), np.zeros((1, 7), np.int64)))
    levels = rng.integers(0, ENCODINGS[encoding].levels, (3, 5, 4, channels)).astype(np.uint8)
    assert (dot_products(layer, levels) == direct(layer, levels)).all()


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_groups_masks_and_planes(groups: int, rng: np.random.Generator) -> None:
    window = Window((6, 4, 4), (2, 2), groups=groups)
    shape = (2, 12, window.fan_in)
    weights = Weights(Alphabet.UNIPOLAR, rng.integers(0, 2, shape, np.uint8), rng.integers(-3, 4, (2, 12)), rng.integers(0, 2, shape, np.uint8))
    layer = MatVec("l", Encoding.sint(4), window, weights, Sums(np.ones(12, np.int64), np.zeros((1, 12), np.int64)))
    levels = rng.integers(0, 16, (2, 4, 4, 6)).astype(np.uint8)
    assert (dot_products(layer, levels) == direct(layer, levels)).all()


def test_sums_beyond_float32_stay_exact() -> None:
    k = 70_000
    window = Window((k, 1, 1), (1, 1))
    weights = Weights.binary(np.ones((1, k), np.int64))
    layer = MatVec("l", Encoding.uint(8), window, weights, Sums(np.ones(1, np.int64), np.zeros((1, 1), np.int64)))
    net = Network("n", InputPort((k, 1, 1), "uint8"), Encoding.uint(8), (layer,))
    frames = np.full((1, k), 255, np.uint8)
    frames[0, 0] = 254
    assert run(net, frames).outputs.ravel().tolist() == [255 * k - 1]


def test_any_number_of_frames_gives_the_same_values(rng: np.random.Generator) -> None:
    window = Window((40, 3, 3), (3, 3), pad=(1, 1, 1, 1))
    weights = Weights.binary(rng.choice([-1, 1], (5, 360)))
    layer = MatVec("l", Encoding.bipolar(), window, weights, Sums(np.ones(5, np.int64), np.zeros((1, 5), np.int64)))
    net = Network("n", InputPort((40, 3, 3), "bipolar"), Encoding.bipolar(), (layer,))
    frames = rng.choice([-1, 1], (9, 40, 3, 3)).astype(np.int8)
    whole = run(net, frames).outputs
    assert (np.concatenate([run(net, frames[i : i + 1]).outputs for i in range(9)]) == whole).all()
    assert run(net, frames[:0]).outputs.shape == (0, 5, 3, 3)


@pytest.mark.parametrize(("low", "high"), [(-22, -6), (3, 9), (-4, 5)])
@pytest.mark.parametrize("pad", [(0, 0, 0, 0), (0, 1, 1, 1), (1, 0, 0, 0)])
def test_sums_of_a_pool_reach_the_ends_of_their_range_and_no_further(low: int, high: int, pad: tuple[int, int, int, int]) -> None:
    """Windows may lie in the margin with all their taps, where the sum is 0."""
    layer = SumPool("s", Integers(low, high), Window((1, 2, 3), (1, 2), pad=pad, groups=1))
    values = [evaluate(layer, np.full((1, 2, 3, 1), x, np.int64)) for x in (low, high)]
    assert (min(v.min() for v in values), max(v.max() for v in values)) == (layer.out.low, layer.out.high)
