"""The training loop: latent weights, cross entropy on scaled sums, penalties, and what a teacher knows."""

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
import yaml
from rich.progress import Progress
from torch import Tensor, nn

from bnnhw import data
from bnnhw.ir import specs as s
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.recipe import TrainSpec
from bnnhw.ir.topology import InputSpec, PixelThreshold, Topology
from bnnhw.nn.compress.regularise import penalty, rescaled_dropout
from bnnhw.nn.distil import Teacher
from bnnhw.nn.layers import as_maps
from bnnhw.nn.model import Net, build, check_own, load_parameters
from bnnhw.nn.quantiser import ActivationQuantiser, Own

RISE = 100
"""Steps over which the learning rate rises."""
OBSERVED = 2048
"""Images from which quantisers learn the statistics of their inputs."""


def prepare(spec: InputSpec, x: np.ndarray) -> Tensor:
    """Integer-valued float32 inputs [N, C, H, W] from raw ones: pixels as p or 2p-255, so that sums stay exact."""
    x = torch.from_numpy(np.ascontiguousarray(x)).float().reshape(len(x), *spec.chw)
    if isinstance(spec.preprocess, PixelThreshold):
        return torch.where(x >= spec.preprocess.threshold, 1.0, -1.0)
    if spec.preprocess == "2p-255":
        return 2 * x - 255
    if spec.preprocess == "none":
        return x
    raise BnnhwError(f"input: preprocess {spec.preprocess} cannot be trained here; use none or 2p-255")


