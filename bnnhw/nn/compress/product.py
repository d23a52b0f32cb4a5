"""Product quantisation: sub-vectors along the inputs, a codebook for each sub-space."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bnnhw.ir.errors import BnnhwError
from bnnhw.nn.compress.common import kmeans, shared_integers, sized, spread_start


@dataclass(frozen=True, eq=False)
class ProductCode:
    """Weights [O, C, ...] whose sub-vector m along C, at every tap, is codebooks[m, index[o, ..., m]] (Wu et al. 2016, Q-CNN).

    A layer first multiplies its inputs by all M * n codewords, then sums looked-up products.
    """

    codebooks: Tensor
    """float32 [M, n, d]: one for each sub-space of the input channels, shared by all taps"""
    index: Tensor
    """int64 [O, ..., M]"""

    def weight(self) -> Tensor:
        """float32 [O, C, ...]"""
        return self._joined(self.codebooks)

    def integers(self, bits: int, layer: str = "weights") -> tuple[Tensor, float]:
        """Codewords as signed integers [M, n, d] of `bits` bits and their unit: codewords are about unit * integers."""
        if not 2 <= bits <= 8:
            raise BnnhwError(f"layer {layer!r}: codewords have 2 to 8 bits, they have {bits}; choose one in this range")
        values, unit = shared_integers(self.codebooks, bits - 1, layer)
        return values, float(unit)

    def integer_weight(self, bits: int, layer: str = "weights") -> tuple[Tensor, float]:
        """The weights [O, C, ...] in those integers, and the unit."""
        values, unit = self.integers(bits, layer)
        return self._joined(values), unit

    def _joined(self, codebooks: Tensor) -> Tensor:
        return codebooks[torch.arange(len(codebooks)), self.index].flatten(-2).movedim(-1, 1)


def product_code(weight: Tensor, size: int, n: int, seed: int = 0, layer: str = "weights") -> ProductCode:
    """The code of `weight` [O, C, ...] in sub-vectors of `size` along C, by k-means in each sub-space."""
    runs = _runs(weight, size, layer)
    sized(n, runs[..., 0, 0].numel(), "codewords", layer)
    if not torch.isfinite(runs).all() or not runs.any():
        raise BnnhwError(f"layer {layer!r}: product quantisation needs finite weights that are not all 0; check its training")
    found = [kmeans(points, spread_start(points, n, seed)) for points in runs.flatten(0, 1).unbind(1)]
    index = torch.stack([i for _, i in found], 1)
    return ProductCode(torch.stack([c for c, _ in found]).float(), index.reshape(len(weight), *weight.shape[2:], -1))


def corrected(code: ProductCode, weight: Tensor, inputs: Tensor, sweeps: int = 2, layer: str = "weights") -> ProductCode:
    """`code` moved to the least squared error of the layer's response to `inputs` [N, K] (Wu et al. 2016, error correction).

    K is ordered as weight.flatten(1), which is that of `unfold`. Block by block: the codewords of one sub-space by
    least squares, then each tap's choice among them; the response error never rises.
    """
    spaces, n, size = code.codebooks.shape
    target = _runs(weight, size, layer)
    _, taps, _, _ = target.shape
    x = inputs.detach().cpu().double().reshape(len(inputs), spaces, size, taps).permute(0, 3, 1, 2).flatten(1)
    gram = (x.T @ x).reshape(taps, spaces, size, taps, spaces, size)
    codebooks, index = code.codebooks.double().clone(), code.index.reshape(len(weight), taps, spaces).clone()
    coded = codebooks[torch.arange(spaces), index]
    for _ in range(sweeps):
        for m in range(spaces):
            own, chosen = gram[:, m, :, :, m], F.one_hot(index[:, :, m], n).double()
            pull = torch.einsum("tdsme,osme->otd", gram[:, m], target - coded)
            together = torch.einsum("otj,osk->tjsk", chosen, chosen)
            normal = torch.einsum("tjsk,tdse->jdke", together, own).reshape(n * size, n * size)
            right = torch.einsum("otj,otd->jd", chosen, pull).flatten()
            codebooks[m] += (torch.linalg.pinv(normal, hermitian=True) @ right).reshape(n, size)
            coded[:, :, m] = codebooks[m][index[:, :, m]]
            for t in range(taps):
                move = codebooks[m] - coded[:, t, None, m]
                pull_t = torch.einsum("dsme,osme->od", gram[t, m], target - coded)
                cost = torch.einsum("ond,de,one->on", move, own[t, :, t], move) - 2 * torch.einsum("ond,od->on", move, pull_t)
                index[:, t, m] = cost.argmin(1)
                coded[:, t, m] = codebooks[m][index[:, t, m]]
    return ProductCode(codebooks.float(), index.reshape(code.index.shape))


def sub_spaces(channels: int, size: int, layer: str) -> int:
    """M: sub-vectors of `size` in `channels` input channels; BnnhwError where they do not divide them."""
    if size < 1 or channels % size:
        raise BnnhwError(f"layer {layer!r}: sub-vectors of {size} weights do not divide {channels} input channels; choose a divisor")
    return channels // size


def _runs(weight: Tensor, size: int, layer: str) -> Tensor:
    """float64 [O, taps, M, size]"""
    channels = weight.shape[1]
    sub_spaces(channels, size, layer)
    return weight.detach().cpu().double().reshape(len(weight), channels, -1).transpose(1, 2).unflatten(2, (-1, size))
