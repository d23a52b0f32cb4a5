"""Sums with coefficients -1, 0 and +1 that share what they have in common, as trained weights allow.

Where all weights of a layer are -1 or +1, a neuron is written as a reference or its opposite, and twice what it differs by. A
reference is the sum of all inputs with the signs that most neurons of a cluster have, or have the opposites of; references
share in the same way. What is left stands in groups: inputs which all neurons of a group take with the same signs, or all with
the opposite ones, are added up once; each neuron adds or subtracts the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64
from bnnhw.lutmap.builder import Builder
from bnnhw.lutmap.fabric import Fabric
from bnnhw.lutmap.heap import add_up, luts
from bnnhw.lutmap.netlist import ZERO, literal

ROUNDS = 30
"""Of finding references, at most; a few are enough."""
NEURONS = (32, 16, 8)
"""Of a cluster on average, where there are several."""
REFERENCE = 0.9
"""What a reference costs for each input, in the measure of an input in which a neuron differs from it."""
WORTH = 0.9
"""Part of the cost of a single reference below which several are taken: what differs less is shared less."""
Signs = NDArray[np.int8]
"""[neurons, numbers] -1, 0 or +1."""


@dataclass
class Number:
    """A number: literals of each weight 1, 2, 4 and so on, and a constant."""

    columns: list[list[int]] = field(default_factory=list)
    constant: int = 0

    @property
    def most(self) -> int:
        """The greatest value of the literals' part, whose least is 0."""
        return sum(len(column) << n for n, column in enumerate(self.columns))

    @property
    def bits(self) -> int:
        """Literals."""
        return sum(map(len, self.columns))

    def add(self, other: Number, sign: int = 1, shift: int = 0) -> None:
        """Add or subtract a number times 2**shift: minus a bit is its inverse minus 1."""
        for n, column in enumerate(other.columns, shift):
            self.columns += [[] for _ in range(n + 1 - len(self.columns))]
            self.columns[n] += column if sign > 0 else [x ^ 1 for x in column]
        self.constant += (other.constant if sign > 0 else -other.constant - other.most) << shift


@dataclass(frozen=True)
class Sharing:
    """What is shared or left out, each of which can be switched off."""

    constants: bool = True
    """Whether limits that no total can cross are constants; a neuron of such alone goes."""
    merge: bool = True
    """Whether neurons of the same weights, or of opposite ones, are one."""
    references: int | None = None
    """Clusters of neurons that have a reference each, at most; 0: no reference, None: as many as seem to pay."""
    group: int = 4
    """Neurons, at most, that share sums of the inputs they have in common; 1: none."""
    again: bool = True
    """Whether pairs share what such sums have in common."""


def totals(build: Builder, numbers: Sequence[Number], signs: Signs, fabric: Fabric, how: Sharing) -> list[Number]:
    """The sum of `numbers` with the signs of each neuron."""
    found = [Number() for _ in signs]
    shift = 0
    if how.references != 0 and len(signs) > 2 and (signs != 0).all():
        near, which, sides = _references(signs, how.references)
        one = replace(how, references=1)
        common = [summed(build, [number], [1], fabric) for number in totals(build, numbers, near, fabric, one)]
        for total, c, side in zip(found, which.tolist(), sides.tolist(), strict=True):
            total.add(common[c], side)
        signs, shift = np.where(signs == sides[:, None] * near[which], 0, signs), 1
    for group in _groups(signs, how.group):
        items, rows = _shared(build, list(numbers), signs[group], range(len(group)), fabric)
        if how.again:
            for first in range(0, len(group), 2):
                items, rows = _shared(build, items, rows, range(first, min(first + 2, len(group))), fabric)
        for neuron, row in zip(group, rows, strict=True):
            for k in np.flatnonzero(row):
                found[neuron].add(items[k], int(row[k]), shift)
    return found


Clusters = tuple[Signs, I64, Signs]
"""References [clusters, numbers], and of each neuron the cluster and which of its reference and the opposite is near."""


