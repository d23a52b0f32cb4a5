"""Signs of a layer's weights, in the canonical order of taps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import Window
from bnnhw.ir.topology import Conv, Dense
from bnnhw.ir.trained import TrainedNetwork


def signs(trained: TrainedNetwork, layer: Conv | Dense, window: Window) -> NDArray[np.int8]:
    """[O, K] weights, -1 or +1, each row in the order (kernel row, kernel column, channel).

    Resolves OIHW storage and PyTorch's flatten order by permuting; binarises before anything else.
    """
    channels, (kh, kw) = window.group_channels, window.kernel
    name = layer.tensor_name("weight")
    if isinstance(layer, Conv):
        stored: tuple[tuple[int, ...], ...] = ((layer.out, channels, kh, kw),)
    else:
        stored = ((layer.out, window.fan_in),)
    w = trained.tensor(layer.name, name, stored)
    w = _binarise(w, layer, name).reshape(layer.out, channels, kh, kw)
    return np.ascontiguousarray(w.transpose(0, 2, 3, 1)).reshape(layer.out, -1)


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
