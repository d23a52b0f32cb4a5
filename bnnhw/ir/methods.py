"""How weights and activations are quantised: one frozen description a published method, with the paper's defaults.

Sources are in `docs/sources.md`. Integers stay below 2**8 in magnitude whatever the parameters: a description
that could exceed them is refused here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bnnhw.ir.compressions import Granular

LARGEST = 255
"""Largest magnitude of an integer weight or activation."""

ScaleBits = Annotated[int, Field(ge=1, le=8)]
"""Magnitude bits of a real scale in hardware: the largest of a group becomes 2**bits - 1."""
Rate = Annotated[float, Field(ge=0, lt=1)]


def _rising_to_one(steps: tuple[float, ...]) -> tuple[float, ...]:
    if any(b <= a for a, b in zip((0.0, *steps), steps, strict=False)) or steps[-1] != 1:
        raise ValueError(f"steps {steps} must be portions that rise from above 0 to 1; end with 1.0")
    return steps


Steps = Annotated[tuple[float, ...], Field(min_length=1, max_length=64), AfterValidator(_rising_to_one)]
"""Portions of a layer that are quantised, in equal parts of the epochs."""
HALVES = (0.5, 0.75, 0.875, 1.0)


def _check_sum(planes: int, scale_bits: int) -> None:
    if planes * (2**scale_bits - 1) > LARGEST:
        fits = (LARGEST // planes + 1).bit_length() - 1
        raise ValueError(f"{planes} planes of {scale_bits}-bit scales exceed integers of {LARGEST}; use scale_bits {fits}")


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class SignWeightSpec(_Spec):
    """BinaryConnect and BNN: -1 and +1 (Courbariaux 2015, Hubara 2016)."""

    method: Literal["sign"] = "sign"
    stochastic: bool = False
    """In training, +1 with the probability clip((w + 1)/2, 0, 1)."""


class BwnWeightSpec(_Spec):
    """Binary weight networks, XNOR-Net: sign times the mean magnitude (Rastegari 2016)."""

    method: Literal["bwn"] = "bwn"
    per_tensor: bool = False


class TwnWeightSpec(_Spec):
    """Ternary weight networks (Li 2016)."""

    method: Literal["twn"] = "twn"
    per_tensor: bool = False


class FanInWeightSpec(_Spec):
    """Ternary weights, as many of each output not 0 as hardware has inputs for: those largest in magnitude, chosen anew at every step."""

    method: Literal["fan_in"] = "fan_in"
    n: Annotated[int, Field(ge=1, le=1 << 20)]


class TtqWeightSpec(_Spec):
    """Trained ternary quantisation: two learned scales a layer (Zhu 2017)."""

    method: Literal["ttq"] = "ttq"
    t: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Threshold as a fraction of the largest magnitude."""
    scale_bits: ScaleBits = 6


class DorefaWeightSpec(_Spec):
    """DoReFa-Net (Zhou 2016): the sign times the mean magnitude for 1 bit, else odd integers of tanh(w)."""

    method: Literal["dorefa"] = "dorefa"
    bits: Annotated[int, Field(ge=1, le=8)] = 2
    gradient_bits: Annotated[int, Field(ge=1, le=8)] | None = None
    """Bits of the gradient of the layer's output, with noise; None leaves it real."""


class LqWeightSpec(_Spec):
    """LQ-Nets: a learned basis an output (Zhang 2018)."""

    method: Literal["lq"] = "lq"
    bits: Annotated[int, Field(ge=1, le=4)] = 2
    scale_bits: ScaleBits = 6
    momentum: Rate = 0.9
    """Of the moving average of the basis."""
    iterations: Annotated[int, Field(ge=1, le=100)] = 1
    """Quantisation error minimisation steps a forward pass."""

    @model_validator(mode="after")
    def _check(self) -> LqWeightSpec:
        _check_sum(self.bits, self.scale_bits)
        return self


class AbcWeightSpec(_Spec):
    """ABC-Net: `bases` binary tensors of shifted weights (Lin 2017)."""

    method: Literal["abc"] = "abc"
    bases: Annotated[int, Field(ge=1, le=8)] = 3
    scale_bits: ScaleBits = 5
    per_tensor: bool = False

    @model_validator(mode="after")
    def _check(self) -> AbcWeightSpec:
        _check_sum(self.bases, self.scale_bits)
        return self


class InqWeightSpec(_Spec):
    """Incremental quantisation to powers of two and 0 (Zhou 2017); 6 bits and more would span over 2**8."""

    method: Literal["inq"] = "inq"
    bits: Annotated[int, Field(ge=2, le=5)] = 5
    steps: Steps = HALVES
    partition: Literal["magnitude", "random"] = "magnitude"


