"""LUTs, flip-flops, block memories and DSPs of a design before synthesis, by a model fitted on synthesised modules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.estimate.features import (
    ALIKE,
    Terms,
    converter_form,
    converter_gates,
    counted,
    features,
    netlist_of,
    plain_popcount,
    rom_luts,
    weighted_counts,
    wide,
)
from bnnhw.estimate.parts import Part, by_layer
from bnnhw.ir.design import Logic
from bnnhw.ir.encoding import I64
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.hardware import Gate
from bnnhw.ir.instances import Instance, Pipeline
from bnnhw.ir.wiring import entries
from bnnhw.lutmap.cost import luts
from bnnhw.lutmap.fabric import FABRICS
from bnnhw.lutmap.popcount import least_luts
from bnnhw.tools.targets import TARGETS, Cells

WEIGHTS = Path(__file__).parent / "data" / "weights.json"
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """The fitted model of one family."""

    tool: str
    """The Yosys whose results it was fitted on."""
    modules: Mapping[str, Mapping[str, Terms]]
    """By module and kind of cell, the weight of each feature."""
    whole: Mapping[str, float]
    """By kind of cell, what a flattened design has for one in the sum of its modules."""
    errors: Mapping[str, tuple[float, float]]
    """By kind of cell, the greatest error of nine whole designs in ten that were not in the fit, and of all: fractions."""


@dataclass(frozen=True)
class Estimate:
    """What a design would cost."""

    target: str
    tool: str
    parts: tuple[Part, ...]
    """In the order of the pipeline."""
    whole: Cells
    """Of the flattened design."""
    errors: Mapping[str, tuple[float, float]]
    """As in Model."""

    def layers(self) -> dict[str, Cells]:
        """Totals by layer, in order, and of the ports."""
        return by_layer(self.parts)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a script."""
        layers = [{"name": name, **cells.without_carries()} for name, cells in self.layers().items()]
        modules = [{"name": p.name, "module": p.module, **p.cells.without_carries()} for p in self.parts]
        errors = {kind: {"nine_in_ten": most, "all": worst} for kind, (most, worst) in self.errors.items()}
        whole = self.whole.without_carries()
        return {"target": self.target, "tool": self.tool, "layers": layers, "modules": modules, "whole": whole, "errors": errors}


MAYBE_WIRES = ("bnn_turns", "bnn_fork", "bnn_last")
"""Modules that may be without a LUT; others have one at least."""
BUILT = 256
"""Bits of a popcount up to which it takes no time to build its netlist."""
HANDSHAKE = 2
"""LUTs of the handshake of an unrolled product."""


@dataclass(frozen=True)
class Cost:
    """Cells of one instance before rounding."""

    luts: float = 0
    flip_flops: float = 0
    block_rams: float = 0
    dsps: int = 0


@lru_cache
def models() -> dict[str, Model]:
    """The fitted models by target."""
    return {name: Model(**entry) for name, entry in json.loads(WEIGHTS.read_text()).items()}


def clear() -> None:
    """Forget what was read and computed, after the weights changed."""
    models.cache_clear()
    _cost.cache_clear()


def model(target: str) -> Model:
    """The model of a family; BnnhwError where there is none of that name."""
    if target not in models():
        raise BnnhwError(f"target {target!r} is not known; give one of {', '.join(TARGETS)}")
    return models()[target]


def cost(i: Instance, target: str) -> Cost:
    """Cells of an instance in the family named `target`, in fractions as the model gives them."""
    return _cost(i.module, tuple(i.parameters.items()), target, i.varying) if i.product is None else _unrolled(i, target)


def _unrolled(i: Instance, target: str) -> Cost:
    """Cells of an unrolled product: its netlist, the registers behind it, and the handshake."""
    net = netlist_of(i)
    return Cost(luts(net, target, wide(target)) + HANDSHAKE, net.flip_flops + len(net.outputs) + int(i.parameters["LATENCY"]))


@lru_cache(maxsize=1 << 18)
def _cost(module: str, parameters: tuple[tuple[str, int | str], ...], target: str, varying: int | None) -> Cost:
    found = features(module, dict(parameters), target, varying)
    if not found.luts:
        return Cost()
    modules = model(target).modules
    weights = modules.get(f"{module}.{found.variant}") or modules[f"{module}.{found.other_variant}"]
    luts = max(0.0 if module in MAYBE_WIRES else 1.0, weighed(found.luts, weights["luts"]) + found.own_luts)
    flip_flops = weighed(found.flip_flops, weights["flip_flops"])
    return Cost(luts, flip_flops, sum(m.block_rams for m in found.memories), found.dsps)


def weighed(terms: Terms, weights: Mapping[str, float]) -> float:
    """The weighted sum of features."""
    return sum(n * weights.get(name, 0.0) for name, n in terms.items())


