"""Weights that are frozen at their quantised values part by part: INQ and ELQ."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from bnnhw.ir.methods import ElqWeightSpec, InqWeightSpec
from bnnhw.nn.common import sign_of, straight
from bnnhw.nn.methods.common import CodedWeights, mean_magnitude, portion
from bnnhw.nn.methods.ternary import ternary

S = TypeVar("S", bound=InqWeightSpec | ElqWeightSpec)


class IncrementalWeights(CodedWeights[S]):
    """A growing part of the weights is frozen at its quantised values, the rest is real in training.

    `before_epoch` freezes the largest magnitudes of the rest. The scale of the grid is that of the first
    weights, so that frozen values stay on it. Evaluation quantises all.
    """

    def __init__(self, spec: S, shape: tuple[int, ...], layer: str) -> None:
        super().__init__(spec, shape, layer)
        self.register_buffer("frozen", torch.zeros(shape, dtype=torch.bool))
        self.register_buffer("held", torch.zeros(shape))
        self.register_buffer("fixed_scale", torch.zeros(()))

    def scale(self, w: Tensor) -> Tensor:
        """The scale of the grid, taken from `w` until the first weights are frozen."""
        return self.fixed_scale if self.fixed_scale else self.first_scale(w)

    def first_scale(self, w: Tensor) -> Tensor:
        """The scale of the grid for weights `w`."""
        raise NotImplementedError

    def order(self, w: Tensor) -> Tensor:
        """Positive scores; the highest freeze first."""
        return w.abs()

    def forward(self, w: Tensor) -> Tensor:
        if not self.training:
            return super().forward(w)
        return straight(w, torch.where(self.frozen, self.held, w.detach()), (~self.frozen).to(w.dtype))

    def after_step(self, w: nn.Parameter) -> None:
        w.copy_(torch.where(self.frozen, self.held, w))

    def before_epoch(self, w: nn.Parameter, epoch: int, epochs: int) -> None:
        self.fixed_scale.copy_(self.scale(self.usable(w)))
        more = round(portion(self.spec.steps, epoch, epochs) * w.numel()) - int(self.frozen.sum())
        if more <= 0:
            return
        values, unit = self.code(w)
        chosen = torch.where(self.frozen, -1.0, self.order(w)).flatten().topk(more).indices
        self.frozen.view(-1)[chosen] = True
        self.held.view(-1)[chosen] = (unit[0] * values).flatten()[chosen]
        self.after_step(w)


class InqWeights(IncrementalWeights[InqWeightSpec]):
    """0 and +-2**n with n from n2 to n1 = floor(log2(4 max|w| / 3)), 2**(bits-2) powers; unit 2**n2 (equations 2 to 4)."""

    def first_scale(self, w: Tensor) -> Tensor:
        return torch.exp2((w.abs().max().double() * 4 / 3).log2().floor()).float()

    def order(self, w: Tensor) -> Tensor:
        return torch.rand_like(w) if self.spec.partition == "random" else w.abs()

    def code(self, w: Tensor) -> tuple[Tensor, Tensor]:
        powers = torch.exp2(torch.arange(2 ** (self.spec.bits - 2), device=w.device))
        unit = self.scale(w) / powers[-1]
        magnitudes = torch.cat([powers.new_zeros(1), powers])
        middles = (magnitudes[1:] + magnitudes[:-1]) / 2
        return w.sign() * magnitudes[torch.bucketize(w.abs(), unit * middles, right=True)], unit.expand(len(w))


class _LossError(torch.autograd.Function):
    """Value `real`; gradient g (1 + a sign<g, error>) + b error, 0 for frozen weights."""

    @staticmethod
    def forward(ctx, w: Tensor, real: Tensor, error: Tensor, free: Tensor, a: float, b: float) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(error, free)
        ctx.weights = a, b
        return real.view_as(real)

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[override]
        error, free = ctx.saved_tensors
        a, b = ctx.weights
        return (grad * (1 + a * (grad * error).sum().sign()) + b * error) * free, None, None, None, None, None


class ElqWeights(IncrementalWeights[ElqWeightSpec]):
    """+-alpha, or 0 and +-alpha, learned by L(w) + a |L(q) - L(w)| + b/2 |w - q|**2 while the largest weights freeze.

    After the idea of the paper: both terms act on the gradient, the loss perturbation to first order as
    |<dL/dw, q - w>|. The nearest level counts; alpha is that of the first weights (BWN or TWN, a layer).
    """

    def first_scale(self, w: Tensor) -> Tensor:
        return (mean_magnitude(w, True) if self.spec.target == "binary" else ternary(w, True)[1])[0]

    def code(self, w: Tensor) -> tuple[Tensor, Tensor]:
        alpha = self.scale(w)
        values = sign_of(w) if self.spec.target == "binary" else w.sign() * (w.abs() >= alpha / 2)
        return values, alpha.expand(len(w))

    def forward(self, w: Tensor) -> Tensor:
        if not self.training:
            return super().forward(w)
        with torch.no_grad():
            values, unit = self.code(w)
            real = torch.where(self.frozen, self.held, w)
            error, free = w - unit[0] * values, (~self.frozen).to(w.dtype)
        return _LossError.apply(w, real, error, free, self.spec.perturbation, self.spec.approximation)
