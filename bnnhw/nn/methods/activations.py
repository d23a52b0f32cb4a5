"""Activation quantisers; training and evaluation share one rule, level = #{k : x >= thresholds[k]}, and one output a level."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from bnnhw.ir import methods as m
from bnnhw.ir.errors import BnnhwError
from bnnhw.nn.common import TINY, sign_of, straight
from bnnhw.nn.compress.impq import budget_of, narrowed
from bnnhw.nn.methods.bases import QUARTILE, codes_of
from bnnhw.nn.methods.common import reduced_scales
from bnnhw.nn.quantiser import ActivationQuantiser, Levels, Planes

S = TypeVar("S")
LEAST = 1e-3
"""Learned clips and scales stay above it."""


def level_of(x: Tensor, thresholds: Tensor) -> Tensor:
    """int64, shape and memory layout of `x`: the thresholds, [L-1] or [C, L-1], that each number reaches."""
    x, thresholds = x.float(), thresholds.to(x.device)
    if thresholds.dim() == 2:
        level = torch.searchsorted(thresholds, _by_channel(x, len(thresholds)), right=True)
        return torch.empty_like(x, dtype=torch.long).copy_(level.unflatten(1, (len(x), -1)).movedim(1, 0).reshape(x.shape))
    if x.dim() == 1 or x.is_contiguous():
        return torch.bucketize(x, thresholds, right=True)
    return torch.bucketize(x.movedim(1, -1).contiguous(), thresholds, right=True).movedim(-1, 1)


def _by_channel(x: Tensor, channels: int) -> Tensor:
    """[C, ...] the numbers of each channel of `x` [N, C], [N, C, H, W] or, flattened, [N, C * H * W]."""
    return x.reshape(len(x), channels, -1).movedim(1, 0).flatten(1).contiguous()


def _levels(thresholds: Tensor | Iterable[float], values: Tensor | Iterable[int], unit: float | Tensor, planes: Planes | None = None) -> Levels:
    return Levels(torch.as_tensor(thresholds, dtype=torch.float32), torch.as_tensor(values), float(torch.as_tensor(unit).float()), planes)


class LevelActivation(ActivationQuantiser, Generic[S]):
    """An activation defined by its `levels`; its gradient is that of `surrogate`."""

    def __init__(self, spec: S, layer: str) -> None:
        super().__init__()
        self.spec, self.layer = spec, layer

    def surrogate(self, x: Tensor, levels: Levels) -> Tensor:
        """A differentiable stand-in for the output."""
        raise NotImplementedError

    def observe(self, x: Tensor) -> None:
        """Follow the inputs; called without gradient in training, and to calibrate."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            if self.training:
                self.observe(x)
            levels = self.levels()
            y = (levels.values.to(x.device, x.dtype) * levels.unit)[level_of(x, levels.thresholds)]
        return straight(self.surrogate(x, levels), y)

    def clipped(self, x: Tensor, levels: Levels) -> Tensor:
        """`x` between the least and the largest output."""
        return x.clamp(int(levels.values[0]) * levels.unit, int(levels.values[-1]) * levels.unit)

    def usable(self, what: str, value: Tensor) -> Tensor:
        """`value` without gradient where it is finite, else BnnhwError."""
        if not torch.isfinite(value).all():
            raise BnnhwError(f"layer {self.layer!r}: the learned {what} must be finite, it is {value.tolist()}; lower the learning rate")
        return value.detach()


class StochasticSignActivation(LevelActivation[m.StochasticSignActivationSpec]):
    """+1 with the probability clip((x + 1)/2, 0, 1) in training, the sign in evaluation; gradient where |x| <= 1."""

    def levels(self) -> Levels:
        return _levels([0.0], [-1, 1], 1.0)

    def surrogate(self, x: Tensor, levels: Levels) -> Tensor:
        return x.clamp(-1, 1)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        return straight(x.clamp(-1, 1), sign_of((x.detach() + 1) / 2 - torch.rand_like(x).clamp_min_(TINY)))


