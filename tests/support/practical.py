"""Random integer networks of the sizes that people build: perceptrons and convolutional networks, binary to few bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bnnhw.ir.encoding import Alphabet, Encoding, Integers
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.heads import Fixed, Sums
from bnnhw.ir.integer import PORT, InputPort, Network
from bnnhw.ir.layers import Add, MatVec, Pool
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window
from support.random_integer import Maker

INPUTS = {"uint8": Encoding.uint(8), "int8": Encoding.sint(8), "bipolar": Encoding.bipolar()}


class _Practical(Maker):
    """One manner of weights and activations through the whole network, as in trained ones."""

    def __init__(self, seed: int, name: str) -> None:
        super().__init__(seed, name)
        flat = self.chance(0.4)
        raw = str(self.rng.choice(["uint8", "uint8", "int8", "bipolar"]))
        shape = (self.pick(16, 49, 64, 196, 256, 400, 784), 1, 1) if flat else (self.pick(1, 1, 3, 2), *[self.pick(8, 12, 16, 20, 28, 32)] * 2)
        if raw == "bipolar" and flat:
            shape = (shape[0] - shape[0] % 8 or 8, 1, 1)
        self.port, self.x = InputPort(shape, raw), INPUTS[raw]
        self.streams = {PORT: (shape, self.x)}
        self.unread = {PORT}
        self.style = str(self.rng.choice(["binary", "binary", "binary", "ternary", "unipolar", "planes"]))
        self.levels = (Encoding.bipolar(), Encoding.bipolar(), Encoding.bipolar(), Encoding.uint(2), Encoding.unipolar())[self.pick(0, 1, 2, 3, 4)]

    def weights(self, outputs: int, fan_in: int) -> Weights:
        planes = self.pick(2, 3) if self.style == "planes" else 1
        shape = (planes, outputs, fan_in)
        bits = self.rng.integers(0, 2, shape, np.uint8)
        mask = (self.rng.random(shape) < 0.6).astype(np.uint8) if self.style == "ternary" else None
        scale = np.broadcast_to((1 << np.arange(planes))[:, None], (planes, outputs)).astype(np.int64).copy()
        return Weights(Alphabet.UNIPOLAR if self.style == "unipolar" else Alphabet.BIPOLAR, bits, scale, mask)

    def product(self, source: str, window: Window, outputs: int, *, last: bool = False) -> str:
        _, x = self.streams[source]
        weights = self.weights(outputs, window.fan_in)
        head = Sums(np.ones(outputs, np.int64), np.zeros((1, outputs), np.int64))
        low, high = MatVec("range", x, window, weights, head).dot_range
        if last:
            scaled = self.chance(0.5)
            head = Sums(self.rng.integers(-200, 200, outputs), self.rng.integers(-3000, 3000, (1, outputs)), 0) if scaled else head
            return self.add(MatVec(self.title("product"), x, window, weights, head, None, (source,)))
        middle, spread = (low + high) // 2, np.maximum(1, (high - low) // 8)
        classes = len(window.inside) if self.chance(0.5) else 1
        thresholds = self.thresholds(middle - spread, middle + spread, classes, self.levels)
        return self.add(MatVec(self.title("product"), x, window, weights, thresholds, None, (source,)))

    def convolution(self, source: str) -> str:
        shape, x = self.streams[source]
        k, same = self.pick(1, 3, 3, 3, 5), self.chance(0.5)
        k = min(k, *shape[1:])
        pad = (k // 2,) * 4 if same else (0,) * 4
        level = int(self.rng.integers(x.levels)) if isinstance(x, Encoding) else 0
        stride = (2, 2) if self.chance(0.15) else (1, 1)
        return self.product(source, Window(shape, (k, k), stride, (1, 1), pad, level), self.pick(8, 16, 24, 32, 48, 64, 128))

    def residual(self, source: str) -> str:
        """Two products of integers that meet in a sum, as in a residual block."""
        shape, x = self.streams[source]
        ends = []
        for kernel in (3, 1):
            window = Window(shape, (kernel, kernel), (1, 1), (1, 1), (kernel // 2,) * 4, 0)
            outputs = shape[0]
            head = Sums(np.ones(outputs, np.int64), np.zeros((1, outputs), np.int64))
            weights = self.weights(outputs, window.fan_in)
            low, high = MatVec("range", x, window, weights, head).dot_range
            bits = int(np.abs(np.stack([low, high])).max()).bit_length() + 1
            head = replace(head, fixed=Fixed(max(0, bits - 8), -128, 127, "saturate"))
            ends.append(self.add(MatVec(self.title("branch"), x, window, weights, head, None, (source,))))
        a, b = (self.streams[end][1] for end in ends)
        assert isinstance(a, Integers) and isinstance(b, Integers)
        return self.add(Add(self.title("add"), (a, b), shape, (0, 0), tuple(ends)))

    def network(self) -> Network:
        at = PORT
        for _ in range(self.pick(1, 2, 3)):
            shape, x = self.streams[at]
            if min(shape[1:]) < 5:
                break
            at = self.residual(at) if isinstance(x, Encoding) and shape[0] >= 8 and self.chance(0.15) else self.convolution(at)
            shape, x = self.streams[at]
            if min(shape[1:]) >= 2 and self.chance(0.4):
                at = self.add(Pool(self.title("pool"), x, Window(shape, (2, 2), (2, 2), groups=shape[0]), (at,)))
        for _ in range(self.pick(0, 1, 2)):
            at = self.product(at, Window.dense(self.streams[at][0]), self.pick(32, 64, 100, 128, 256))
        self.product(at, Window.dense(self.streams[at][0]), 10, last=True)
        return Network(self.name, self.port, self.x, tuple(self.layers))


def practical_network(seed: int, name: str = "net") -> Network:
    """The network of a seed; the same seed gives the same network."""
    for attempt in range(50):
        try:
            return _Practical(seed + 1_000_003 * attempt, name).network()
        except (BnnhwError, ValueError):  # numbers that do not fit, or a window that does not: draw again
            continue
    raise AssertionError(f"seed {seed} gives no network")
