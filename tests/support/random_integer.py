"""Random integer networks of every layer, format and fold, and a direct evaluation that shares no code with golden."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import Alphabet, Encoding, Format, Integers
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.heads import Fixed, Head, Partial, Sums, Thresholds
from bnnhw.ir.integer import PORT, InputPort, Network
from bnnhw.ir.layers import Add, Concat, Gather, Layer, MatVec, Multiply, Pool, Requantise, SumPool, Table
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window

WIDE_BITS = 12
"""Integers of more bits are narrowed at once."""
INPUTS = {"uint8": Encoding.uint(8), "int8": Encoding.sint(8), "bipolar": Encoding.bipolar()}
CODES = (
    Encoding.bipolar(), Encoding.bipolar(), Encoding.unipolar(), Encoding.uint(2), Encoding.sint(2), Encoding.centred(2),
    Encoding.of_values((-1, 0, 1)), Encoding.of_values((0, 1, 2, 4)), Encoding.of_values((-3, -1, 2, 7)),
    Encoding(Alphabet.BIPOLAR, 0, (3, 5), ((0, 0), (1, 0), (0, 1), (1, 1))),
    Encoding(Alphabet.UNIPOLAR, 0, (5, 2), ((0, 0), (0, 1), (1, 0), (1, 1))),
    Encoding(Alphabet.BIPOLAR, 2, (3, 4, 1), ((0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1))),
)  # fmt: skip


class Maker:
    """A network in the making: layers so far, and streams by the layer that gives them."""

    def __init__(self, seed: int, name: str) -> None:
        self.rng = np.random.default_rng(seed)
        self.name = name
        flat = self.rng.random() < 0.2
        shape = (int(self.rng.integers(1, 40)), 1, 1) if flat else tuple(int(n) for n in self.rng.integers(1, 7, 3))
        raw = str(self.rng.choice(list(INPUTS)))
        self.port, self.x = InputPort(shape, raw), INPUTS[raw]
        self.layers: list[Layer] = []
        self.streams: dict[str, tuple[tuple[int, int, int], Format]] = {PORT: (shape, self.x)}
        self.unread: set[str] = {PORT}

    def pick(self, *values: int) -> int:
        return int(self.rng.choice(values))

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def add(self, layer: Layer) -> str:
        self.layers.append(layer)
        self.unread -= set(layer.inputs)
        self.unread.add(layer.name)
        self.streams[layer.name] = layer.out_shape, layer.out
        if isinstance(layer.out, Integers) and layer.out.bits > WIDE_BITS:
            return self.narrowed(layer.name)
        return layer.name

    def title(self, kind: str) -> str:
        return f"{kind}{len(self.layers)}"

    def narrowed(self, source: str) -> str:
        shape, code = self.streams[source]
        assert isinstance(code, Integers)
        return self.add(Requantise(self.title("narrow"), code, shape, self.sums(shape[0], 1, self.fixed(code.bits, 6)), (source,)))

    def fixed(self, bits: int, kept: int) -> Fixed:
        half = 1 << (kept - 1)
        overflow = ("saturate", "zero", "wrap")[self.pick(0, 1, 2)]
        low, high = (-half, half - 1) if overflow == "wrap" or self.chance(0.7) else (0, half - 1)
        return Fixed(max(0, bits - kept - self.pick(0, 1, 2)), low, high, overflow)  # type: ignore[arg-type]

    def sums(self, outputs: int, classes: int, fixed: Fixed | None) -> Sums:
        scale = self.rng.integers(-3, 4, outputs) if self.chance(0.5) else np.ones(outputs, np.int64)
        return Sums(scale, self.rng.integers(-20, 21, (classes, outputs)), 0, fixed)

    def thresholds(self, low: NDArray, high: NDArray, classes: int, code: Encoding) -> Thresholds:
        span = np.maximum(high - low, 1)
        at = np.rint(low + span * (self.rng.random((classes, code.levels - 1, len(low))) * 1.1 - 0.05)).astype(np.int64)
        values = np.sort(at, axis=1).transpose(0, 2, 1)
        flip = self.rng.random(len(low)) < 0.3 if self.chance(0.4) else None
        if flip is not None:
            values = np.where(flip[None, :, None], values[..., ::-1], values)
        return Thresholds(np.ascontiguousarray(values), code, flip)

    def code(self, last: bool = False) -> Encoding:
        one_bit = [c for c in CODES if c.planes == 1]
        return (one_bit if last else CODES)[int(self.rng.integers(len(one_bit) if last else len(CODES)))]

    def window(self, shape: tuple[int, int, int], *, channelwise: bool = False, margin: bool = True) -> Window:
        kernel = tuple(int(k) for k in self.rng.integers(1, 4, 2))
        pad = tuple(int(p) for p in self.rng.integers(0, 2, 4)) if margin and self.chance(0.5) else (0, 0, 0, 0)
        groups = shape[0] if channelwise else self.pick(*(g for g in (1, 1, 1, 2, 3) if shape[0] % g == 0))
        window = Window(shape, kernel, (self.pick(1, 1, 2), self.pick(1, 1, 2)), (1, self.pick(1, 1, 2)), pad, 0, groups)  # type: ignore[arg-type]
        return window if min(window.out_rows, window.out_columns) > 0 else Window(shape, (1, 1), groups=groups)

    def weights(self, outputs: int, fan_in: int) -> Weights:
        planes = self.pick(1, 1, 1, 2, 3)
        shape = (planes, outputs, fan_in)
        bits = self.rng.integers(0, 2, shape, np.uint8)
        mask = self.rng.integers(0, 2, shape, np.uint8) if self.chance(0.4) else None
        if planes == 1:
            scale = self.rng.integers(1, 4, (1, outputs))
        elif self.chance(0.5):
            scale = np.broadcast_to(self.rng.integers(-5, 6, (planes, 1)), (planes, outputs)).copy()
        else:
            scale = self.rng.integers(-5, 6, (planes, outputs))
        return Weights(Alphabet.BIPOLAR if self.chance(0.6) else Alphabet.UNIPOLAR, bits, scale, mask)

    def matvec(self, source: str, *, last: bool = False) -> str:
        shape, x = self.streams[source]
        whole = last or shape[1:] == (1, 1) or self.chance(0.2)
        window = Window.dense(shape) if whole else self.window(shape)
        if isinstance(x, Encoding):
            window = Window(*(*_fields(window)[:5], int(self.rng.integers(x.levels)), window.groups))
        outputs = int(self.rng.integers(1, 6)) * window.groups
        weights, partial = self.weights(outputs, window.fan_in), None
        if self.chance(0.15):
            weights = Weights(
                weights.alphabet, weights.bits[:1], np.ones((1, outputs), np.int64), weights.mask if weights.mask is None else weights.mask[:1]
            )
            taps = self.pick(*(n for n in range(1, window.fan_in + 1) if window.fan_in % n == 0))
            partial = Partial(taps, self.fixed(6, 4))
        classes = len(window.inside) if self.chance(0.5) else 1
        plain = Sums(np.ones(outputs, np.int64), np.zeros((1, outputs), np.int64))
        low, high = MatVec("range", x, window, weights, plain, partial).dot_range
        if self.chance(0.6) or (last and self.chance(0.3)):
            head: Head = self.thresholds(low, high, classes, self.code(last))
        else:
            bits = int(np.abs(np.stack([low, high])).max()).bit_length() + 3
            head = self.sums(outputs, classes, self.fixed(bits, self.pick(4, 7)) if self.chance(0.5) else None)
        return self.add(MatVec(self.title("product"), x, window, weights, head, partial, (source,)))

    def pool(self, source: str) -> str:
        shape, x = self.streams[source]
        window = self.window(shape, channelwise=True, margin=isinstance(x, Encoding))
        return self.add(Pool(self.title("pool"), x, window, (source,)))

    def integers(self, source: str) -> str:
        """A stream of integers made from any."""
        shape, x = self.streams[source]
        if isinstance(x, Integers):
            return source
        window = Window(shape, (1, 1))
        outputs = shape[0] if self.chance(0.5) else self.pick(1, 2, 3, 4)
        head = self.sums(outputs, 1, self.fixed(8, 5) if self.chance(0.3) else None)
        return self.add(MatVec(self.title("lift"), x, window, self.weights(outputs, window.fan_in), head, None, (source,)))

    def elementwise(self, source: str) -> str:
        """A layer on single integers, or over windows of them."""
        source = self.integers(source)
        shape, x = self.streams[source]
        assert isinstance(x, Integers)
        ends = np.full((2, shape[0]), [[x.low], [x.high]])
        match self.pick(0, 1, 2, 3, 4):
            case 0:
                return self.add(Requantise(self.title("levels"), x, shape, self.thresholds(ends[0], ends[1], 1, self.code()), (source,)))
            case 1:
                return self.narrowed(source)
            case 2:
                return self.add(SumPool(self.title("sum"), x, self.window(shape, channelwise=True), (source,)))
            case 3 if x.bits <= 8:
                entries = self.rng.integers(-9, 10, x.high - x.low + 1)
                return self.add(Table(self.title("table"), x, shape, entries, (source,)))
        window = self.window(shape)
        window = Window(*(*_fields(window)[:5], 0, 1))
        terms = (self.pick(1, 2, 3, 5), self.pick(1, 2, 7))
        index, sign = self.rng.integers(0, window.fan_in, terms), self.rng.integers(-1, 2, terms).astype(np.int8)
        plain = Gather("range", x, window, index, sign, Sums(np.ones(terms[0], np.int64), np.zeros((1, terms[0]), np.int64)))
        head: Head = self.thresholds(*plain.total_range, 1, self.code()) if self.chance(0.5) else self.sums(terms[0], 1, None)
        return self.add(Gather(self.title("gather"), x, window, index, sign, head, (source,)))

    def join(self, source: str) -> str:
        """A branch beside the stream, of one or two layers, and a layer that joins both."""
        source = self.integers(source)
        shape, x = self.streams[source]
        assert isinstance(x, Integers)
        other = source
        if self.chance(0.8):
            c = shape[0] if self.chance(0.7) else 1
            window = Window(shape, (3, 3), pad=(1, 1, 1, 1)) if self.chance(0.5) else Window(shape, (1, 1))
            if self.chance(0.25):
                window, c = Window.dense(shape), shape[0]
            head = self.sums(c, 1, self.fixed(10, 6))
            other = self.add(MatVec(self.title("branch"), x, window, self.weights(c, window.fan_in), head, None, (source,)))
        b_shape, b = self.streams[other]
        assert isinstance(b, Integers)
        names = (source, other)
        if b_shape == shape and self.chance(0.5):
            return self.add(Add(self.title("add"), (x, b), shape, (self.pick(0, 0, 2), self.pick(0, 1)), names))
        if b_shape[1:] == shape[1:] and self.chance(0.5):
            return self.add(Concat(self.title("concat"), (x, b), (shape, b_shape), names))
        return self.add(Multiply(self.title("multiply"), (x, b), shape, b_shape, names))

    def network(self) -> Network:
        at = PORT
        for _ in range(self.pick(1, 2, 3, 4)):
            step = (self.matvec, self.matvec, self.pool, self.elementwise, self.elementwise, self.join, self.join)[int(self.rng.integers(7))]
            at = step(at)
        self.matvec(at, last=True)
        return Network(self.name, self.port, self.x, tuple(self.layers))


def _fields(w: Window) -> tuple:
    return w.shape, w.kernel, w.stride, w.dilation, w.pad, w.pad_level, w.groups


def random_network(seed: int, name: str = "net") -> Network:
    """The integer network of a seed; the same seed gives the same network."""
    for attempt in range(50):
        try:
            return Maker(seed + 1_000_003 * attempt, name).network()
        except (BnnhwError, ValueError):  # numbers that do not fit, or a window that does not: draw again
            continue
    raise AssertionError(f"seed {seed} gives no network")


def random_frames(net: Network, seed: int, count: int) -> NDArray[np.integer]:
    """Raw frames [count, C, H, W]."""
    low, high = {"uint8": (0, 256), "int8": (-128, 128), "bipolar": (0, 2)}[net.port.raw]
    raw = np.random.default_rng(seed).integers(low, high, (count, *net.port.shape))
    return (2 * raw - 1 if net.port.raw == "bipolar" else raw).astype(net.port.dtype)


def direct(net: Network, frames: NDArray[np.integer]) -> NDArray[np.int64]:
    """Values [N, C, H, W] of the last layer, each layer by its definition on values, in int64."""
    seen: dict[str, NDArray[np.int64]] = {PORT: frames.astype(np.int64)}
    before = PORT
    for layer in net.layers:
        seen[layer.name] = _value(layer, [seen[name] for name in (layer.inputs or (before,))])
        before = layer.name
    return seen[before]


def _value(layer: Layer, xs: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    x = xs[0]
    match layer:
        case MatVec():
            return _headed(layer.head, _totals(layer, x), layer.window)
        case Gather():
            seen = _windows(x, layer.window, 0)  # [N, rows, columns, taps, C]
            flat = seen.reshape(*seen.shape[:3], -1)
            total = sum(flat[..., layer.index[:, j]] * layer.sign[:, j].astype(np.int64) for j in range(layer.index.shape[1]))
            return _headed(layer.head, np.moveaxis(total, 3, 1), layer.window)
        case Requantise():
            return _headed(layer.head, x, Window(layer.shape, (1, 1)))
        case Pool():
            lowest = layer.x.low
            return np.moveaxis(_windows(x, layer.window, lowest).max(3), 3, 1)
        case SumPool():
            return np.moveaxis(_windows(x, layer.window, 0).sum(3), 3, 1)
        case Add():
            return xs[0] * 2 ** layer.shifts[0] + xs[1] * 2 ** layer.shifts[1]
        case Multiply():
            return xs[0] * xs[1]
        case Table():
            return np.array(layer.entries)[x - layer.x.low]
        case Concat():
            return np.concatenate(xs, axis=1)
    raise AssertionError(layer)


def _windows(x: NDArray[np.int64], w: Window, margin: int) -> NDArray[np.int64]:
    """[N, rows, columns, taps, C]"""
    top, left, bottom, right = w.pad
    full = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=margin)
    out = np.zeros((len(x), w.out_rows, w.out_columns, w.taps, x.shape[1]), np.int64)
    for r in range(w.out_rows):
        for c in range(w.out_columns):
            for n in range(w.taps):
                ky, kx = divmod(n, w.kernel[1])
                out[:, r, c, n] = full[:, :, r * w.stride[0] + ky * w.dilation[0], c * w.stride[1] + kx * w.dilation[1]]
    return out


def _totals(layer: MatVec, x: NDArray[np.int64]) -> NDArray[np.int64]:
    """[N, O, rows, columns], plane by plane."""
    w, planes = layer.window, layer.weights
    margin = int(layer.x.values[w.pad_level]) if isinstance(layer.x, Encoding) else w.pad_level
    seen = _windows(x, w, margin)
    per_in, per_out = w.group_channels, planes.outputs // w.groups
    out = []
    for o in range(planes.outputs):
        g = o // per_out
        inputs = seen[..., g * per_in : (g + 1) * per_in].reshape(*seen.shape[:3], -1)
        row = np.zeros(w.fan_in, np.int64)
        for p in range(planes.planes):
            symbol = 2 * planes.bits[p, o].astype(np.int64) - 1 if planes.alphabet is Alphabet.BIPOLAR else planes.bits[p, o].astype(np.int64)
            row += planes.scale[p, o] * symbol * (1 if planes.mask is None else planes.mask[p, o].astype(np.int64))
        step = layer.partial.taps if layer.partial else w.fan_in
        parts = [(inputs[..., k : k + step] * row[k : k + step]).sum(-1) for k in range(0, w.fan_in, step)]
        out.append(sum(parts) if layer.partial is None else sum(_narrow(layer.partial.fixed, p) for p in parts))
    return np.stack(out, axis=1)


def _narrow(f: Fixed, x: NDArray[np.int64]) -> NDArray[np.int64]:
    x = x // 2**f.shift
    if f.overflow == "wrap":
        size = f.high - f.low + 1
        return (x - f.low) - size * ((x - f.low) // size) + f.low
    beyond = (x < f.low) | (x > f.high)
    return np.where(beyond, 0 if f.overflow == "zero" else np.where(x < f.low, f.low, f.high), x)


def _headed(head: Head, total: NDArray[np.int64], w: Window) -> NDArray[np.int64]:
    at = w.class_map if len(head.per_class) > 1 else np.zeros(total.shape[2:], np.int64)
    if isinstance(head, Thresholds):
        limits = np.moveaxis(head.values[at], (2, 3), (0, 1))  # [O, L-1, rows, columns]
        passed = total[:, :, None] >= limits[None]
        if head.flip is not None:
            passed = passed != head.flip[None, :, None, None, None]
        return head.code.values[passed.sum(2)]
    out = total * head.scale[:, None, None] + np.moveaxis(head.bias[at], 2, 0)
    return out if head.fixed is None else _narrow(head.fixed, out)