class UintActivation(LevelActivation[m.UintActivationSpec]):
    """round((2**bits - 1) clip(x, 0, 1)), half rounded up."""

    def levels(self) -> Levels:
        n = 2**self.spec.bits - 1
        return _levels([(j + 0.5) / n for j in range(n)], range(n + 1), 1 / n)

    def surrogate(self, x: Tensor, levels: Levels) -> Tensor:
        return x.clamp(0, 1)


class PactActivation(LevelActivation[m.PactActivationSpec]):
    """round((2**bits - 1) clip(x, 0, alpha) / alpha); alpha learns from the inputs that reach it."""

    def __init__(self, spec: m.PactActivationSpec, layer: str) -> None:
        super().__init__(spec, layer)
        self.alpha = nn.Parameter(torch.tensor(spec.alpha))

    def levels(self) -> Levels:
        n = 2**self.spec.bits - 1
        unit = self.usable("clip alpha", self.alpha).clamp_min(LEAST) / n
        return _levels((torch.arange(n, device=unit.device) + 0.5) * unit, range(n + 1), unit)

    def surrogate(self, x: Tensor, levels: Levels) -> Tensor:
        return torch.where(x >= self.alpha.detach(), self.alpha, x.relu())


@functools.cache
def half_gaussian_levels(count: int, uniform: bool) -> tuple[float, ...]:
    """The `count` positive levels of least squared error for the positive half of a Gaussian (Lloyd 1982)."""
    q = [3.0 * (i + 1) / count for i in range(count)]
    for _ in range(10_000):
        ends = [0.0, *((a + b) / 2 for a, b in itertools.pairwise(q)), math.inf]
        mass = [math.erf(b / 2**0.5) - math.erf(a / 2**0.5) for a, b in itertools.pairwise(ends)]
        moment = [(math.exp(-a * a / 2) - math.exp(-b * b / 2)) * (2 / math.pi) ** 0.5 for a, b in itertools.pairwise(ends)]
        if uniform:
            step = sum(i * x for i, x in enumerate(moment, 1)) / sum(i * i * x for i, x in enumerate(mass, 1))
            following = [step * i for i in range(1, count + 1)]
        else:
            following = [x / y for x, y in zip(moment, mass, strict=True)]
        if max(abs(a - b) for a, b in zip(q, following, strict=True)) < 1e-12:
            break
        q = following
    return tuple(q)


class HwgqActivation(LevelActivation[m.HwgqActivationSpec]):
    """0 for x <= 0, else the nearest Lloyd level of a half Gaussian; gradient of the spec's rectifier (section 4.2)."""

    def __init__(self, spec: m.HwgqActivationSpec, layer: str) -> None:
        super().__init__(spec, layer)
        q = half_gaussian_levels(2**spec.bits - 1, spec.uniform)
        thresholds = [TINY, *((a + b) / 2 for a, b in itertools.pairwise(q))]
        if spec.uniform:
            self._levels = _levels(thresholds, range(len(q) + 1), q[0])
        else:
            self._levels = _levels(thresholds, *reduced_scales(torch.tensor([0.0, *q]), spec.scale_bits))

    def levels(self) -> Levels:
        return self._levels

    def surrogate(self, x: Tensor, levels: Levels) -> Tensor:
        top = int(levels.values[-1]) * levels.unit
        match self.spec.gradient:
            case "relu":
                return x.relu()
            case "clipped_relu":
                return x.clamp(0, top)
            case "log_tailed_relu":
                return torch.where(x <= top, x.relu(), torch.log((x - (top - 1)).clamp_min(1)) + top)


