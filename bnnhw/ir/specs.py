"""The layers of a network description, as the training framework knows them, without their parameters.

Geometry follows PyTorch: channels first, cross-correlation, `floor` output sizes.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bnnhw.ir.compressions import CompressionMethod
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.methods import ActivationMethod, WeightMethod
from bnnhw.ir.window import Shape, slide

MAX_NAME = 200
Size = Annotated[int, Field(ge=1, le=1 << 20)]
Sign = Literal[-1, 1]


def _pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


def _quad(value: Any) -> Any:
    if isinstance(value, int):
        return (value,) * 4
    if isinstance(value, list | tuple) and len(value) == 2:
        return (value[0], value[1], value[0], value[1])
    return value


Pair = Annotated[tuple[Size, Size], BeforeValidator(_pair)]
Margin = Annotated[int, Field(ge=0, le=1 << 10)]
Quad = Annotated[tuple[Margin, Margin, Margin, Margin], BeforeValidator(_quad)]


class Frozen(BaseModel):
    """A part of a description: never changed, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class _Named(Frozen):
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    tensors: dict[str, str] = {}
    """Where a parameter is stored, when not under `<name>.<parameter>`."""
    inputs: tuple[str, ...] = ()
    """Layers that feed it; empty: the one before. `input` is the network's input."""
    fan: ClassVar[int] = 1
    """Number of inputs."""
    parameters: ClassVar[tuple[str, ...]] = ()
    """Parameters in the weights file, beside those that keys ask for."""

    @property
    def stored(self) -> tuple[str, ...]:
        """Parameters that the weights file may hold."""
        return self.parameters

    def tensor_name(self, parameter: str) -> str:
        """Name of `parameter` in the weights file."""
        return self.tensors.get(parameter, f"{self.name}.{parameter}")

    def out_shape(self, shape: Shape) -> Shape:
        """Shape of the layer's output for an input of `shape`; BnnhwError where they do not go together."""
        return shape

    def joined_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        """As `out_shape`, for all inputs."""
        return self.out_shape(shapes[0])

    def _slid(self, shape: Shape, out: int, kernel: Any, stride: Any, dilation: Any, pad: Any) -> Shape:
        _, rows, columns = shape
        oh = slide(rows, kernel[0], stride[0], dilation[0], pad[0], pad[2])
        ow = slide(columns, kernel[1], stride[1], dilation[1], pad[1], pad[3])
        if oh < 1 or ow < 1:
            raise BnnhwError(
                f"layer {self.name!r}: a {kernel[0]}x{kernel[1]} kernel does not fit a map of {rows}x{columns}; pad more or use a smaller kernel"
            )
        return out, oh, ow


class PartialSums(Frozen):
    """Sums of every `taps` inputs become (sum >> shift) in `bits` bits before they are added."""

    taps: Size
    bits: Annotated[int, Field(ge=2, le=32)]
    shift: Annotated[int, Field(ge=0, le=31)] = 0
    overflow: Literal["saturate", "zero", "wrap"] = "saturate"


STORED_AS = {
    "signs": ("weight",), "latent": ("weight",), "integers": ("weight",), "planes": ("bits", "mask", "scale"),
    "factored": ("inner", "middle", "outer"), "lookup": ("table", "index", "sign"),
}  # fmt: skip


class _MatVec(_Named):
    out: Size
    bias: bool = False
    alpha: bool = False
    """A real scale per output, stored as `<name>.alpha`, multiplies the sum (XNOR-Net)."""
    weights: Literal["signs", "latent", "integers", "planes", "factored", "lookup"] = "signs"
    """How they are stored. `signs`: -1 and +1. `latent`: real numbers of which the sign counts. `integers`.
    `planes`: bits, mask and scales. `factored`: two matrices and a scale between. `lookup`: a table of shared products."""
    zero_to: Sign | None = None
    """Sign of a latent weight that is exactly 0; None refuses such a weight."""
    quantiser: Annotated[WeightMethod | CompressionMethod, Field(discriminator="method")] | None = None
    """How weights are trained; None: signs with a straight-through gradient."""
    partial: PartialSums | None = None
    writable: bool = False
    """Whether weights and thresholds, or the last layer's scales and biases, can be written at run time."""

    @property
    def stored(self) -> tuple[str, ...]:
        return (*STORED_AS[self.weights], *(p for p in ("bias", "alpha") if getattr(self, p)))