def _references(signs: Signs, count: int | None) -> Clusters:
    """References of so many clusters, or of as many as seem to pay."""
    if count is not None:
        return _clusters(signs, count)

    def cost(found: Clusters) -> float:
        near, which, sides = found
        return REFERENCE * near.size + np.count_nonzero(signs != sides[:, None] * near[which])

    one, *several = (_clusters(signs, -(-len(signs) // neurons)) for neurons in (len(signs), *NEURONS))
    best = min(several, key=cost, default=one)
    return best if cost(best) < WORTH * cost(one) else one


def _clusters(signs: Signs, most: int) -> Clusters:
    """So many clusters at most: each reference is found from its neurons and these from it, in turn, from neurons on that are far apart."""
    wide = signs.astype(np.float32)  # of whole numbers, whose sums are exact
    near = wide[:1]
    while len(near) < min(most, len(wide)):
        near = np.vstack([near, wide[abs(wide @ near.T).max(1).argmin()]])
    which, sides = np.zeros((2, len(wide)), np.int64)
    for _ in range(ROUNDS):
        with np.errstate(invalid="ignore"):  # which some kernels of BLAS signal beside the matrix
            alike = wide @ near.T
        before, which = (which, sides), abs(alike).argmax(1)
        sides = np.where(alike[np.arange(len(wide)), which] >= 0, 1, -1)
        if all(map(np.array_equal, before, (which, sides))):
            break
        own = np.where(which == np.arange(len(near))[:, None], sides, 0).astype(np.float32)
        near = np.where(own @ wide >= 0, 1, -1).astype(np.float32)
    taken, which = np.unique(which, return_inverse=True)
    return near[taken].astype(np.int8), which.reshape(-1), sides.astype(np.int8)


def summed(build: Builder, numbers: Iterable[Number], signs: Iterable[int], fabric: Fabric) -> Number:
    """The sum of numbers with these signs, one literal of each weight."""
    total = Number()
    for number, sign in zip(numbers, signs, strict=True):
        total.add(number, int(sign))
    return Number([[x] if x != literal(ZERO) else [] for x in add_up(build, total.columns, fabric)], total.constant)


def _groups(signs: Signs, size: int) -> list[list[int]]:
    """Neurons in groups, each with those that have most inputs in common with its first, of the same or of opposite signs."""
    used = (signs != 0).astype(np.float32)
    both, product = used @ used.T, signs.astype(np.float32) @ signs.T.astype(np.float32)
    alike = both + abs(product)
    left, groups = list(range(len(signs))), list[list[int]]()
    while left:
        first = left.pop(0)
        group = [first]
        while left and len(group) < size:
            best = max(left, key=lambda j: alike[group, j].sum())
            left.remove(best)
            group.append(best)
        groups.append(group)
    return groups


def _shared(build: Builder, items: list[Number], rows: Signs, group: Sequence[int], fabric: Fabric) -> tuple[list[Number], Signs]:
    """Numbers of which some are sums of those before, and the neurons' signs of these: what two or more of a group have in common."""
    rows, made, uses = rows.copy(), list(items), list[Signs]()
    taken = rows[group]
    first = np.array([column[np.flatnonzero(column)[0]] if column.any() else 1 for column in taken.T], np.int8)
    patterns = taken * first
    for pattern in np.unique(patterns, axis=1).T:
        cell = np.flatnonzero((patterns == pattern[:, None]).all(0))
        users = int((pattern != 0).sum())
        if users < 2 or len(cell) < 2:
            continue
        bits = sum(items[k].bits for k in cell)
        heights = [0] * max(len(items[k].columns) for k in cell)
        for k in cell:
            for n, column in enumerate(items[k].columns):
                heights[n] += len(column)
        after = sum(h << n for n, h in enumerate(heights)).bit_length()
        if users * (bits - after) <= luts(tuple(heights), fabric):
            continue
        made.append(summed(build, [items[k] for k in cell], first[cell], fabric))
        use = np.zeros(len(rows), np.int8)
        use[list(group)] = pattern
        uses.append(use)
        rows[np.ix_(np.array(group), cell)] = 0
    return made, np.concatenate([rows, np.array(uses, np.int8).reshape(-1, len(rows)).T], axis=1)
