"""Arithmetic energy: published energies of operations and memory accesses, times how often a network needs each.

It compares number formats of one network in one technology; what an FPGA takes is another model, and the two are never mixed.
The rules of counting: every multiplication of a product is counted, also with a weight of 0; a weight is read from the memory on
chip for every window that it meets, and from DRAM, if it lies there, once a frame; an input is read from a register file once for
every window that it lies under, since all outputs take it together; an output is written to the memory on chip once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import singledispatch
from math import prod
from typing import Any

from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.heads import Sums
from bnnhw.ir.integer import PORT, Network
from bnnhw.ir.layers import Add, Concat, Gather, Layer, MatVec, Multiply, Pool, Requantise, SumPool, Table

HOROWITZ = "Horowitz, Computing's energy problem, ISSCC 2014 (45 nm, 0.9 V)"
HAN = "Han et al., Learning both weights and connections, NIPS 2015 (45 nm)"
PICOJOULE = 1e-12


@dataclass(frozen=True)
class Energy:
    """Picojoules of one operation, or of one access of 32 bits."""

    pj: float
    source: str
    assumed: tuple[float, float] | None = None
    """Least and greatest, where the figure is an assumption of ours."""


TABLE = {
    "int add 8": Energy(0.03, HOROWITZ), "int add 16": Energy(0.05, HOROWITZ), "int add 32": Energy(0.1, HOROWITZ),
    "int multiply 8": Energy(0.2, HOROWITZ), "int multiply 32": Energy(3.1, HOROWITZ),
    "float add 16": Energy(0.4, HOROWITZ), "float add 32": Energy(0.9, HOROWITZ),
    "float multiply 16": Energy(1.1, HOROWITZ), "float multiply 32": Energy(3.7, HOROWITZ),
    "register file": Energy(1, HAN), "SRAM": Energy(5, HAN), "DRAM": Energy(640, HAN),
    "bit product": Energy(0.03 / 8, "an XNOR and its full adder in a popcount: an eighth of an 8-bit addition", (0.03 / 16, 0.03 / 4)),
}  # fmt: skip
"""By the name of what is done."""
ACCESS_BITS = 32
"""Bits of one access; fewer cost their share."""
MOST_BITS = 1024
MOST_PARAMETERS = 1e18
RATES = (1e-6, 1e12)
"""Least and greatest, a second."""


@dataclass(frozen=True)
class Format:
    """A number format in which a network could be computed."""

    name: str
    multiply: str | None
    """What one product costs, besides its addition; None where it is an addition or a subtraction only."""
    add: str
    weight_bits: int
    bits: int
    """Bits of an activation."""
    scale: tuple[str, ...]
    """Operations of one output's batch norm and activation."""
    adds_pixels: bool = False
    """Whether its first layer adds and subtracts pixels, though its activations are bits."""


FORMATS = (
    Format("float32", "float multiply 32", "float add 32", 32, 32, ("float multiply 32", "float add 32")),
    Format("float16", "float multiply 16", "float add 16", 16, 16, ("float multiply 16", "float add 16")),
    Format("int8", "int multiply 8", "int add 32", 8, 8, ("int multiply 32", "int add 32")),
    Format("ternary weights, int8", None, "int add 16", 2, 8, ("int multiply 32", "int add 32")),
    Format("binary", None, "bit product", 1, 1, ("int add 16",), adds_pixels=True),
)
"""Ternary weights add, subtract or skip 8-bit inputs; a binary network's threshold is one comparison."""


@dataclass(frozen=True)
class LayerEnergy:
    """Picojoules of one layer and frame."""

    name: str
    products: int
    operations_pj: float
    on_chip_pj: float
    """Accesses of register files and memories on chip."""
    dram_pj: float
    """Reading the weights once, where they lie off chip."""


