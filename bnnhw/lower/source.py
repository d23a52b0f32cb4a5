"""What the integers of a stream mean to the trained network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import Encoding, Format, Integers
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import InputPort
from bnnhw.ir.topology import InputSpec, MeanStd, PixelLevels, PixelThreshold
from bnnhw.ir.window import Window

ENCODED = 256
"""Levels, at most, of an encoding; more integers come as numbers."""


@dataclass(frozen=True, eq=False)
class Source:
    """trained value = (sign * integer - mean) / units_per_one, per channel."""

    code: Format
    units_per_one: float
    mean: NDArray[np.float64]
    sign: NDArray[np.int8]
    """-1 where the stream carries the inverted bit."""
    steps: tuple[int, ...] | None = None
    exact: bool = True
    """Whether the framework's float32 inputs are these integers themselves."""

    def port(self, spec: InputSpec) -> InputPort:
        """How raw frames become levels."""
        real = None if spec.real is None else (spec.real.unit, spec.real.offset)
        return InputPort(spec.chw, spec.type, self.steps, spec.ends, real)

    def column_sign(self, window: Window) -> NDArray[np.int8]:
        """[groups, K] sign of each input of a window."""
        return self.per_input(window, self.sign)

    def per_input(self, window: Window, channels: NDArray) -> NDArray:
        """[groups, K] a value per channel spread over the window's inputs."""
        return np.tile(channels.reshape(window.groups, 1, window.group_channels), (1, window.taps, 1)).reshape(window.groups, -1)


def source(spec: InputSpec) -> Source:
    """The network's input stream; BnnhwError for a normalisation that does not fold into thresholds."""
    channels = spec.chw[0]
    zero, one = np.zeros(channels), np.ones(channels, np.int8)
    if spec.type == "bipolar":
        return Source(Encoding.bipolar(), 1, zero, one)
    if spec.type != "uint8" or spec.ends is not None:
        return Source(_of_ends(*(spec.ends or spec.widest)), 1, zero, one)
    match spec.preprocess:
        case "none":
            return Source(Encoding.uint(8), 1, zero, one)
        case "x/255":
            return Source(Encoding.uint(8), 255, zero, one, exact=False)
        case "2p-255":
            return Source(Encoding.centred(8), 1, zero, one)
        case "2x-1":
            return Source(Encoding.centred(8), 255, zero, one, exact=False)
        case PixelThreshold(threshold=level):
            return Source(Encoding.bipolar(), 1, zero, one, (level,))
        case PixelLevels(thresholds=thresholds, values=values):
            return Source(Encoding.of_values(values), 1, zero, one, thresholds)
        case MeanStd(mean=mean, std=std):
            return _mean_std(mean, std, channels)
    raise AssertionError(spec)


def _of_ends(low: int, high: int) -> Format:
    """Integers from `low` to `high`."""
    if high - low >= ENCODED:
        return Integers(low, high)
    bits = (high - low).bit_length()
    if (low, high) == (-(1 << (bits - 1)), (1 << (bits - 1)) - 1):
        return Encoding.sint(bits)
    return Encoding.of_values(tuple(range(low, high + 1)))


def _mean_std(mean: float | tuple[float, ...], std: float | tuple[float, ...], channels: int) -> Source:
    means, stds = (np.atleast_1d(np.array(v, np.float64)) for v in (mean, std))
    for what, v in (("mean", means), ("std", stds)):
        if len(v) not in (1, channels):
            raise BnnhwError(f"input: {what} has {len(v)} values for {channels} channels; give 1 or {channels}")
    if (stds <= 0).any():
        raise BnnhwError(f"input: std {float(stds.min())} is not positive; give the standard deviation of x = p/255")
    if (stds != stds[0]).any():
        raise BnnhwError(
            f"input: std differs between channels ({', '.join(map(str, stds))}), which no threshold behind a binary layer can absorb; "
            "train with one std for all channels"
        )
    return Source(Encoding.uint(8), 255 * float(stds[0]), np.broadcast_to(255 * means, channels).copy(), np.ones(channels, np.int8), exact=False)
