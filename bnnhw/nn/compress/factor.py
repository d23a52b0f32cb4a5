"""Fixed-point factorisation: two ternary layers and a diagonal between them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bnnhw.ir.errors import BnnhwError
from bnnhw.nn.compress.common import shared_integers, sized

ALTERNATIONS = 20


@dataclass(frozen=True, eq=False)
class Factors:
    """A matrix [O, K] as about x * diag(d) * y^T (Wang & Cheng 2017, fixed-point factorised networks)."""

    x: Tensor
    """int64 [O, r], -1, 0 or +1"""
    d: Tensor
    """float32 [r], positive"""
    y: Tensor
    """int64 [K, r], -1, 0 or +1"""
    errors: tuple[float, ...]
    """Squared error over squared norm: after the greedy start, then after each refinement; never rises."""

    def weight(self) -> Tensor:
        """float32 [O, K]"""
        return (self.x * self.d) @ self.y.T.to(self.d.dtype)

    def integers(self, scale_bits: int, layer: str = "weights") -> tuple[Tensor, float]:
        """The diagonal as integers [r] of `scale_bits` magnitude bits, and their unit: d is about unit * integers."""
        sized(scale_bits, 8, "scale bits", layer)
        values, unit = shared_integers(self.d, scale_bits, layer)
        return values, float(unit)


def factorise(weight: Tensor, rank: int, iterations: int = 3, layer: str = "weights") -> Factors:
    """Factors of `weight` [O, ...] with at most `rank` terms.

    Greedy semidiscrete decomposition (Kolda & O'Leary 1998), then `iterations` sweeps that refit every term to
    what the others leave. Fewer terms where these are exact.
    """
    matrix = weight.detach().cpu().double().flatten(1)
    sized(rank, matrix.numel(), "rank", layer)
    if not torch.isfinite(matrix).all() or not matrix.any():
        raise BnnhwError(f"layer {layer!r}: a factorisation needs finite weights that are not all 0; check its training")
    power, terms, rest = matrix.square().sum(), [], matrix.clone()
    for _ in range(rank):
        terms.append(_fit(rest, _ternary(rest[rest.square().sum(1).argmax()])))
        rest -= _outer(*terms[-1])
    errors = [float(rest.square().sum() / power)]
    for _ in range(iterations):
        for i, (x, d, y) in enumerate(terms):
            rest += _outer(x, d, y)
            terms[i] = _fit(rest, y)
            rest -= _outer(*terms[i])
        errors.append(float(rest.square().sum() / power))
    kept = [t for t in terms if t[1] > 0]
    x, y = (torch.stack([t[i] for t in kept], 1).long() for i in (0, 2))
    return Factors(x, torch.stack([t[1] for t in kept]).float(), y, tuple(errors))


def _outer(x: Tensor, d: Tensor, y: Tensor) -> Tensor:
    return torch.outer(x * d, y)


def _ternary(s: Tensor) -> Tensor:
    """The x of -1, 0 and +1 with the largest (x . s)**2 / (x . x): signs of the largest magnitudes, all 0 for s = 0."""
    sizes, order = s.abs().sort(descending=True, stable=True)
    count = int((sizes.cumsum(0).square() / torch.arange(1, len(s) + 1)).argmax()) + 1
    return torch.zeros_like(s).index_copy(0, order[:count], s[order[:count]].sign())


def _fit(rest: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x, d >= 0 and y that lower the error of `rest` - d x y^T in turns, each the best for the other; 0 where nothing is left."""
    for _ in range(ALTERNATIONS):
        x = _ternary(rest @ y)
        last, y = y, _ternary(rest.T @ x)
        if torch.equal(last, y):
            break
    size = x.square().sum() * y.square().sum()
    return x, (x @ rest @ y).clamp(min=0) / size.clamp(min=1), y
