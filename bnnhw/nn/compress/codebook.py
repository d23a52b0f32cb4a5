"""Weight sharing by codebooks whose codewords are trained: scalars, and runs of weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnnhw.ir import compressions as c
from bnnhw.ir.errors import BnnhwError
from bnnhw.nn.compress.common import kmeans, linear_start, shared_integers, sized, spread_start
from bnnhw.nn.quantiser import IntegerWeights, WeightQuantiser


class CodebookWeights(WeightQuantiser):
    """Runs of weights are codewords found by k-means, then trained by the summed gradient of their users.

    Scalars (Han et al. 2016, Deep Compression) or vectors along rows or columns of [O, K] (Gong et al. 2014).
    Weights are real until the epoch at `start` of the training (evaluation before it clusters afresh); the index is fixed from then on.
    Evaluation rounds a codeword by at most half a unit, the largest magnitude over 2**scale_bits - 1.
    """

    codewords: Tensor
    """float32 [n, size]"""
    index: Tensor
    """int32 [O * K / size]"""
    started: Tensor
    """bool: whether the codebook has been cut."""

    def __init__(self, spec: c.KMeans | c.KMeansRows, shape: tuple[int, ...], layer: str) -> None:
        super().__init__()
        self.spec, self.layer = spec, layer
        self.size, self.rows = (1, True) if isinstance(spec, c.KMeans) else (spec.size, spec.along == "rows")
        weights = torch.Size(shape).numel()
        fan = weights // shape[0] if self.rows else shape[0]
        if fan % self.size:
            raise BnnhwError(f"layer {layer!r}: runs of {self.size} weights must divide the {fan} of a row or column; choose a divisor")
        sized(spec.n, weights // self.size, "codewords", layer)
        self.codewords = nn.Parameter(torch.zeros(spec.n, self.size))
        self.register_buffer("index", torch.zeros(weights // self.size, dtype=torch.int32))
        self.register_buffer("started", torch.tensor(False))

    def forward(self, w: Tensor) -> Tensor:
        return self._joined(self.codewords, self.index, w) if self.started else w

    def integers(self, w: Tensor) -> IntegerWeights:
        codewords, index = (self.codewords, self.index) if self.started else self._clustered(w)
        values, unit = shared_integers(codewords, self.spec.scale_bits, self.layer)
        return IntegerWeights(self._joined(values, index, w), unit.repeat(len(w)))

    def before_epoch(self, w: nn.Parameter, epoch: int, epochs: int) -> None:
        if not self.started and epoch >= int(self.spec.start * epochs):
            codewords, index = self._clustered(w)
            self.codewords.data.copy_(codewords)
            self.index.copy_(index)
            self.started.fill_(True)

    def _clustered(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Codewords and index by k-means, on the CPU in float64 so that every machine finds the same."""
        matrix = w.detach().cpu().double().flatten(1)
        points = (matrix if self.rows else matrix.T).reshape(-1, self.size)
        if not torch.isfinite(points).all():
            raise BnnhwError(f"layer {self.layer!r}: a weight is NaN or infinite, it has no codeword; lower the learning rate")
        spec = self.spec
        start = linear_start(points, spec.n) if isinstance(spec, c.KMeans) else spread_start(points, spec.n, spec.seed)
        codewords, index = kmeans(points, start)
        return codewords.to(w), index.to(w.device, torch.int32)

    def _joined(self, codewords: Tensor, index: Tensor, w: Tensor) -> Tensor:
        """The weights, shape of `w`, that codewords [n, size] and index stand for."""
        runs = codewords.index_select(0, index)
        return runs.reshape(w.shape) if self.rows else runs.reshape(-1, len(w)).T.reshape(w.shape)
