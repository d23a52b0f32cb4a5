"""Layers whose evaluation is exact on integers.

In training, layers pass real tensors on. In evaluation they pass `Stream`s: integers and the real unit of one, the same
integers that hardware sees, all below 2**24 (2**53 where a sum could be more), so that sums are exact in any order. A batch
norm takes unit * integer in float32 and is PyTorch's own, whose operations lowering repeats bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log2
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnnhw.ir import specs as s
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.fixed_point import fixed_affine
from bnnhw.ir.heads import Fixed
from bnnhw.ir.window import slide
from bnnhw.nn.methods.activations import level_of
from bnnhw.nn.methods.norm import ShiftBatchNorm
from bnnhw.nn.quantiser import ActivationQuantiser, IntegerWeights, Levels, WeightQuantiser, usable_levels, usable_weights

FLOAT32_EXACT, FLOAT64_EXACT = 2**24, 2**53


@dataclass(frozen=True)
class Stream:
    """Integers [N, C, H, W] or [N, C] in a float tensor; the real value is unit * integer."""

    values: Tensor
    unit: Tensor
    """float32 [1] or [C], positive"""

    def real(self) -> Tensor:
        """float32 unit * integer, rounded once."""
        if bool((self.unit == 1).all()):
            return self.values.float()
        return self.values.float() * self.unit.reshape(1, -1, *[1] * (self.values.dim() - 2))

    def one_unit(self, layer: str) -> Tensor:
        """The unit [1] of all channels; BnnhwError where they differ."""
        if not bool((self.unit == self.unit[0]).all()):
            raise BnnhwError(f"layer {layer!r}: its input has a scale of its own in every channel; put a fixed layer or an activation before it")
        return self.unit[:1]


Value: TypeAlias = "Tensor | Stream"
"""In evaluation: real numbers between a batch norm and its activation, else a stream."""


class _SignSTE(torch.autograd.Function):
    """Sign with sign(0) = `zero_to`; the gradient passes where |x| <= 1 (Hubara 2016), or as 2 - 2|x| there (Liu 2018)."""

    @staticmethod
    def forward(ctx, x: Tensor, zero_to: int, approx: bool) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        ctx.approx = approx
        fires = x >= 0 if zero_to > 0 else x > 0
        return fires.to(x.dtype).mul_(2).sub_(1)

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[override]
        (x,) = ctx.saved_tensors
        size = x.abs()
        gain = (2 - 2 * size).clamp(min=0) if ctx.approx else (size <= 1).to(grad.dtype)
        return grad * gain, None, None


class Layer(nn.Module):
    """Base: `forward` on real tensors in training, `evaluate` on streams."""

    def evaluate(self, *xs: Value) -> Value:
        raise NotImplementedError


class Product(Layer):
    """Convolution or dense layer of quantised weights [O, C/groups, kh, kw] or [O, K]; pads with the number `pad_value`."""

    def __init__(self, spec: s.Conv | s.Dense, shape: tuple[int, ...], quantiser: WeightQuantiser, compute: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))
        nn.init.xavier_normal_(self.weight)
        self.spec, self.quantiser, self.compute = spec, quantiser, compute
        self.dropout = 0.0
        self._integers: IntegerWeights | None = None

    def train(self, mode: bool = True) -> Product:
        self._integers = None
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        dtype = self.compute if self.training else torch.float32
        w, x = self.quantiser(self.weight).to(dtype), x.to(dtype)
        if self.dropout and self.training:
            x = F.dropout(x, self.dropout)
        sums = self._product(x, w, float(getattr(self.spec, "pad_value", 0)))
        return self.quantiser.after_product(sums) if self.training else sums

    def integers(self) -> IntegerWeights:
        """Weights in evaluation, computed once."""
        if self._integers is None or self.training:
            with torch.no_grad():
                self._integers = _positive(usable_weights(self.spec.name, self.quantiser.integers(self.weight), self.weight.shape))
        return self._integers

    def evaluate(self, *xs: Value) -> Stream:
        x, name, w = _stream(xs[0], self.spec), self.spec.name, self.integers()
        unit = x.one_unit(name)
        pad = getattr(self.spec, "pad_value", 0) / float(unit)
        if pad != round(pad):
            raise BnnhwError(f"layer {name!r}: pads with {pad * float(unit):g}, which is no multiple of its input's unit {float(unit):g}; pad with 0")
        bound = float(w.values.abs().flatten(1).sum(1).max()) * max(float(x.values.abs().max()), abs(pad), 1.0)
        if bound >= FLOAT64_EXACT:
            raise BnnhwError(f"layer {name!r}: sums up to {bound:.3g} are not exact in float64; use fewer bits")
        dtype = torch.float32 if bound < FLOAT32_EXACT else torch.float64
        values, weights = x.values.to(dtype), w.values.to(dtype)
        sums = self._product(values, weights, pad) if self.spec.partial is None else self._partial(values, weights, pad, self.spec.partial)
        return Stream(sums, w.unit * unit)

    def _product(self, x: Tensor, w: Tensor, pad_value: float) -> Tensor:
        spec = self.spec
        if isinstance(spec, s.Dense):
            return F.linear(x.flatten(1), w)
        x = as_maps(x)
        top, left, bottom, right = spec.pad
        symmetric = pad_value == 0 and (top, left) == (bottom, right)
        if not symmetric and any(spec.pad):
            x = F.pad(x, (left, right, top, bottom), value=pad_value)
        return F.conv2d(x, w, None, spec.stride, (top, left) if symmetric else 0, spec.dilation, spec.groups)

    def _partial(self, x: Tensor, w: Tensor, pad_value: float, partial: s.PartialSums) -> Tensor:
        """Sums of every `taps` inputs, in the order (row, column, channel), narrowed before they are added."""
        spec = self.spec
        half = 1 << (partial.bits - 1)
        narrow = Fixed(partial.shift, -half, half - 1, partial.overflow)
        if isinstance(spec, s.Dense):
            columns, rows, size = x.flatten(1)[..., None], w, x.shape[1:]
        else:
            top, left, bottom, right = spec.pad
            x = F.pad(as_maps(x), (left, right, top, bottom), value=pad_value)
            columns, rows, size = F.unfold(x, spec.kernel, spec.dilation, 0, spec.stride), w.flatten(1), (w.shape[1], *spec.kernel)
            if spec.groups > 1:
                raise BnnhwError(f"layer {spec.name!r}: partial sums in groups are not trained; use groups: 1")
        size = (size[0], 1, 1) if len(size) == 1 else size
        order = torch.arange(rows.shape[1]).reshape(size).permute(1, 2, 0).flatten()
        total = np.zeros((1,), np.int64)
        for piece in order.split(partial.taps):
            part = torch.einsum("ok,nkp->nop", rows[:, piece], columns[:, piece]).numpy().astype(np.int64)
            total = total + narrow.apply(part)
        sums = torch.from_numpy(total).to(x.dtype)
        if isinstance(spec, s.Dense):
            return sums[..., 0]
        rows_out = slide(x.shape[2], spec.kernel[0], spec.stride[0], spec.dilation[0], 0, 0)
        return sums.unflatten(2, (rows_out, -1))


class Norm(nn.modules.batchnorm._BatchNorm, Layer):
    """PyTorch's batch norm of maps or vectors."""

    def __init__(self, spec: s.BatchNorm, channels: int) -> None:
        super().__init__(channels, eps=spec.eps)

    def _check_input_dim(self, input: Tensor) -> None:
        """Both [N, C] and [N, C, H, W] are fine."""

    def evaluate(self, *xs: Value) -> Tensor:
        return self(_real(xs[0]))


