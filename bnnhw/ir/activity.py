"""How often the signals of a design change and its memories are used: plain data, measured by simulation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Toggling:
    """Some signals together, over the cycles that were counted."""

    bits: int = 0
    """Bits that changed at least once since power-up, where registers and memories that run time fills hold anything."""
    toggles: int = 0
    """Changes of a bit, in either direction, between the settled values of a cycle and those of the next."""


@dataclass(frozen=True)
class MemoryUse:
    """One memory of an instance."""

    name: str
    words: int
    width_bits: int
    reads: int
    writes: int

    @property
    def bits(self) -> int:
        """All that it holds."""
        return self.words * self.width_bits


@dataclass(frozen=True)
class Activity:
    """One instance of a pipeline."""

    name: str
    layer: str
    """The layer it serves; PORT at the ends."""
    registers: Toggling
    nets: Toggling
    memories: tuple[MemoryUse, ...] = ()


@dataclass(frozen=True)
class Activities:
    """All instances, in the order of the pipeline."""

    cycles: int
    """That were counted, in the steady state."""
    frames: int
    """Whole frames in them; less than asked for, perhaps 0, where the limit of cycles cut the count short."""
    instances: tuple[Activity, ...]
