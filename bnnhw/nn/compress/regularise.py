"""Regularisers that go with pruning: penalties before it, weaker dropout after it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from bnnhw.ir.errors import BnnhwError


def rescaled_dropout(p: float, kept_fraction: float) -> float:
    """Dropout rate for retraining a layer of which `kept_fraction` of the connections are left: p * sqrt(kept) (Han et al. 2015)."""
    if not (0 <= p < 1 and 0 < kept_fraction <= 1):
        raise BnnhwError(f"dropout {p:g} must be in [0, 1) and the kept fraction {kept_fraction:g} in (0, 1]; correct them")
    return p * kept_fraction**0.5


def penalty(weights: Iterable[Tensor], l1: float, l2: float) -> Tensor:
    """l1 * sum |w| + l2 * sum w**2 over all weights, to be added to the loss."""
    return torch.stack([l1 * w.abs().sum() + l2 * w.square().sum() for w in weights]).sum()
