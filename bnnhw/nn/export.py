"""A trained checkpoint as the files that `generate` reads: what evaluation computes with, and nothing real but thresholds and batch norms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from bnnhw import data
from bnnhw.ir import specs as s
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.expected import Expected, write_expected
from bnnhw.ir.packed import pack_signs, unpack_signs
from bnnhw.ir.topology import InputSpec, Topology
from bnnhw.ir.trained import TrainedNetwork
from bnnhw.nn import layers as n
from bnnhw.nn.methods.norm import EPS
from bnnhw.nn.model import Net, build, load_parameters
from bnnhw.nn.quantiser import Own
from bnnhw.nn.train import evaluate, prepare

FRAMES, FRAME_SEED = 16, 2026
LARGEST_BITS = 48
"""Of the last layer's numbers behind scales of their own."""


def export(net: Topology, folder: Path, own: Own | None = None) -> dict[str, Any]:
    """Write `network.yaml`, `weights.npz` and `expected.npz` beside `folder/checkpoint.pt`.

    Returns the accuracies on the test images, in percent: of evaluation, in integers.
    """
    model = build(net, own)
    load_parameters(model, folder)
    model.eval()
    assert net.train is not None
    split = data.load_split(net.train.data, "test")
    accuracies = {"test_accuracy": evaluate(model, net.input, split)}
    if net.train.data == "cifar10":
        accuracies["lossless_test_accuracy"] = evaluate(model, net.input, data.cifar10_lossless_test())
    if model.is_real:
        return accuracies
    write(model, folder)
    return accuracies


def write(model: Net, folder: Path) -> None:
    """The files of a model in evaluation mode."""
    net = model.topology
    frames = _frames(net.input)
    with torch.no_grad():
        outputs = model(prepare(net.input, frames)).flatten(1).numpy().astype(np.int64)
        described, tensors = Exporter(model).result(prepare(net.input, frames[:1]))
    np.savez_compressed(folder / "weights.npz", **tensors)  # type: ignore[arg-type]
    write_expected(folder / "expected.npz", Expected(frames, outputs, outputs.argmax(1), f"PyTorch {torch.__version__.split('+')[0]}"))
    described |= {"weights": "weights.npz", "expected": "expected.npz"}
    (folder / "network.yaml").write_text(yaml.safe_dump(described, sort_keys=False))


def rehearse(net: Topology, epochs: int, own: Own | None = None) -> TrainedNetwork | None:
    """What `net` would be written as before any training, for finding out early what has no hardware form.

    None for a teacher, and where untrained weights or activations have no integers yet. Errors: BnnhwError naming the layer.
    """
    model = build(net, own)
    if model.is_real:
        return None
    frames = prepare(net.input, _frames(net.input))
    model.before_epoch(0, epochs)
    with torch.no_grad():
        model.real(frames)
        model.eval()
        try:
            for module in model.children():
                if isinstance(module, n.Product):
                    module.integers()
                elif isinstance(module, n.LevelsLayer):
                    module.levels()
        except BnnhwError:
            return None
        described, tensors = Exporter(model).result(frames[:1])
    return TrainedNetwork(Topology.model_validate(described), unpack_signs(tensors, net.name))


def _frames(spec: InputSpec) -> np.ndarray:
    """Random raw frames, the same at every export."""
    raw = np.random.default_rng(FRAME_SEED).integers(0, 256, (FRAMES, *spec.chw), dtype=np.uint8)
    if spec.type == "bipolar":
        return 2 * (raw % 2).astype(np.int8) - 1
    return raw if spec.type == "uint8" else raw.view(np.int8)