class Conv(_MatVec):
    type: Literal["conv"] = "conv"
    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pad: Quad = (0, 0, 0, 0)
    """top, left, bottom, right."""
    pad_value: int | Annotated[float, Field(ge=-1e9, le=1e9)] = 0
    groups: Size = 1

    def out_shape(self, shape: Shape) -> Shape:
        for what, n in (("input channels", shape[0]), ("outputs", self.out)):
            if n % self.groups:
                raise BnnhwError(f"layer {self.name!r}: {n} {what} do not divide into groups: {self.groups}; choose a divisor")
        return self._slid(shape, self.out, self.kernel, self.stride, self.dilation, self.pad)


class Dense(_MatVec):
    """Flattens its input, in PyTorch's order (channel, row, column), before the product."""

    type: Literal["dense"] = "dense"

    def out_shape(self, shape: Shape) -> Shape:
        return self.out, 1, 1


class BatchNorm(_Named):
    type: Literal["batchnorm"] = "batchnorm"
    eps: Annotated[float, Field(ge=0, lt=1)]
    shift: bool = False
    """Trained as shift-based batch norm, whose factors are powers of two (Hubara et al. 2016)."""
    parameters: ClassVar[tuple[str, ...]] = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class Scale(_Named):
    """Multiplies each channel by a real number other than 0, `<name>.alpha` [C], in float32."""

    type: Literal["scale"] = "scale"
    parameters: ClassVar[tuple[str, ...]] = ("alpha",)


class SignActivation(_Named):
    type: Literal["sign"] = "sign"
    zero_to: Sign
    gradient: Literal["straight", "approx"] = "straight"
    """In training: 1 where |x| <= 1, or Bi-Real Net's 2 - 2|x| there."""


class Threshold(_Named):
    """Integer thresholds in units of the sum, one per channel: `<name>.values`, int [O] or [O, 1]."""

    type: Literal["threshold"] = "threshold"
    compare: Literal[">", ">="]
    output: Literal["bipolar", "unipolar"] = "bipolar"
    parameters: ClassVar[tuple[str, ...]] = ("values",)


class Levels(_Named):
    """Several levels: value[#{k : x >= thresholds[k]}].

    Stored as `<name>.thresholds` float [L-1], or [C, L-1] where channels have their own, rising along the last axis; equal ones
    skip levels. `<name>.values` int [L] rise strictly; where the levels have planes of their own, these are `<name>.bits` [Q, L]
    and `<name>.scale` [Q].
    """

    type: Literal["levels"] = "levels"
    quantiser: ActivationMethod | None = None
    bipolar: bool = False
    """Whether the stored bits mean -1 and +1 rather than 0 and 1."""
    parameters: ClassVar[tuple[str, ...]] = ("thresholds", "values", "bits", "scale")


class FixedPoint(_Named):
    """Fixed-point numbers of `bits` bits, `fraction` of them behind the point, as an integer affine.

    Integers become overflow((multiplier[c] * x + addend[c]) >> shift), stored as `<name>.multiplier`, `<name>.addend` [C]
    and `<name>.shift`; with `norm` the affine is trained as a batch norm.
    """

    type: Literal["fixed"] = "fixed"
    bits: Annotated[int, Field(ge=2, le=48)]
    fraction: Annotated[int, Field(ge=-32, le=32)] = 0
    signed: bool = True
    rounding: Literal["nearest", "truncate"] = "nearest"
    overflow: Literal["saturate", "zero", "wrap"] = "saturate"
    norm: bool = False
    eps: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    multiplier_bits: Annotated[int, Field(ge=2, le=24)] = 12
    """Magnitude bits of the largest multiplier."""
    parameters: ClassVar[tuple[str, ...]] = ("multiplier", "addend", "shift")

    @model_validator(mode="after")
    def _check(self) -> FixedPoint:
        if self.overflow == "wrap" and not self.signed:
            raise ValueError("wrap is for signed numbers; set signed: true or overflow: saturate")
        return self

    @property
    def low(self) -> int:
        """Least integer."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Greatest integer."""
        return (1 << (self.bits - int(self.signed))) - 1


