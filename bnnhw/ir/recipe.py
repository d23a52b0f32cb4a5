"""The training recipe of a network description."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bnnhw.ir.specs import Frozen

Weight = Annotated[float, Field(ge=0, le=1e6)]


class Distillation(Frozen):
    """What a student learns from a trained teacher beside the labels; any two networks of one input and output."""

    teacher: str
    """Folder that `bnnhw train` wrote."""
    logits: Weight = 1.0
    """Weight of the cross entropy with the teacher's outputs."""
    temperature: Annotated[float, Field(gt=0, le=100)] = 1.0
    attention: Weight = 0.0
    """Weight of attention matching: the squared distance of normalised maps of mean squares (Zagoruyko 2017, Martinez 2020)."""
    layers: tuple[tuple[str, str], ...] = ()
    """Pairs (student's layer, teacher's) whose outputs' attention is matched."""

    @model_validator(mode="after")
    def _check(self) -> Distillation:
        if bool(self.attention) != bool(self.layers):
            raise ValueError("attention needs pairs of layers, and pairs need a weight; give both or none")
        return self


class TrainSpec(Frozen):
    """How the shipped weights were trained; read by `bnnhw train`."""

    data: Literal["digits", "mnist", "cifar10"]
    epochs: Annotated[int, Field(ge=1, le=10_000)]
    batch: Annotated[int, Field(ge=2, le=1 << 20)] = 100
    lr: Annotated[float, Field(gt=0, le=1)] = 0.01
    optimiser: Literal["adam", "sgd"] = "adam"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of sgd."""
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    """Behind a rise over the first 100 steps. `step`: a tenth at one half and again at three quarters."""
    weight_decay: Weight = 0.0
    l1: Weight = 0.0
    l2: Weight = 0.0
    """Penalties on latent weights, added to the loss."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of the inputs of dense layers but the network's first, less where a layer is pruned (Han et al. 2015)."""
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 0
    augment: bool = False
    """Training images are mirrored and shifted at random."""
    mirror: bool = True
    """Whether `augment` mirrors; letters and digits are others then."""
    shift: Annotated[int, Field(ge=0, le=8)] = 0
    """Largest random shift of an image, in pixels, when `augment` is set."""
    bfloat16: bool = False
    calibrate: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Batches that are only shown to the network, whose activations observe them: post-training quantisation, with no epoch of training."""
    start: str | None = None
    """Folder that `bnnhw train` wrote, whose parameters of the same names and shapes it starts from."""
    distil: Distillation | None = None

    @model_validator(mode="after")
    def _check(self) -> TrainSpec:
        if self.calibrate and self.start is None:
            raise ValueError(f"calibrate shows {self.calibrate} batches to a trained network, none is given; name its folder under 'start'")
        return self
