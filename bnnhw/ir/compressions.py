"""Compression rules of weight tensors by name and parameters, without their arithmetic (`bnnhw.nn.compress` has it)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ScaleBits = Annotated[int, Field(ge=1, le=8)]
"""Magnitude bits of a learned value: the largest magnitude becomes 2**bits - 1."""
Steps = Annotated[int, Field(ge=1, le=1000)]
Seed = Annotated[int, Field(ge=0, lt=1 << 32)]
Sparsity = Annotated[float, Field(ge=0, lt=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Pruning(_Frozen):
    steps: Steps = 4
    """Prunings with retraining between them, spread over the epochs."""
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


class _Codebook(_Frozen):
    scale_bits: ScaleBits = 6
    start: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Fraction of the epochs that train real weights before the codebook is cut."""


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


class Hashed(_Frozen):
    """A hash of its position gives every weight one of `buckets` trained values and a sign (Chen et al. 2015, HashedNets)."""

    method: Literal["hashed"] = "hashed"
    buckets: Annotated[int, Field(ge=1, le=1 << 24)]
    scale_bits: Annotated[int, Field(ge=1, le=6)] = 6
    seed: Seed = 0


class Impq(_Frozen):
    """Every output has its own width, `budget` bits a weight on average (Gonugondla & Shanbhag 2022, IMPQ)."""

    method: Literal["impq"] = "impq"
    widths: tuple[Annotated[int, Field(ge=1, le=8)], ...] = (1, 2, 4)
    budget: Annotated[float, Field(gt=0)] = 2.0
    steps: Steps = 4
    """Reductions with retraining between them, spread over the epochs."""

    @model_validator(mode="after")
    def _budget_can_be_met(self) -> Impq:
        if not self.widths or list(self.widths) != sorted(set(self.widths)):
            raise ValueError(f"widths must rise, they are {self.widths}; sort them")
        if not self.widths[0] <= self.budget <= self.widths[-1]:
            raise ValueError(f"a budget of {self.budget} bits lies outside the widths {self.widths}; choose one between them")
        return self


CompressionMethod = Annotated[Prune | PruneStructured | KMeans | KMeansRows | Hashed | Impq, Field(discriminator="method")]
