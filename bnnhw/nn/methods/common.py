"""What the quantisers of methods share: integer scales, schedules, and the checks before export."""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from bnnhw.ir.errors import BnnhwError
from bnnhw.nn.common import column, straight, usable_scale
from bnnhw.nn.quantiser import IntegerWeights, Planes, WeightQuantiser, integer_scales

S = TypeVar("S")


def reduced_scales(scales: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """`integer_scales` without common factors: equal scales become 1, a scale of its own is exact."""
    integers, _ = integer_scales(scales, bits)
    common = integers[..., :1].abs()
    for p in range(1, integers.shape[-1]):
        common = torch.gcd(common, integers[..., p : p + 1])
    integers = integers // common
    return integers, (scales.abs().amax(-1) / integers.abs().amax(-1)).float()


def portion(steps: tuple[float, ...], epoch: int, epochs: int) -> float:
    """The step of this epoch where the steps share the epochs; the last epoch has the last step."""
    return steps[-(-(epoch + 1) * len(steps) // epochs) - 1]


def mean_magnitude(w: Tensor, per_tensor: bool = False) -> Tensor:
    """[O] mean of |w| of every output, or of all."""
    return w.abs().mean().expand(len(w)) if per_tensor else w.abs().flatten(1).mean(1)


class CodedWeights(WeightQuantiser, Generic[S]):
    """A weight quantiser defined by `code`; its gradient is straight through, times `gain`."""

    def __init__(self, spec: S, shape: tuple[int, ...], layer: str) -> None:
        super().__init__()
        self.spec, self.shape, self.layer = spec, shape, layer

    def code(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Integer values (as float32, shape of `w`) and units [O]; deterministic."""
        raise NotImplementedError

    def gain(self, w: Tensor, unit: Tensor) -> Tensor | None:
        """Factor of the gradient; None for 1."""
        return None

    def forward(self, w: Tensor) -> Tensor:
        with torch.no_grad():
            values, unit = self.code(w)
            real, gain = column(unit, w) * values, self.gain(w, unit)
        return straight(w, real, gain)

    @torch.no_grad()
    def integers(self, w: Tensor) -> IntegerWeights:
        return self.finished(*self.code(self.usable(w)))

    def usable(self, w: Tensor) -> Tensor:
        """`w` where it is finite and not all 0, else BnnhwError."""
        if bad := int((~torch.isfinite(w)).sum()):
            raise BnnhwError(f"layer {self.layer!r}: weights must be finite, {bad} of {w.numel()} are NaN or infinite; lower the learning rate")
        if not w.any():
            raise BnnhwError(f"layer {self.layer!r}: some weight must differ from 0, all {w.numel()} are 0; initialise the layer anew")
        return w

    def finished(self, values: Tensor, unit: Tensor, planes: Planes | None = None) -> IntegerWeights:
        """The evaluation form; BnnhwError where it would be 0 or not finite."""
        unit = usable_scale(unit, self.layer)
        if not values.any():
            raise BnnhwError(
                f"layer {self.layer!r}: some weight must differ from 0, all {values.numel()} quantise to 0; scale the weights up or choose a finer format"
            )
        return IntegerWeights(values.long(), unit, planes)


class ClippedWeights(CodedWeights[S]):
    """Latent weights stay in [-1, 1], where the gradient passes."""

    def gain(self, w: Tensor, unit: Tensor) -> Tensor | None:
        return (w.abs() <= 1).to(w.dtype)

    def after_step(self, w: nn.Parameter) -> None:
        w.clamp_(-1, 1)

    def spread(self, w: nn.Parameter, mean: float) -> None:
        """Scale the small weights of an ordinary initialisation to this mean magnitude, then clip."""
        w.mul_(mean / self.usable(w).abs().mean()).clamp_(-1, 1)
