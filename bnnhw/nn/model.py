"""A PyTorch module from a network description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bnnhw.ir import specs as s
from bnnhw.ir.compressions import CompressionMethod, CompressionSpec
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.layers import MAX_TABLE_BITS
from bnnhw.ir.methods import RealActivationSpec, RealWeightSpec, SignWeightSpec, WeightMethod
from bnnhw.ir.topology import INPUT, Topology
from bnnhw.ir.window import Shape
from bnnhw.nn import layers as n
from bnnhw.nn.compress.build import compression_quantiser
from bnnhw.nn.compress.impq import ImpqWeights, allot
from bnnhw.nn.methods.build import activation_quantiser, weight_quantiser
from bnnhw.nn.quantiser import ActivationQuantiser, Own, WeightQuantiser

LAST_SCALE_BITS = 14
"""Magnitude bits of the largest of the last layer's scales, where its outputs have one each."""
NEXT = (s.MaxPool, s.Flatten)


class Net(nn.Module):
    """The layers of a description; its `state_dict` carries their names.

    In training, real tensors from prepared inputs to the last sums. In evaluation, the integers that hardware
    gives: last sums, times an integer scale where outputs have real scales of their own.
    """

    own: tuple[str, ...]
    """Layers whose quantisers are a user's, rising; a checkpoint names them."""

    def __init__(self, topology: Topology, own: Own | None = None) -> None:
        super().__init__()
        given = own or {}
        self.topology, self.own = _without_methods(topology.resolved(), given), tuple(sorted(given))
        compute = torch.bfloat16 if topology.train and topology.train.bfloat16 else torch.float32
        shapes = self.topology.shape_of()
        for index, layer in enumerate(self.topology.layers):
            if not layer.name.isidentifier() or hasattr(self, layer.name):
                raise BnnhwError(f"layer {layer.name!r}: a trained layer's name must be an identifier that no attribute of modules has; rename it")
            if layer.tensors:
                raise BnnhwError(f"layer {layer.name!r}: a trained network stores its own names; remove tensors")
            inputs = self.topology.inputs_of(index)
            setattr(self, layer.name, _module(self.topology, layer, inputs, shapes, compute, given))
        last = self.topology.layers[-1]
        if not isinstance(last, s.Conv | s.Dense):
            raise BnnhwError(f"layer {last.name!r}: training wants the sums of a conv or dense layer last; remove it")
        self._shared_budget()

    @property
    def products(self) -> dict[str, n.Product]:
        """Convolutions and dense layers by name."""
        return {name: m for name, m in self.named_children() if isinstance(m, n.Product)}

    @property
    def is_real(self) -> bool:
        """Whether some layer has no quantiser: a teacher, evaluated in real numbers."""
        specs = [getattr(layer, "quantiser", None) for layer in self.topology.layers]
        return any(isinstance(s, RealWeightSpec | RealActivationSpec) for s in specs)

    def forward(self, x: Tensor) -> Tensor:
        if self.training or self.is_real:
            return self.real(x)[self.topology.layers[-1].name]
        last = self.streams(x)[self.topology.layers[-1].name]
        assert isinstance(last, n.Stream)
        scale = self.last_scale(last.unit)
        return last.values if scale is None else last.values.double() * scale.reshape(1, -1, *[1] * (last.values.dim() - 2))

    def real(self, x: Tensor) -> dict[str, Tensor]:
        """Every layer's real output."""
        found = {INPUT: x}
        for index, layer in enumerate(self.topology.layers):
            found[layer.name] = getattr(self, layer.name)(*(found[name] for name in self.topology.inputs_of(index)))
        return found

    def streams(self, x: Tensor) -> dict[str, n.Value]:
        """Every layer's output in evaluation: integers with their unit, or real numbers before an activation."""
        found: dict[str, n.Value] = {INPUT: n.Stream(x, torch.ones(1))}
        for index, layer in enumerate(self.topology.layers):
            found[layer.name] = getattr(self, layer.name).evaluate(*(found[name] for name in self.topology.inputs_of(index)))
        return found

    def last_scale(self, unit: Tensor) -> Tensor | None:
        """Integers [O] for the last sums' units; None where these are equal."""
        if bool((unit == unit[0]).all()):
            return None
        return torch.round(unit.double() / unit.double().max() * 2**LAST_SCALE_BITS)

    @torch.no_grad()
    def before_epoch(self, epoch: int, epochs: int) -> None:
        """Tell every quantiser which epoch of how many begins."""
        for weight, quantiser in self.quantised():
            quantiser.before_epoch(weight, epoch, epochs)
        if members := self._shared_budget():
            allot(members, epoch, epochs)
        for module in self.modules():
            if isinstance(module, ActivationQuantiser):
                module.before_epoch(epoch, epochs)

    def _shared_budget(self) -> list[tuple[nn.Parameter, ImpqWeights]]:
        """Layers whose widths meet one budget together; BnnhwError where their rules differ."""
        found = [(w, q) for w, q in self.quantised() if isinstance(q, ImpqWeights) and q.spec.across == "network"]
        for _, q in found:
            if q.spec != found[0][1].spec:
                raise BnnhwError(f"layer {q.layer!r}: impq across the network with another rule than {found[0][1].layer!r}; give both the same")
        return found

    def quantised(self) -> Iterator[tuple[nn.Parameter, WeightQuantiser]]:
        """Latent weights and their quantisers."""
        for product in self.products.values():
            yield product.weight, product.quantiser


def build(net: Topology, own: Own | None = None) -> Net:
    """Module whose `state_dict` carries the names of `net`; it maps prepared inputs to the last sums.

    `own` goes before what the description says of its layers. Errors: BnnhwError for a layer that cannot be trained here.
    """
    return Net(net, own)


