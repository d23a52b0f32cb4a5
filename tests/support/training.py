"""Small networks for digits: trained, evaluated by PyTorch and by the golden model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

import bnnhw
from bnnhw import data, frontend
from bnnhw.golden import run
from bnnhw.ir.integer import Network
from bnnhw.ir.topology import Topology
from bnnhw.lower import lower

Layers = list[dict[str, Any]]


def dense(name: str, out: int, **more: Any) -> dict[str, Any]:
    return {"type": "dense", "name": name, "out": out, **more}


def conv(name: str, out: int, **more: Any) -> dict[str, Any]:
    return {"type": "conv", "name": name, "out": out, "kernel": 3, **more}


def norm(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "batchnorm", "name": name, "eps": 1e-5, **more}


def sign(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "sign", "name": name, "zero_to": 1, **more}


def levels(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "levels", "name": name, **more}


def describe(layers: Layers, quantisers: dict[str, Any] | None = None, **train: Any) -> dict[str, Any]:
    """A network for digits, as plain data of a YAML file."""
    return {
        "bnnhw": 1, "name": "net", "input": {"shape": [1, 8, 8], "type": "uint8", "preprocess": "2p-255"}, "layers": layers,
        "quantisers": quantisers, "train": {"data": "digits", "epochs": 2, "batch": 50, "lr": 0.02} | train,
    }  # fmt: skip


def learn(folder: Path, description: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Train a network in its folder; its accuracies."""
    folder.mkdir(exist_ok=True)
    (folder / "net.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(description))))
    return bnnhw.train(folder / "net.yaml", folder, quiet=True, **options)


def model_of(folder: Path) -> Any:
    """The trained network in evaluation mode."""
    from bnnhw.nn.model import build, load_parameters

    model = build(Topology.model_validate(yaml.safe_load((folder / "trained.yaml").read_text())))
    load_parameters(model, folder)
    return model.eval()


def evaluated(folder: Path, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What PyTorch computes in evaluation mode, from the checkpoint [N, O]."""
    import torch

    from bnnhw.nn.train import prepare

    model = model_of(folder)
    with torch.no_grad():
        return model(prepare(model.topology.input, images)).flatten(1).double().numpy()


def agreed(folder: Path, images: NDArray[np.uint8] | None = None) -> Network:
    """The integer network of a trained one; its golden outputs and labels for `images`, or all test images, are those of PyTorch."""
    images = data.load_split("digits", "test").x if images is None else images
    net = lower(frontend.load(folder / "network.yaml")).network
    sums, got = evaluated(folder, images), run(net, images)
    assert len(np.unique(sums)) > 10, f"{folder.name}: the network says nothing"
    assert (got.outputs.reshape(sums.shape) == sums).all(), f"{folder.name}: golden differs from PyTorch"
    assert (got.labels == sums.argmax(1)).all()
    return net