class ShiftNorm(ShiftBatchNorm, Layer):
    """Shift-based batch norm."""

    def evaluate(self, *xs: Value) -> Tensor:
        return self(_real(xs[0]))


class Sign(Layer):
    """Binary activation, -1 or +1."""

    def __init__(self, spec: s.SignActivation) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, x: Tensor) -> Tensor:
        return _SignSTE.apply(x, self.spec.zero_to, self.spec.gradient == "approx")

    def evaluate(self, *xs: Value) -> Stream:
        return Stream(_SignSTE.apply(_real(xs[0]), self.spec.zero_to, False), torch.ones(1))


class LevelsLayer(Layer):
    """An activation of several levels."""

    def __init__(self, spec: s.Levels, quantiser: ActivationQuantiser) -> None:
        super().__init__()
        self.spec, self.quantiser = spec, quantiser

    def forward(self, x: Tensor) -> Tensor:
        return self.quantiser(x)

    def levels(self) -> Levels:
        """The evaluation form."""
        with torch.no_grad():
            return usable_levels(self.spec.name, self.quantiser.levels())

    def evaluate(self, *xs: Value) -> Stream:
        found = self.levels()
        level = level_of(_real(xs[0]), found.thresholds)
        return Stream(found.values[level].float(), torch.tensor([found.unit]))


