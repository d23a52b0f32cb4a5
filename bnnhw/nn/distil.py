"""Distillation: a student follows a trained teacher's outputs and the attention of its layers."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from bnnhw.ir import topology as t
from bnnhw.ir.errors import BnnhwError
from bnnhw.nn.model import build, load_parameters


def attention(x: Tensor) -> Tensor:
    """[N, H * W] the mean square over channels at each pixel, of unit length (Zagoruyko & Komodakis 2017)."""
    maps = x.float().square().mean(1).flatten(1) if x.dim() > 2 else x.float().square()
    return F.normalize(maps, dim=1)


class Teacher:
    """A trained network whose outputs the student's loss is compared with; its parameters stay."""

    def __init__(self, spec: t.Distillation, source: t.InputSpec) -> None:
        folder = Path(spec.teacher)
        file = folder / "trained.yaml"
        if not file.is_file():
            raise BnnhwError(f"teacher {spec.teacher!r}: no trained.yaml in it; give a folder that bnnhw train wrote")
        net = t.Topology.model_validate(yaml.safe_load(file.read_text()))
        if net.input != source:
            raise BnnhwError(f"teacher {spec.teacher!r}: takes {net.input.shape} {net.input.preprocess}; student and teacher must have one input")
        self.spec, self.model = spec, build(net)
        load_parameters(self.model, folder)
        self.model.eval().requires_grad_(False)
        names = {layer.name for layer in net.layers}
        for _, theirs in spec.layers:
            if theirs not in names:
                raise BnnhwError(f"teacher {spec.teacher!r}: has no layer {theirs!r}; its layers are {', '.join(sorted(names))}")

    def loss(self, x: Tensor, logits: Tensor, seen: dict[str, Tensor]) -> Tensor:
        """What is added to the student's loss, for its scaled outputs and its layers' outputs."""
        with torch.no_grad():
            known = self.model.real(x)
            theirs = known[self.model.topology.layers[-1].name].flatten(1).float()
            theirs = theirs / theirs.std(1, keepdim=True).clamp(min=1e-6)
        heat = self.spec.temperature
        total = self.spec.logits * F.cross_entropy(logits / heat, F.softmax(theirs * SHARPNESS / heat, 1))
        for mine, other in self.spec.layers:
            if mine not in seen:
                raise BnnhwError(f"distil: the student has no layer {mine!r}; its layers are {', '.join(seen)}")
            total = total + self.spec.attention * (attention(seen[mine]) - attention(known[other])).square().sum(1).mean()
        return total


SHARPNESS = 4.0
"""Standard deviation that a teacher's outputs are brought to: sums of any scale then give like probabilities."""