def sums(chain: Pipeline, target: str) -> Cost:
    """Costs of all instances of a pipeline together."""
    each = [cost(i, target) for i in chain.parts]
    return Cost(*(sum(getattr(c, f.name) for c in each) for f in fields(Cost)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class ProductBound:
    """What a matrix-vector unit with weights from a memory costs at least."""

    target: str
    logic: str
    """Of its popcounts."""
    gate: Gate
    multiplied: bool
    """Whether popcounts may be multiplied in DSPs."""

    def _each(self, kind: str, terms: Terms) -> float:
        """The same weighted sum in each variant that the module may be of, the least."""
        modules = model(self.target).modules
        variants = ("bnn_matvec.logic", "bnn_matvec.dsp") if self.multiplied else ("bnn_matvec.logic",)
        return min(weighed(terms, modules[name][kind]) for name in variants if name in modules)

    def unit(self, bits: int, latency: int) -> tuple[float, int]:
        """LUTs of a popcount of `bits` bits, and registers in it: what it has where it is small, of a large one what is known without it."""
        if bits == 1 or self.logic == str(Logic.PLAIN):
            return self._each("luts", {"units": 1, **plain_popcount(self.gate, bits, stored=True)}), latency * bits.bit_length()
        unit = self._each("luts", {"units": 1})
        if bits > BUILT:
            return unit + least_luts(bits, self.gate, FABRICS[self.logic]), 0
        shape = (("SIMD", bits), ("GATE", int(self.gate)), ("LOGIC", self.logic), *((("LATENCY", latency),) if latency else ()))
        luts, flip_flops, _ = counted(shape, self.target)
        return unit + luts, flip_flops

    def constant_luts(self, bits: int) -> float:
        """The same of one with constant weights."""
        return self._each("luts", plain_popcount(self.gate, bits, stored=False))

    def products(self, coeffs: str, turns: int, planes: int, count_w: int, sum_w: int) -> tuple[float, int]:
        """LUTs and DSPs of the sum of a PE's popcounts of planes with these coefficients, a literal as in the Verilog."""
        gates, dsps = weighted_counts(self.target, entries(coeffs, sum_w, turns * planes), turns, count_w, sum_w)
        modules = model(self.target).modules
        kind = "bnn_matvec.dsp" if dsps and "bnn_matvec.dsp" in modules else "bnn_matvec.logic"
        return weighed(gates, modules[kind]["luts"]), dsps

    def flip_flops(self, feature: str) -> float:
        """Flip-flops for one of a feature."""
        return self._each("flip_flops", {feature: 1})

    def accumulator_bit(self) -> float:
        """LUTs of a bit of an accumulator."""
        return min(self._each("luts", {name: 1}) for name in ("accumulate", "count_up"))

    def rom_luts(self, width: NDArray[np.int64], words: NDArray[np.int64]) -> NDArray[np.float64]:
        """LUTs of read-only memories that are made of them; 0 for so few words that columns may be equal."""
        found = np.zeros(words.shape)
        for n in np.unique(words[words > ALIKE]).tolist():
            of = words == n
            found[of] = width[of] * rom_luts(n, self.target, width[of])
        return found


def least_converters(target: str, bits: int, lanes_in: I64, lanes_out: I64) -> tuple[F64, F64]:
    """LUTs and flip-flops that width converters have at least, from and to so many elements [N] of so many bits."""
    weights = model(target).modules["bnn_gearbox.logic"]
    grain = np.gcd(lanes_in, lanes_out)
    grains_in, grains_out, step = lanes_in // grain, lanes_out // grain, grain * bits
    fill_w = np.frexp((lanes_in + 2 * lanes_out) // grain)[1].astype(np.int64)  # its bit length
    forms, luts = converter_form(grains_in, grains_out, fill_w), np.zeros(len(grain))
    for form in np.unique(forms).tolist():
        of = forms == form
        gates = converter_gates(form, grains_in[of], grains_out[of], step[of], fill_w[of])
        luts[of] = sum(weights["luts"].get(name, 0.0) * n for name, n in gates.items())
    held = (grains_in + grains_out) * step
    return luts, weights["flip_flops"]["data"] * held + weights["flip_flops"].get("fill", 0.0) * fill_w


def estimate(chain: Pipeline, target: str) -> Estimate:
    """Cells of each instance of a pipeline in the family named `target`, and of the whole. Errors: BnnhwError."""
    used = model(target)
    parts = tuple(Part(i.name, i.layer, i.module, _rounded(cost(i, target))) for i in chain.parts)
    all_ = sums(chain, target)
    whole = _rounded(replace(all_, luts=all_.luts * used.whole["luts"], flip_flops=all_.flip_flops * used.whole["flip_flops"]))
    return Estimate(target, used.tool, parts, whole, used.errors)


def _rounded(c: Cost) -> Cells:
    return Cells(round(c.luts), round(c.flip_flops), 0, c.block_rams, c.dsps)
