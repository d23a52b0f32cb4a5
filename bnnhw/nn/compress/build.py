"""The quantiser of a compression rule."""

from __future__ import annotations

from bnnhw.ir import compressions as c
from bnnhw.nn.compress.codebook import CodebookWeights
from bnnhw.nn.compress.hashed import HashedWeights
from bnnhw.nn.compress.impq import ImpqWeights
from bnnhw.nn.compress.prune import PrunedWeights, StructuredPrunedWeights
from bnnhw.nn.compress.two_steps import FactoredWeights, LowRankWeights, ProductWeights, SharedKernelWeights
from bnnhw.nn.quantiser import WeightQuantiser


def compression_quantiser(spec: c.CompressionMethod, shape: tuple[int, ...], layer: str) -> WeightQuantiser:
    """The quantiser of weights `shape` [O, ...]; messages name `layer`. BnnhwError where rule and shape do not go together."""
    match spec:
        case c.Prune():
            return PrunedWeights(spec, shape, layer)
        case c.PruneStructured():
            return StructuredPrunedWeights(spec, shape, layer)
        case c.KMeans() | c.KMeansRows():
            return CodebookWeights(spec, shape, layer)
        case c.Hashed():
            return HashedWeights(spec, shape, layer)
        case c.Impq():
            return ImpqWeights(spec, shape, layer)
        case c.Product():
            return ProductWeights(spec, shape, layer)
        case c.Kernels():
            return SharedKernelWeights(spec, shape, layer)
        case c.Factorise():
            return FactoredWeights(spec, shape, layer)
        case c.LowRank():
            return LowRankWeights(spec, shape, layer)
