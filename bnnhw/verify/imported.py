"""A foreign model in its own framework beside the integer network that was recognised in it, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bnnhw.golden import run
from bnnhw.ir.encoding import I64, numbers
from bnnhw.ir.integer import PORT, Network

HALF = 0.25
"""Distance from an integer beyond which a framework's number is none."""


class Seen(Protocol):
    """A tensor of the framework's and the stream that carries it."""

    @property
    def tensor(self) -> str:
        """Its name."""

    @property
    def node(self) -> str:
        """What gives it."""

    @property
    def ids(self) -> I64:
        """Place of each element among the stream's [C * rows * columns]."""

    @property
    def affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """[C] factor and addend: real = factor * integer + addend."""


@dataclass(frozen=True)
class Parted:
    """Where a layer first differs."""

    frame: int
    place: tuple[int, ...]
    """Index into the framework's tensor, without the batch."""
    framework: float
    golden: float
    """Both in the framework's numbers."""
    channel: int


@dataclass(frozen=True)
class Compared:
    """One tensor in both."""

    node: str
    tensor: str
    layer: str
    """Of the integer network."""
    elements: int
    different: int
    first: Parted | None
    in_doubt: bool = False
    """Whether the first difference is in a channel that decides within the float32 error of the framework's own sums."""


@dataclass(frozen=True, eq=False)
class ImportCheck:
    """The comparison: layers in order, and labels."""

    layers: tuple[Compared, ...]
    frames: int
    labels_equal: int
    source: str
    """What the frames are."""

    @property
    def parted(self) -> Compared | None:
        """The first layer that differs."""
        return next((layer for layer in self.layers if layer.different), None)

    @property
    def equal(self) -> bool:
        """Whether all labels and all tensors are equal."""
        return self.parted is None and self.labels_equal == self.frames


def compare(
    net: Network,
    seen: Sequence[tuple[str, Seen]],
    reference: Mapping[str, NDArray],
    output: str,
    frames: NDArray,
    source: str,
    doubts: Mapping[str, set[int]],
) -> ImportCheck:
    """Run golden on `frames` and compare it with the framework's tensors [N, ...].

    `seen`: for each, the layer of `net` that carries it, PORT for the input; `output`: the tensor whose first largest element is the label;
    `doubts`: channels in doubt by node.
    """
    trace = run(net, frames, trace=True)
    layers = []
    for layer, one in seen:
        if one.tensor not in reference:
            continue
        code = net.x if layer == PORT else net[layer].out
        stored = net.port.levels(frames) if layer == PORT else trace.layers[layer]
        found = _compared(one, layer, numbers(code, stored), reference[one.tensor])
        in_doubt = found.first is not None and found.first.channel in doubts.get(one.node, ())
        layers.append(replace(found, in_doubt=in_doubt))
    wanted = reference[output].reshape(len(frames), -1).argmax(1)
    return ImportCheck(tuple(layers), len(frames), int((trace.labels == wanted).sum()), source)


def _compared(one: Seen, layer: str, stored: NDArray[np.integer], wanted: NDArray) -> Compared:
    """A tensor [N, ...] of the framework's as integers, beside those of a stream [N, C, H, W]."""
    n, pixels = len(stored), prod(stored.shape[2:])
    factor, addend = one.affine
    ids = one.ids.ravel()
    channel = ids // pixels
    mine = stored.reshape(n, -1)[:, ids].astype(np.float64)
    given = wanted.reshape(n, -1).astype(np.float64)
    known = factor[channel] != 0
    theirs = np.where(known, (given - addend[channel]) / np.where(known, factor[channel], 1), 0)
    wrong = np.argwhere((np.abs(theirs - mine) > HALF) & known)
    first = None
    for frame, at in wrong[:1]:
        c = int(channel[at])
        place = tuple(int(i) for i in np.unravel_index(at, one.ids.shape))
        first = Parted(int(frame), place, float(given[frame, at]), float(factor[c] * mine[frame, at] + addend[c]), c)
    return Compared(one.node, one.tensor, layer, given.size, len(wrong), first)
