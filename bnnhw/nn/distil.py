"""Distillation: a student follows a trained teacher's outputs and the attention of its layers."""

from __future__ import annotations

from math import prod
from pathlib import Path

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from bnnhw.ir import specs as s
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.recipe import Distillation
from bnnhw.ir.topology import Topology
from bnnhw.nn.model import build, load_parameters


def attention(x: Tensor) -> Tensor:
    """[N, H * W] the mean square over channels at each pixel, of unit length (Zagoruyko & Komodakis 2017)."""
    maps = x.float().square().mean(1).flatten(1) if x.dim() > 2 else x.float().square()
    return F.normalize(maps, dim=1)


def _sizes(net: Topology) -> dict[str, int]:
    """Numbers of every layer's attention: one a pixel, or one a channel where there is no map."""
    shapes, vectors, found = net.shape_of(), set[str](), {}
    for n, layer in enumerate(net.layers):
        if isinstance(layer, s.Dense) or (set(net.inputs_of(n)) <= vectors and not isinstance(layer, s.Conv | s.MaxPool | s.AvgPool)):
            vectors.add(layer.name)
        channels, rows, columns = shapes[layer.name]
        found[layer.name] = channels if layer.name in vectors else rows * columns
    return found


class Teacher:
    """A trained network whose outputs the student's loss is compared with; its parameters stay."""

    def __init__(self, spec: Distillation, student: Topology) -> None:
        folder = Path(spec.teacher)
        file = folder / "trained.yaml"
        if not file.is_file():
            raise BnnhwError(f"teacher {spec.teacher!r}: no trained.yaml in it; give a folder that bnnhw train wrote")
        try:
            net = Topology.model_validate(yaml.safe_load(file.read_text()))
        except (OSError, ValueError, yaml.YAMLError) as e:
            raise BnnhwError(f"teacher {spec.teacher!r}: trained.yaml in it is damaged ({type(e).__name__}); train it again") from None
        if net.input != student.input:
            raise BnnhwError(f"teacher {spec.teacher!r}: takes {net.input.shape} {net.input.preprocess}; student and teacher must have one input")
        self.spec, self.model = spec, build(net)
        load_parameters(self.model, folder)
        self.model.eval().requires_grad_(False)
        mine, theirs = _sizes(student), _sizes(net)
        for a, b in spec.layers:
            if a not in mine:
                raise BnnhwError(f"distil: the student has no layer {a!r}; its layers are {', '.join(mine)}")
            if b not in theirs:
                raise BnnhwError(f"teacher {spec.teacher!r}: has no layer {b!r}; its layers are {', '.join(theirs)}")
            if mine[a] != theirs[b]:
                raise BnnhwError(f"distil: attention of {a!r} has {mine[a]} numbers, of the teacher's {b!r} {theirs[b]}; pair maps of one size")
        outputs = [prod(n.shape_of()[n.layers[-1].name]) for n in (student, net)]
        if outputs[0] != outputs[1]:
            raise BnnhwError(f"teacher {spec.teacher!r}: has {outputs[1]} outputs, the student {outputs[0]}; both must have one a class")

    def loss(self, x: Tensor, logits: Tensor, seen: dict[str, Tensor]) -> Tensor:
        """What is added to the student's loss, for its scaled outputs and its layers' outputs."""
        with torch.no_grad():
            known = self.model.real(x)
            theirs = known[self.model.topology.layers[-1].name].flatten(1).float()
            theirs = theirs / theirs.std(1, keepdim=True).clamp(min=1e-6)
        heat = self.spec.temperature
        total = self.spec.logits * F.cross_entropy(logits / heat, F.softmax(theirs * SHARPNESS / heat, 1))
        for mine, other in self.spec.layers:
            total = total + self.spec.attention * (attention(seen[mine]) - attention(known[other])).square().sum(1).mean()
        return total


SHARPNESS = 4.0
"""Standard deviation that a teacher's outputs are brought to: sums of any scale then give like probabilities."""