class MaxPool(_Named):
    type: Literal["maxpool"] = "maxpool"
    kernel: Pair
    stride: Pair | None = None
    pad: Quad = (0, 0, 0, 0)

    @property
    def step(self) -> tuple[int, int]:
        """The stride; the kernel where none is given."""
        return self.stride or self.kernel

    def out_shape(self, shape: Shape) -> Shape:
        if any(2 * p > k for p, k in zip(self.pad, self.kernel * 2, strict=True)):
            raise BnnhwError(f"layer {self.name!r}: pad {self.pad} exceeds half of the kernel {self.kernel}; pad less")
        return self._slid(shape, shape[0], self.kernel, self.step, (1, 1), self.pad)


class AvgPool(_Named):
    """Mean over a window, as a sum whose division the next layer carries; the margin counts as 0."""

    type: Literal["avgpool"] = "avgpool"
    kernel: Pair | None = None
    """None: the whole map."""
    stride: Pair | None = None
    pad: Quad = (0, 0, 0, 0)

    def sized(self, shape: Shape) -> tuple[tuple[int, int], tuple[int, int]]:
        """Kernel and stride on a map of `shape`."""
        kernel = self.kernel or shape[1:]
        return kernel, self.stride or kernel

    def out_shape(self, shape: Shape) -> Shape:
        kernel, stride = self.sized(shape)
        return self._slid(shape, shape[0], kernel, stride, (1, 1), self.pad)


class _Join(_Named):
    fan: ClassVar[int] = 2

    def joined_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        if shapes[0] != shapes[1]:
            raise BnnhwError(f"layer {self.name!r}: its inputs are {shapes[0]} and {shapes[1]}; make them the same shape")
        return shapes[0]


class Add(_Join):
    """Sum of two streams of integers, each moved up by its shift."""

    type: Literal["add"] = "add"
    shifts: tuple[Annotated[int, Field(ge=0, le=32)], Annotated[int, Field(ge=0, le=32)]] = (0, 0)


class Multiply(_Join):
    """Product of two streams of integers; the second may have one channel, or one pixel, for all."""

    type: Literal["multiply"] = "multiply"

    def joined_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        (c, rows, columns), b = shapes
        if b not in (shapes[0], (1, rows, columns), (c, 1, 1)):
            raise BnnhwError(f"layer {self.name!r}: {b} does not spread over {shapes[0]}; give one channel, one pixel or the same shape")
        return shapes[0]


class Concat(_Join):
    """Channels of the second stream after those of the first."""

    type: Literal["concat"] = "concat"

    def joined_shape(self, shapes: tuple[Shape, ...]) -> Shape:
        (a, rows, columns), (b, *size) = shapes
        if size != [rows, columns]:
            raise BnnhwError(f"layer {self.name!r}: its inputs have maps of {(rows, columns)} and {tuple(size)}; make them the same size")
        return a + b, rows, columns


class Table(_Named):
    """A function of each number by lookup, of fixed-point numbers in a declared format.

    Stored as `<name>.entries` [n] and `<name>.low`, the number of the first entry.
    """

    type: Literal["table"] = "table"
    function: Literal["abs", "relu", "sigmoid"] | None = None
    """For training; the stored entries are what counts."""
    bits: Annotated[int, Field(ge=1, le=16)] = 8
    """Bits of an entry's magnitude."""
    fraction: Annotated[int, Field(ge=0, le=16)] = 0
    parameters: ClassVar[tuple[str, ...]] = ("entries", "low")


class Flatten(_Named):
    """Marks where PyTorch flattens; dense layers flatten by themselves, so this changes nothing."""

    type: Literal["flatten"] = "flatten"


LayerSpec = Annotated[
    Conv
    | Dense
    | BatchNorm
    | Scale
    | SignActivation
    | Threshold
    | Levels
    | FixedPoint
    | MaxPool
    | AvgPool
    | Add
    | Multiply
    | Concat
    | Table
    | Flatten,
    Field(discriminator="type"),
]
