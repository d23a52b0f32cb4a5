"""The network description: its input, its layers and how they were trained, without their parameters.

These models are at once the schema of the YAML file (version 1) and the first half of a trained network.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from bnnhw.ir.compressions import CompressionMethod
from bnnhw.ir.methods import ActivationMethod, WeightMethod
from bnnhw.ir.recipe import TrainSpec
from bnnhw.ir.specs import MAX_NAME, Conv, Dense, Frozen, LayerSpec, Levels, Size
from bnnhw.ir.window import Shape

INPUT = "input"
"""Name of the network's input among a layer's inputs."""


class MeanStd(Frozen):
    """(p / 255 - mean) / std, one value for all channels or one a channel."""

    mean: float | tuple[float, ...]
    std: float | tuple[float, ...]


class PixelThreshold(Frozen):
    """+1 where the pixel is at least `threshold`, else -1."""

    threshold: Annotated[int, Field(ge=1, le=255)]


class PixelLevels(Frozen):
    """values[number of `thresholds` that the pixel is not below]."""

    thresholds: Annotated[tuple[int, ...], Field(min_length=1, max_length=255)]
    values: tuple[int, ...]

    @model_validator(mode="after")
    def _check(self) -> PixelLevels:
        rising = all(a < b for a, b in pairwise(self.values)) and all(a <= b for a, b in pairwise(self.thresholds))
        if len(self.values) != len(self.thresholds) + 1 or not rising:
            raise ValueError("thresholds rise, and values, one more, rise strictly; sort them")
        return self


Preprocess = Literal["none", "x/255", "2x-1", "2p-255"] | MeanStd | PixelThreshold | PixelLevels


class Real(Frozen):
    """What the integers of a frame stand for: the numbers unit * integer + offset. Nothing but frames of floats is computed with it."""

    unit: float
    offset: float = 0.0

    @model_validator(mode="after")
    def _check(self) -> Real:
        if self.unit == 0:
            raise ValueError("unit 0 makes all frames alike; give another")
        return self


class InputSpec(Frozen):
    """`shape` is [channels, rows, columns] or [features]; `preprocess` applies to uint8 pixels p (x = p/255)."""

    shape: Annotated[tuple[Size, ...], Field(min_length=1, max_length=3)]
    type: Literal["uint8", "int8", "bipolar", "uint16", "int16"]
    preprocess: Preprocess = "none"
    ends: tuple[int, int] | None = None
    """Least and greatest integer, where not those of its type."""
    real: Real | None = None

    @model_validator(mode="after")
    def _check(self) -> InputSpec:
        if len(self.shape) == 2:
            raise ValueError("shape has 2 numbers; give [features] or [channels, rows, columns]")
        if self.type != "uint8" and self.preprocess != "none":
            raise ValueError(f"preprocess applies to uint8 pixels, the type is {self.type}; use 'none'")
        if self.ends is not None and (self.preprocess != "none" or not self.widest[0] <= self.ends[0] < self.ends[1] <= self.widest[1]):
            raise ValueError(f"ends {list(self.ends)} do not go with {self.type} and this preprocess; give two rising integers of the type, or none")
        return self

    @property
    def widest(self) -> tuple[int, int]:
        """Least and greatest integer of the type."""
        return {"bipolar": (-1, 1), "uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767)}[self.type]

    @property
    def chw(self) -> Shape:
        """The shape, with 1 x 1 for plain features."""
        return (self.shape[0], self.shape[1], self.shape[2]) if len(self.shape) == 3 else (self.shape[0], 1, 1)


class Quantisers(Frozen):
    """Methods for layers that name none of their own; `first` and `last` go before `weights`."""

    weights: Annotated[WeightMethod | CompressionMethod, Field(discriminator="method")] | None = None
    first: Annotated[WeightMethod | CompressionMethod, Field(discriminator="method")] | None = None
    last: Annotated[WeightMethod | CompressionMethod, Field(discriminator="method")] | None = None
    activations: ActivationMethod | None = None


class Topology(Frozen):
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
    quantisers: Quantisers | None = None
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

    @model_validator(mode="after")
    def _check_graph(self) -> Topology:
        known = {INPUT}
        for layer in self.layers:
            for name in layer.inputs:
                if name not in known:
                    raise ValueError(f"layer {layer.name!r}: its input {name[:60]!r} is no layer before it; name one that is")
            if (layer.inputs or layer.fan > 1) and len(layer.inputs) != layer.fan:
                raise ValueError(
                    f"layer {layer.name!r}: {layer.type} takes {layer.fan} input{'s' * (layer.fan > 1)}, given {len(layer.inputs)}; list as many under 'inputs'"
                )
            if layer.name == INPUT:
                raise ValueError(f"layer {INPUT!r}: the name stands for the network's input; rename it")
            known.add(layer.name)
        return self

    def resolved(self) -> Topology:
        """The description with `quantisers` given to the layers that name none."""
        if self.quantisers is None:
            return self
        q = self.quantisers
        products = [layer.name for layer in self.layers if isinstance(layer, Conv | Dense)]
        layers: list[Any] = []
        for layer in self.layers:
            if isinstance(layer, Conv | Dense) and layer.quantiser is None:
                own = (q.first if layer.name == products[0] else None) or (q.last if layer.name == products[-1] else None) or q.weights
                layers.append(layer.model_copy(update={"quantiser": own}))
            elif isinstance(layer, Levels) and layer.quantiser is None:
                layers.append(layer.model_copy(update={"quantiser": q.activations}))
            else:
                layers.append(layer)
        return self.model_copy(update={"layers": tuple(layers), "quantisers": None})

    def inputs_of(self, index: int) -> tuple[str, ...]:
        """Names of what feeds layer `index`; INPUT for the network's input."""
        return self.layers[index].inputs or ((self.layers[index - 1].name if index else INPUT),)

    def shape_of(self) -> dict[str, Shape]:
        """Output shape of every layer, and the input's under INPUT; BnnhwError where layers do not go together."""
        found = {INPUT: self.input.chw}
        for n, layer in enumerate(self.layers):
            found[layer.name] = layer.joined_shape(tuple(found[name] for name in self.inputs_of(n)))
        return found
