"""A trained checkpoint as the files that `generate` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from bnnhw import data
from bnnhw.ir import topology as t
from bnnhw.ir.encoding import I64
from bnnhw.ir.expected import Expected, write_expected
from bnnhw.ir.packed import BITS, pack_signs
from bnnhw.nn.layers import BinaryConv2d, BinaryLinear
from bnnhw.nn.model import build
from bnnhw.nn.train import evaluate, prepare

FRAMES, FRAME_SEED = 16, 2026


def export(net: t.Topology, folder: Path) -> dict[str, Any]:
    """Write `network.yaml`, `weights.npz` (signs packed) and `expected.npz` beside `folder/checkpoint.pt`.

    Returns the accuracies on the test images, in percent.
    """
    state = torch.load(folder / "checkpoint.pt", weights_only=True)["model"]
    model = build(net)
    model.load_state_dict(state)
    model.eval()
    np.savez_compressed(folder / "weights.npz", **_packed(model))  # type: ignore[arg-type]
    frames = np.random.default_rng(FRAME_SEED).integers(0, 256, (FRAMES, *net.input.chw), dtype=np.uint8)
    with torch.no_grad():
        sums = model(prepare(net.input, frames)).flatten(1)
    outputs: I64 = sums.numpy().astype(np.int64)
    write_expected(folder / "expected.npz", Expected(frames, outputs, outputs.argmax(1), f"PyTorch {torch.__version__.split('+')[0]}"))
    described = net.model_copy(update={"weights": "weights.npz", "expected": "expected.npz"})
    plain = described.model_dump(mode="json", exclude_unset=True)
    (folder / "network.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    assert net.train is not None
    accuracies = {"test_accuracy": evaluate(model, net.input, data.load_split(net.train.data, "test"))}
    if net.train.data == "cifar10":
        accuracies["lossless_test_accuracy"] = evaluate(model, net.input, data.cifar10_lossless_test())
    return accuracies


def _packed(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """`state_dict` with signs for latent weights, eight a byte."""
    found: dict[str, np.ndarray] = {}
    for name, module in model.named_modules():
        if isinstance(module, BinaryConv2d | BinaryLinear):
            found |= pack_signs(f"{name}.weight", np.where(module.weight.detach().numpy() >= 0, 1, -1))
    for name, value in model.state_dict().items():
        if f"{name}{BITS}" not in found and not name.endswith("num_batches_tracked"):
            found[name] = value.numpy()
    return found
