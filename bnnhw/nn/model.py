"""A PyTorch module from a network description."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from bnnhw.ir import topology as t
from bnnhw.ir.errors import BnnhwError
from bnnhw.nn.layers import BinaryConv2d, BinaryLinear, Sign


def build(net: t.Topology) -> nn.Sequential:
    """Module whose `state_dict` carries the names of `net`; it maps prepared inputs to the last sums.

    Errors: BnnhwError for a layer that cannot be trained here.
    """
    compute = torch.bfloat16 if net.train and net.train.bfloat16 else torch.float32
    modules = OrderedDict[str, nn.Module]()
    flat = False
    for layer, shape in zip(net.layers, net.shape_of().values(), strict=False):
        flat = flat or isinstance(layer, t.Dense | t.Flatten)
        if not layer.name.isidentifier() or hasattr(nn.Module, layer.name):
            raise BnnhwError(f"layer {layer.name!r}: a trained layer's name must be a plain identifier; rename it")
        if isinstance(layer, t.Conv | t.Dense) and (layer.bias or layer.alpha or layer.weights != "signs"):
            raise BnnhwError(f"layer {layer.name!r}: bias, alpha and latent weights are not trained here; remove them")
        if layer.tensors:
            raise BnnhwError(f"layer {layer.name!r}: a trained network stores its own names; remove tensors")
        modules[layer.name] = _module(layer, shape, flat, compute)
    if not isinstance(net.layers[-1], t.Conv | t.Dense):
        raise BnnhwError(f"layer {net.layers[-1].name!r}: training wants the sums of a conv or dense layer last; remove it")
    return nn.Sequential(modules)


def _module(layer: t.LayerSpec, shape: t.Shape, flat: bool, compute: torch.dtype) -> nn.Module:
    channels = shape[0]
    match layer:
        case t.Conv():
            return BinaryConv2d(
                channels, layer.out, layer.kernel, layer.stride, layer.dilation,
                layer.pad, layer.pad_value, layer.groups, compute,
            )  # fmt: skip
        case t.Dense():
            return BinaryLinear(channels * shape[1] * shape[2], layer.out, compute)
        case t.BatchNorm():
            return nn.BatchNorm1d(channels, eps=layer.eps) if flat else nn.BatchNorm2d(channels, eps=layer.eps)
        case t.SignActivation():
            return Sign(layer.zero_to)
        case t.MaxPool():
            if any(layer.pad):
                raise BnnhwError(f"layer {layer.name!r}: training supports max pools without padding; remove pad")
            return nn.MaxPool2d(layer.kernel, layer.step)
        case t.Flatten():
            return nn.Flatten()
    raise BnnhwError(f"layer {layer.name!r}: {layer.type} cannot be trained here; use batchnorm and sign")
