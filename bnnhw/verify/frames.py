"""Which frames a verification runs on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.expected import Expected
from bnnhw.ir.integer import InputPort


@dataclass(frozen=True, eq=False)
class Frames:
    """Raw frames [N, ...], their labels where known, and where they came from."""

    x: NDArray[np.integer]
    labels: I64 | None
    source: str


MOST_FRAMES = 10_000_000


def check_count(count: int, available: int | None, where: str) -> None:
    """BnnhwError unless 1 <= count <= available."""
    if not 1 <= count <= MOST_FRAMES:
        raise BnnhwError(f"verify: {count} frames cannot be compared; give 1 to 10000000")
    if available is not None and available < count:
        raise BnnhwError(f"{where}: holds {available} frames, {count} are wanted; lower --frames")


def seeded_frames(port: InputPort, expected: Expected | None, count: int, seed: int) -> Frames:
    """The network's own saved frames as far as they reach, else random ones."""
    check_count(count, None, "")
    if expected is not None and count <= len(expected.frames):
        return Frames(expected.frames[:count], None, "of the network's saved ones, drawn at random from a seed")
    return Frames(random_frames(port, count, seed), None, f"random, seed {seed}")


def random_frames(port: InputPort, count: int, seed: int) -> NDArray[np.integer]:
    """Raw frames [count, C, H, W], every value equally likely."""
    low, high = (0, 1) if port.raw == "bipolar" else port.ends
    frames = np.random.default_rng(seed).integers(low, high + 1, (count, *port.shape))
    return (frames * 2 - 1 if port.raw == "bipolar" else frames).astype(port.dtype)


def file_frames(path: Path, count: int) -> Frames:
    """The first frames of an `.npz` that holds `frames` and perhaps `labels`."""
    try:
        with np.load(path, allow_pickle=False) as z:
            names = z.files
            frames = z["frames"] if "frames" in names else None
            labels = z["labels"].astype(np.int64) if "labels" in names else None
    except Exception as e:  # a damaged archive raises whatever its parser trips over
        raise BnnhwError(f"{path}: cannot be read as .npz ({type(e).__name__}); save frames with numpy.savez") from None
    if frames is None:
        raise BnnhwError(f"{path}: holds {', '.join(names[:5])}, no 'frames'; save frames [N, C, H, W] under that name")
    if frames.ndim < 2 or (labels is not None and labels.shape != frames.shape[:1]):
        raise BnnhwError(f"{path}: frames {frames.shape} and labels do not go together; save frames [N, C, H, W] and labels [N]")
    check_count(count, len(frames), str(path))
    return Frames(frames[:count], None if labels is None else labels[:count], path.name)
