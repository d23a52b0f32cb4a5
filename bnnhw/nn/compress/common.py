"""What the compressing quantisers share: schedules, shared integers and k-means."""

from __future__ import annotations

import torch
from torch import Tensor

from bnnhw.ir.errors import BnnhwError
from bnnhw.nn.quantiser import integer_scales

SAMPLE, CHUNK = 1 << 14, 1 << 16


def stage(epoch: int, epochs: int, steps: int) -> int:
    """How many of `steps` are due before `epoch`: spread evenly over the first half, training before the first where there are two epochs; the rest retrains."""
    half = max((epochs + 1) // 2, min(2, epochs))
    return steps if epoch + 1 >= half else min(steps, epoch * (steps + 1) // half)


def sized(n: int, most: int, what: str, layer: str) -> None:
    """BnnhwError unless 1 <= n <= most."""
    if not 1 <= n <= most:
        raise BnnhwError(f"layer {layer!r}: {what} must be 1 to {most}, it is {n}; choose one in this range")


def shared_integers(values: Tensor, bits: int, layer: str) -> tuple[Tensor, Tensor]:
    """Integers of `bits` magnitude bits, shape of `values`, and their one unit [1]: `integer_scales` with the layer's name."""
    real = values.detach()
    if not torch.isfinite(real).all() or not real.any():
        raise BnnhwError(
            f"layer {layer!r}: shared values must be finite and not all 0; check the training, lower the learning rate or change the seed"
        )
    integers, unit = integer_scales(real.reshape(1, -1), bits)
    return integers.reshape(values.shape), unit


def nearest(points: Tensor, centroids: Tensor) -> Tensor:
    """int64 [N]: index of the centroid [n, d] nearest to every point [N, d]."""
    return torch.cat([torch.cdist(part, centroids).argmin(1) for part in points.split(CHUNK)])


def kmeans(points: Tensor, start: Tensor, iterations: int = 30) -> tuple[Tensor, Tensor]:
    """Centroids [n, d] and the index [N] of the one nearest to every point [N, d], by Lloyd's iterations from `start`.

    The squared error never rises; a centroid without points stays where it is.
    """
    centroids, index = start, nearest(points, start)
    for _ in range(iterations):
        sums = torch.zeros_like(centroids).index_add_(0, index, points)
        counts = torch.bincount(index, minlength=len(centroids))[:, None]
        centroids = torch.where(counts > 0, sums / counts.clamp(min=1), centroids)
        last, index = index, nearest(points, centroids)
        if torch.equal(last, index):
            break
    return centroids, index


def linear_start(points: Tensor, n: int) -> Tensor:
    """[n, 1] centroids evenly from the least to the greatest of `points` [N, 1]: keeps the rare large weights (Deep Compression)."""
    least, greatest = float(points.min()), float(points.max())
    return torch.linspace(least, greatest, n, dtype=points.dtype)[:, None]


def spread_start(points: Tensor, n: int, seed: int) -> Tensor:
    """[n, d] centroids drawn from a sample of `points` with probability by squared distance (k-means++, Arthur & Vassilvitskii 2007)."""
    generator = torch.Generator().manual_seed(seed)
    sample = points[torch.randperm(len(points), generator=generator)[: max(n, SAMPLE)]]
    chosen = [sample[0]]
    distance = (sample - chosen[0]).square().sum(1)
    for i in range(1, n):
        at = int(torch.multinomial(distance, 1, generator=generator)) if distance.sum() > 0 else i % len(sample)
        chosen.append(sample[at])
        distance = torch.minimum(distance, (sample - chosen[-1]).square().sum(1))
    return torch.stack(chosen)