class BwnhWeightSpec(_Spec):
    """Binary weights by inner-product-preserving hashing of observed inputs (Hu 2018)."""

    method: Literal["bwnh"] = "bwnh"
    iterations: Annotated[int, Field(ge=1, le=100)] = 10
    """Alternations of codes and scales."""


class SqWeightSpec(_Spec):
    """Stochastic quantisation: a growing random share of the outputs is binary (Dong 2017)."""

    method: Literal["sq"] = "sq"
    steps: Steps = HALVES


class ElqWeightSpec(_Spec):
    """Explicit loss-error-aware quantisation (Zhou 2018)."""

    method: Literal["elq"] = "elq"
    target: Literal["binary", "ternary"] = "ternary"
    steps: Steps = HALVES
    perturbation: Rate = 0.1
    """Weight of the loss perturbation |L(quantised) - L(real)|, to first order."""
    approximation: Rate = 1e-3
    """Weight of half the squared distance between real and quantised weights."""


class GxnorWeightSpec(_Spec):
    """Gated XNOR networks: -1, 0, +1 with thresholds at +-1/2 (Deng 2018)."""

    method: Literal["gxnor"] = "gxnor"


class FixedWeightSpec(_Spec):
    """Two's complement <IL, FL>: `integer_bits` with the sign, `fraction_bits` behind the point (Gupta 2015)."""

    method: Literal["fixed"] = "fixed"
    integer_bits: Annotated[int, Field(ge=1, le=8)]
    fraction_bits: Annotated[int, Field(ge=0, le=7)]
    rounding: Literal["nearest", "truncate", "stochastic"] = "nearest"
    """Half rounds up; `stochastic` in training only, `nearest` in evaluation."""
    overflow: Literal["saturate", "zero", "wrap"] = "saturate"

    @model_validator(mode="after")
    def _check(self) -> FixedWeightSpec:
        _check_format(self.integer_bits, self.fraction_bits, 2, 8)
        return self


class UniformWeightSpec(_Spec):
    """Symmetric levels step * integer of least squared error an output (Hwang 2014)."""

    method: Literal["uniform"] = "uniform"
    bits: Annotated[int, Field(ge=2, le=8)] = 4
    iterations: Annotated[int, Field(ge=1, le=100)] = 5


class LogWeightSpec(_Spec):
    """A sign and a power of two, `bits` in all (Miyashita 2016); 5 bits and more would span over 2**8."""

    method: Literal["log"] = "log"
    bits: Annotated[int, Field(ge=2, le=4)] = 4


class StaticWeightSpec(_Spec):
    """Symmetric post-training quantisation an output (Jacob 2018)."""

    method: Literal["static"] = "static"
    bits: Annotated[int, Field(ge=2, le=8)] = 8


class BoxWeightSpec(_Spec):
    """Not trained: the mean over the inputs, as XNOR-Net's K map wants it (Rastegari 2016)."""

    method: Literal["box"] = "box"


class RealWeightSpec(_Spec):
    """Real weights, of teachers and of the first steps of a progressive training; they have no hardware form."""

    method: Literal["real"] = "real"


WeightMethod = Annotated[
    BoxWeightSpec | RealWeightSpec | SignWeightSpec | BwnWeightSpec | TwnWeightSpec | FanInWeightSpec | TtqWeightSpec | DorefaWeightSpec | LqWeightSpec | AbcWeightSpec | InqWeightSpec
    | BwnhWeightSpec | SqWeightSpec | ElqWeightSpec | GxnorWeightSpec | FixedWeightSpec | UniformWeightSpec | LogWeightSpec | StaticWeightSpec,
    Field(discriminator="method"),
]  # fmt: skip


class StochasticSignActivationSpec(_Spec):
    """BNN: -1 and +1, random in training by the hard sigmoid (Hubara 2016)."""

    method: Literal["stochastic_sign"] = "stochastic_sign"


class UintActivationSpec(_Spec):
    """DoReFa-Net: [0, 1] in 2**bits - 1 steps (Zhou 2016)."""

    method: Literal["uint"] = "uint"
    bits: Annotated[int, Field(ge=1, le=8)] = 2


class PactActivationSpec(_Spec):
    """PACT: [0, alpha] with a learned clip alpha (Choi 2018)."""

    method: Literal["pact"] = "pact"
    bits: Annotated[int, Field(ge=1, le=8)] = 2
    alpha: Annotated[float, Field(gt=0, le=1e6)] = 8.0
    """Where the clip starts; the optimiser's weight decay is the paper's regulariser."""


class HwgqActivationSpec(_Spec):
    """Half-wave Gaussian quantisation: 0 and the Lloyd levels of a positive Gaussian (Cai 2017)."""

    method: Literal["hwgq"] = "hwgq"
    bits: Annotated[int, Field(ge=1, le=4)] = 2
    uniform: bool = True
    """Multiples of one optimal step, as in the paper's networks, rather than free levels."""
    gradient: Literal["relu", "clipped_relu", "log_tailed_relu"] = "clipped_relu"
    scale_bits: Annotated[int, Field(ge=5, le=8)] = 6
    """Bits of the largest free level."""


