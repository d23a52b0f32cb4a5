"""Outputs of their own widths under one budget: a bit more where the loss feels it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bnnhw.ir import compressions as c
from bnnhw.ir.errors import BnnhwError
from bnnhw.nn.common import column, straight, usable_scale
from bnnhw.nn.compress.common import stage
from bnnhw.nn.compress.sensitivity import reduce_bits
from bnnhw.nn.quantiser import IntegerWeights, Planes, WeightQuantiser

FITS = 4


class ImpqWeights(WeightQuantiser):
    """Output o has bits[o] bits: odd levels -(2**b - 1) .. 2**b - 1 times a least squares unit (Gonugondla & Shanbhag 2022, IMPQ).

    All start with the widest; in `steps` over the first half of the epochs the least sensitive are narrowed until the budget is met.
    """

    bits: Tensor
    """int64 [O]"""
    sensitivity: Tensor
    """float32 [O]: sum over the steps of the mean squared gradient, the diagonal Fisher information."""

    def __init__(self, spec: c.Impq, shape: tuple[int, ...], layer: str) -> None:
        super().__init__()
        self.spec, self.layer = spec, layer
        self.register_buffer("bits", torch.full((shape[0],), spec.widths[-1]))
        self.register_buffer("sensitivity", torch.zeros(shape[0]))

    def forward(self, w: Tensor) -> Tensor:
        values, unit = _rounded(w.detach(), self.bits)
        return straight(w, column(unit, w) * values)

    def integers(self, w: Tensor) -> IntegerWeights:
        values, unit = _rounded(w.detach(), self.bits)
        return IntegerWeights(values.long(), usable_scale(unit, self.layer), self._planes(values.long()))

    def after_step(self, w: nn.Parameter) -> None:
        if w.grad is not None:
            self.observe_gradient(w.grad)

    def before_epoch(self, w: nn.Parameter, epoch: int, epochs: int) -> None:
        self.allot(w.detach(), budget_of(self.spec, epoch, epochs))

    def observe_gradient(self, grad: Tensor) -> None:
        """Count the gradient [O, ...] of one step in."""
        self.sensitivity += grad.flatten(1).square().mean(1)

    def allot(self, w: Tensor, budget: float) -> None:
        """Narrow outputs until their mean width is at most `budget`, the smallest rise of sensitivity * squared error a bit first."""
        error = torch.stack([_error(w, torch.full_like(self.bits, b)) for b in self.spec.widths], 1)
        self.bits.copy_(narrowed(self.bits, self.sensitivity, error, self.spec.widths, budget, self.layer))

    def _planes(self, values: Tensor) -> Planes:
        """Bipolar planes of scale 1, 2, 4, ..; scale and mask are 0 where the output is narrower."""
        plane = torch.arange(int(self.bits.max()), device=values.device)
        used = plane[:, None] < self.bits
        level = (values + column(2**self.bits - 1, values)) // 2
        bits = level >> plane.reshape(-1, *[1] * values.dim()) & 1
        mask = None if used.all() else used.reshape(*used.shape, *[1] * (values.dim() - 1)).expand_as(bits)
        return Planes(True, bits.bool(), used * 2 ** plane[:, None], mask)


def budget_of(spec: c.Impq, epoch: int, epochs: int) -> float:
    """Mean width of this epoch: from the widest to the budget in `steps`."""
    part = stage(epoch, epochs, spec.steps) / spec.steps
    return spec.widths[-1] + (spec.budget - spec.widths[-1]) * part


def narrowed(bits: Tensor, felt: Tensor, error: Tensor, widths: tuple[int, ...], budget: float, layer: str) -> Tensor:
    """Widths [O], from `bits` downward until their mean is at most `budget`, where felt [O] * error [O, B] rises least a bit."""
    if not widths[0] <= budget:
        raise BnnhwError(f"layer {layer!r}: a budget of {budget:g} bits is below the narrowest width {widths[0]}; raise it")
    if not torch.isfinite(felt).all():
        raise BnnhwError(f"layer {layer!r}: a gradient was NaN or infinite, no width follows from it; lower the learning rate")
    cost = (felt if felt.any() else torch.ones_like(felt))[:, None] * error
    chosen = np.searchsorted(widths, bits.cpu().numpy())
    chosen = reduce_bits(cost.cpu().double().numpy(), np.ones(len(bits), np.int64), widths, budget * len(bits), chosen)
    return torch.tensor(widths)[torch.from_numpy(chosen)]


def _rounded(w: Tensor, bits: Tensor) -> tuple[Tensor, Tensor]:
    """Odd values, shape of `w`, of bits[o] bits and their units [O], by alternating least squares from the full range."""
    top = 2 ** bits.to(w.dtype) - 1
    tiny = torch.finfo(w.dtype).tiny
    unit, limit = w.abs().flatten(1).amax(1) / top, column(top, w)
    for _ in range(FITS):
        values = torch.floor(w / column(unit.clamp(min=tiny), w) / 2).mul(2).add(1)
        values = torch.minimum(torch.maximum(values, -limit), limit)
        unit = (w * values).flatten(1).sum(1) / values.square().flatten(1).sum(1)
    return values, unit


def _error(w: Tensor, bits: Tensor) -> Tensor:
    """[O] squared error of `w` at bits[o] bits."""
    values, unit = _rounded(w, bits)
    return (w - column(unit, w) * values).flatten(1).square().sum(1)
