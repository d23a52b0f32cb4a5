"""The best design of a network, found exactly: shortest paths through the graph of all designs.

What minimises one weighted sum of costs is a shortest path. Costs are bounds from below until a path needs them, and are
made exact only as far as a shorter path could go through them. With budgets, Lagrange multipliers weigh what is scarce: they
tell which budgets cannot be kept, and which edges no best design within them can use. What is left is searched with labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nsmallest
from itertools import groupby
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir import design as d
from bnnhw.schedule.choices import F64, Choices, Stage

AT_ONCE = 256
"""Edges that are priced before the shortest path is sought again."""
STEPS = 40
"""Of the multipliers, at most: they need not be the best."""
CLOSE = 0.003
"""Change of the shares below which they are good enough."""
ROUNDS = 400
"""In which shares are found."""
Mask = list[NDArray[np.bool_]]
"""Per stage, which edges may be used."""
Path = tuple[int, ...]
"""An edge of each stage."""


@dataclass(frozen=True)
class Found:
    """A complete design's costs, by kind, and its foldings."""

    costs: F64
    path: Path
    foldings: tuple[d.Folding, ...]


class Search:
    """Best designs of one network; what was priced is kept from one to the next."""

    def __init__(self, choices: Choices) -> None:
        self.choices, self.stages = choices, choices.stages

    def best(self, weights: F64, interval: int) -> Found | None:
        """The design of the least weighted costs whose frames follow each other in at most `interval` cycles; None where there is none."""
        return self._best(weights, interval)

    def within(self, weights: F64, limits: F64, interval: int) -> Found | None:
        """The same among those whose costs are at most `limits`; None where there is none."""
        known = self.any_within(limits, interval)
        if known is None:
            return None
        kinds, scale = _limited(limits)
        upper, factors = float(known.costs @ weights), np.zeros(len(kinds))
        best, kept = -inf, factors
        for _ in range(STEPS):
            found = self._best(_weighed(weights, factors, kinds, scale), interval)
            assert found is not None
            over = (found.costs - limits)[kinds] / scale
            lower = float(found.costs @ weights + factors @ over)
            if lower > best:
                best, kept = lower, factors
            if (over <= 0).all() and float(found.costs @ weights) <= upper:
                known, upper = found, float(found.costs @ weights)
            if best >= upper or not (norm := float(over @ over)):
                break
            factors = np.maximum(0, factors + (upper - lower) / norm * over)
        bound = upper + float(kept @ (limits[kinds] / scale))
        found = self._labelled(weights, limits, _weighed(weights, kept, kinds, scale), bound, interval)
        return known if found is None else found

    def any_within(self, limits: F64, interval: int) -> Found | None:
        """Some design whose costs are at most `limits`; None where there is none."""
        kinds, scale = _limited(limits)
        factors, seen = np.full(len(kinds), 1 / max(1, len(kinds))), list[F64]()
        best, kept = -inf, factors
        for _ in range(STEPS):
            found = self._best(_weighed(np.zeros(len(limits)), factors, kinds, scale), interval)
            if found is None:
                return None
            over = (found.costs - limits)[kinds] / scale
            if (over <= 0).all():
                return found
            if (lower := float(factors @ over)) > 0:
                return None
            if lower > best:
                best, kept = lower, factors
            seen.append(over)
            before, factors = factors, (factors + _mixed(np.array(seen))) / 2
            if np.abs(factors - before).max() < CLOSE:
                break
        weights = _weighed(np.zeros(len(limits)), kept, kinds, scale)
        return self._labelled(None, limits, weights, float(kept @ (limits[kinds] / scale)), interval)

    def _best(self, weights: F64, interval: int) -> Found | None:
        """Price what a shortest path may need until there is one of exact costs."""
        while True:
            usable = self.choices.open(interval)
            lengths = [np.where(ok, stage.costs @ weights, inf) for stage, ok in zip(self.stages, usable, strict=True)]
            ahead, behind = self._ahead(lengths), self._behind(lengths)
            if ahead[-1][0] == inf:
                return None
            exact = [np.where(stage.priced, length, inf) for stage, length in zip(self.stages, lengths, strict=True)]
            reached = self._ahead(exact)
            if not self._price(lengths, ahead, behind, float(reached[-1][0])):
                return self._found(self._path(exact, reached))

    def _price(self, lengths: list[F64], ahead: list[F64], behind: list[F64], most: float) -> bool:
        """Price the most promising edges on paths shorter than `most`; False where there are none."""
        waiting = list[tuple[float, int, int]]()
        for n, (stage, through) in enumerate(zip(self.stages, self._through(lengths, ahead, behind), strict=True)):
            promising = np.flatnonzero(~stage.priced & (through < most))
            if len(promising) > AT_ONCE:
                promising = promising[np.argpartition(through[promising], AT_ONCE)[:AT_ONCE]]
            waiting += [(float(through[edge]), n, int(edge)) for edge in promising]
        for _, n, edge in nsmallest(AT_ONCE, waiting):
            self.choices.price(self.stages[n], edge)
        return bool(waiting)

    def _labelled(self, weights: F64 | None, limits: F64, multiplied: F64, bound: float, interval: int) -> Found | None:
        """The best of the designs within the limits whose `multiplied` costs are no more than `bound`; without `weights`, any of them."""
        bound += 1e-9 * abs(bound)
        while True:
            usable = self.choices.open(interval)
            lengths = [np.where(ok, stage.costs @ multiplied, inf) for stage, ok in zip(self.stages, usable, strict=True)]
            behind = self._behind(lengths)
            through = list(self._through(lengths, self._ahead(lengths), behind))
            left = [np.flatnonzero(~stage.priced & (t <= bound)) for stage, t in zip(self.stages, through, strict=True)]
            if not any(map(len, left)):
                break
            for stage, edges in zip(self.stages, left, strict=True):
                for edge in edges:
                    self.choices.price(stage, int(edge))
        few = [t <= bound for t in through]
        kinds = np.array([kind for kind in _limited(limits)[0] if self._most(few, kind) > limits[kind]], np.int64)
        to_go = [self._behind([np.where(ok, stage.costs[:, kind], inf) for stage, ok in zip(self.stages, few, strict=True)]) for kind in kinds]
        labels = {0: _Labels(np.zeros((1, len(limits))), np.zeros((1, 2), np.int64))}
        rows = list[dict[int, _Labels]]()
        for n, (stage, ok) in enumerate(zip(self.stages, few, strict=True)):
            rows.append(labels)
            living = [int(edge) for edge in np.flatnonzero(ok) if int(stage.tails[edge]) in labels]
            labels = {}
            for head, group in groupby(living, key=stage.head_of):
                made = _Labels.joined([rows[-1][int(stage.tails[edge])].behind(stage.costs[edge], edge) for edge in group])
                within = made.costs @ multiplied + behind[n + 1][head] <= bound
                for kind, b in zip(kinds, to_go, strict=True):
                    within &= made.costs[:, kind] + b[n + 1][head] <= limits[kind]
                if within.any():
                    made = made.chosen(within)
                    labels[head] = made.chosen(
                        _undominated(np.column_stack([*([] if weights is None else [made.costs @ weights]), made.costs[:, kinds]]))
                    )
        if not labels:
            return None
        path, label, at = list[int](), 0, labels[0]
        for stage, row in zip(reversed(self.stages), reversed(rows), strict=True):
            last, label = map(int, at.back[label])
            path.append(last)
            at = row[int(stage.tails[last])]
        return self._found(tuple(reversed(path)))

    def _most(self, usable: Mask, kind: int) -> float:
        """The most that a design of these edges has of a kind."""
        return -float(self._ahead([np.where(ok, -stage.costs[:, kind], inf) for stage, ok in zip(self.stages, usable, strict=True)])[-1][0])

    def _ahead(self, lengths: list[F64]) -> list[F64]:
        """Per row of nodes, the shortest way from the input port to each."""
        found: list[F64] = [np.zeros(1)]
        for stage, length in zip(self.stages, lengths, strict=True):
            found.append(np.minimum.reduceat(found[-1][stage.tails] + length, stage.first))
        return found

    def _behind(self, lengths: list[F64]) -> list[F64]:
        """Per row of nodes, the shortest way from each to the output port."""
        found: list[F64] = [np.zeros(1)]
        before = [1, *(len(stage.nodes) for stage in self.stages[:-1])]
        for nodes, stage, length in zip(reversed(before), reversed(self.stages), reversed(lengths), strict=True):
            to_go = np.full(nodes, inf)
            to_go[stage.left] = np.minimum.reduceat((length + found[-1][stage.heads])[stage.by_tail], stage.first_from)
            found.append(to_go)
        return found[::-1]

    def _through(self, lengths: list[F64], ahead: list[F64], behind: list[F64]) -> Iterator[F64]:
        """Per stage, the shortest path through each edge."""
        for stage, length, a, b in zip(self.stages, lengths, ahead[:-1], behind[1:], strict=True):
            yield a[stage.tails] + length + b[stage.heads]

    def _path(self, lengths: list[F64], ahead: list[F64]) -> Path:
        """The edges of the shortest path."""
        node, found = 0, list[int]()
        for stage, length, a in zip(reversed(self.stages), reversed(lengths), reversed(ahead[:-1]), strict=True):
            begin, end = _edges_to(stage, node)
            edge = begin + int(np.argmin(a[stage.tails[begin:end]] + length[begin:end]))
            node = int(stage.tails[edge])
            found.append(edge)
        return tuple(reversed(found))

    def _found(self, path: Path) -> Found:
        costs = sum(stage.costs[edge] for stage, edge in zip(self.stages, path, strict=True))
        return Found(np.asarray(costs), path, self.choices.foldings(path))


