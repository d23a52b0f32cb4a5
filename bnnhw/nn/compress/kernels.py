"""Binary convolution kernels that several filters share: each is evaluated once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bnnhw.ir.errors import BnnhwError
from bnnhw.nn.compress.common import sized

ROUNDS = 100


@dataclass(frozen=True, eq=False)
class SharedKernels:
    """Binary weights [O, C, kh, kw]: sign[o, c] * kernels[c][index[o, c]] (after Kim et al. 2017).

    For sub-kernels of one row, give weights reshaped to [O, C * kh, 1, kw].
    """

    kernels: tuple[Tensor, ...]
    """C times int64 [n_c, kh, kw], -1 or +1, the first element +1"""
    index: Tensor
    """int64 [O, C]"""
    sign: Tensor
    """int64 [O, C], -1 or +1"""

    def weight(self) -> Tensor:
        """int64 [O, C, kh, kw], -1 or +1"""
        return torch.stack([k[i] for k, i in zip(self.kernels, self.index.T, strict=True)], 1) * self.sign[..., None, None]

    def saving(self) -> tuple[int, int]:
        """Additions for one output pixel of all filters: every kernel of every filter, and every distinct kernel once."""
        outputs, channels = self.index.shape
        within, across = self.kernels[0][0].numel() - 1, outputs * (channels - 1)
        return outputs * channels * within + across, sum(len(k) for k in self.kernels) * within + across


def share_kernels(weight: Tensor, n: int | None = None, layer: str = "weights") -> SharedKernels:
    """The distinct kernels up to sign of each input channel of binary `weight` [O, C, kh, kw]; reproduces it exactly.

    With `n`, channels keep at most n: the medoids, in Hamming distance up to sign, of their kernels.
    """
    if weight.dim() != 4 or not (weight.abs() == 1).all():
        raise BnnhwError(f"layer {layer!r}: kernels are shared in weights [O, C, kh, kw] of -1 and +1; binarise them")
    if n is not None:
        sized(n, len(weight), "kernels of a channel", layer)
    flat = weight.detach().cpu().long().flatten(2)
    sign = flat[..., 0].clone()
    kernels, places = [], []
    for c, column in enumerate((flat * sign[..., None]).unbind(1)):
        distinct, place, uses = torch.unique(column, dim=0, return_inverse=True, return_counts=True)
        if n is not None and n < len(distinct):
            medoids, near, flip = _medoids(distinct, uses, n)
            sign[:, c] *= flip[place]
            distinct, place = distinct[medoids], near[place]
        kernels.append(distinct.reshape(-1, *weight.shape[2:]))
        places.append(place)
    return SharedKernels(tuple(kernels), torch.stack(places, 1), sign)


def _medoids(kernels: Tensor, uses: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """n of `kernels` [D, kk], for each kernel the place [D] of its nearest among them up to sign, and that sign [D].

    Starts with the most used; |dot product| = kk - 2 * Hamming distance up to sign.
    """
    dots = kernels @ kernels.T
    alike, chosen = dots.abs(), uses.argsort(descending=True, stable=True)[:n]
    for _ in range(ROUNDS):
        near = alike[:, chosen].argmax(1)
        members = near[:, None] == torch.arange(n)
        gain = alike @ (members * uses[:, None])
        moved = gain.masked_fill(~members, -1).argmax(0)
        if torch.equal(moved, chosen):
            break
        chosen = moved
    near = alike[:, chosen].argmax(1)
    return chosen, near, torch.where(dots.gather(1, chosen[near][:, None]).flatten() >= 0, 1, -1)