class FixedLayer(Layer):
    """Fixed-point numbers, with a batch norm before the rounding where the description says so."""

    def __init__(self, spec: s.FixedPoint, channels: int) -> None:
        super().__init__()
        self.spec = spec
        self.norm = Norm(s.BatchNorm(name=spec.name, eps=spec.eps), channels) if spec.norm else None

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.norm is None else self.norm(x)
        step, spec = 2.0**-self.spec.fraction, self.spec
        places = y / step
        with torch.no_grad():
            rounded = torch.floor(places + 0.5) if spec.rounding == "nearest" else torch.floor(places)
            inside = (rounded >= spec.low) & (rounded <= spec.high)
            narrowed = torch.from_numpy(self._format(0).apply(rounded.double().numpy().astype(np.int64))).to(y.dtype)
        return y + (narrowed * step - y).detach() if bool(inside.all()) else torch.where(inside, y + (narrowed * step - y).detach(), narrowed * step)

    def _format(self, shift: int) -> Fixed:
        return Fixed(shift, self.spec.low, self.spec.high, self.spec.overflow)

    @torch.no_grad()
    def affine(self, unit: Tensor, channels: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Multiplier, addend [C] and shift for input integers of `unit`."""
        scale, bias = unit.double().numpy() * np.ones(channels), np.zeros(channels)
        if self.norm is not None:
            n = self.norm
            factor = (n.weight.double() / torch.sqrt(n.running_var.double() + n.eps)).numpy()  # type: ignore[operator, union-attr]
            bias = n.bias.double().numpy() - factor * n.running_mean.double().numpy()  # type: ignore[operator, union-attr]
            scale = scale * factor
        places = 2.0**self.spec.fraction
        return fixed_affine(self.spec.name, scale * places, bias * places, self.spec.multiplier_bits, self.spec.rounding == "nearest")

    def evaluate(self, *xs: Value) -> Stream:
        x = _stream(xs[0], self.spec)
        multiplier, addend, shift = self.affine(x.unit, x.values.shape[1])
        shape = (1, -1, *[1] * (x.values.dim() - 2))
        numbers = x.values.double().numpy().astype(np.int64) * multiplier.reshape(shape) + addend.reshape(shape)
        narrowed = torch.from_numpy(self._format(shift).apply(numbers))
        return Stream(narrowed.float() if self.spec.bits <= 24 else narrowed.double(), torch.tensor([2.0**-self.spec.fraction]))


class MaxPool(Layer):
    """Maximum over a window; units are positive, so integers are pooled as they are."""

    def __init__(self, spec: s.MaxPool) -> None:
        super().__init__()
        if any(spec.pad):
            raise BnnhwError(f"layer {spec.name!r}: training supports max pools without padding; remove pad")
        self.spec = spec

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(as_maps(x), self.spec.kernel, self.spec.step)

    def evaluate(self, *xs: Value) -> Value:
        (x,) = xs
        return Stream(self(x.values), x.unit) if isinstance(x, Stream) else self(x)


class AvgPool(Layer):
    """Mean over a window: the sum, whose unit is that much smaller."""

    def __init__(self, spec: s.AvgPool) -> None:
        super().__init__()
        self.spec = spec

    def _sum(self, x: Tensor) -> tuple[Tensor, int]:
        x = as_maps(x)
        kernel, stride = self.spec.sized((x.shape[1], x.shape[2], x.shape[3]))
        top, left, bottom, right = self.spec.pad
        return F.avg_pool2d(F.pad(x, (left, right, top, bottom)), kernel, stride, divisor_override=1), kernel[0] * kernel[1]

    def forward(self, x: Tensor) -> Tensor:
        total, taps = self._sum(x)
        return total / taps

    def evaluate(self, *xs: Value) -> Stream:
        x = _stream(xs[0], self.spec)
        total, taps = self._sum(x.values.double())
        return Stream(total, x.unit / taps)


class Add(Layer):
    """Sum of two streams, in the finer unit of both."""

    def __init__(self, spec: s.Add) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return _sum(a, b)

    def shifts(self, a: Stream, b: Stream) -> tuple[tuple[int, int], Tensor]:
        """Places by which each moves up, and the unit of the sum. BnnhwError where units are no power of two apart."""
        name = self.spec.name
        units = [float(s.one_unit(name)) for s in (a, b)]
        least = min(units)
        places = [log2(u / least) for u in units]
        if any(p != round(p) for p in places):
            raise BnnhwError(f"layer {name!r}: units {units[0]:g} and {units[1]:g} are no power of two apart; put fixed layers before it")
        return (round(places[0]), round(places[1])), torch.tensor([least])

    def evaluate(self, *xs: Value) -> Stream:
        a, b = (_stream(x, self.spec) for x in xs)
        (up_a, up_b), unit = self.shifts(a, b)
        return Stream(_sum(a.values * 2**up_a, b.values * 2**up_b), unit)


class Multiply(Layer):
    """Product of two streams; the second may have one channel or one pixel for all."""

    def __init__(self, spec: s.Multiply) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b.reshape(*b.shape, *[1] * (a.dim() - b.dim()))

    def evaluate(self, *xs: Value) -> Stream:
        a, b = (_stream(x, self.spec) for x in xs)
        return Stream(self(a.values.double(), b.values.double()), a.unit * b.unit)


class Concat(Layer):
    """Channels of the second stream after those of the first; units must be the same."""

    def __init__(self, spec: s.Concat) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a, b] if a.dim() == b.dim() else [as_maps(a), as_maps(b)], 1)

    def evaluate(self, *xs: Value) -> Stream:
        a, b = (_stream(x, self.spec) for x in xs)
        if a.one_unit(self.spec.name) != b.one_unit(self.spec.name):
            raise BnnhwError(f"layer {self.spec.name!r}: its inputs have different units; put fixed layers of one format before it")
        return Stream(self(a.values, b.values), a.unit[:1])


class Table(Layer):
    """A function of fixed-point numbers; entries are rounded to the declared format."""

    def __init__(self, spec: s.Table, low: int, high: int) -> None:
        super().__init__()
        self.spec, self.low, self.high = spec, low, high

    def forward(self, x: Tensor) -> Tensor:
        match self.spec.function:
            case "abs":
                return x.abs()
            case "relu":
                return F.relu(x)
        y = torch.sigmoid(x)
        step = 2.0**-self.spec.fraction
        return y + (torch.floor(y.detach() / step + 0.5) * step - y.detach())

    def entries(self, unit: float) -> tuple[np.ndarray, float]:
        """Integers for inputs low .. high of `unit`, and their own unit."""
        x = np.arange(self.low, self.high + 1)
        most = (1 << self.spec.bits) - 1
        match self.spec.function:
            case "abs":
                return np.minimum(np.abs(x), most), unit
            case "relu":
                return np.clip(x, 0, most), unit
        places = np.floor(1 / (1 + np.exp(-x * unit)) * 2.0**self.spec.fraction + 0.5)
        return np.minimum(places, most).astype(np.int64), 2.0**-self.spec.fraction

    def evaluate(self, *xs: Value) -> Stream:
        x = _stream(xs[0], self.spec)
        entries, unit = self.entries(float(x.one_unit(self.spec.name)))
        return Stream(torch.from_numpy(entries)[x.values.long() - self.low].float(), torch.tensor([unit]))


class Flatten(Layer):
    """Its input: dense layers flatten by themselves, what stands between works by channel."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def evaluate(self, *xs: Value) -> Value:
        return xs[0]


def _positive(w: IntegerWeights) -> IntegerWeights:
    """The same weights with positive units: rows of a negative one change their sign."""
    negative = w.unit < 0
    if not negative.any():
        return w
    rows = negative.reshape(-1, *[1] * (w.values.dim() - 1))
    assert w.two_steps is None and (w.planes is None or w.planes.bipolar)
    planes = None if w.planes is None else replace(w.planes, bits=w.planes.bits ^ rows)
    return IntegerWeights(torch.where(rows, -w.values, w.values), w.unit.abs(), planes)


def as_maps(x: Tensor) -> Tensor:
    """[N, C, H, W]; vectors [N, C] become maps of one pixel."""
    return x if x.dim() > 2 else x[..., None, None]


def _sum(a: Tensor, b: Tensor) -> Tensor:
    return a + b if a.dim() == b.dim() else as_maps(a) + as_maps(b)


def _stream(x: Value, spec: s.LayerSpec) -> Stream:
    if not isinstance(x, Stream):
        raise BnnhwError(f"layer {spec.name!r}: takes integers, its input is real behind a batch norm; put a sign, levels or a fixed layer before it")
    return x


def _real(x: Value) -> Tensor:
    return x.real() if isinstance(x, Stream) else x