class LqActivation(LevelActivation[m.LqActivationSpec]):
    """Sums of a learned positive basis, nearest to x; the basis follows the rectified inputs by QEM in training.

    The basis is rounded to `scale_bits` in training too; levels that coincide then are one.
    """

    def __init__(self, spec: m.LqActivationSpec, layer: str) -> None:
        super().__init__(spec, layer)
        self.register_buffer("basis", torch.exp2(torch.arange(float(spec.bits))) * 2 * QUARTILE / (2**spec.bits - 1))

    def observe(self, x: Tensor) -> None:
        """One QEM step and the moving average; a histogram of levels is all that least squares needs."""
        codes = codes_of(self.spec.bits).to(x.device)
        levels, order = (codes.to(self.basis.dtype) @ self.basis).sort()
        bits = codes[order].double()
        positive = x.relu().flatten()
        level = level_of(positive, (levels[1:] + levels[:-1]) / 2)
        count = torch.bincount(level, minlength=len(levels)).double()
        total = torch.bincount(level, positive.double(), minlength=len(levels))
        fitted = torch.linalg.pinv(bits.T * count @ bits, hermitian=True) @ (bits.T @ total)
        self.basis.lerp_(fitted.clamp_min(LEAST).to(self.basis.dtype), 1 - self.spec.momentum)

    def levels(self) -> Levels:
        scale, unit = reduced_scales(self.usable("basis", self.basis), self.spec.scale_bits)
        codes = codes_of(self.spec.bits).to(scale.device)[:, scale > 0]
        scale = scale[scale > 0]
        by_value = {int(v): i for i, v in reversed(list(enumerate((codes * scale).sum(1))))}
        values = torch.tensor(sorted(by_value))
        planes = Planes(False, codes[[by_value[int(v)] for v in values]].T.contiguous(), scale[:, None])
        return _levels((values[1:] + values[:-1]) / 2 * unit.to(values.device), values, unit, planes)

    def surrogate(self, x: Tensor, levels: Levels) -> Tensor:
        return self.clipped(x, levels)


class AbcActivation(LevelActivation[m.AbcActivationSpec]):
    """sum_i beta_i H(clip(x + v_i, 0, 1)), H = +-1 around 1/2; shifts v and scales beta are learned.

    A thermometer code: the threshold of base i is 1/2 - v_i. Scales are rounded to `scale_bits` in training too.
    """

    def __init__(self, spec: m.AbcActivationSpec, layer: str) -> None:
        super().__init__(spec, layer)
        n = spec.bases
        self.shift = nn.Parameter(0.5 + (torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1)))
        self.scale = nn.Parameter(torch.full((n,), 1 / n))

    def levels(self) -> Levels:
        at = 0.5 - self.usable("shifts", self.shift)
        scale, unit = reduced_scales(self.usable("scales", self.scale).clamp_min(LEAST), self.spec.scale_bits)
        scale = scale.clamp_min(1)
        thresholds = at.unique()
        bits = torch.cat([torch.zeros_like(at, dtype=torch.bool)[:, None], at[:, None] <= thresholds], 1)
        planes = Planes(True, bits, scale[:, None])
        return _levels(thresholds, planes.values(), unit, planes)

    def surrogate(self, x: Tensor, levels: Levels) -> Tensor:
        scale, y = straight(self.scale, self.scale.detach().clamp_min(LEAST)), torch.zeros_like(x)
        for v, beta in zip(self.shift, scale, strict=True):
            y = y + beta * straight((x + v).clamp(0, 1), sign_of(x.detach() - (0.5 - v.detach())))
        return y


class TernaryActivation(LevelActivation[m.TernaryActivationSpec]):
    """-1, 0, +1 with thresholds at +-r; derivative 1/(2a) where r - a <= |x| <= r + a."""

    def levels(self) -> Levels:
        return _levels([-self.spec.r, self.spec.r], [-1, 0, 1], 1.0)

    def surrogate(self, x: Tensor, levels: Levels) -> Tensor:
        a = self.spec.window
        return straight(x, x.detach(), ((x.abs() - self.spec.r).abs() <= a) / (2 * a))


class FixedActivation(LevelActivation[m.FixedActivationSpec]):
    """Saturating <IL, FL>, unit 2**-FL."""

    def levels(self) -> Levels:
        bits, unit = self.spec.integer_bits + self.spec.fraction_bits, 2.0**-self.spec.fraction_bits
        low = -(2 ** (bits - 1)) if self.spec.signed else 0
        values = torch.arange(low, low + 2**bits)
        return _levels((values[1:] - (0.5 if self.spec.rounding == "nearest" else 0)) * unit, values, unit)

    def surrogate(self, x: Tensor, levels: Levels) -> Tensor:
        return self.clipped(x, levels)