def load_parameters(model: Net, folder: Path, *, matching: bool = False) -> None:
    """Parameters from `folder/checkpoint.pt`; with `matching`, those of the same name and shape."""
    try:
        saved = torch.load(folder / "checkpoint.pt", weights_only=True)
        state = saved["model"]
    except Exception as e:  # a damaged file raises whatever its parser trips over
        raise BnnhwError(f"{folder}: no checkpoint of a training in it ({type(e).__name__}); give a folder that bnnhw train wrote") from None
    if not matching:
        check_own(model, saved, folder)
    else:
        own = model.state_dict()
        state = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
        if not state:
            raise BnnhwError(f"{folder}: none of its parameters fits; give a folder of a network with layers of the same names")
    model.load_state_dict(state, strict=not matching)


def check_own(model: Net, saved: Mapping[str, Any], folder: Path) -> None:
    """BnnhwError where a checkpoint was trained with own quantisers in other layers: without them it means other weights."""
    trained = tuple(saved.get("own", ()))
    if trained != model.own:
        named = [", ".join(names) or "no layer" for names in (trained, model.own)]
        raise BnnhwError(f"{folder}: trained with own quantisers in {named[0]}, given for {named[1]}; pass the same own as in training")


def quantiser(spec: WeightMethod | CompressionMethod | None, shape: tuple[int, ...], layer: str) -> WeightQuantiser:
    """The quantiser of a layer's weights; signs where none is named."""
    if isinstance(spec, CompressionSpec):
        return compression_quantiser(spec, shape, layer)
    return weight_quantiser(SignWeightSpec() if spec is None else spec, shape, layer)


def _without_methods(net: Topology, own: Own) -> Topology:
    """`net` without the methods that own quantisers replace."""
    can = [layer.name for layer in net.layers if isinstance(layer, s.Conv | s.Dense | s.Levels)]
    for name in own:
        if name not in can:
            raise BnnhwError(f"own quantiser: network {net.name!r} has no conv, dense or levels layer {name!r}; it has {', '.join(can)}")
    layers = [layer.model_copy(update={"quantiser": None}) if layer.name in own else layer for layer in net.layers]
    return net.model_copy(update={"layers": tuple(layers)})


def _own_quantiser(made: Any, kind: type, layer: str) -> Any:
    """What a user's function made, where it is of the `kind` that the layer needs."""
    if not isinstance(made, kind):
        raise BnnhwError(f"layer {layer!r}: its own quantiser is of type {type(made).__name__}; derive it from {kind.__module__}.{kind.__name__}")
    return made


def _module(
    net: Topology, layer: s.LayerSpec, inputs: tuple[str, ...], shapes: dict[str, Shape], compute: torch.dtype, own: Own
) -> n.Layer:  # fmt: skip
    shape = shapes[inputs[0]]
    channels = shape[0]
    name = layer.name
    match layer:
        case s.Conv() | s.Dense():
            if layer.bias or layer.alpha or layer.weights != "signs":
                raise BnnhwError(f"layer {layer.name!r}: bias, alpha and stored forms of weights are not trained here; name a quantiser")
            size = (layer.out, channels // layer.groups, *layer.kernel) if isinstance(layer, s.Conv) else (layer.out, prod(shape))
            if name in own:
                return n.Product(layer, size, _own_quantiser(own[name](size, name), WeightQuantiser, name), compute)
            return n.Product(layer, size, quantiser(layer.quantiser, size, name), compute)
        case s.BatchNorm():
            return n.ShiftNorm(channels) if layer.shift else n.Norm(layer, channels)
        case s.SignActivation():
            return n.Sign(layer)
        case s.Levels():
            if name in own:
                return n.LevelsLayer(layer, _own_quantiser(own[name](shape, name), ActivationQuantiser, name))
            if layer.quantiser is None:
                raise BnnhwError(f"layer {layer.name!r}: levels are trained by a method; name a quantiser")
            return n.LevelsLayer(layer, activation_quantiser(layer.quantiser, layer.name, channels))
        case s.FixedPoint():
            return n.FixedLayer(layer, channels)
        case s.MaxPool():
            return n.MaxPool(layer)
        case s.AvgPool():
            return n.AvgPool(layer)
        case s.Add():
            return n.Add(layer)
        case s.Multiply():
            return n.Multiply(layer)
        case s.Concat():
            return n.Concat(layer)
        case s.Table():
            return n.Table(layer, *_fixed_range(net, layer, inputs[0]))
        case s.Flatten():
            return n.Flatten()
    raise BnnhwError(f"layer {layer.name!r}: {layer.type} cannot be trained here; use batchnorm and an activation")


def _fixed_range(net: Topology, table: s.Table, source: str) -> tuple[int, int]:
    """Range of the fixed-point layer that a table reads, through pools."""
    named = {layer.name: n for n, layer in enumerate(net.layers)}
    while source in named and isinstance(net.layers[named[source]], NEXT):
        source = net.inputs_of(named[source])[0]
    layer = net.layers[named[source]] if source in named else None
    if not isinstance(layer, s.FixedPoint):
        raise BnnhwError(f"layer {table.name!r}: a table reads fixed-point numbers; put a fixed layer before it")
    if layer.bits > MAX_TABLE_BITS:
        raise BnnhwError(
            f"layer {table.name!r}: a table of numbers of {layer.bits} bits is too large; give {layer.name!r} at most {MAX_TABLE_BITS} bits"
        )
    if table.function is None:
        raise BnnhwError(f"layer {table.name!r}: names no function to train with; give abs, relu or sigmoid")
    return layer.low, layer.high
