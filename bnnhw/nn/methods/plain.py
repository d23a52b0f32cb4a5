"""What is no quantiser: fixed means, and the real numbers of teachers."""

from __future__ import annotations

from typing import NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor

from bnnhw.ir import methods as m
from bnnhw.ir.errors import BnnhwError
from bnnhw.nn.quantiser import ActivationQuantiser, IntegerWeights, Levels, WeightQuantiser


class BoxWeights(WeightQuantiser):
    """Every weight is one over the number of inputs; nothing is learned."""

    def __init__(self, spec: m.BoxWeightSpec, shape: tuple[int, ...], layer: str) -> None:
        super().__init__()

    def forward(self, w: Tensor) -> Tensor:
        return torch.full_like(w, 1 / w[0].numel()).detach()

    def integers(self, w: Tensor) -> IntegerWeights:
        return IntegerWeights(torch.ones_like(w, dtype=torch.int64), torch.full((len(w),), 1 / w[0].numel()))


class RealWeights(WeightQuantiser):
    """The latent weights themselves."""

    def __init__(self, spec: m.RealWeightSpec, shape: tuple[int, ...], layer: str) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, w: Tensor) -> Tensor:
        return w

    def integers(self, w: Tensor) -> IntegerWeights:
        _refuse(self.layer)


class RealActivation(ActivationQuantiser):
    """A rectifier or a clipped identity, unquantised."""

    def __init__(self, spec: m.RealActivationSpec, layer: str) -> None:
        super().__init__()
        self.function, self.layer = spec.function, layer

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x) if self.function == "relu" else F.hardtanh(x)

    def levels(self) -> Levels:
        _refuse(self.layer)


def _refuse(layer: str) -> NoReturn:
    raise BnnhwError(f"layer {layer!r}: real numbers have no hardware form; train on with a quantiser")