class UniformActivation(LevelActivation[m.UniformActivationSpec]):
    """round(x/S + Z), half rounded up, of the range that was observed: in training, or by `observe` alone."""

    def __init__(self, spec: m.UniformActivationSpec, layer: str) -> None:
        super().__init__(spec, layer)
        self.register_buffer("least", torch.tensor(math.inf))
        self.register_buffer("largest", torch.tensor(-math.inf))

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Widen the range to the numbers in `x`."""
        torch.minimum(self.least, x.min().float(), out=self.least)
        torch.maximum(self.largest, x.max().float(), out=self.largest)

    def levels(self) -> Levels:
        n, low, high = 2**self.spec.bits - 1, 0.0 if self.spec.relu else min(0.0, float(self.least)), max(0.0, float(self.largest))
        if not (math.isfinite(high - low) and high > low):
            raise BnnhwError(
                f"layer {self.layer!r}: static levels need an observed range, it is {float(self.least):g} to {float(self.largest):g}; calibrate on training data"
            )
        unit = (high - low) / n
        values = torch.arange(n + 1) - round(-low / unit)
        return _levels((values[1:] - 0.5) * unit, values, unit)

    def surrogate(self, x: Tensor, levels: Levels) -> Tensor:
        return self.clipped(x, levels)


class LogActivation(LevelActivation[m.LogActivationSpec]):
    """0 and the 2**bits - 1 powers of two up to 2**fsr, rounded in the logarithm."""

    def levels(self) -> Levels:
        powers = 2 ** torch.arange(2**self.spec.bits - 1)
        unit = 2.0**self.spec.fsr / int(powers[-1])
        return _levels(powers * unit * 2**-0.5, torch.cat([torch.zeros(1, dtype=torch.long), powers]), unit)

    def surrogate(self, x: Tensor, levels: Levels) -> Tensor:
        return self.clipped(x, levels)


class _Felt(torch.autograd.Function):
    """The identity; on the way back the mean of (gradient * error)**2 of every channel is added to `total` [C]."""

    @staticmethod
    def forward(ctx, y: Tensor, error: Tensor, total: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(error)
        ctx.total = total
        return y.view_as(y)

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[override]
        (error,) = ctx.saved_tensors
        ctx.total.add_((_by_channel(grad.float(), len(error)) * error).square().mean(1))
        return grad, None, None


class ImpqActivation(LevelActivation[m.ImpqActivationSpec]):
    """Channel c rounds clip(x, 0, 1) to 2**bits[c] - 1 steps, half up, in the levels of the widest: of them it skips those it lacks.

    All start with the widest; in `steps` over the epochs the least sensitive are narrowed until the budget is met.
    """

    bits: Tensor
    """int64 [C]"""
    sensitivity: Tensor
    """float32 [C]: sum over the training steps of the mean of gradient**2 * error**2, the error in steps of the channel's own."""

    def __init__(self, spec: m.ImpqActivationSpec, layer: str, channels: int) -> None:
        super().__init__(spec, layer)
        self.register_buffer("bits", torch.full((channels,), spec.widths[-1]))
        self.register_buffer("sensitivity", torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if not (self.training and y.requires_grad):
            return y
        with torch.no_grad():
            error = _by_channel((y - x.clamp(0, 1)).float(), len(self.bits)) * (2**self.bits - 1)[:, None]
        return _Felt.apply(y, error, self.sensitivity)

    def levels(self) -> Levels:
        n, steps = 2 ** self.spec.widths[-1] - 1, (2**self.bits - 1)[:, None]
        own = torch.arange(n, device=steps.device) // (n // steps)
        return _levels((own.double() + 0.5) / steps, range(n + 1), 1 / n)

    def surrogate(self, x: Tensor, levels: Levels) -> Tensor:
        return x.clamp(0, 1)

    def before_epoch(self, epoch: int, epochs: int) -> None:
        widths = self.spec.widths
        error = (2.0 ** torch.tensor(widths, device=self.bits.device) - 1) ** -2
        self.bits.copy_(narrowed(self.bits, self.sensitivity, error, widths, budget_of(self.spec, epoch, epochs), self.layer))
