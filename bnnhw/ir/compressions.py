"""Compression rules of weight tensors by name and parameters, without their arithmetic (`bnnhw.nn.compress` has it)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ScaleBits = Annotated[int, Field(ge=1, le=8)]
"""Magnitude bits of a learned value: the largest magnitude becomes 2**bits - 1."""
CodeBits = Annotated[int, Field(ge=2, le=8)]
"""Bits of a signed integer, symmetric about 0."""
Steps = Annotated[int, Field(ge=1, le=1000)]
Seed = Annotated[int, Field(ge=0, lt=1 << 32)]
Sparsity = Annotated[float, Field(ge=0, lt=1)]


class CompressionSpec(BaseModel):
    """Base of the rules."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Pruning(CompressionSpec):
    steps: Steps = 4
    """Prunings with retraining between them, spread over the first half of the epochs."""
    base: Literal["binary", "bits"] = "binary"
    """Kept weights: a sign times the mean magnitude of their output, or symmetric integers of `bits` bits."""
    bits: Annotated[int, Field(ge=2, le=8)] | None = None

    @model_validator(mode="after")
    def _bits_belong_to_their_base(self) -> _Pruning:
        if (self.base == "bits") != (self.bits is not None):
            raise ValueError(f"bits go with base 'bits' only, base is {self.base!r}, bits are {self.bits}; give both or neither")
        return self


class Prune(_Pruning):
    """Single weights of small magnitude are removed (Han et al. 2015): a fraction, or all up to `sensitivity` standard deviations."""

    method: Literal["prune"] = "prune"
    sparsity: Sparsity | None = None
    sensitivity: Annotated[float, Field(gt=0, le=16)] | None = None

    @model_validator(mode="after")
    def _one_threshold(self) -> Prune:
        if (self.sparsity is None) == (self.sensitivity is None):
            raise ValueError(f"prune has sparsity {self.sparsity} and sensitivity {self.sensitivity}; give exactly one of them")
        return self


class PruneStructured(_Pruning):
    """Whole outputs of small norm are removed (Li et al. 2017)."""

    method: Literal["prune_structured"] = "prune_structured"
    sparsity: Sparsity
    norm: Literal[1, 2] = 1


class _Cut(CompressionSpec):
    start: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Fraction of the epochs that train real weights before the code is cut."""


class _Codebook(_Cut):
    scale_bits: ScaleBits = 6


class KMeans(_Codebook):
    """Every weight is one of `n` trained centroids (Han et al. 2016, Deep Compression)."""

    method: Literal["kmeans"] = "kmeans"
    n: Annotated[int, Field(ge=2, le=16)]


class KMeansRows(_Codebook):
    """Runs of `size` weights along the rows or columns of the matrix [O, K] are one of `n` trained codewords (Gong et al. 2014)."""

    method: Literal["kmeans_rows"] = "kmeans_rows"
    n: Annotated[int, Field(ge=2, le=1024)]
    size: Annotated[int, Field(ge=1, le=1024)] = 4
    along: Literal["rows", "columns"] = "rows"
    seed: Seed = 0


class Hashed(CompressionSpec):
    """A hash of its position gives every weight one of `buckets` trained values and a sign (Chen et al. 2015, HashedNets)."""

    method: Literal["hashed"] = "hashed"
    buckets: Annotated[int, Field(ge=1, le=1 << 24)]
    scale_bits: Annotated[int, Field(ge=1, le=6)] = 6
    seed: Seed = 0


class Granular(CompressionSpec):
    """Widths of its own for each part, `budget` bits on average (Gonugondla & Shanbhag 2022, IMPQ)."""

    method: Literal["impq"] = "impq"
    widths: tuple[Annotated[int, Field(ge=1, le=8)], ...] = (1, 2, 4)
    budget: Annotated[float, Field(gt=0)] = 2.0
    steps: Steps = 4
    """Reductions with retraining between them, spread over the first half of the epochs."""

    @model_validator(mode="after")
    def _budget_can_be_met(self) -> Granular:
        if not self.widths or list(self.widths) != sorted(set(self.widths)):
            raise ValueError(f"widths must rise, they are {self.widths}; sort them")
        if not self.widths[0] <= self.budget <= self.widths[-1]:
            raise ValueError(f"a budget of {self.budget} bits lies outside the widths {self.widths}; choose one between them")
        return self


class Impq(Granular):
    """Every output has its own width: `budget` is met in the layer, or together in all layers that say so."""

    across: Literal["layer", "network"] = "layer"


class Product(_Cut):
    """Runs of `size` weights along the input channels are one of `n` trained codewords of their sub-space (Wu et al. 2016, Q-CNN).

    A dense layer so coded takes a vector: a map of one pixel.
    """

    method: Literal["product"] = "product"
    size: Annotated[int, Field(ge=1, le=1024)]
    n: Annotated[int, Field(ge=2, le=256)]
    bits: CodeBits = 6
    seed: Seed = 0


class Kernels(_Cut):
    """Binary kernels of an input channel that filters share, up to sign: those there are, or `n` (after Kim et al. 2017).

    Weights are signs until `start`; the `n` kernels follow them until three quarters of the epochs.
    """

    method: Literal["kernels"] = "kernels"
    n: Annotated[int, Field(ge=1, le=1 << 20)] | None = None


class Factorise(_Cut):
    """Two ternary matrices and a trained diagonal of `rank` between them (Wang & Cheng 2017, fixed-point factorised networks).

    The ternary matrices follow the weights until three quarters of the epochs.
    """

    method: Literal["factor"] = "factor"
    rank: Annotated[int, Field(ge=1, le=1 << 20)]
    scale_bits: ScaleBits = 6
    iterations: Annotated[int, Field(ge=0, le=100)] = 3
    """Sweeps that refit every term behind the greedy start."""


class LowRank(_Cut):
    """Two trained matrices of few bits, by singular value decomposition: of a rank, or of a part of the squared norm (Denton et al. 2014)."""

    method: Literal["lowrank"] = "lowrank"
    rank: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    energy: Annotated[float, Field(gt=0, le=1)] | None = None
    bits: CodeBits = 6

    @model_validator(mode="after")
    def _one_rank(self) -> LowRank:
        if (self.rank is None) == (self.energy is None):
            raise ValueError(f"lowrank has rank {self.rank} and energy {self.energy}; give exactly one of them")
        return self


CompressionMethod = Annotated[
    Prune | PruneStructured | KMeans | KMeansRows | Hashed | Impq | Product | Kernels | Factorise | LowRank, Field(discriminator="method")
]
