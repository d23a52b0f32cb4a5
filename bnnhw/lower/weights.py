"""A layer's weights as planes, in the canonical order of taps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64, U8, Alphabet
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.specs import Conv, Dense, LayerSpec
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.ir.weights import Weights
from bnnhw.ir.window import Window

LARGEST_WEIGHT = 1 << 24


def weights(trained: TrainedNetwork, layer: Conv | Dense, window: Window) -> Weights:
    """Weights of a layer that stores them whole, each row in the order (kernel row, kernel column, channel).

    Resolves OIHW storage and PyTorch's flatten order by permuting; binarises before anything else.
    """
    name = layer.tensor_name("weight")
    if layer.weights == "planes":
        return _planes(trained, layer, window)
    stored = stored_shape(layer, window)
    w = trained.tensor(layer.name, name, (stored,))
    if layer.weights == "integers":
        return Weights.of_values(ordered(whole(w, layer, name), window))
    return Weights.binary(ordered(_binarise(w, layer, name), window))


def stored_shape(layer: Conv | Dense, window: Window) -> tuple[int, ...]:
    """Shape of the stored weights."""
    if isinstance(layer, Conv):
        return layer.out, window.group_channels, *window.kernel
    return layer.out, window.fan_in


def ordered(w: NDArray, window: Window) -> NDArray:
    """[..., O, K] in the order of the stream, of weights [..., O, C, kh, kw] or [..., O, C * H * W]."""
    planes = w.reshape(-1, w.shape[-4] if w.ndim > 3 else w.shape[-2], window.group_channels, *window.kernel)
    moved = np.ascontiguousarray(planes.transpose(0, 1, 3, 4, 2)).reshape(*planes.shape[:2], -1)
    return moved[0] if w.ndim in (2, 4) else moved


def whole(w: NDArray, layer: LayerSpec, name: str, most: int = LARGEST_WEIGHT) -> I64:
    """`w` as integers up to +-`most`; BnnhwError where it holds others."""
    for odd in w[w != np.rint(w)][:1]:
        raise BnnhwError(f"layer {layer.name!r}: {name!r} must hold integers, it holds {odd}; round them over a scale")
    for large in w[(w > most) | (w < -most)][:1]:
        raise BnnhwError(f"layer {layer.name!r}: {name!r} holds {large}, at most {most} fits; use fewer bits")
    return w.astype(np.int64)


def bits_of(w: NDArray, layer: LayerSpec, name: str) -> U8:
    """`w` as bits; BnnhwError where it holds other numbers."""
    for odd in w[(w != 0) & (w != 1)][:1]:
        raise BnnhwError(f"layer {layer.name!r}: {name!r} must hold bits, 0 or 1, it holds {odd}; export it again")
    return w.astype(np.uint8)


def _planes(trained: TrainedNetwork, layer: Conv | Dense, window: Window) -> Weights:
    """Planes as the training method has them: bipolar bits [P, O, ...], a mask, and scales [P, O]."""
    name = layer.tensor_name("bits")
    stored = trained.tensors.get(name)
    if stored is None or stored.ndim < 3 or not len(stored):
        raise BnnhwError(f"layer {layer.name!r}: weights file has no planes {name!r}; store bits [P, O, ...]")
    p = len(stored)
    shape = (p, *stored_shape(layer, window))
    bits = bits_of(trained.tensor(layer.name, name, (shape,)), layer, name)
    scale = whole(trained.tensor(layer.name, layer.tensor_name("scale"), ((p, layer.out),)), layer, layer.tensor_name("scale"))
    for o in np.flatnonzero(~scale.any(0))[:1]:
        raise BnnhwError(f"layer {layer.name!r}: every plane of output {o} has the scale 0, so no input changes it; retrain, or remove the output")
    bits ^= (scale < 0).reshape(*scale.shape, *[1] * (bits.ndim - 2))
    scale, mask = np.abs(scale), None
    if layer.tensor_name("mask") in trained.tensors:
        mask = ordered(bits_of(trained.tensor(layer.name, layer.tensor_name("mask"), (shape,)), layer, layer.tensor_name("mask")), window)
    return Weights(Alphabet.BIPOLAR, ordered(bits, window), scale, None if mask is None or mask.all() else mask)


def _binarise(w: NDArray, layer: Conv | Dense, name: str) -> NDArray[np.int8]:
    if layer.weights == "signs":
        positive = w == 1
        if not (positive | (w == -1)).all():
            odd = w[~(positive | (w == -1))].flat[0]
            raise BnnhwError(f"layer {layer.name!r}: {name!r} must hold -1 and +1, it holds {odd}; binarise it or set weights: latent")
    else:
        zeros = int((w == 0).sum())
        if zeros and layer.zero_to is None:
            raise BnnhwError(
                f"layer {layer.name!r}: {name!r} holds {zeros} weights that are exactly 0, whose sign frameworks disagree on; set zero_to: 1 or -1"
            )
        positive = w >= 0 if layer.zero_to == 1 else w > 0
    return np.where(positive, 1, -1).astype(np.int8)
