"""Instances of library modules and the streams between them: plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from math import ceil

from bnnhw.ir.layers import MatVec


class Memory(Enum):
    """What the memory file of an instance holds; the value stands in the file's name."""

    HEAD = "head"
    """Thresholds, or scales and biases, of a layer's head."""
    TOTAL = "total"
    """Scales and biases of a layer's head behind totals as they are."""
    SCALE = "scale"
    """Scales of weight planes."""
    PARTIAL = "partial"
    """What makes partial sums of popcounts."""
    WEIGHTS = "weights"
    """Weights, or lookups."""
    ENTRIES = "entries"
    """Entries of a table."""


@dataclass(frozen=True)
class Stream:
    """Elements on the wire: `elements` a frame in vectors; a vector's last beat may be short."""

    elements: int
    vector: int
    lanes: int
    planes: int = 1
    elem_bits: int = 1
    """Bits of an element in one plane."""

    @property
    def width(self) -> int:
        """Bits of a beat."""
        return self.lanes * self.planes * self.elem_bits

    @property
    def beats(self) -> int:
        """Beats of a frame."""
        return self.elements // self.vector * ceil(self.vector / self.lanes)

    @property
    def even(self) -> bool:
        """Whether no beat is short."""
        return self.vector % self.lanes == 0


@dataclass(frozen=True)
class Wire:
    """A stream that leaves an instance; `branch` where it is one of a fork's."""

    source: str
    stream: Stream
    branch: int | None = None


@dataclass(frozen=True)
class Instance:
    """One library module: parameters as numbers, `beats` cycles of work a frame."""

    module: str
    name: str
    layer: str
    """The layer it serves; PORT at the ends."""
    parameters: dict[str, int | str]
    reads: tuple[Wire, ...]
    """None for the guard of the input port."""
    m: Stream
    beats: int
    memory: Memory | None = None
    """What its FILE holds, where it has one."""
    varying: int | None = None
    """Bits of the words of a head's memory that are not the same in all of them."""
    branches: int = 0
    """Streams out of a fork, 0 for one plain stream."""
    writable: bool = False
    """Whether that memory is written at run time."""
    product: MatVec | None = None
    """The layer whose weights are the logic of the instance, where it is unrolled."""


@dataclass(frozen=True)
class Pipeline:
    """Instances, each behind those it reads. The first guards the input port, the last marks the output port's frames."""

    instances: tuple[Instance, ...]
    taps: dict[str, Instance] = field(default_factory=dict)
    """Per layer, the instance that its output leaves."""
    control: Instance | None = None
    """The registers by which memories are written, where some are."""

    @property
    def parts(self) -> tuple[Instance, ...]:
        """All instances: those of the streams, and the control."""
        return self.instances if self.control is None else (*self.instances, self.control)

    @property
    def written(self) -> tuple[Instance, ...]:
        """Those whose memories are written at run time, in the order of their numbers."""
        return tuple(i for i in self.instances if i.writable)

    @property
    def interval(self) -> int:
        """Cycles from frame to frame when neither side stalls."""
        return max(i.beats for i in self.instances)

    @property
    def bottleneck(self) -> Instance:
        """The first instance that needs the whole interval."""
        return max(self.instances, key=lambda i: i.beats)

    @property
    def source(self) -> Stream:
        """The input port."""
        return self.instances[0].m

    @property
    def sink(self) -> Stream:
        """The output port."""
        return self.instances[-1].m
