"""What a model computes from constants alone: weights through their quantisers, shapes, folded arithmetic, as its executor does in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.frontend.grids import times
from bnnhw.ir.graph import Codes

Constant = NDArray | Codes


class Unsupported(Exception):
    """What is wrong with a node, and the remedy."""


def plain(value: Constant | None) -> NDArray:
    """As an array; codes as the float32 numbers that they stand for."""
    if isinstance(value, Codes):
        return value.real.astype(np.float32)
    return np.zeros(0) if value is None else value


def scalar(value: Constant | None, what: str) -> float:
    """One number."""
    found = plain(value)
    if found.size != 1:
        raise Unsupported(f"has {found.size} values as {what}; give one for all")
    return float(found.item())


def whole(value: Constant | None, what: str) -> int:
    """One integer, stored as whatever type."""
    found = scalar(value, what)
    if found != int(found):
        raise Unsupported(f"has {found:g} as {what}; give an integer")
    return int(found)


ROUNDED: dict[str, Callable[[NDArray], NDArray]] = {
    "ROUND": np.round, "HALF_EVEN": np.round, "CEIL": np.ceil, "FLOOR": np.floor, "DOWN": np.fix, "ROUND_TO_ZERO": np.fix,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)), "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - 0.5),
}  # fmt: skip


def rounding(attributes: dict[str, Any], usual: str) -> str:
    """The rounding mode of a quantiser."""
    mode = str(attributes.get("rounding_mode", usual)).upper()
    if mode not in ROUNDED:
        raise Unsupported(f"rounds by {mode[:40]!r}; give one of {', '.join(ROUNDED)}")
    return mode


def quantised(attributes: dict[str, Any], x: NDArray, scale: NDArray, zero: int, bits: int) -> Codes:
    """Weights through Quant, in the executor's own arithmetic."""
    signed, narrow = bool(attributes.get("signed", 1)), bool(attributes.get("narrow", 0))
    y = (x.astype(np.float32) / scale.astype(np.float32) + np.float32(zero)).astype(np.float32)
    if bits == 1 and signed:
        codes = np.where(y >= 0, 1, -1)
        return Codes(codes.astype(np.int64) - zero, scale.astype(np.float64))
    high = (1 << (bits - signed)) - 1 - (narrow and not signed)
    low = -high - (not narrow) if signed else 0
    codes = ROUNDED[rounding(attributes, "ROUND")](np.clip(y, low, high))
    return Codes(codes.astype(np.int64) - zero, scale.astype(np.float64))


def _quant(a: dict[str, Any], x: Constant, scale: Constant, zero: Constant, bits: Constant) -> Codes:
    found = plain(scale)
    if (found <= 0).any():
        raise Unsupported(f"has the scale {found.min():g}; scales are positive")
    return quantised(a, plain(x), found, whole(zero, "zero point"), check_bits(whole(bits, "bits")))


def check_bits(bits: int) -> int:
    """Bits that a quantiser may have."""
    if not 1 <= bits <= 32:
        raise Unsupported(f"has {bits} bits; give 1 to 32")
    return bits


def _bipolar(_: dict[str, Any], x: Constant, scale: Constant) -> Codes:
    return Codes(np.where(plain(x) >= 0, 1, -1).astype(np.int64), plain(scale).astype(np.float64))


def _moved(change: Callable[[NDArray], NDArray], value: Constant) -> Constant:
    """A change of shape, of codes with their scale."""
    if not isinstance(value, Codes):
        return change(value)
    scale = value.scale
    return Codes(change(value.integers), scale if scale.size == 1 else change(np.broadcast_to(scale, value.integers.shape)))


def _transpose(a: dict[str, Any], x: Constant) -> Constant:
    return _moved(lambda v: v.transpose(a.get("perm")), x)


def _reshape(_: dict[str, Any], x: Constant, shape: Constant) -> Constant:
    given = [int(n) for n in plain(shape)]
    return _moved(lambda v: v.reshape([v.shape[i] if n == 0 and i < v.ndim else n for i, n in enumerate(given)]), x)


def _flatten(a: dict[str, Any], x: Constant) -> Constant:
    return _moved(lambda v: v.reshape(int(np.prod(v.shape[: a.get("axis", 1)])), -1), x)


def axes_of(a: dict[str, Any], given: Constant | None) -> list[int] | None:
    """Axes as attribute or input."""
    found = a.get("axes") if given is None else plain(given).tolist()
    return None if found is None else [int(n) for n in np.atleast_1d(found)]


def _squeeze(a: dict[str, Any], x: Constant, axes: Constant | None = None) -> Constant:
    found = axes_of(a, axes)
    return _moved(lambda v: v.squeeze() if found is None else v.squeeze(tuple(found)), x)


def _unsqueeze(a: dict[str, Any], x: Constant, axes: Constant | None = None) -> Constant:
    return _moved(lambda v: np.expand_dims(v, tuple(axes_of(a, axes) or ())), x)


def _times(_: dict[str, Any], x: Constant, y: Constant) -> Constant:
    for codes, other in ((x, y), (y, x)):
        if isinstance(codes, Codes) and not isinstance(other, Codes):
            return Codes(codes.integers, codes.scale * other.astype(np.float64))
    a, b = plain(x), plain(y)
    found = times(a.astype(np.float64), b.astype(np.float64)) if a.dtype.kind == "f" else None
    return a * b if found is None else found


