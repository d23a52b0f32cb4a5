"""HashedNets: a large virtual weight matrix out of few trained values."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bnnhw.ir import compressions as c
from bnnhw.nn.compress.common import shared_integers, sized
from bnnhw.nn.quantiser import IntegerWeights, WeightQuantiser


def hash32(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """MurmurHash3's 32-bit finaliser: every input bit reaches every output bit."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = np.multiply(x ^ np.right_shift(x, shift, dtype=np.uint32), factor, dtype=np.uint32)
    return np.bitwise_xor(x, np.right_shift(x, 16, dtype=np.uint32), dtype=np.uint32)


class HashedWeights(WeightQuantiser):
    """weight[i] = sign(i) * shared[bucket(i)] for flat position i, gradients summed in `shared` (Chen et al. 2015).

    Bucket and sign follow from position and seed alone; the latent weights are not used. The shared values start with
    the spread of Xavier's. Evaluation rounds them by at most half a unit, the largest magnitude over 2**scale_bits - 1.
    """

    shared: Tensor
    """float32 [buckets]"""
    bucket: Tensor
    """int64, shape of the weights; derived, not stored"""
    sign: Tensor
    """int8, shape of the weights; derived, not stored"""

    def __init__(self, spec: c.Hashed, shape: tuple[int, ...], layer: str) -> None:
        super().__init__()
        self.spec, self.layer = spec, layer
        weights = torch.Size(shape).numel()
        sized(spec.buckets, weights, "buckets", layer)
        hashed = hash32(np.arange(weights, dtype=np.uint32) ^ hash32(np.array([spec.seed], np.uint32)))
        self.register_buffer("bucket", torch.from_numpy((hashed % np.uint32(spec.buckets)).astype(np.int64)).reshape(shape), persistent=False)
        self.register_buffer("sign", torch.from_numpy((hash32(~hashed) >> 31).astype(np.int8) * 2 - 1).reshape(shape), persistent=False)
        spread = (2 / (weights / shape[0] + weights / shape[1])) ** 0.5
        self.shared = nn.Parameter(torch.randn(spec.buckets, generator=torch.Generator().manual_seed(spec.seed)) * spread)

    def forward(self, w: Tensor) -> Tensor:
        return self.shared[self.bucket] * self.sign

    def integers(self, w: Tensor) -> IntegerWeights:
        values, unit = shared_integers(self.shared, self.spec.scale_bits, self.layer)
        return IntegerWeights(values[self.bucket] * self.sign, unit.repeat(len(w)))
