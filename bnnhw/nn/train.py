"""The training loop: Adam on latent weights clipped to [-1, 1], cosine rate, cross entropy on scaled sums."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import Tensor, nn

from bnnhw import data
from bnnhw.ir import topology as t
from bnnhw.ir.errors import BnnhwError
from bnnhw.nn.layers import BinaryConv2d, BinaryLinear
from bnnhw.nn.model import build


def prepare(spec: t.InputSpec, x: np.ndarray) -> Tensor:
    """Integer-valued float32 inputs [N, C, H, W] from raw ones: pixels as p or 2p-255, so that sums stay exact."""
    x = torch.from_numpy(np.ascontiguousarray(x)).float().reshape(len(x), *spec.chw)
    if isinstance(spec.preprocess, t.PixelThreshold):
        return torch.where(x >= spec.preprocess.threshold, 1.0, -1.0)
    if spec.preprocess in ("2x-1", "2p-255"):
        return 2 * x - 255
    if spec.preprocess == "none":
        return x
    raise BnnhwError(f"input: preprocess {spec.preprocess} cannot be trained here; use none or 2p-255")


def _batches(split: data.Split, spec: t.TrainSpec, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Shuffled batches of one epoch; augmented by mirroring and shifts where the recipe asks for it."""
    order, m = rng.permutation(len(split.x)), spec.shift
    for i in range(len(order) // spec.batch):
        rows = order[i * spec.batch : (i + 1) * spec.batch]
        x = split.x[rows]
        if spec.augment:
            mirror = rng.random(len(x)) < 0.5
            x[mirror] = x[mirror, :, :, ::-1]
            h, w = x.shape[2:]
            padded = np.pad(x, ((0, 0), (0, 0), (m, m), (m, m)), mode="reflect")
            dy, dx = rng.integers(0, 2 * m + 1, (2, len(x)))
            x = np.stack([p[:, a : a + h, b : b + w] for p, a, b in zip(padded, dy, dx, strict=True)])
        yield x, split.y[rows]


@torch.no_grad()
def evaluate(model: nn.Module, spec: t.InputSpec, split: data.Split, batch: int = 250) -> float:
    """Accuracy in evaluation mode, in percent."""
    model.eval()
    hits = 0
    for i in range(0, len(split.x), batch):
        sums = model(prepare(spec, split.x[i : i + batch])).flatten(1)
        hits += int((sums.argmax(1).numpy() == split.y[i : i + batch]).sum())
    return 100 * hits / len(split.x)


def train(net: t.Topology, out: Path, spec: t.TrainSpec, *, resume: bool = True, quiet: bool = False) -> dict[str, Any]:
    """Train `net` by `spec`; writes `out/checkpoint.pt` after each epoch and `out/metrics.jsonl`.

    Returns the last epoch's metrics (accuracies in percent). A run that was cut off goes on from its checkpoint.
    """
    torch.manual_seed(spec.seed)
    out.mkdir(parents=True, exist_ok=True)
    model = build(net).to(memory_format=torch.channels_last)
    fan_in = [m.weight[0].numel() for m in model.modules() if isinstance(m, BinaryConv2d | BinaryLinear)][-1]
    log_scale = nn.Parameter(torch.tensor(-0.5 * math.log(fan_in)))
    optimiser = torch.optim.Adam([*model.parameters(), log_scale], lr=spec.lr)
    train_split, test_split = data.load(spec.data)
    if np.prod(train_split.x.shape[1:]) != np.prod(net.input.chw) or not 1 <= spec.batch <= len(train_split.x):
        raise BnnhwError(
            f"train: {spec.data} has {len(train_split.x)} images of {train_split.x.shape[1:]}; the input {net.input.shape} or batch {spec.batch} does not fit"
        )
    if np.prod(net.shape_of()[net.layers[-1].name]) <= int(train_split.y.max()):
        raise BnnhwError(
            f"train: {spec.data} has {int(train_split.y.max()) + 1} classes, the network {np.prod(net.shape_of()[net.layers[-1].name])} outputs; add outputs"
        )
    steps = spec.epochs * (len(train_split.x) // spec.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda i: min(1.0, (i + 1) / 100) * 0.5 * (1 + math.cos(math.pi * min(1.0, i / steps))))
    first, metrics = 0, {}
    checkpoint = out / "checkpoint.pt"
    if resume and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        log_scale.data, first, metrics = state["log_scale"], state["epoch"], state["metrics"]
    with Progress(disable=quiet) as progress:
        task = progress.add_task(net.name, total=steps, completed=first * (steps // spec.epochs))
        for epoch in range(first, spec.epochs):
            started, losses = time.time(), []
            model.train()
            for x, y in _batches(train_split, spec, np.random.default_rng((spec.seed, epoch))):
                inputs = prepare(net.input, x).contiguous(memory_format=torch.channels_last)
                sums = model(inputs).flatten(1).float()
                loss = F.cross_entropy(sums * log_scale.exp(), torch.from_numpy(y).long())
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                schedule.step()
                with torch.no_grad():
                    for m in model.modules():
                        if isinstance(m, BinaryConv2d | BinaryLinear):
                            m.weight.clamp_(-1, 1)
                losses.append(loss.item())
                progress.advance(task)
            accuracy = evaluate(model, net.input, test_split)
            metrics = {"epoch": epoch + 1, "loss": float(np.mean(losses)), "test_accuracy": accuracy, "seconds": time.time() - started}
            with open(out / "metrics.jsonl", "a") as f:
                f.write(json.dumps(metrics) + "\n")
            partial = checkpoint.with_suffix(".partial")
            torch.save(
                {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict(),
                 "log_scale": log_scale.data, "epoch": epoch + 1, "metrics": metrics},
                partial,
            )  # fmt: skip
            os.replace(partial, checkpoint)
            if not quiet:
                progress.console.print(json.dumps(metrics))
    return metrics