@dataclass(frozen=True)
class Version:
    """A network in one format."""

    name: str
    weight_bits: int
    layers: tuple[LayerEnergy, ...]

    @property
    def on_chip_pj(self) -> float:
        """A frame with all weights on chip."""
        return sum(layer.operations_pj + layer.on_chip_pj for layer in self.layers)

    @property
    def off_chip_pj(self) -> float:
        """A frame with all weights in DRAM."""
        return self.on_chip_pj + sum(layer.dram_pj for layer in self.layers)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a script."""
        return {**asdict(self), "on_chip_pj": self.on_chip_pj, "off_chip_pj": self.off_chip_pj}


def versions(net: Network) -> tuple[Version, ...]:
    """The network in every one of FORMATS, and last as it is."""
    weights = sum(work(x).weights for x in net.layers)
    made = [Version(f.name, weights * f.weight_bits, tuple(_in_format(net, x, f) for x in net.layers)) for f in FORMATS]
    return (*made, Version("this network", net.weight_bits, tuple(_as_it_is(x) for x in net.layers)))


def check_rate(rate: float) -> None:
    """Refuse a rate a second that nothing has: BnnhwError."""
    least, most = RATES
    if not least <= rate <= most:
        raise BnnhwError(f"energy: a rate of {rate:g} a second cannot be; give {least:g} to {most:g}")


def dram_watts(parameters: float, rate: float, bits: int = ACCESS_BITS) -> float:
    """Watts of reading this many parameters of `bits` bits from DRAM `rate` times a second."""
    check_rate(rate)
    if not (1 <= parameters <= MOST_PARAMETERS and 1 <= bits <= MOST_BITS):
        raise BnnhwError(
            f"energy: {parameters:g} parameters of {bits} bits cannot be; give 1 to {MOST_PARAMETERS:g} parameters of 1 to {MOST_BITS} bits"
        )
    return parameters * bits / ACCESS_BITS * TABLE["DRAM"].pj * PICOJOULE * rate


@dataclass(frozen=True)
class Work:
    """How often a layer does what, a frame."""

    products: int = 0
    """Multiplications by a weight."""
    weights: int = 0
    uses: int = 1
    """Windows that a weight, or a lookup, meets."""
    input_reads: int = 0
    scaled: int = 0
    """Outputs behind a batch norm or an activation."""
    additions: int = 0
    """Of two activations, or comparisons."""
    multiplications: int = 0
    """Of two activations."""


@singledispatch
def work(layer: Layer) -> Work:
    """What a layer does for a frame."""
    raise AssertionError(layer)


@work.register
def _(layer: MatVec) -> Work:
    w, weights = layer.window, layer.weights.values.size
    return Work(weights * w.out_pixels, weights, w.out_pixels, w.out_pixels * w.taps * w.shape[0], prod(layer.out_shape))


@work.register
def _(layer: Gather) -> Work:
    pixels = layer.window.out_pixels
    return Work(0, 0, pixels, layer.index.size * pixels, prod(layer.out_shape), layer.index.size * pixels)


@work.register
def _(layer: Requantise) -> Work:
    return Work(input_reads=prod(layer.shape), scaled=prod(layer.shape))


@work.register(Pool)
@work.register(SumPool)
def _(layer: Pool | SumPool) -> Work:
    outputs, taps = prod(layer.out_shape), layer.window.taps
    return Work(input_reads=outputs * taps, additions=outputs * (taps - 1))


@work.register
def _(layer: Add) -> Work:
    return Work(input_reads=2 * prod(layer.shape), additions=prod(layer.shape))


@work.register
def _(layer: Multiply) -> Work:
    return Work(input_reads=2 * prod(layer.shape), multiplications=prod(layer.shape))


@work.register(Table)
@work.register(Concat)
def _(layer: Table | Concat) -> Work:
    return Work(input_reads=prod(layer.out_shape))


def _in_format(net: Network, layer: Layer, f: Format) -> LayerEnergy:
    """A layer in one format; the first layer of a binary network adds and subtracts its pixels."""
    done, pixels = work(layer), f.adds_pixels and PORT in net.inputs_of(layer) and net.x.planes > 1
    product, bits = ("int add 16", net.x.planes) if pixels else (f.add, f.bits)
    simple = "int add 16" if f.add == "bit product" else f.add
    operations = done.products * (TABLE[product].pj + (TABLE[f.multiply].pj if f.multiply else 0))
    operations += done.scaled * sum(TABLE[op].pj for op in f.scale) + done.additions * TABLE[simple].pj
    operations += done.multiplications * TABLE[f.multiply or "int multiply 8"].pj
    return _with_memory(layer, done, operations, done.weights * f.weight_bits, bits, f.bits)


def _as_it_is(layer: Layer) -> LayerEnergy:
    """A layer as the integer network has it: one bit product for each pair of planes; thresholds are comparisons."""
    done, into, out = work(layer), layer.sources[0][1].planes, layer.out.planes
    weight_bits = layer.weights.stored_bits if isinstance(layer, MatVec) else layer.stored_bits if isinstance(layer, Gather) else 0
    planes = layer.weights.planes * into if isinstance(layer, MatVec) else 0
    operations = done.products * planes * TABLE["bit product"].pj + done.additions * TABLE["int add 16"].pj
    operations += done.multiplications * TABLE["int multiply 32"].pj
    if isinstance(layer, MatVec | Gather | Requantise):
        sums = isinstance(layer.head, Sums)
        levels = 1 if sums else layer.head.values.shape[2]  # type: ignore[union-attr]
        operations += done.scaled * (TABLE["int multiply 32"].pj + TABLE["int add 32"].pj if sums else levels * TABLE["int add 16"].pj)
    return _with_memory(layer, done, operations, weight_bits, into, out)


def _with_memory(layer: Layer, done: Work, operations: float, weight_bits: int, bits_in: int, bits_out: int) -> LayerEnergy:
    read, kept = TABLE["register file"].pj / ACCESS_BITS, TABLE["SRAM"].pj / ACCESS_BITS
    on_chip = weight_bits * done.uses * kept + done.input_reads * bits_in * read + prod(layer.out_shape) * bits_out * kept
    return LayerEnergy(layer.name, done.products, operations, on_chip, weight_bits * TABLE["DRAM"].pj / ACCESS_BITS)
