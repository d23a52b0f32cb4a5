"""What a quantiser is: a training forward pass with gradients, and the integers that evaluation and hardware use.

A weight is `unit[o] * value`, an activation `unit * value`, with integer values: `unit` is real and
multiplies the sum behind a product, the values are all that hardware sees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from bnnhw.ir.errors import BnnhwError


@dataclass(frozen=True, eq=False)
class Planes:
    """Weight planes: value[o, ...] = sum_p scale[p, o] * (symbol of bits[p, o, ...]), 0 where the mask is 0."""

    bipolar: bool
    """Whether a bit means -1 and +1 rather than 0 and 1."""
    bits: Tensor
    """bool [P, O, ...]"""
    scale: Tensor
    """int64 [P, O]"""
    mask: Tensor | None = None
    """bool [P, O, ...]; None where every weight counts."""

    def values(self) -> Tensor:
        """int64 [O, ...]"""
        symbols = self.bits.long() * 2 - 1 if self.bipolar else self.bits.long()
        if self.mask is not None:
            symbols = symbols * self.mask.long()
        scale = self.scale.reshape(*self.scale.shape, *[1] * (self.bits.dim() - 2))
        return (symbols * scale).sum(0)


@dataclass(frozen=True, eq=False)
class TwoSteps:
    """Weights that hardware evaluates as two layers, under the names that `bnnhw.lower.factors` reads.

    `factored`: values = outer [O, r] @ diag(middle [r], positive) @ inner [r, ...]. `lookup`: sums of products with the rows of a
    `table` [G * n, C / G, h, w] in G groups of input channels; `index` [O, J] names them as (row * kh + ky) * kw + kx, where
    (kh, kw) is 1x1 if the table has the layer's own kernel, and `sign` [O, J] is -1, 0 or +1.
    """

    kind: Literal["factored", "lookup"]
    tensors: dict[str, Tensor]
    """int64"""


@dataclass(frozen=True, eq=False)
class IntegerWeights:
    """The evaluation form of a weight tensor: real weight = unit[o] * values[o, ...]."""

    values: Tensor
    """int64, shape of the weights"""
    unit: Tensor
    """float32 [O], finite and not 0"""
    planes: Planes | None = None
    """Where the method has planes of its own (LQ-Nets, ABC-Net); else lowering chooses the fewest."""
    two_steps: TwoSteps | None = None
    """Where the method shares products between outputs; it stands for `values` exactly."""


@dataclass(frozen=True, eq=False)
class Levels:
    """The evaluation form of an activation: level = #{k : x >= thresholds[k]}, output = unit * values[level]."""

    thresholds: Tensor
    """float32 [L-1], rising; or [C, L-1], where channels have their own, of which equal ones skip levels"""
    values: Tensor
    """int64 [L], strictly rising"""
    unit: float
    """positive"""
    planes: Planes | None = None
    """bits [Q, L] (O is L) and scale [Q, 1], where the method has planes of its own; else lowering chooses the fewest."""


class WeightQuantiser(nn.Module):
    """Base of weight quantisers. `forward` in training; `integers` in evaluation and export.

    Constructed with the latent weights' shape [O, ...]; learned parameters and state are parameters and buffers
    of the module, so that the `state_dict` holds all.
    """

    observes = False

    def forward(self, w: Tensor) -> Tensor:
        """Real quantised weights, shape of `w`, with the method's gradient."""
        raise NotImplementedError

    def integers(self, w: Tensor) -> IntegerWeights:
        """The evaluation form of latent weights; deterministic. BnnhwError where it does not exist (scale 0 or NaN)."""
        raise NotImplementedError

    def after_step(self, w: nn.Parameter) -> None:
        """Called without gradient after every optimiser step (clipping, frozen weights)."""

    def before_epoch(self, w: nn.Parameter, epoch: int, epochs: int) -> None:
        """Called without gradient before every epoch (partition steps, schedules)."""

    def after_product(self, sums: Tensor) -> Tensor:
        """Called in training on the layer's sums [N, O, ...]; the sums, perhaps with a gradient of its own."""
        return sums

    def observe(self, x_columns: Tensor) -> None:
        """Called before the first epoch where `observes` is set, with inputs [N, K] of the layer, K ordered as a row of weights."""

    def kept(self) -> float:
        """Share of the weights that are not pruned."""
        return 1.0


