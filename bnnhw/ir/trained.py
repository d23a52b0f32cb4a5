"""The trained network: a description and its parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.topology import Topology


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
class TrainedNetwork:
    """`tensors` holds every parameter of `topology` under its `state_dict` name."""

    topology: Topology
    tensors: dict[str, NDArray]
    close: tuple[Close, ...] = ()
    """Decisions that were in doubt when it was read."""

    def tensor(self, layer: str, name: str, shapes: tuple[tuple[int, ...], ...]) -> NDArray:
        """Parameter `name`, finite and of one of `shapes`, returned with the first of them."""
        try:
            value = self.tensors[name]
        except KeyError:
            near = ", ".join(sorted(self.tensors)[:4])
            raise BnnhwError(f"layer {layer!r}: weights file has no {name!r}; it holds {near}...; name it under 'tensors'") from None
        if value.shape not in shapes:
            raise BnnhwError(f"layer {layer!r}: {name!r} has shape {value.shape}, not {shapes[0]}; check the layer's sizes")
        if not (np.issubdtype(value.dtype, np.number) or value.dtype == bool):
            raise BnnhwError(f"layer {layer!r}: {name!r} holds {value.dtype}, not numbers; store it as int8 or float32")
        if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
            raise BnnhwError(f"layer {layer!r}: {name!r} holds NaN or infinity; retrain or mend the file")
        return value.reshape(shapes[0])
