"""What all quantisers share: straight-through gradients, rounding, scales of outputs."""

from __future__ import annotations

import torch
from torch import Tensor

from bnnhw.ir.errors import BnnhwError

TINY = torch.finfo(torch.float32).tiny


class _Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, value: Tensor, gain: Tensor | None) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(gain)
        return value.view_as(value)

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[override]
        (gain,) = ctx.saved_tensors
        return grad if gain is None else grad * gain, None, None


def straight(x: Tensor, value: Tensor, gain: Tensor | None = None) -> Tensor:
    """`value`, whose gradient goes to `x`, times `gain`: the straight-through estimator (Bengio 2013)."""
    return _Straight.apply(x, value, gain)


def sign_of(x: Tensor) -> Tensor:
    """-1 or +1, +1 for 0."""
    return (x >= 0).to(x.dtype).mul_(2).sub_(1)


def half_up(x: Tensor) -> Tensor:
    """The nearest integer, of two equally near ones the upper; exact, where floor(x + 0.5) errs below a half."""
    low = x.floor()
    return low + (x - low >= 0.5).to(x.dtype)


def power_of_two(x: Tensor) -> Tensor:
    """AP2: the sign times the power of two that is nearest in the logarithm (Hubara 2016); 0 for 0."""
    return (x.sign() * torch.exp2(x.abs().double().log2().round())).to(x.dtype)


def column(per_output: Tensor, w: Tensor) -> Tensor:
    """[O] as [O, 1, ..], to multiply `w`."""
    return per_output.reshape(-1, *[1] * (w.dim() - 1))


def usable_scale(scale: Tensor, layer: str) -> Tensor:
    """`scale` [O] as float32, every one finite and not 0, else BnnhwError."""
    if len(bad := torch.nonzero(~torch.isfinite(scale) | (scale == 0))):
        o = int(bad[0])
        raise BnnhwError(
            f"layer {layer!r}: every output needs a finite scale other than 0, output {o} has {float(scale[o]):g}; lower the weight decay or change the seed"
        )
    return scale.detach().float().contiguous()
