"""What is explored: points, what decides their results, and the results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from bnnhw.ir.design import Design
from bnnhw.ir.integer import Network

Value = bool | int | float | str
COST, GAIN = "luts", "frames_per_second"
"""What designs are compared by: values of a result."""
Choose = Callable[..., Design]
"""A design of a network, by the keywords of a request: `request.choose_design`."""
Measure = Callable[[Network, Design, str], dict[str, Any]]
"""What an evaluation finds of a design for a target, plain values by name."""


@dataclass(frozen=True)
class Evaluation:
    """A way to evaluate a design."""

    name: str
    measure: Measure
    tool: Callable[[], str]
    """Name and version of its program, "" without one. Errors: ToolError where it is missing."""
    for_target: bool = True
    """Whether the family of FPGAs matters."""


@dataclass(frozen=True)
class Point:
    """One design to evaluate."""

    request: tuple[tuple[str, Value], ...]
    """Keywords of the folding, such as ("fps", 100.0)."""
    target: str
    """Family of FPGAs; "" where the evaluation asks for none."""

    def __str__(self) -> str:
        return " ".join([*(f"{name}={value}" for name, value in self.request), *([self.target] if self.target else [])])


@dataclass(frozen=True)
class Setting:
    """What all points of a run have in common, and what decides their results besides them."""

    network: bytes = field(repr=False)
    """The integer network's file."""
    evaluation: Evaluation
    choose: Choose
    version: str
    """Of bnnhw."""
    tool: str
    """What the evaluation's `tool` said."""

    def key(self, point: Point) -> str:
        """Name of the point's result: what decides it, hashed."""
        request = sorted((name, value if isinstance(value, bool | str) else float(value)) for name, value in point.request)
        network = hashlib.sha256(self.network).hexdigest()
        content = json.dumps([network, request, point.target, self.evaluation.name, self.version, self.tool])
        return hashlib.sha256(content.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Task:
    """All that a worker on another machine needs for a point."""

    key: str
    point: Point
    setting: Setting


@dataclass(frozen=True)
class Result:
    """What was found of a point."""

    key: str
    point: Point
    values: Mapping[str, Any]
    """`interval_cycles`, GAIN and what the evaluation adds, such as COST."""
    design: str
    """The design file, from which `generate --design` makes it."""


@dataclass(frozen=True)
class Failed:
    """A point without a result."""

    key: str
    point: Point
    reason: str
    """One line."""


class Lost(Failed):
    """A point whose worker died: of this point, or of another that ran beside it."""


Outcome = Result | Failed


def grid(folding: Mapping[str, Sequence[Value]], targets: Sequence[str]) -> tuple[Point, ...]:
    """Every combination of the values of each keyword, for every target; what is given twice once."""

    def combinations() -> Iterator[Point]:
        for target in targets:
            for values in product(*folding.values()):
                yield Point(tuple(zip(folding, values, strict=True)), target)

    return tuple(dict.fromkeys(combinations()))
