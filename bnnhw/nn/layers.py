"""Binarized layers whose evaluation is exact on integers.

In evaluation every tensor up to the batch norm holds integers below 2**24, so float32 sums are exact
in any order; the batch norm is PyTorch's own, whose float32 operations lowering repeats bit for bit.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _SignSTE(torch.autograd.Function):
    """Sign with sign(0) = `zero_to`; the gradient passes where |x| <= 1 (Hubara et al. 2016)."""

    @staticmethod
    def forward(ctx, x: Tensor, zero_to: int) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        fires = x >= 0 if zero_to > 0 else x > 0
        return fires.to(x.dtype).mul_(2).sub_(1)

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1).to(grad.dtype), None


class Sign(nn.Module):
    """Binary activation, -1 or +1."""

    def __init__(self, zero_to: int) -> None:
        super().__init__()
        self.zero_to = zero_to

    def forward(self, x: Tensor) -> Tensor:
        return _SignSTE.apply(x, self.zero_to)


class BinaryConv2d(nn.Module):
    """Convolution with the signs of latent weights [O, C/groups, kh, kw]; pads with the number `pad_value`."""

    def __init__(self, channels, out, kernel, stride, dilation, pad, pad_value, groups, compute) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, channels // groups, *kernel))
        nn.init.xavier_normal_(self.weight)
        self.stride, self.dilation, self.groups = stride, dilation, groups
        top, left, bottom, right = pad
        self.symmetric = (top, left) if pad_value == 0 and (top, left) == (bottom, right) else None
        self.pad, self.pad_value, self.compute = (left, right, top, bottom), pad_value, compute

    def forward(self, x: Tensor) -> Tensor:
        dtype = self.compute if self.training else torch.float32
        w, x = _SignSTE.apply(self.weight, 1).to(dtype), x.to(dtype)
        if self.symmetric is None:
            x = F.pad(x, self.pad, value=self.pad_value)
        return F.conv2d(x, w, None, self.stride, self.symmetric or 0, self.dilation, self.groups)


class BinaryLinear(nn.Module):
    """Dense layer with the signs of latent weights [O, K]."""

    def __init__(self, features: int, out: int, compute: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, features))
        nn.init.xavier_normal_(self.weight)
        self.compute = compute

    def forward(self, x: Tensor) -> Tensor:
        dtype = self.compute if self.training else torch.float32
        return F.linear(x.flatten(1).to(dtype), _SignSTE.apply(self.weight, 1).to(dtype))