def _divided(_: dict[str, Any], x: Constant, y: Constant) -> Constant:
    a, b = plain(x), plain(y)
    if isinstance(x, Codes) and not isinstance(y, Codes) and (b != 0).all():
        return Codes(x.integers, x.scale / b.astype(np.float64))
    return a / b if a.dtype.kind == "f" else np.trunc(a / b).astype(a.dtype)


def _slice(_: dict[str, Any], x: Constant, start: Constant, end: Constant, axes: Constant | None = None, step: Constant | None = None) -> NDArray:
    value = plain(x)
    starts, ends = plain(start), plain(end)
    which = range(len(starts)) if axes is None else plain(axes)
    steps = np.ones(len(starts), np.int64) if step is None else plain(step)
    index: list[slice] = [slice(None)] * value.ndim
    for n, s, e, by in zip(which, starts, ends, steps, strict=True):
        index[int(n)] = slice(int(s), int(e), int(by))
    return value[tuple(index)]


def _constant(a: dict[str, Any]) -> NDArray:
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if name in a:
            kind = np.float32 if "float" in name else np.int64 if "int" in name else None
            return np.asarray(a[name], kind)
    raise Unsupported("has no number; give value, value_float or value_int")


def _clip(a: dict[str, Any], x: Constant, low: Constant | None = None, high: Constant | None = None) -> NDArray:
    least = a.get("min", -np.inf) if low is None else plain(low)
    most = a.get("max", np.inf) if high is None else plain(high)
    return np.clip(plain(x), least, most).astype(plain(x).dtype)


def _cast(a: dict[str, Any], x: Constant) -> Constant:
    from onnx.helper import tensor_dtype_to_np_dtype

    kind = tensor_dtype_to_np_dtype(int(a["to"]))
    return x if isinstance(x, Codes) and kind == np.float32 else plain(x).astype(kind)


def _gather(a: dict[str, Any], x: Constant, index: Constant) -> NDArray:
    return np.take(plain(x), plain(index).astype(np.int64), axis=int(a.get("axis", 0)))


def _both(f: Callable[[NDArray, NDArray], NDArray]) -> Callable[..., NDArray]:
    return lambda _, x, y: f(plain(x), plain(y))


def _one(f: Callable[[NDArray], NDArray]) -> Callable[..., NDArray]:
    return lambda _, x: f(plain(x))


FOLDED: dict[str, Callable[..., Constant]] = {
    "Constant": _constant, "Identity": lambda _, x: x, "Cast": _cast, "Dropout": lambda _, x, *rest: x,
    "Quant": _quant, "IntQuant": _quant, "BipolarQuant": _bipolar,
    "Transpose": _transpose, "Reshape": _reshape, "Flatten": _flatten, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze,
    "Concat": lambda a, *xs: np.concatenate([plain(x) for x in xs], int(a.get("axis", 0))), "Gather": _gather, "Slice": _slice,
    "Shape": lambda _, x: np.array(x.integers.shape if isinstance(x, Codes) else x.shape, np.int64),
    "Mul": _times, "Div": _divided, "Add": _both(np.add), "Sub": _both(np.subtract), "Pow": _both(lambda x, y: np.power(x, y).astype(x.dtype)),
    "Sqrt": _one(np.sqrt), "Neg": _one(np.negative), "Abs": _one(np.abs), "Sign": _one(np.sign), "Relu": _one(lambda x: np.maximum(x, 0)),
    "Reciprocal": _one(lambda x: 1 / x), "Round": _one(np.round), "Floor": _one(np.floor), "Ceil": _one(np.ceil), "Clip": _clip,
    "Max": _both(np.maximum), "Min": _both(np.minimum), "Greater": _both(np.greater), "GreaterOrEqual": _both(np.greater_equal), "Less": _both(np.less),
    "LessOrEqual": _both(np.less_equal), "Equal": _both(np.equal),
    "Where": lambda _, c, x, y: np.where(plain(c), plain(x), plain(y)),
    "ConstantOfShape": lambda a, shape: np.full([int(n) for n in plain(shape)], np.ravel(a.get("value", np.zeros(1, np.float32)))[0]),
    "Expand": lambda _, x, shape: plain(x) * np.ones([int(n) for n in plain(shape)], plain(x).dtype),
}  # fmt: skip
"""What is computed from constants, by operator: (attributes, values) -> value."""
SIZED = {"ConstantOfShape": 0, "Expand": 1}
"""Operators that make as much as an input says, and which."""


def fold(kind: str, attributes: dict[str, Any], values: list[Constant | None], most: int) -> Constant:
    """The constant that a node gives; no more than `most` numbers."""
    if kind not in FOLDED:
        raise Unsupported("takes constants only, which it is not folded for; export the model with constants folded")
    if kind in SIZED and int(np.prod([int(n) for n in plain(values[SIZED[kind]])], dtype=object)) > most:
        raise Unsupported(f"makes more than {most} numbers; mend the model")
    while values and values[-1] is None:
        values = values[:-1]
    with np.errstate(all="ignore"):  # what is infinite or no number is told where it is used
        return FOLDED[kind](attributes, *values)
