"""Frames with the sums and labels that the training framework gave for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64
from bnnhw.ir.errors import BnnhwError


@dataclass(frozen=True, eq=False)
class Expected:
    """`frames` [N, ...] raw; `outputs` [N, O] as the framework computed them, whole numbers; `labels` [N]."""

    frames: NDArray[np.integer]
    outputs: I64
    labels: I64
    source: str
    """The framework and its version."""


def write_expected(path: Path, expected: Expected) -> None:
    """Save for `read_expected`."""
    np.savez_compressed(path, frames=expected.frames, outputs=expected.outputs, labels=expected.labels, source=np.array(expected.source))


def read_expected(path: Path) -> Expected:
    """What `write_expected` saved; BnnhwError for another file."""
    try:
        with np.load(path, allow_pickle=False) as z:
            found = Expected(z["frames"], z["outputs"], z["labels"], str(z["source"]))
            whole = all(a.dtype.kind in "iu" for a in (found.frames, found.outputs, found.labels))
            if not whole or found.labels.ndim != 1 or not len(found.frames) == len(found.outputs) == len(found.labels) > 0:
                raise ValueError
            return found
    except Exception as e:  # a damaged archive raises whatever its parser trips over
        raise BnnhwError(
            f"{path}: no saved framework outputs ({type(e).__name__}); it needs whole-numbered frames, outputs and labels of one length, and source"
        ) from None
