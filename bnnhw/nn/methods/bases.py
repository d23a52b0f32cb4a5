"""Weights as a few binary tensors times real scales: LQ-Nets and ABC-Net."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from bnnhw.ir.methods import AbcWeightSpec, LqWeightSpec
from bnnhw.nn.common import column, straight, usable_scale
from bnnhw.nn.methods.common import CodedWeights, reduced_scales
from bnnhw.nn.quantiser import IntegerWeights, Planes

S = TypeVar("S", bound=LqWeightSpec | AbcWeightSpec)
QUARTILE = 0.6745
"""Upper quartile of a Gaussian, where the paper of LQ-Nets starts its bases."""
FIRST_ITERATIONS = 10


def codes_of(bits: int) -> Tensor:
    """bool [2**bits, bits], counting, least significant first."""
    return (torch.arange(2**bits)[:, None] >> torch.arange(bits)) & 1 == 1


def fit(symbols: Tensor, rows: Tensor) -> Tensor:
    """[R, P] scales of least squares for rows [R, n] and symbols [R, n, P]; of several the shortest."""
    gram = (symbols.mT @ symbols).double()
    right = (symbols.mT @ rows.unsqueeze(-1)).double()
    return (torch.linalg.pinv(gram, hermitian=True) @ right).squeeze(-1).to(rows.dtype)


def nearest(rows: Tensor, basis: Tensor) -> Tensor:
    """bool [R, n, K] of the level sum_k +-basis[r, k] that is nearest to each of rows [R, n]."""
    codes = codes_of(basis.shape[1]).to(rows.device)
    levels, order = (basis @ (codes.to(basis.dtype) * 2 - 1).T).sort(1)
    middles = (levels[:, 1:] + levels[:, :-1]) / 2
    return codes[order.gather(1, torch.searchsorted(middles, rows.contiguous(), right=True))]


def qem(rows: Tensor, basis: Tensor, iterations: int) -> Tensor:
    """The basis after quantisation error minimisation: nearest codes and least squares in turn (LQ-Nets, algorithm 1)."""
    for _ in range(iterations):
        basis = fit(nearest(rows, basis).to(rows.dtype) * 2 - 1, rows)
    return basis


class BasisWeights(CodedWeights[S]):
    """sum_p scale[o, p] * (+-1); scales are real in training and integers of `scale_bits` in evaluation."""

    def bases(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """bool [O, n, P] and real scales [O, P]; deterministic."""
        raise NotImplementedError

    def slope(self, scales: Tensor) -> Tensor | None:
        """[O] factor of the gradient; None for 1."""
        return None

    def forward(self, w: Tensor) -> Tensor:
        with torch.no_grad():
            bits, scales = self.bases(w)
            real = ((bits.to(w.dtype) * 2 - 1) @ scales.unsqueeze(-1)).view_as(w)
            slope = self.slope(scales)
        return straight(w, real, None if slope is None else column(slope, w))

    @torch.no_grad()
    def integers(self, w: Tensor) -> IntegerWeights:
        bits, scales = self.bases(self.usable(w))
        usable_scale(scales.abs().amax(1), self.layer)
        scale, unit = reduced_scales(scales, self.spec.scale_bits)
        planes = Planes(True, bits.movedim(-1, 0).reshape(-1, *w.shape), scale.T.contiguous())
        return self.finished(planes.values(), unit, planes)


class LqWeights(BasisWeights[LqWeightSpec]):
    """Levels are the signed sums of a basis of each output, which follows the weights by QEM in training."""

    def __init__(self, spec: LqWeightSpec, shape: tuple[int, ...], layer: str) -> None:
        super().__init__(spec, shape, layer)
        self.register_buffer("basis", torch.zeros(shape[0], spec.bits))
        """[O, K] moving average; 0 before the first forward pass in training."""

    def current(self, rows: Tensor) -> Tensor:
        """[O, K] the basis, or where it begins."""
        if self.basis.any():
            return self.basis
        spread = QUARTILE * rows.square().mean(1, keepdim=True).sqrt()
        return qem(rows, spread * torch.exp2(torch.arange(1.0 - self.spec.bits, 1.0, device=rows.device)), FIRST_ITERATIONS)

    def bases(self, w: Tensor) -> tuple[Tensor, Tensor]:
        basis = self.current(w.flatten(1))
        return nearest(w.flatten(1), basis), basis

    def forward(self, w: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                basis = self.current(w.flatten(1))
                self.basis.copy_(basis.lerp(qem(w.flatten(1), basis, self.spec.iterations), 1 - self.spec.momentum))
        return super().forward(w)


class AbcWeights(BasisWeights[AbcWeightSpec]):
    """B_i = sign(w - mean + u_i std) with u from -1 to 1 and scales of least squares; gradient times their sum."""

    def bases(self, w: Tensor) -> tuple[Tensor, Tensor]:
        m = self.spec.bases
        rows = w.reshape(1, -1) if self.spec.per_tensor else w.flatten(1)
        shifts = torch.linspace(-1, 1, m, device=w.device) if m > 1 else torch.zeros(1, device=w.device)
        std, mean = torch.std_mean(rows, 1, correction=0, keepdim=True)
        bits = (rows - mean).unsqueeze(-1) + shifts * std.unsqueeze(-1) >= 0
        scales = fit(bits.to(w.dtype) * 2 - 1, rows)
        return bits.reshape(len(w), -1, m), scales.expand(len(w), m)

    def slope(self, scales: Tensor) -> Tensor:
        return scales.sum(1)
