"""Data sets for training and for checking accuracy, as uint8 images [N, C, H, W] and labels [N]."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.errors import BnnhwError

U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """Images [N, C, H, W] and labels [N]."""

    x: U8
    y: U8


def data_folder() -> Path | None:
    """Folder with MNIST and CIFAR-10: `BNNHW_DATA`, else `../shared/data` beside the checkout, else None."""
    candidates = [os.environ.get("BNNHW_DATA"), Path(__file__).parents[1].parent / "shared" / "data"]
    return next((Path(c) for c in candidates if c and Path(c).is_dir()), None)


def _file(name: str) -> Path:
    folder = data_folder()
    if folder is None or not (folder / name).is_file():
        raise BnnhwError(f"data file {name!r} not found; set BNNHW_DATA to the folder that holds it")
    return folder / name


NAMES = ("digits", "mnist", "cifar10")


def load(name: str) -> tuple[Split, Split]:
    """Training and test split of `digits`, `mnist` or `cifar10` (JPEG copy, classes interleaved)."""
    return load_split(name, "train"), load_split(name, "test")


def load_split(name: str, split: str) -> Split:
    """One split, `train` or `test`, of a data set of NAMES."""
    return {"digits": _digits, "mnist": _mnist, "cifar10": _cifar10}[name](split)


def cifar10_lossless_test() -> Split:
    """The 1,000 test images that are at hand without loss."""
    with np.load(_file("cifar10_lossless_part.npz")) as z:
        return Split(z["x_test"].transpose(0, 3, 1, 2), z["y_test"].astype(np.uint8))


def _digits(split: str) -> Split:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise BnnhwError("data set 'digits': comes with scikit-learn, which is not installed; pip install 'bnnhw[train]'") from None

    data = load_digits()
    x = (data.images * 255 / 16).round().astype(np.uint8)[:, None]
    y = data.target.astype(np.uint8)
    chosen = (np.arange(len(x)) % 5 == 4) == (split == "test")
    return Split(x[chosen], y[chosen])


def _mnist(split: str) -> Split:
    with np.load(_file("mnist.npz")) as z:
        return Split(z[f"x_{split}"][:, None], z[f"y_{split}"])


def _cifar10(split: str) -> Split:
    try:
        from PIL import Image
    except ImportError:
        raise BnnhwError("data set 'cifar10': is stored as JPEG, which needs Pillow; pip install 'bnnhw[train]'") from None
    with np.load(_file("cifar10_jpeg.npz")) as z:
        blob, offsets, y = z[f"{split}_jpeg"].tobytes(), z[f"{split}_offsets"], z[f"{split}_labels"].astype(np.uint8)
    x = np.empty((len(y), 32, 32, 3), np.uint8)
    for i in range(len(y)):
        x[i] = np.asarray(Image.open(io.BytesIO(blob[offsets[i] : offsets[i + 1]])).convert("RGB"))
    order = np.arange(len(y)).reshape(10, -1).T.ravel()
    return Split(x[order].transpose(0, 3, 1, 2), y[order])
