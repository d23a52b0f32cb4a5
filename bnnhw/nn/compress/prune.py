"""Pruning with retraining: single weights by magnitude, whole outputs by norm, and the removal of such outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnnhw.ir import compressions as c
from bnnhw.ir.errors import BnnhwError
from bnnhw.nn.common import column, straight, usable_scale
from bnnhw.nn.compress.common import stage
from bnnhw.nn.quantiser import IntegerWeights, WeightQuantiser


class PrunedWeights(WeightQuantiser):
    """Weights below a magnitude are 0 for good; the rest are signs or few-bit integers (Han et al. 2015).

    The mask grows in `steps` over the first half of the epochs with retraining between them; the gradient reaches kept weights only.
    """

    mask: Tensor
    """bool, 1 where the weight is kept; broadcasts to the weights."""

    def __init__(self, spec: c.Prune | c.PruneStructured, shape: tuple[int, ...], layer: str) -> None:
        super().__init__()
        self.spec, self.layer = spec, layer
        self.register_buffer("mask", torch.ones(self._mask_shape(shape), dtype=torch.bool))

    def forward(self, w: Tensor) -> Tensor:
        values, unit = self._rounded(w.detach())
        return straight(w, column(torch.where(unit > 0, unit, 1), w) * values) * self.mask

    def integers(self, w: Tensor) -> IntegerWeights:
        values, unit = self._rounded(w.detach())
        emptied = ~self.mask.expand_as(w).flatten(1).any(1)
        return IntegerWeights(values.long(), usable_scale(torch.where(emptied, 1, unit), self.layer))

    def after_step(self, w: nn.Parameter) -> None:
        w.data.mul_(self.mask)

    def before_epoch(self, w: nn.Parameter, epoch: int, epochs: int) -> None:
        part = stage(epoch, epochs, self.spec.steps) / self.spec.steps
        if part > 0:
            self.mask &= self._kept(w.detach(), part)
            self.after_step(w)

    def kept(self) -> float:
        return float(self.mask.float().mean())

    def _rounded(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Integer values, shape of `w`, and units [O]; 0 where an output has no weight but 0."""
        mask = self.mask.expand_as(w)
        sizes = (w.abs() * mask).flatten(1)
        if self.spec.bits is None:
            return torch.where(w >= 0, 1.0, -1.0) * mask, sizes.sum(1) / mask.flatten(1).sum(1).clamp(min=1)
        unit = sizes.amax(1) / (2 ** (self.spec.bits - 1) - 1)
        return torch.round(w * mask / column(torch.where(unit > 0, unit, 1), w)), unit

    def _mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape

    def _sizes(self, w: Tensor) -> Tensor:
        """What is compared, shape of the mask."""
        return w.abs()

    def _kept(self, w: Tensor, part: float) -> Tensor:
        """bool, shape of the mask: what stays once `part` of the target is reached."""
        sizes = self._sizes(w)
        if isinstance(self.spec, c.Prune) and self.spec.sensitivity is not None:
            keep = sizes > self.spec.sensitivity * part * w[self.mask].std(correction=0)
            if not (keep & self.mask).any():
                raise BnnhwError(f"layer {self.layer!r}: sensitivity {self.spec.sensitivity:g} prunes every weight; lower it")
            return keep
        assert self.spec.sparsity is not None
        drop = min(round(self.spec.sparsity * part * sizes.numel()), sizes.numel() - 1)
        order = sizes.masked_fill(~self.mask, -1).flatten().argsort(stable=True)
        return torch.ones_like(self.mask).flatten().index_fill(0, order[:drop], False).reshape(self.mask.shape)


class StructuredPrunedWeights(PrunedWeights):
    """Outputs of the smallest L1 or L2 norm are 0 for good (Li et al. 2017); mask [O, 1, ...]."""

    def _mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[0], *[1] * (len(shape) - 1)

    def _sizes(self, w: Tensor) -> Tensor:
        assert isinstance(self.spec, c.PruneStructured)
        return torch.linalg.vector_norm(w.flatten(1), self.spec.norm, 1).reshape(self.mask.shape)


def structured_keep(quantiser: StructuredPrunedWeights) -> Tensor:
    """int64: outputs that are left, rising."""
    return quantiser.mask.flatten().nonzero().flatten()


def shrink(weight: Tensor, norm: dict[str, Tensor], following: Tensor, keep: Tensor, spatial: int = 1) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """A layer [O, ...], its batch norm's tensors and the next layer [O2, ...] with only the outputs `keep` of the first.

    `spatial` is the number of pixels a channel has where a dense layer flattens it (channel, row, column).
    A removed output's constant (its batch norm at 0) is lost to the next layer: retrain after.
    """
    outputs = len(weight)
    if following.shape[1] != outputs * spatial:
        raise BnnhwError(f"the next layer has {following.shape[1]} inputs, {outputs} outputs of {spatial} pixels feed it; give its pixels a channel")
    columns = (keep[:, None] * spatial + torch.arange(spatial, device=keep.device)).flatten()
    kept = {name: value[keep] if value.dim() else value for name, value in norm.items()}
    return weight[keep], kept, following[:, columns]
