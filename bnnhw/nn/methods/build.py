"""Quantisers from their descriptions."""

from __future__ import annotations

from bnnhw.ir import methods as m
from bnnhw.nn.methods import activations as a
from bnnhw.nn.methods import bases, binary, incremental, multibit, plain, ternary
from bnnhw.nn.quantiser import ActivationQuantiser, WeightQuantiser


def weight_quantiser(spec: m.WeightMethod, shape: tuple[int, ...], layer: str) -> WeightQuantiser:
    """The quantiser of `spec` for latent weights of `shape` [O, ...]; `layer` names them in errors."""
    match spec:
        case m.BoxWeightSpec():
            return plain.BoxWeights(spec, shape, layer)
        case m.RealWeightSpec():
            return plain.RealWeights(spec, shape, layer)
        case m.SignWeightSpec():
            return binary.SignWeights(spec, shape, layer)
        case m.BwnWeightSpec():
            return binary.BwnWeights(spec, shape, layer)
        case m.BwnhWeightSpec():
            return binary.BwnhWeights(spec, shape, layer)
        case m.SqWeightSpec():
            return binary.SqWeights(spec, shape, layer)
        case m.TwnWeightSpec():
            return ternary.TwnWeights(spec, shape, layer)
        case m.FanInWeightSpec():
            return ternary.FanInWeights(spec, shape, layer)
        case m.TtqWeightSpec():
            return ternary.TtqWeights(spec, shape, layer)
        case m.GxnorWeightSpec():
            return ternary.GxnorWeights(spec, shape, layer)
        case m.InqWeightSpec():
            return incremental.InqWeights(spec, shape, layer)
        case m.ElqWeightSpec():
            return incremental.ElqWeights(spec, shape, layer)
        case m.LqWeightSpec():
            return bases.LqWeights(spec, shape, layer)
        case m.AbcWeightSpec():
            return bases.AbcWeights(spec, shape, layer)
        case m.DorefaWeightSpec():
            return multibit.DorefaWeights(spec, shape, layer)
        case m.FixedWeightSpec():
            return multibit.FixedWeights(spec, shape, layer)
        case m.UniformWeightSpec():
            return multibit.UniformWeights(spec, shape, layer)
        case m.StaticWeightSpec():
            return multibit.StaticWeights(spec, shape, layer)
        case m.LogWeightSpec():
            return multibit.LogWeights(spec, shape, layer)


def activation_quantiser(spec: m.ActivationMethod, layer: str, channels: int) -> ActivationQuantiser:
    """The quantiser of `spec` for inputs of `channels` channels; `layer` names it in errors."""
    match spec:
        case m.RealActivationSpec():
            return plain.RealActivation(spec, layer)
        case m.StochasticSignActivationSpec():
            return a.StochasticSignActivation(spec, layer)
        case m.UintActivationSpec():
            return a.UintActivation(spec, layer)
        case m.PactActivationSpec():
            return a.PactActivation(spec, layer)
        case m.HwgqActivationSpec():
            return a.HwgqActivation(spec, layer)
        case m.LqActivationSpec():
            return a.LqActivation(spec, layer)
        case m.AbcActivationSpec():
            return a.AbcActivation(spec, layer)
        case m.TernaryActivationSpec():
            return a.TernaryActivation(spec, layer)
        case m.FixedActivationSpec():
            return a.FixedActivation(spec, layer)
        case m.UniformActivationSpec():
            return a.UniformActivation(spec, layer)
        case m.LogActivationSpec():
            return a.LogActivation(spec, layer)
        case m.ImpqActivationSpec():
            return a.ImpqActivation(spec, layer, channels)