class LqActivationSpec(_Spec):
    """LQ-Nets: sums of a learned basis (Zhang 2018)."""

    method: Literal["lq"] = "lq"
    bits: Annotated[int, Field(ge=1, le=3)] = 2
    scale_bits: ScaleBits = 6
    momentum: Rate = 0.9

    @model_validator(mode="after")
    def _check(self) -> LqActivationSpec:
        _check_sum(self.bits, self.scale_bits)
        return self


class AbcActivationSpec(_Spec):
    """ABC-Net: `bases` binary activations with learned shifts and positive scales (Lin 2017)."""

    method: Literal["abc"] = "abc"
    bases: Annotated[int, Field(ge=1, le=8)] = 3
    scale_bits: ScaleBits = 5

    @model_validator(mode="after")
    def _check(self) -> AbcActivationSpec:
        _check_sum(self.bases, self.scale_bits)
        return self


class TernaryActivationSpec(_Spec):
    """Gated XNOR networks: -1, 0, +1 with thresholds at +-`r` (Deng 2018)."""

    method: Literal["ternary"] = "ternary"
    r: Annotated[float, Field(gt=0, le=1e6)] = 0.5
    window: Annotated[float, Field(gt=0, le=1e6)] = 0.5
    """Half the width a of the rectangles of height 1/(2a) that stand for the derivative at +-r."""


class FixedActivationSpec(_Spec):
    """Fixed point <IL, FL>, two's complement where signed; saturates (Gupta 2015)."""

    method: Literal["fixed"] = "fixed"
    integer_bits: Annotated[int, Field(ge=0, le=6)]
    fraction_bits: Annotated[int, Field(ge=0, le=6)]
    signed: bool = False
    rounding: Literal["nearest", "truncate"] = "nearest"
    """Half rounds up; `truncate` rounds down."""
    overflow: Literal["saturate", "zero", "wrap"] = "saturate"

    @model_validator(mode="after")
    def _check(self) -> FixedActivationSpec:
        _check_format(self.integer_bits, self.fraction_bits, 2 if self.signed else 1, 6)
        if self.signed and not self.integer_bits:
            raise ValueError("signed numbers need an integer bit for the sign, got integer_bits 0; use 1")
        if self.overflow != "saturate":
            raise ValueError(f"overflow {self.overflow!r} does not rise with the input, so thresholds cannot express it; use 'saturate'")
        return self


class UniformActivationSpec(_Spec):
    """Post-training quantisation round(x/S + Z) of a calibrated range (Jacob 2018)."""

    method: Literal["uniform_relu"] = "uniform_relu"
    bits: Annotated[int, Field(ge=2, le=6)] = 4
    relu: bool = True
    """The range starts at 0; else at the least value that was observed."""


class LogActivationSpec(_Spec):
    """0 and the powers of two up to 2**`fsr`, rounded in the logarithm (Miyashita 2016); 4 bits would span 2**14."""

    method: Literal["log"] = "log"
    bits: Annotated[int, Field(ge=2, le=3)] = 3
    fsr: Annotated[int, Field(ge=-16, le=16)] = 0


class ImpqActivationSpec(Granular):
    """Every channel has its own width, `budget` bits on average; levels are those of the widest (Gonugondla & Shanbhag 2022, IMPQ)."""

    @model_validator(mode="after")
    def _narrow_levels_are_among_the_widest(self) -> ImpqActivationSpec:
        if any(self.widths[-1] % b for b in self.widths):
            raise ValueError(f"widths must divide the largest, they are {self.widths}; choose divisors of {self.widths[-1]}")
        return self


class RealActivationSpec(_Spec):
    """Real values, of teachers and of the first steps of a progressive training; they have no hardware form."""

    method: Literal["real"] = "real"
    function: Literal["relu", "hardtanh"] = "hardtanh"


ActivationMethod = Annotated[
    RealActivationSpec | StochasticSignActivationSpec | UintActivationSpec | PactActivationSpec | HwgqActivationSpec | LqActivationSpec | AbcActivationSpec
    | TernaryActivationSpec | FixedActivationSpec | UniformActivationSpec | LogActivationSpec | ImpqActivationSpec,
    Field(discriminator="method"),
]  # fmt: skip


def _check_format(integer_bits: int, fraction_bits: int, least: int, most: int) -> None:
    if not least <= integer_bits + fraction_bits <= most:
        raise ValueError(f"<{integer_bits},{fraction_bits}> has {integer_bits + fraction_bits} bits; choose {least} to {most} in all")
