"""When a neuron fires: the trained activation as a function of the integer sum, and its threshold.

The threshold is the smallest integer at which the trained activation itself fires, found by
bisection on that activation and not by algebra on its parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64, Encoding
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import Window
from bnnhw.ir.topology import BatchNorm, Conv, Threshold
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.lower.blocks import Block
from bnnhw.lower.source import Source

F64 = NDArray[np.float64]
Bool = NDArray[np.bool_]
FLOAT32_EXACT = 1 << 24
FRACTION_BITS = 14
UNIT_ROUNDOFF = 2.0**-24


@dataclass(frozen=True)
class Close:
    """A decision nearer to its threshold than the float32 error of an inexact framework sum."""

    layer: str
    channel: int
    distance: float
    """Smallest |activation input| at the two integers around the threshold."""
    bound: float
    """Bound of its float32 error."""


@dataclass(frozen=True, eq=False)
class Response:
    """The real value that a block's activation sees, as a function of the sum over the taps inside the map.

    value = slope * (sum + offset) + intercept, evaluated as the framework does where `exact`.
    """

    layer: str
    value: Callable[[I64], NDArray[np.floating]]
    """[B, O] sums -> [B, O] activation inputs."""
    slope: F64
    """[O]"""
    intercept: F64
    """[O]"""
    offset: F64
    """[B, O] in units of the sum."""
    reversed: Bool
    """[O] whether a larger output of the layer, alpha included, makes the neuron less likely to fire."""
    reach: I64
    """[O] no sum exceeds this in magnitude."""
    fires: Callable[[NDArray], Bool]
    code: Encoding | None
    """Encoding of the activation; None for a block that ends in sums."""
    exact: bool
    fan_in: int

    @property
    def falling(self) -> Bool:
        """[O] whether a larger sum makes the neuron less likely to fire."""
        return (self.slope < 0) & (self.code is not None)

    def first_firing(self, row_sign: I64, inverted: Bool) -> tuple[I64, list[Close]]:
        """[B, O] smallest row_sign * sum at which (not, where inverted) it fires; reach + 1 if never."""

        def on(total: I64) -> Bool:
            return self.fires(self.value(row_sign * total)) ^ inverted

        low = np.broadcast_to(-2 * self.reach - 1, self.offset.shape).astype(np.int64)
        high = -low + 1  # never evaluated: means "never"
        while (low < high).any():
            middle = (low + high) // 2
            hit = on(middle)
            high, low = np.where(hit, middle, high), np.where(hit | (low == high), low, middle + 1)
        return low, ([] if self.exact else self._doubts(row_sign * low, row_sign))

    def _doubts(self, at: I64, step: I64) -> list[Close]:
        nearest = np.minimum(np.abs(self.value(at)), np.abs(self.value(at - step)))
        reach = np.abs(self.slope) * (self.reach + np.abs(self.offset)) + np.abs(self.intercept)
        bound = (self.fan_in + 8) * UNIT_ROUNDOFF * reach
        reachable = np.abs(at) <= self.reach + 1
        return [
            Close(self.layer, int(o), float(nearest[:, o].min()), float(bound[:, o].max()))
            for o in np.flatnonzero(((nearest < bound) & reachable).any(0))
        ]

    def affine(self) -> tuple[I64, I64, int]:
        """Integer scale [O], bias [B, O] and fraction bits of a block that ends in sums.

        The scale is dropped where it is positive and equal for all outputs, with the intercepts equal too.
        """
        alike = self.slope[0] > 0 and (self.slope == self.slope[0]).all()
        bias = self.offset + (self.intercept / self.slope[0] if alike else 0)
        if alike and (self.intercept == self.intercept[0]).all():
            bias = self.offset
        if alike and (bias == np.rint(bias)).all():
            return np.ones(len(self.slope), np.int64), np.rint(bias).astype(np.int64), 0
        unit = float(np.abs(self.slope).max())
        if unit == 0:
            raise BnnhwError(f"layer {self.layer!r}: every output's scale is 0, so no input changes the result; retrain")
        scale = np.rint(self.slope / unit * 2**FRACTION_BITS).astype(np.int64)
        bias = np.rint((self.slope * self.offset + self.intercept) / unit * 2**FRACTION_BITS)
        if np.abs(bias).max() >= 2**46:
            raise BnnhwError(f"layer {self.layer!r}: bias {np.abs(bias).max():.3g} overflows 46 bits; check the last batch norm")
        return scale, bias.astype(np.int64), FRACTION_BITS


def response(trained: TrainedNetwork, block: Block, stream: Source, window: Window, w: NDArray[np.int8]) -> Response:
    """The response of `block` with signs `w` [O, K] on `stream`."""
    layer, name = block.matvec, block.matvec.name
    o, unit = len(w), stream.units_per_one
    rows = w.reshape(o, window.taps, -1)
    outside, inside = (~window.inside).astype(np.float64), window.inside.astype(np.float64)
    offset = np.zeros((len(inside), o))
    if isinstance(layer, Conv):
        offset += layer.pad_value * unit * (outside @ rows.sum(2, dtype=np.int64).T)
    if stream.mean.any():
        means = np.repeat(stream.per_input(window, stream.mean), o // window.groups, axis=0).reshape(rows.shape)
        offset -= inside @ (rows * means).sum(2).T
    reach = np.full(o, window.fan_in * int(np.abs(stream.code.values).max()))

    def vector(parameter: str, owner=layer) -> F64:
        return trained.tensor(name, owner.tensor_name(parameter), ((o,), (o, 1), (1, o, 1, 1), (o, 1, 1))).astype(np.float64)

    alpha = vector("alpha") if layer.alpha else np.ones(o)
    bias = vector("bias") if layer.bias else np.zeros(o)
    whole = bool((offset == np.rint(offset)).all() and (bias == np.rint(bias)).all())
    largest = reach + np.abs(offset).max(0) + np.abs(bias)
    exact = stream.exact and not layer.alpha and whole and bool((largest < FLOAT32_EXACT).all())

    def product(total: I64) -> F64:
        return alpha / unit * (total + offset) + bias

    kind: type[np.floating] = np.float32 if exact else np.float64
    a, b = np.ones(o, kind), np.zeros(o, kind)
    if block.norm is not None:
        a, b = _normalisation(vector, block.norm, kind)

    def value(total: I64) -> NDArray[np.floating]:
        sums = product(total)
        return sums if block.norm is None else sums * a.astype(np.float64) + b.astype(np.float64)

    return Response(
        name, value, alpha / unit * a, bias * a + b, offset, a < 0, reach, _fires(vector, block), _code(block), exact, window.fan_in
    )  # fmt: skip


def _fires(vector: Callable[..., F64], block: Block) -> Callable[[NDArray], Bool]:
    """Whether the activation is on for real values [B, O]; for a block without one it is not asked."""
    layer = block.activation
    if isinstance(layer, Threshold):
        if block.matvec.alpha:
            raise BnnhwError(f"layer {block.matvec.name!r}: integer thresholds take the plain sum; remove alpha")
        limits = vector("values", layer)
        if (limits != np.rint(limits)).any():
            raise BnnhwError(f"layer {layer.name!r}: {layer.tensor_name('values')!r} must be integers; round them or use batchnorm")
        return (lambda y: y > limits) if layer.compare == ">" else (lambda y: y >= limits)
    if layer is not None and layer.zero_to < 0:
        return lambda y: y > 0
    return lambda y: y >= 0


def _code(block: Block) -> Encoding | None:
    if block.activation is None:
        return None
    unipolar = isinstance(block.activation, Threshold) and block.activation.output == "unipolar"
    return Encoding.unipolar() if unipolar else Encoding.bipolar()


def _normalisation(vector: Callable[..., F64], norm: BatchNorm, kind: type[np.floating]) -> tuple[NDArray, NDArray]:
    """Factor and addend [O] of a batch norm, rounded to `kind` as PyTorch's CPU kernel rounds them.

    The kernel evaluates `x * factor + addend` with one rounding, which keeps the sign of the exact
    value; float64 gives the same sign, as the product of two float32 numbers is exact in it.
    """
    gamma, beta, mean, var = (vector(p, norm).astype(kind) for p in ("weight", "bias", "running_mean", "running_var"))
    if (var < 0).any():
        raise BnnhwError(f"layer {norm.name!r}: running_var has a negative value; a variance is at least 0")
    deviation = np.sqrt(var + kind(norm.eps))
    if not (deviation > 0).all():
        raise BnnhwError(f"layer {norm.name!r}: variance and eps are both 0; set eps as in training")
    factor = kind(1) / deviation * gamma
    if kind is np.float64:
        return factor, beta - mean * factor
    return factor, fused_multiply_add(-mean, factor, beta)


def fused_multiply_add(x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32]) -> NDArray[np.float32]:
    """x * y + z rounded once to float32.

    The float64 sum is rounded to odd, so that rounding it again to float32 gives what one rounding would.
    """
    product, addend = x.astype(np.float64) * y.astype(np.float64), z.astype(np.float64)
    total = product + addend
    back = total - product
    error = (product - (total - back)) + (addend - back)
    even = total.view(np.int64) % 2 == 0
    odd = np.where((error != 0) & even, np.nextafter(total, np.copysign(np.inf, error)), total)
    return odd.astype(np.float32)
