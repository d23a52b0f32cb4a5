"""Low-rank pairs of layers by singular value decomposition."""

from __future__ import annotations

import torch
from torch import Tensor

from bnnhw.ir.errors import BnnhwError
from bnnhw.nn.compress.common import sized


def rank_for(weight: Tensor, energy: float, layer: str = "weights") -> int:
    """The smallest rank whose approximation of `weight` [O, ...] keeps the fraction `energy` of the squared norm."""
    if not 0 < energy <= 1:
        raise BnnhwError(f"layer {layer!r}: energy must be above 0 and at most 1, it is {energy:g}; choose one in this range")
    power = torch.linalg.svdvals(_matrix(weight, layer)).square().cumsum(0)
    return min(int((power < energy * power[-1]).sum()) + 1, len(power))


def svd_pair(weight: Tensor, rank: int, layer: str = "weights") -> tuple[Tensor, Tensor]:
    """U [O, rank] and V [rank, K] whose product is the nearest of its rank to `weight` [O, ...] (Denton et al. 2014).

    Both take the root of the singular values, so that two few-bit layers share the range.
    """
    matrix = _matrix(weight, layer)
    sized(rank, min(matrix.shape), "rank", layer)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    root = s[:rank].sqrt()
    return (u[:, :rank] * root).to(weight.dtype), (root[:, None] * v[:rank]).to(weight.dtype)


def _matrix(weight: Tensor, layer: str) -> Tensor:
    """float64 [O, K]; BnnhwError where it has no direction."""
    if not torch.isfinite(weight).all() or not weight.any():
        raise BnnhwError(f"layer {layer!r}: a decomposition needs finite weights that are not all 0; check its training")
    return weight.detach().double().flatten(1)
