"""What all tests share: where data and published networks lie, and seeds from names."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers share the cores: PyTorch's threads would wait for one another


def _folder(variable: str, name: str) -> Path | None:
    candidates = [os.environ.get(variable), ROOT.parent / "shared" / name]
    return next((Path(c) for c in candidates if c and Path(c).is_dir()), None)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """MNIST and CIFAR-10; skips where they are not at hand."""
    folder = _folder("BNNHW_DATA", "data")
    if folder is None:
        pytest.skip("no data: set BNNHW_DATA to the folder with mnist.npz and cifar10_jpeg.npz")
    return folder


@pytest.fixture(scope="session")
def models_folder() -> Path:
    """Published trained networks; skips where they are not at hand."""
    folder = _folder("BNNHW_MODELS", "models")
    if folder is None:
        pytest.skip("no published models: set BNNHW_MODELS to their folder")
    return folder


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Seeded by the test's name, which a failure prints."""
    seed = zlib.crc32(request.node.nodeid.encode())
    print(f"seed {seed}")
    return np.random.default_rng(seed)
