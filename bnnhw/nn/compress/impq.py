"""Outputs of their own widths under one budget: a bit more where the loss feels it."""

from __future__ import annotations

from collections.abc import Sequence

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
        if self.spec.across == "layer":
            allot([(w, self)], epoch, epochs)

    def observe_gradient(self, grad: Tensor) -> None:
        """Count the gradient [O, ...] of one step in."""
        self.sensitivity += grad.flatten(1).square().mean(1)

    def _planes(self, values: Tensor) -> Planes:
        """Bipolar planes of scale 1, 2, 4, ..; scale and mask are 0 where the output is narrower."""
        plane = torch.arange(int(self.bits.max()), device=values.device)
        used = plane[:, None] < self.bits
        level = (values + column(2**self.bits - 1, values)) // 2
        bits = level >> plane.reshape(-1, *[1] * values.dim()) & 1
        mask = None if used.all() else used.reshape(*used.shape, *[1] * (values.dim() - 1)).expand_as(bits)
        return Planes(True, bits.bool(), used * 2 ** plane[:, None], mask)


def allot(members: Sequence[tuple[Tensor, ImpqWeights]], epoch: int, epochs: int) -> None:
    """Narrow outputs of these layers, all of one rule, until a weight has at most the epoch's budget on average.

    The smallest rise of sensitivity * squared error a saved bit goes first, whichever layer it is in.
    """
    spec, layer = members[0][1].spec, members[0][1].layer
    error = torch.cat([torch.stack([_error(w.detach(), torch.full_like(q.bits, b)) for b in spec.widths], 1) for w, q in members])
    sizes = torch.cat([torch.full_like(q.bits, w[0].numel()) for w, q in members])
    bits, felt = torch.cat([q.bits for _, q in members]), torch.cat([q.sensitivity for _, q in members])
    found = narrowed(bits, felt, error, spec.widths, budget_of(spec, epoch, epochs), layer, sizes)
    for (_, q), own in zip(members, found.split([len(q.bits) for _, q in members]), strict=True):
        q.bits.copy_(own)


def budget_of(spec: c.Granular, epoch: int, epochs: int) -> float:
    """Mean width of this epoch: from the widest to the budget in `steps`."""
    part = stage(epoch, epochs, spec.steps) / spec.steps
    return spec.widths[-1] + (spec.budget - spec.widths[-1]) * part


def narrowed(
    bits: Tensor, felt: Tensor, error: Tensor, widths: tuple[int, ...], budget: float, layer: str, sizes: Tensor | None = None
) -> Tensor:  # fmt: skip
    """Widths [O], from `bits` downward until their mean is at most `budget`, where felt [O] * error [O, B] rises least a bit.

    `sizes`: int64 [O] numbers that have the width; equal if None.
    """
    if not torch.isfinite(felt).all():
        raise BnnhwError(f"layer {layer!r}: a gradient was NaN or infinite, no width follows from it; lower the learning rate")
    cost = (felt if felt.any() else torch.ones_like(felt))[:, None] * error
    chosen = np.searchsorted(widths, bits.cpu().numpy())
    counts = (torch.ones_like(bits) if sizes is None else sizes).cpu().numpy()
    chosen = reduce_bits(cost.cpu().double().numpy(), counts, widths, budget * int(counts.sum()), chosen)
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
