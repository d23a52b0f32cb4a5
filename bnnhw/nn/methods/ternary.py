"""Ternary weights: TWN, trained ternary quantisation, gated XNOR networks."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.methods import FanInWeightSpec, GxnorWeightSpec, TtqWeightSpec, TwnWeightSpec
from bnnhw.nn.common import column, straight, usable_scale
from bnnhw.nn.methods.common import ClippedWeights, CodedWeights, mean_magnitude, reduced_scales
from bnnhw.nn.quantiser import IntegerWeights


def ternary(w: Tensor, per_tensor: bool) -> tuple[Tensor, Tensor]:
    """TWN: values with threshold 0.7 mean |w|, and the scale [O] of least squares given them."""
    values = w.sign() * (w.abs() > 0.7 * column(mean_magnitude(w, per_tensor), w))
    total, kept = (w * values).flatten(1).sum(1), values.abs().flatten(1).sum(1)
    if per_tensor:
        total, kept = total.sum().expand(len(w)), kept.sum().expand(len(w))
    return values, total / kept.clamp_min(1)


class TwnWeights(CodedWeights[TwnWeightSpec]):
    """-1, 0, +1 times a scale an output."""

    def code(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return ternary(w, self.spec.per_tensor)


class FanInWeights(CodedWeights[FanInWeightSpec]):
    """The signs of the `n` weights of each output that are largest in magnitude, over the root of `n`.

    The gradient goes straight through to all of them, so that others can take their place (Jayakumar 2020).
    """

    def __init__(self, spec: FanInWeightSpec, shape: tuple[int, ...], layer: str) -> None:
        super().__init__(spec, shape, layer)
        inputs = prod(shape[1:])
        if spec.n > inputs:
            raise BnnhwError(f"layer {layer!r}: an output has {inputs} inputs, n is {spec.n}; give at most as many")

    def code(self, w: Tensor) -> tuple[Tensor, Tensor]:
        rows = w.flatten(1)
        largest = rows.abs().topk(self.spec.n, dim=1).indices
        values = torch.zeros_like(rows).scatter_(1, largest, torch.where(rows.gather(1, largest) < 0, -1.0, 1.0))
        return values.reshape(w.shape), torch.full((len(w),), self.spec.n**-0.5, dtype=w.dtype, device=w.device)


class TtqWeights(CodedWeights[TtqWeightSpec]):
    """-Wn, 0, +Wp with learned positive scales, which start at the least squares optimum of the first weights.

    A latent weight's gradient is scaled by its own scale, by 1 where it is 0 (equation 8). The gradient of Wn is
    that of the chain rule; equation 7 leaves out its minus.
    """

    def __init__(self, spec: TtqWeightSpec, shape: tuple[int, ...], layer: str) -> None:
        super().__init__(spec, shape, layer)
        self.scales = nn.Parameter(torch.zeros(2))
        """Wp, Wn; 0 before the first forward pass in training."""

    def parts(self, w: Tensor) -> Tensor:
        """[2, ..] 1 where a weight is positive, 1 where it is negative."""
        delta = self.spec.t * w.abs().max()
        return torch.stack([w > delta, w < -delta]).to(w.dtype)

    def current(self, w: Tensor, parts: Tensor) -> Tensor:
        """[2] the scales, or where they begin."""
        if self.scales.any():
            return self.scales.detach()
        return (parts * w.abs()).flatten(1).sum(1) / parts.flatten(1).sum(1).clamp_min(1)

    def forward(self, w: Tensor) -> Tensor:
        with torch.no_grad():
            positive, negative = parts = self.parts(w)
            if self.training:
                self.scales.copy_(self.current(w, parts))
            p, n = self.current(w, parts)
            gain = 1 + (p - 1) * positive + (n - 1) * negative
        if not self.scales.any():
            return straight(w, p * positive - n * negative, gain)
        return self.scales[0] * positive - self.scales[1] * negative + straight(w, torch.zeros_like(w), gain)

    @torch.no_grad()
    def integers(self, w: Tensor) -> IntegerWeights:
        parts = self.parts(self.usable(w))
        scales = self.current(w, parts)
        usable_scale(scales.max().reshape(1), self.layer)
        (p, n), unit = reduced_scales(scales, self.spec.scale_bits)
        return self.finished(p * parts[0].long() - n * parts[1].long(), unit.expand(len(w)))

    def after_step(self, w: nn.Parameter) -> None:
        if self.scales.any():
            self.scales.clamp_min_(1e-6)


class GxnorWeights(ClippedWeights[GxnorWeightSpec]):
    """-1, 0, +1 with thresholds at +-1/2; latent weights in [-1, 1] stand for the paper's random discrete transitions.

    Before the first epoch the weights are scaled so that 1/2 is TWN's threshold: those of an ordinary
    initialisation would all be 0.
    """

    def code(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return w.sign() * (w.abs() > 0.5), w.new_ones(len(w))

    def before_epoch(self, w: nn.Parameter, epoch: int, epochs: int) -> None:
        if epoch == 0:
            self.spread(w, 0.5 / 0.7)