class ActivationQuantiser(nn.Module):
    """Base of activation quantisers. `forward` in training; `levels` in evaluation and export."""

    def forward(self, x: Tensor) -> Tensor:
        """Real quantised activations, with the method's gradient."""
        raise NotImplementedError

    def levels(self) -> Levels:
        """The evaluation form; deterministic."""
        raise NotImplementedError

    def before_epoch(self, epoch: int, epochs: int) -> None:
        """Called without gradient before every epoch (schedules)."""


Own: TypeAlias = Mapping[str, Callable[[tuple[int, ...], str], WeightQuantiser | ActivationQuantiser]]
"""Quantisers of a user's own by layer: each is called with a shape and the layer's name.

The shape is that of the latent weights, [O, ...], or channels, rows and columns of what a levels layer takes.
"""


def usable_weights(layer: str, w: IntegerWeights, shape: torch.Size) -> IntegerWeights:
    """`w` where it is an evaluation form of weights of `shape`; BnnhwError for what a quantiser of a user's own gets wrong."""
    given = f"layer {layer!r}: its quantiser gives"
    if (w.values.dtype, w.unit.dtype, w.values.shape, w.unit.shape) != (torch.int64, torch.float32, shape, shape[:1]):
        found = f"{w.values.dtype} values {list(w.values.shape)} and {w.unit.dtype} units {list(w.unit.shape)}"
        raise BnnhwError(f"{given} {found}; give int64 values {list(shape)} and float32 units {list(shape[:1])}")
    if bad := (~torch.isfinite(w.unit) | (w.unit == 0)).nonzero().flatten().tolist():
        raise BnnhwError(f"{given} output {bad[0]} the unit {float(w.unit[bad[0]]):g}; every unit must be finite and not 0")
    if w.planes is not None and not torch.equal(w.planes.values(), w.values):
        raise BnnhwError(f"{given} planes that do not add up to its values; leave the planes out or mend them")
    if (w.unit < 0).any() and (w.two_steps is not None or (w.planes is not None and not w.planes.bipolar)):
        raise BnnhwError(f"{given} output {int((w.unit < 0).nonzero()[0])} a negative unit beside unipolar planes or two steps; negate its values")
    return w


def usable_levels(layer: str, found: Levels) -> Levels:
    """`found` where it is an evaluation form of an activation; BnnhwError for what a quantiser of a user's own gets wrong."""
    at, values = found.thresholds, found.values
    given = f"layer {layer!r}: its quantiser gives"
    if (at.dtype, values.dtype) != (torch.float32, torch.int64) or at.dim() not in (1, 2) or values.shape != (at.shape[-1] + 1,):
        shapes = f"{at.dtype} thresholds {list(at.shape)} and {values.dtype} values {list(values.shape)}"
        raise BnnhwError(f"{given} {shapes}; give float32 thresholds [L-1] or [C, L-1] and int64 values [L]")
    rows = torch.atleast_2d(at)
    bad = ~torch.isfinite(rows).all(1) | (rows.diff() < 0).any(1)
    if bad.any() or (values.diff() <= 0).any():
        raise BnnhwError(
            f"{given} thresholds {rows[int(bad.int().argmax())].tolist()} and values {values.tolist()}; both must be finite and rise, values strictly"
        )
    if not 0 < found.unit < float("inf"):
        raise BnnhwError(f"{given} the unit {found.unit:g}; it must be positive and finite")
    if found.planes is not None and not torch.equal(found.planes.values(), values):
        raise BnnhwError(f"{given} planes that do not add up to its values; leave the planes out or mend them")
    return found


def integer_scales(scales: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Integers [..., P] of `bits` magnitude bits, and units [...], so that scales is about unit * integer.

    The largest magnitude of each row becomes 2**bits - 1: the stated fixed-point format of learned scales.
    """
    largest = scales.abs().amax(-1, keepdim=True)
    if not torch.isfinite(scales).all() or (largest == 0).any():
        raise BnnhwError("a learned scale is 0, NaN or infinite; lower the learning rate or change the seed")
    unit = largest / (2**bits - 1)
    return torch.round(scales / unit).long(), unit.squeeze(-1).float()