def _edges_to(stage: Stage, node: int) -> tuple[int, int]:
    return int(np.searchsorted(stage.heads, node)), int(np.searchsorted(stage.heads, node, side="right"))


def _limited(limits: F64) -> tuple[NDArray[np.int64], F64]:
    """Kinds that have a limit, and what their surplus is measured in."""
    kinds = np.flatnonzero(limits < inf)
    return kinds, np.maximum(limits[kinds], 1)


def _weighed(weights: F64, factors: F64, kinds: NDArray[np.int64], scale: F64) -> F64:
    """`weights`, with the limited kinds weighed by their multipliers as well."""
    found = weights.copy()
    found[kinds] += factors / scale
    return found


def _mixed(seen: F64) -> F64:
    """Shares of the kinds [kinds] of which the least of `seen` [designs, kinds] is nearly greatest: a game, played by multiplicative weights."""
    played, total = np.zeros(seen.shape[1]), np.zeros(seen.shape[1])
    step = 1 / np.abs(seen).max()
    for turn in range(1, ROUNDS + 1):
        shares = np.exp(played - played.max())
        shares /= shares.sum()
        total += shares
        played += step * seen[np.argmin(seen @ shares)] / turn**0.5
    return np.asarray(total / total.sum())


@dataclass(frozen=True)
class _Labels:
    """Ways from the input port to a node."""

    costs: F64
    """[ways, kinds]"""
    back: NDArray[np.int64]
    """[ways, 2] the last edge, and which of the ways to where it begins."""

    def behind(self, costs: F64, edge: int) -> _Labels:
        """These ways with one more edge."""
        count = len(self.costs)
        return _Labels(self.costs + costs, np.column_stack([np.full(count, edge), np.arange(count)]))

    def chosen(self, which: NDArray[Any]) -> _Labels:
        """Some of these ways."""
        return _Labels(self.costs[which], self.back[which])

    @staticmethod
    def joined(parts: list[_Labels]) -> _Labels:
        """All ways of several."""
        return _Labels(np.concatenate([p.costs for p in parts]), np.concatenate([p.back for p in parts]))


def _undominated(costs: F64) -> NDArray[np.int64]:
    """Rows of [ways, costs] that no other row is at most as great as in every cost, the one of the least first cost first."""
    order = np.lexsort(costs.T[::-1]) if costs.shape[1] else np.arange(len(costs))
    if costs.shape[1] < 2:
        return order[:1]
    if costs.shape[1] == 2:
        least = np.minimum.accumulate(costs[order, 1])
        return order[np.concatenate([[True], costs[order[1:], 1] < least[:-1]])]
    kept = order[:1]
    for n in order[1:]:
        if not (costs[kept] <= costs[n]).all(axis=1).any():
            kept = np.append(kept, n)
    return kept