class Exporter:
    """Collects the description and the tensors of a model in evaluation mode."""

    def __init__(self, model: Net) -> None:
        self.model, self.net = model, model.topology
        self.layers: list[dict[str, Any]] = []
        self.tensors: dict[str, np.ndarray] = {}

    def result(self, frame: torch.Tensor) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Description as plain data, and tensors; `frame` [1, C, H, W] is run once for the units of all streams."""
        streams = self.model.streams(frame)
        for index, layer in enumerate(self.net.layers):
            plain = layer.model_dump(mode="json", exclude_unset=True) | {"type": layer.type, "name": layer.name}
            plain.pop("quantiser", None)
            sources = self.net.inputs_of(index)
            ins = [streams[name] for name in sources]
            module = getattr(self.model, layer.name)
            if isinstance(layer, s.BatchNorm | s.Levels | s.SignActivation) and isinstance(ins[0], n.Stream):
                self.scale(layer.name, plain, sources[0], ins[0])
            self.layers.append(plain | self.stored(layer, module, ins))
        last = streams[self.net.layers[-1].name]
        assert isinstance(last, n.Stream)
        self.last_scale(last)
        described = self.net.model_dump(mode="json", exclude_unset=True)
        return described | {"layers": self.layers}, self.tensors

    def scale(self, name: str, plain: dict[str, Any], source: str, stream: n.Stream) -> None:
        """A scale layer before what takes real numbers of a stream whose unit is not 1."""
        if bool((stream.unit == 1).all()) or isinstance(getattr(self.model, name), n.Sign):
            return
        spec: dict[str, Any] = {"type": "scale", "name": f"{name}_unit", "inputs": [source]}
        if not plain.get("inputs"):
            del spec["inputs"]
        else:
            plain["inputs"] = [spec["name"]]
        self.layers.append(spec)
        self.tensors[f"{spec['name']}.alpha"] = np.broadcast_to(stream.unit.numpy(), stream.values.shape[1]).copy()

    def stored(self, layer: s.LayerSpec, module: Any, ins: list[Any]) -> dict[str, Any]:
        """Keys that the description gains, while the tensors go aside."""
        name, keep = layer.name, self.tensors
        match layer:
            case s.Conv() | s.Dense():
                return {"weights": self.weights(name, module)}
            case s.BatchNorm():
                source = module.as_batch_norm() if layer.shift else module.state_dict()
                keep.update({f"{name}.{k}": v.numpy() for k, v in source.items() if k != "num_batches_tracked"})
                return {"eps": EPS, "shift": False} if layer.shift else {}
            case s.Levels():
                found = module.levels()
                keep[f"{name}.thresholds"], keep[f"{name}.values"] = found.thresholds.numpy(), found.values.numpy().astype(np.int32)
                if found.planes is None:
                    return {}
                keep[f"{name}.bits"], keep[f"{name}.scale"] = found.planes.bits.numpy().astype(np.uint8), found.planes.scale.numpy()[:, 0]
                return {"bipolar": found.planes.bipolar}
            case s.FixedPoint():
                multiplier, addend, shift = module.affine(ins[0].unit, ins[0].values.shape[1])
                keep[f"{name}.multiplier"], keep[f"{name}.addend"], keep[f"{name}.shift"] = multiplier, addend, np.array([shift])
                return {"norm": False}
            case s.Add():
                return {"shifts": list(module.shifts(*ins)[0])}
            case s.Table():
                entries, _ = module.entries(float(ins[0].unit))
                keep[f"{name}.entries"], keep[f"{name}.low"] = entries, np.array([module.low])
        return {}

    def weights(self, name: str, module: n.Product) -> str:
        """How the weights of a product are stored."""
        found, keep = module.integers(), self.tensors
        if found.two_steps is not None:
            keep.update({f"{name}.{k}": v.numpy().astype(np.int32) for k, v in found.two_steps.tensors.items()})
            return found.two_steps.kind
        if found.planes is not None and found.planes.bipolar:
            keep[f"{name}.bits"] = found.planes.bits.numpy().astype(np.uint8)
            keep[f"{name}.scale"] = found.planes.scale.numpy().astype(np.int32)
            if found.planes.mask is not None:
                keep[f"{name}.mask"] = found.planes.mask.numpy().astype(np.uint8)
            return "planes"
        values = found.values.numpy()
        if (np.abs(values) == 1).all():
            keep.update(pack_signs(f"{name}.weight", values))
            return "signs"
        keep[f"{name}.weight"] = values.astype(np.int16 if np.abs(values).max() < 1 << 15 else np.int32)
        return "integers"

    def last_scale(self, last: n.Stream) -> None:
        """A fixed-point layer for the scales of the last outputs, where they differ."""
        scale = self.model.last_scale(last.unit)
        if scale is None:
            return
        name = f"{self.net.layers[-1].name}_scale"
        self.layers.append({"type": "fixed", "name": name, "bits": LARGEST_BITS})
        outputs = scale.numpy().astype(np.int64)
        self.tensors |= {f"{name}.multiplier": outputs, f"{name}.addend": np.zeros_like(outputs), f"{name}.shift": np.array([0])}
