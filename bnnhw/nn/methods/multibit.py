"""Weights of several bits: DoReFa, fixed point, least squares, logarithmic and static levels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnnhw.ir.methods import DorefaWeightSpec, FixedWeightSpec, LogWeightSpec, StaticWeightSpec, UniformWeightSpec
from bnnhw.nn.common import TINY, column, half_up, power_of_two, sign_of, straight
from bnnhw.nn.methods.common import CodedWeights, mean_magnitude


class _GradientQuantiser(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, bits: int) -> Tensor:  # type: ignore[override]
        ctx.steps = 2**bits - 1
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[override]
        n = ctx.steps
        span = 2 * grad.abs().flatten(1).amax(1).clamp_min(TINY).reshape(-1, *[1] * (grad.dim() - 1))
        noise = (torch.rand_like(grad) - 0.5) / n
        return span * (((grad / span + 0.5 + noise).clamp_(0, 1) * n).round_() / n - 0.5), None


def quantise_gradient(x: Tensor, bits: int) -> Tensor:
    """`x` [N, ..], whose gradient is rounded to `bits` bits of each sample's range, with noise (DoReFa, equation 12)."""
    return _GradientQuantiser.apply(x, bits)


class DorefaWeights(CodedWeights[DorefaWeightSpec]):
    """1 bit: sign times the layer's mean magnitude. k bits: the odd integers up to 2**k - 1, unit 1/(2**k - 1), of
    tanh(w) over its largest magnitude; the gradient of the layer's sums is quantised where `gradient_bits` is given.
    """

    def after_product(self, sums: Tensor) -> Tensor:
        return sums if self.spec.gradient_bits is None else quantise_gradient(sums, self.spec.gradient_bits)

    def code(self, w: Tensor) -> tuple[Tensor, Tensor]:
        if self.spec.bits == 1:
            return sign_of(w), mean_magnitude(w, per_tensor=True)
        n = 2**self.spec.bits - 1
        return 2 * torch.round(n * (_squashed(w) / 2 + 0.5)) - n, w.new_full((len(w),), 1 / n)

    def forward(self, w: Tensor) -> Tensor:
        with torch.no_grad():
            values, unit = self.code(w)
            real = column(unit, w) * values
        return straight(w if self.spec.bits == 1 else _squashed(w), real)


def _squashed(w: Tensor) -> Tensor:
    squashed = torch.tanh(w)
    return squashed / squashed.abs().max().clamp_min(TINY)


class FixedWeights(CodedWeights[FixedWeightSpec]):
    """Two's complement <IL, FL>, unit 2**-FL; saturating weights are clipped to the range after every step."""

    def __init__(self, spec: FixedWeightSpec, shape: tuple[int, ...], layer: str) -> None:
        super().__init__(spec, shape, layer)
        half = 2 ** (spec.integer_bits + spec.fraction_bits - 1)
        self.low, self.high, self.per_unit = -half, half - 1, 2**spec.fraction_bits

    def fitted(self, n: Tensor) -> Tensor:
        """Integers `n` after overflow."""
        match self.spec.overflow:
            case "saturate":
                return n.clamp(self.low, self.high)
            case "zero":
                return torch.where((n >= self.low) & (n <= self.high), n, 0.0)
            case "wrap":
                return torch.remainder(n - self.low, self.high - self.low + 1) + self.low

    def code(self, w: Tensor) -> tuple[Tensor, Tensor]:
        x = w * self.per_unit
        return self.fitted(x.floor() if self.spec.rounding == "truncate" else half_up(x)), w.new_full((len(w),), 1 / self.per_unit)

    def forward(self, w: Tensor) -> Tensor:
        if self.spec.rounding != "stochastic" or not self.training:
            return super().forward(w)
        with torch.no_grad():
            drawn = self.fitted((w * self.per_unit + torch.rand_like(w)).floor()) / self.per_unit
        return straight(w, drawn)

    def after_step(self, w: nn.Parameter) -> None:
        if self.spec.overflow == "saturate":
            w.clamp_(self.low / self.per_unit, self.high / self.per_unit)


class UniformWeights(CodedWeights[UniformWeightSpec]):
    """step * integer up to +-(2**(bits-1) - 1): integers and the step of least squares in turn, an output."""

    def code(self, w: Tensor) -> tuple[Tensor, Tensor]:
        most, rows = 2 ** (self.spec.bits - 1) - 1, w.flatten(1)
        step = rows.abs().amax(1, keepdim=True) / most
        for _ in range(self.spec.iterations):
            codes = _rounded(rows, step, most)
            step = (rows * codes).sum(1, keepdim=True) / (codes * codes).sum(1, keepdim=True).clamp_min(1)
        return _rounded(rows, step, most).view_as(w), step.squeeze(1)


class StaticWeights(CodedWeights[StaticWeightSpec]):
    """round(w / S) with S = max|w| / (2**(bits-1) - 1) an output."""

    def code(self, w: Tensor) -> tuple[Tensor, Tensor]:
        most, rows = 2 ** (self.spec.bits - 1) - 1, w.flatten(1)
        step = rows.abs().amax(1, keepdim=True) / most
        return _rounded(rows, step, most).view_as(w), step.squeeze(1)


def _rounded(rows: Tensor, step: Tensor, most: int) -> Tensor:
    return torch.round(rows / step.clamp_min(TINY)).clamp_(-most, most)


class LogWeights(CodedWeights[LogWeightSpec]):
    """Sign and 2**(bits-1) powers of two up to the one nearest to the layer's largest, rounded in the logarithm; 0 stays 0."""

    def code(self, w: Tensor) -> tuple[Tensor, Tensor]:
        powers = torch.exp2(torch.arange(2 ** (self.spec.bits - 1), device=w.device))
        unit = power_of_two(w.abs().max()) / powers[-1]
        middles = unit * powers[:-1] * 2**0.5
        return w.sign() * powers[torch.bucketize(w.abs(), middles, right=True)], unit.expand(len(w))
