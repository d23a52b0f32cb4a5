"""The network description: layers as the training framework knows them, without their parameters.

These models are at once the schema of the YAML file (version 1) and the first half of a trained
network. Geometry follows PyTorch: channels first, cross-correlation, `floor` output sizes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bnnhw.ir.errors import BnnhwError

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


Shape = tuple[int, int, int]
"""Channels, rows, columns."""


def slide(size: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> int:
    """Positions of a window along one axis; less than 1 where it does not fit."""
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class _Named(_Frozen):
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    tensors: dict[str, str] = {}
    """Where a parameter is stored, when not under `<name>.<parameter>`."""

    def tensor_name(self, parameter: str) -> str:
        """Name of `parameter` in the weights file."""
        return self.tensors.get(parameter, f"{self.name}.{parameter}")

    def out_shape(self, shape: Shape) -> Shape:
        """Shape of the layer's output for an input of `shape`; BnnhwError where they do not go together."""
        return shape

    def _slid(self, shape: Shape, out: int, kernel: Any, stride: Any, dilation: Any, pad: Any) -> Shape:
        _, rows, columns = shape
        oh = slide(rows, kernel[0], stride[0], dilation[0], pad[0], pad[2])
        ow = slide(columns, kernel[1], stride[1], dilation[1], pad[1], pad[3])
        if oh < 1 or ow < 1:
            raise BnnhwError(
                f"layer {self.name!r}: a {kernel[0]}x{kernel[1]} kernel does not fit a map of {rows}x{columns}; pad more or use a smaller kernel"
            )
        return out, oh, ow


class _MatVec(_Named):
    out: Size
    bias: bool = False
    alpha: bool = False
    """A real scale per output, stored as `<name>.alpha`, multiplies the sum (XNOR-Net)."""
    weights: Literal["signs", "latent"] = "signs"
    """`signs`: stored as -1 and +1. `latent`: real numbers of which the sign counts."""
    zero_to: Sign | None = None
    """Sign of a latent weight that is exactly 0; None refuses such a weight."""


class Conv(_MatVec):
    type: Literal["conv"] = "conv"
    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pad: Quad = (0, 0, 0, 0)
    """top, left, bottom, right."""
    pad_value: Literal[-1, 0, 1] = 0
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


class SignActivation(_Named):
    type: Literal["sign"] = "sign"
    zero_to: Sign


class Threshold(_Named):
    """Integer thresholds in units of the sum, one per channel: `<name>.values`, int [O] or [O, 1]."""

    type: Literal["threshold"] = "threshold"
    compare: Literal[">", ">="]
    output: Literal["bipolar", "unipolar"] = "bipolar"


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


class Flatten(_Named):
    """Marks where PyTorch flattens; dense layers flatten by themselves, so this changes nothing."""

    type: Literal["flatten"] = "flatten"


LayerSpec = Annotated[
    Conv | Dense | BatchNorm | SignActivation | Threshold | MaxPool | Flatten,
    Field(discriminator="type"),
]


class MeanStd(_Frozen):
    """(p / 255 - mean) / std, one value for all channels or one a channel."""

    mean: float | tuple[float, ...]
    std: float | tuple[float, ...]


class PixelThreshold(_Frozen):
    """+1 where the pixel is at least `threshold`, else -1."""

    threshold: Annotated[int, Field(ge=1, le=255)]


Preprocess = Literal["none", "x/255", "2x-1", "2p-255"] | MeanStd | PixelThreshold


class InputSpec(_Frozen):
    """`shape` is [channels, rows, columns] or [features]; `preprocess` applies to uint8 pixels p (x = p/255)."""

    shape: Annotated[tuple[Size, ...], Field(min_length=1, max_length=3)]
    type: Literal["uint8", "int8", "bipolar"]
    preprocess: Preprocess = "none"

    @model_validator(mode="after")
    def _check(self) -> InputSpec:
        if len(self.shape) == 2:
            raise ValueError("shape has 2 numbers; give [features] or [channels, rows, columns]")
        if self.type != "uint8" and self.preprocess != "none":
            raise ValueError(f"preprocess applies to uint8 pixels, the type is {self.type}; use 'none'")
        return self

    @property
    def chw(self) -> Shape:
        """The shape, with 1 x 1 for plain features."""
        return (self.shape[0], self.shape[1], self.shape[2]) if len(self.shape) == 3 else (self.shape[0], 1, 1)


class TrainSpec(_Frozen):
    """How the shipped weights were trained; read by `bnnhw train`."""

    data: Literal["digits", "mnist", "cifar10"]
    epochs: Annotated[int, Field(ge=1, le=10_000)]
    batch: Size = 100
    lr: Annotated[float, Field(gt=0, le=1)] = 0.01
    seed: int = 0
    augment: bool = False
    shift: Annotated[int, Field(ge=0, le=8)] = 0
    """Largest random shift of an image, in pixels, when `augment` is set."""
    bfloat16: bool = False


class Topology(_Frozen):
    """One network as its YAML file describes it."""

    bnnhw: Literal[1]
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    weights: str | None = None
    expected: str | None = None
    """File with frames and the framework's outputs for them, checked by `bnnhw verify`."""
    input: InputSpec
    layers: Annotated[tuple[LayerSpec, ...], Field(min_length=1, max_length=1000)]
    label: Literal["argmax", "highest_bit"] = "argmax"
    """How the class follows from the outputs: first largest, or the highest output that is set (0 if none)."""
    classes: tuple[str, ...] | None = None
    train: TrainSpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_layers(cls, data: Any) -> Any:
        """Give `<type><position>` to layers without a name; refuse two layers of one name."""
        if not isinstance(data, dict) or not isinstance(data.get("layers"), list):
            return data
        layers, seen = [], set()
        for i, given in enumerate(data["layers"]):
            layer = given
            if isinstance(given, dict):
                layer = {"name": f"{given.get('type', 'layer')}{i}", **given}
                if isinstance(layer["name"], str):
                    if layer["name"] in seen:
                        raise ValueError(f"two layers are named {layer['name'][:60]!r}; names must differ")
                    seen.add(layer["name"])
            layers.append(layer)
        return {**data, "layers": layers}

    def shapes(self) -> list[Shape]:
        """Input shape of every layer in turn, and last the output's."""
        shapes = [self.input.chw]
        for layer in self.layers:
            shapes.append(layer.out_shape(shapes[-1]))
        return shapes
