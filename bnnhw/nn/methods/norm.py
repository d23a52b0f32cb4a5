"""Batch norm with shifts in place of products (Hubara et al. 2016)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnnhw.nn.common import power_of_two, straight

EPS = 2.0**-17
"""With a running variance of 1 - EPS, both exact in float32, an ordinary batch norm divides by exactly 1."""


class ShiftBatchNorm(nn.Module):
    """(x - mean) AP2(1/std) AP2(gamma) + beta, the variance being the mean of c AP2(c) of centred inputs c.

    Inputs [N, C, ..]; parameters and buffers are named as in `nn.BatchNorm2d`. Gradients pass AP2 straight through.
    """

    def __init__(self, channels: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = EPS, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            n = self.as_batch_norm()
            return F.batch_norm(x, n["running_mean"], n["running_var"], n["weight"], n["bias"], eps=EPS)
        axes, shape = [0, *range(2, x.dim())], (1, -1, *[1] * (x.dim() - 2))
        mean = x.mean(axes)
        centred = x - mean.reshape(shape)
        variance = (centred * straight(centred, power_of_two(centred.detach()))).mean(axes)
        with torch.no_grad():
            self.running_mean.lerp_(mean.float(), self.momentum)
            self.running_var.lerp_(variance.float(), self.momentum)
        return centred * self._shift(variance).reshape(shape) + self.bias.reshape(shape)

    def _shift(self, variance: Tensor) -> Tensor:
        """AP2(1/std) AP2(gamma)."""
        inverse = torch.rsqrt(variance + EPS)
        return straight(inverse, power_of_two(inverse.detach())) * straight(self.weight, power_of_two(self.weight.detach()))

    @torch.no_grad()
    def as_batch_norm(self) -> dict[str, Tensor]:
        """float32 parameters of the `nn.BatchNorm` with eps = EPS that evaluation uses; its scale is a power of two exactly."""
        return {
            "weight": self._shift(self.running_var),
            "bias": self.bias.detach().clone(),
            "running_mean": self.running_mean.clone(),
            "running_var": torch.full_like(self.running_var, 1 - EPS),
        }
