"""When a neuron fires: the trained activation as a function of the integer sum, and its threshold.

The threshold is the smallest integer at which the trained activation itself fires, found by
bisection on that activation and not by algebra on its parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64, Alphabet, Encoding, Format
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.specs import BatchNorm, Conv, Dense, LayerSpec, Levels, SignActivation, Threshold
from bnnhw.ir.trained import Close, TrainedNetwork
from bnnhw.ir.window import Window
from bnnhw.lower.blocks import Block
from bnnhw.lower.source import Source
from bnnhw.lower.weights import bits_of, whole

F64 = NDArray[np.float64]
Bool = NDArray[np.bool_]
FLOAT32_EXACT = 1 << 24
FRACTION_BITS = 14
MAX_LEVELS = 256
UNIT_ROUNDOFF = 2.0**-24


@dataclass(frozen=True, eq=False)
class Response:
    """The real value that a block's activation sees, as a function of its total: the sum over the taps inside the map.

    value = slope * (total + offset) + intercept, evaluated as the framework does where `exact`.
    """

    layer: str
    value: Callable[[I64], NDArray[np.floating]]
    """[B, O] totals -> [B, O] activation inputs."""
    slope: F64
    """[O]"""
    intercept: F64
    """[O]"""
    offset: F64
    """[B, O] in units of the total."""
    reversed: Bool
    """[O] whether a larger output of the layer, alpha included, makes the neuron less likely to fire."""
    reach: I64
    """[O] no total exceeds this in magnitude."""
    steps: Steps | None
    """What the activation does; None for a block without one."""
    exact: bool
    fan_in: int

    @property
    def falling(self) -> Bool:
        """[O] whether a larger total makes the neuron less likely to fire."""
        return (self.slope < 0) & (self.steps is not None)

    def limits(self, sign: I64, off: Bool) -> tuple[I64, list[Close]]:
        """[B, O, L-1] smallest sign * total at which each step is passed (not passed, where `off`); reach + 1 if never."""
        assert self.steps is not None
        found = [self._limit(k, sign, off) for k in range(self.steps.count)]
        close = [] if self.exact else [c for k, at in enumerate(found) for c in self._doubts(k, sign * at, sign)]
        return np.stack(found, axis=-1), close

    def _limit(self, k: int, sign: I64, off: Bool) -> I64:
        assert self.steps is not None
        passed = self.steps.passed

        def on(total: I64) -> Bool:
            return passed(self.value(sign * total), k) ^ off

        low = np.broadcast_to(-2 * self.reach - 1, self.offset.shape).astype(np.int64)
        high = -low + 1  # never evaluated: means "never"
        while (low < high).any():
            middle = (low + high) // 2
            hit = on(middle)
            high, low = np.where(hit, middle, high), np.where(hit | (low == high), low, middle + 1)
        return low

    def _doubts(self, k: int, at: I64, step: I64) -> list[Close]:
        assert self.steps is not None
        nearest = np.minimum(*(np.abs(self.value(total) - self.steps.at(k)) for total in (at, at - step)))
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


@dataclass(frozen=True, eq=False)
class Steps:
    """An activation as steps of its real input, and the encoding of its levels."""

    passed: Callable[[NDArray, int], Bool]
    """Whether real values [B, O] pass step k."""
    at: Callable[[int], NDArray[np.floating] | float]
    """Where step k is, [O] or for all."""
    count: int
    code: Encoding


def product_response(trained: TrainedNetwork, block: Block, stream: Source, window: Window, w: I64) -> Response:
    """The response of a block that starts with a product of `stream` and weights `w` [O, K]."""
    layer = block.operation
    assert isinstance(layer, Conv | Dense)
    o, unit = len(w), stream.units_per_one
    rows = w.reshape(o, window.taps, -1)
    outside, inside = (~window.inside).astype(np.float64), window.inside.astype(np.float64)
    offset = np.zeros((len(inside), o))
    if isinstance(layer, Conv):
        offset += layer.pad_value * unit * (outside @ rows.sum(2).T)
    if stream.mean.any():
        means = np.repeat(stream.per_input(window, stream.mean), o // window.groups, axis=0).reshape(rows.shape)
        offset -= inside @ (rows * means).sum(2).T
    reach = np.abs(w).sum(1) * max(abs(stream.code.low), abs(stream.code.high))
    vector = _reader(trained, layer.name, o)
    alpha = vector("alpha", layer) if layer.alpha else np.ones(o)
    bias = vector("bias", layer) if layer.bias else np.zeros(o)
    exact = stream.exact and not layer.alpha
    return _response(trained, block, alpha, bias, unit, offset, reach, exact, window.fan_in)


def stream_response(trained: TrainedNetwork, block: Block, channels: int, code: Format) -> Response:
    """The response of a block whose activation takes the numbers of a stream as they are."""
    reach = np.full(channels, max(abs(code.low), abs(code.high)))
    return _response(trained, block, np.ones(channels), np.zeros(channels), 1, np.zeros((1, channels)), reach, True, 1)


def _reader(trained: TrainedNetwork, name: str, o: int) -> Callable[..., F64]:
    """Reads a parameter [O] of a layer; `name` stands for the block in messages."""

    def vector(parameter: str, owner: LayerSpec) -> F64:
        return trained.tensor(name, owner.tensor_name(parameter), ((o,), (o, 1), (1, o, 1, 1), (o, 1, 1))).astype(np.float64)

    return vector


def _response(
    trained: TrainedNetwork, block: Block, alpha: F64, bias: F64, unit: float, offset: F64, reach: I64, exact: bool, fan_in: int
) -> Response:  # fmt: skip
    name, o = block.name, len(alpha)
    vector = _reader(trained, name, o)
    whole = bool((offset == np.rint(offset)).all() and (bias == np.rint(bias)).all())
    largest = reach + np.abs(offset).max(0) + np.abs(bias)
    exact = exact and whole and bool((largest < FLOAT32_EXACT).all())
    kind: type[np.floating] = np.float32 if exact else np.float64
    factor = np.ones(o, kind)
    if block.scale is not None:
        factor = vector("alpha", block.scale).astype(kind)
        for zero in np.flatnonzero(factor == 0)[:1]:
            raise BnnhwError(f"layer {block.scale.name!r}: channel {zero} has the scale 0, so no input changes it; retrain or mend the file")
    a, b = np.ones(o, kind), np.zeros(o, kind)
    if block.norm is not None:
        a, b = _normalisation(vector, block.norm, kind)

    def value(total: I64) -> NDArray[np.floating]:
        sums = ((alpha / unit * (total + offset) + bias).astype(kind)) * factor
        if block.norm is None:
            return sums
        return fused_multiply_add(sums, a, b) if exact else sums * a + b

    slope = alpha / unit * factor.astype(np.float64) * a
    return Response(
        name, value, slope, bias * factor * a + b, offset, a * np.sign(factor) < 0, reach, _steps(trained, block, vector, o), exact, fan_in
    )


def _steps(trained: TrainedNetwork, block: Block, vector: Callable[..., F64], channels: int) -> Steps | None:
    layer = block.activation
    match layer:
        case SignActivation(zero_to=zero_to):
            return Steps((lambda y, k: y > 0) if zero_to < 0 else (lambda y, k: y >= 0), lambda k: 0.0, 1, Encoding.bipolar())
        case Threshold():
            if isinstance(block.operation, Conv | Dense) and block.operation.alpha:
                raise BnnhwError(f"layer {block.name!r}: integer thresholds take the plain sum; remove alpha")
            limits = vector("values", layer)
            if (limits != np.rint(limits)).any():
                raise BnnhwError(f"layer {layer.name!r}: {layer.tensor_name('values')!r} must be integers; round them or use batchnorm")
            code = Encoding.unipolar() if layer.output == "unipolar" else Encoding.bipolar()
            return Steps((lambda y, k: y > limits) if layer.compare == ">" else (lambda y, k: y >= limits), lambda k: limits, 1, code)
        case Levels():
            at, code = _levels(trained, layer, channels)
            return Steps(lambda y, k: y >= at[..., k], lambda k: at[..., k], at.shape[-1], code)
    return None


def _levels(trained: TrainedNetwork, layer: Levels, channels: int) -> tuple[NDArray[np.floating], Encoding]:
    """Thresholds [L-1] or [O, L-1], rising along the last axis, and the encoding of a layer's levels."""
    name, limits = layer.tensor_name("values"), layer.tensor_name("thresholds")
    count = len(np.atleast_1d(trained.tensors.get(name, np.zeros(1))))
    values = trained.tensor(layer.name, name, ((count,),))
    values = whole(values, layer, name)
    if not 2 <= count <= MAX_LEVELS:
        raise BnnhwError(f"layer {layer.name!r}: {count} levels cannot be; give 2 to {MAX_LEVELS} values and one threshold fewer")
    for k in np.flatnonzero(np.diff(values) <= 0)[:1]:
        raise BnnhwError(f"layer {layer.name!r}: its values must rise strictly, {values[k + 1]} follows {values[k]}; sort them and drop equal ones")
    own = np.ndim(trained.tensors.get(limits, 0)) == 2
    thresholds = trained.tensor(layer.name, limits, ((channels, count - 1) if own else (count - 1,),))
    rows = np.atleast_2d(thresholds)
    for o, k in np.argwhere(rows[:, 1:] < rows[:, :-1])[:1]:
        whose = f" of channel {o}" if own else ""
        raise BnnhwError(f"layer {layer.name!r}: its thresholds{whose} fall from {rows[o, k]:g} to {rows[o, k + 1]:g}; sort them along the last axis")
    if layer.tensor_name("bits") not in trained.tensors:
        return thresholds, Encoding.of_values(tuple(int(v) for v in values))
    name, scales = layer.tensor_name("bits"), layer.tensor_name("scale")
    planes = len(np.atleast_1d(trained.tensors[name]))
    bits = bits_of(trained.tensor(layer.name, name, ((planes, count),)), layer, name)
    scale = whole(trained.tensor(layer.name, scales, ((planes,), (planes, 1))), layer, scales)
    alphabet = Alphabet.BIPOLAR if layer.bipolar else Alphabet.UNIPOLAR
    given = np.where(bits == 1, *reversed(alphabet.value)).T @ scale
    if (given != values).any():
        raise BnnhwError(f"layer {layer.name!r}: its planes give {given.tolist()}, its values are {values.tolist()}; export it again")
    return thresholds, Encoding(alphabet, 0, tuple(int(s) for s in scale), tuple(tuple(int(b) for b in level) for level in bits.T))


def _normalisation(vector: Callable[..., F64], norm: BatchNorm, kind: type[np.floating]) -> tuple[NDArray, NDArray]:
    """Factor and addend [O] of a batch norm, rounded to `kind` as PyTorch's CPU kernel rounds them.

    The kernel evaluates `x * factor + addend` with one rounding.
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
    with np.errstate(over="ignore"):  # infinite, as in the framework
        return odd.astype(np.float32)