def _batches(split: data.Split, spec: TrainSpec, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Shuffled batches of one epoch; augmented by mirroring and shifts where the recipe asks for it."""
    order, m = rng.permutation(len(split.x)), spec.shift
    for i in range(len(order) // spec.batch):
        rows = order[i * spec.batch : (i + 1) * spec.batch]
        x = split.x[rows]
        if spec.augment:
            mirrored = (rng.random(len(x)) < 0.5) & spec.mirror
            x[mirrored] = x[mirrored, :, :, ::-1]
            h, w = x.shape[2:]
            padded = np.pad(x, ((0, 0), (0, 0), (m, m), (m, m)), mode="reflect")
            dy, dx = rng.integers(0, 2 * m + 1, (2, len(x)))
            x = np.stack([p[:, a : a + h, b : b + w] for p, a, b in zip(padded, dy, dx, strict=True)])
        yield x, split.y[rows]


@torch.no_grad()
def evaluate(model: nn.Module, spec: InputSpec, split: data.Split, batch: int = 250) -> float:
    """Accuracy in evaluation mode, in percent."""
    model.eval()
    hits = 0
    for i in range(0, len(split.x), batch):
        sums = model(prepare(spec, split.x[i : i + batch])).flatten(1)
        hits += int((sums.argmax(1).numpy() == split.y[i : i + batch]).sum())
    return 100 * hits / len(split.x)


def _rate(spec: TrainSpec, steps: int) -> Any:
    """Factor of the learning rate at each step."""

    def at(i: int) -> float:
        part = min(1.0, i / steps)
        shape = {"cosine": 0.5 * (1 + math.cos(math.pi * part)), "step": 0.1 ** ((part >= 0.5) + (part >= 0.75)), "constant": 1.0}
        return min(1.0, (i + 1) / RISE) * shape[spec.schedule]

    return at


class Trainer:
    """A model in training by its recipe: parameters, optimiser, schedule and how far it is."""

    def __init__(self, net: Topology, out: Path, spec: TrainSpec, own: Own | None = None) -> None:
        torch.manual_seed(spec.seed)
        self.net, self.out, self.spec = net, out, spec
        self.model: Net = build(net, own)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if spec.start is not None:
            load_parameters(self.model, Path(spec.start), matching=True)
        self.teacher = None if spec.distil is None else Teacher(spec.distil, net)
        last = list(self.model.products.values())[-1]
        self.log_scale = nn.Parameter(torch.tensor(-0.5 * math.log(last.weight[0].numel())))
        parameters = [*self.model.parameters(), self.log_scale]
        if spec.optimiser == "adam":
            self.optimiser: torch.optim.Optimizer = torch.optim.Adam(parameters, lr=spec.lr, weight_decay=spec.weight_decay)
        else:
            self.optimiser = torch.optim.SGD(parameters, lr=spec.lr, momentum=spec.momentum, weight_decay=spec.weight_decay)
        self.train_split, self.test_split = data.load(spec.data)
        _check_data(net, spec, self.train_split)
        self.steps_per_epoch = len(self.train_split.x) // spec.batch
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, _rate(spec, spec.epochs * self.steps_per_epoch))
        self.first, self.metrics = 0, dict[str, Any]()

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one."""
        checkpoint = self.out / "checkpoint.pt"
        if not checkpoint.exists():
            return
        try:
            state = torch.load(checkpoint, weights_only=True)
            check_own(self.model, state, self.out)
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.schedule.load_state_dict(state["schedule"])
            self.log_scale.data, self.first, self.metrics = state["log_scale"], state["epoch"], state["metrics"]
        except BnnhwError:
            raise
        except Exception as e:  # a damaged file raises whatever its parser trips over
            raise BnnhwError(
                f"{self.out}: its checkpoint is damaged or of another network ({type(e).__name__}); remove it or choose another --out"
            ) from None

    def begin(self) -> None:
        """Write the description, and keep the metrics of the epochs that are done."""
        self.out.mkdir(parents=True, exist_ok=True)
        described = self.net.model_copy(update={"train": self.spec}).model_dump(mode="json", exclude_unset=True)
        (self.out / "trained.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
        metrics = self.out / "metrics.jsonl"
        done = metrics.read_text().splitlines(keepends=True)[: self.first] if metrics.exists() else []
        metrics.write_text("".join(done))

    def save(self) -> None:
        """Write the checkpoint and the epoch's line of metrics."""
        with open(self.out / "metrics.jsonl", "a") as f:
            f.write(json.dumps(self.metrics) + "\n")
        partial = self.out / "checkpoint.partial"
        torch.save(
            {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(), "schedule": self.schedule.state_dict(),
             "log_scale": self.log_scale.data, "epoch": self.metrics["epoch"], "metrics": self.metrics, "own": list(self.model.own)},
            partial,
        )  # fmt: skip
        os.replace(partial, self.out / "checkpoint.pt")

    def observe(self) -> None:
        """Show quantisers that learn from them the inputs of their layers."""
        observing = {name: p.quantiser for name, p in self.model.products.items() if p.quantiser.observes}
        if not observing:
            return
        x = prepare(self.net.input, self.train_split.x[:OBSERVED])
        self.model.train()
        with torch.no_grad():
            seen = self.model.real(x)
            for index, layer in enumerate(self.net.layers):
                if layer.name in observing:
                    source = seen[self.model.topology.inputs_of(index)[0]]
                    observing[layer.name].observe(_columns(layer, source))

    def calibrate(self) -> None:
        """Show the activations a few batches, with everything else as it is."""
        self.model.eval()
        for module in self.model.modules():
            if isinstance(module, ActivationQuantiser):
                module.train()
        with torch.no_grad():
            batches = _batches(self.train_split, self.spec, np.random.default_rng(self.spec.seed))
            for (x, _), _ in zip(batches, range(self.spec.calibrate), strict=False):
                self.model.real(prepare(self.net.input, x))
        self.metrics = {"epoch": self.spec.epochs, "test_accuracy": evaluate(self.model, self.net.input, self.test_split)}

    def epoch(self, number: int, advance: Any) -> None:
        """One pass over the training images."""
        started, losses, spec = time.time(), [], self.spec
        torch.manual_seed(int(np.random.default_rng((spec.seed, number, 1)).integers(1 << 63)))  # as if the run had never been cut off
        if number == 0:
            self.observe()
        self.model.train()
        self.model.before_epoch(number, spec.epochs)
        self._dropout()
        for x, y in _batches(self.train_split, spec, np.random.default_rng((spec.seed, number))):
            losses.append(self.step(prepare(self.net.input, x).contiguous(memory_format=torch.channels_last), torch.from_numpy(y).long()))
            advance()
        accuracy = evaluate(self.model, self.net.input, self.test_split)
        self.metrics = {"epoch": number + 1, "loss": float(np.mean(losses)), "test_accuracy": accuracy, "seconds": time.time() - started}

    def step(self, x: Tensor, y: Tensor) -> float:
        """One step of the optimiser; the loss."""
        seen = self.model.real(x)
        sums = seen[self.model.topology.layers[-1].name].flatten(1).float()
        loss = F.cross_entropy(sums * self.log_scale.exp(), y)
        if self.teacher is not None:
            loss = loss + self.teacher.loss(x, sums * self.log_scale.exp(), seen)
        if self.spec.l1 or self.spec.l2:
            loss = loss + penalty([w for w, _ in self.model.quantised()], self.spec.l1, self.spec.l2)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        with torch.no_grad():
            for weight, quantiser in self.model.quantised():
                quantiser.after_step(weight)
        return loss.item()

    def _dropout(self) -> None:
        for product in [p for p in list(self.model.products.values())[1:] if isinstance(p.spec, s.Dense)]:
            product.dropout = rescaled_dropout(self.spec.dropout, product.quantiser.kept())


def _columns(layer: s.LayerSpec, x: Tensor) -> Tensor:
    """[N, K] inputs of a product as its weights see them."""
    if not isinstance(layer, s.Conv):
        return x.flatten(1)
    top, left, bottom, right = layer.pad
    padded = F.pad(as_maps(x), (left, right, top, bottom), value=layer.pad_value)
    columns = F.unfold(padded, layer.kernel, layer.dilation, 0, layer.stride)
    return columns.transpose(1, 2).reshape(-1, columns.shape[1] // layer.groups)


def _check_data(net: Topology, spec: TrainSpec, split: data.Split) -> None:
    if net.input.type != "uint8":
        raise BnnhwError(f"input: {spec.data} is of uint8 pixels, the type is {net.input.type}; use uint8, with preprocess threshold for bits")
    if np.prod(split.x.shape[1:]) != np.prod(net.input.chw):
        raise BnnhwError(f"input: {spec.data} has images of {split.x.shape[1:]}, the shape is {net.input.shape}; give that of the images")
    if spec.batch > len(split.x):
        raise BnnhwError(f"train: a batch of {spec.batch} exceeds the {len(split.x)} images of {spec.data}; give a smaller one")
    outputs = np.prod(net.shape_of()[net.layers[-1].name])
    if outputs <= int(split.y.max()):
        raise BnnhwError(f"train: {spec.data} has {int(split.y.max()) + 1} classes, the network {outputs} outputs; add outputs")


def train(net: Topology, out: Path, spec: TrainSpec, *, resume: bool = True, quiet: bool = False, own: Own | None = None) -> dict[str, Any]:
    """Train `net` by `spec`; writes `out/trained.yaml`, `out/checkpoint.pt` after each epoch and `out/metrics.jsonl`.

    Returns the last epoch's metrics (accuracies in percent). A run that was cut off goes on from its checkpoint.
    """
    trainer = Trainer(net, out, spec, own)
    if spec.calibrate:
        trainer.begin()
        trainer.calibrate()
        trainer.save()
        return trainer.metrics
    if resume:
        trainer.resume()
    trainer.begin()
    with Progress(disable=quiet) as progress:
        task = progress.add_task(net.name, total=spec.epochs * trainer.steps_per_epoch, completed=trainer.first * trainer.steps_per_epoch)
        for epoch in range(trainer.first, spec.epochs):
            trainer.epoch(epoch, lambda: progress.advance(task))
            trainer.save()
            if not quiet:
                progress.console.print(json.dumps(trainer.metrics))
    return trainer.metrics
