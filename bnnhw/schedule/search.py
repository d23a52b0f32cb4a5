"""The best design of a network, found exactly: shortest paths through the graph of all designs.

What minimises one weighted sum of costs is a shortest path. Costs are bounds from below until a path needs them, and are
made exact only as far as a shorter path could go through them. With budgets, Lagrange multipliers weigh what is scarce: they
tell which budgets cannot be kept, and which edges no best design within them can use. What is left is searched with labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from heapq import nsmallest
from itertools import groupby, islice
from math import inf
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.schedule.choices import F64, Choices, Stage

AT_ONCE = 256
"""Edges that are priced before the shortest path is sought again."""
FIRST_STEP = 1.0
"""How far above the best bound multipliers aim at first, in parts of what the best known design is above it."""
GAPS = (0.003, 0.01, 0.03, 0.1, inf)
"""Parts of a bound by which the best design may be above it, tried in turn."""
PARTS = (0.1, 1.0)
"""Parts of what a budget leaves open that are searched, in turn."""
FEW = 4
"""Weights that are tried where nothing is priced."""
STEPS = 40
"""Of the multipliers, at most: they need not be the best."""
MOST_LABELS = 4000
"""Of one row, beyond which designs are searched in two parts."""
PROOFS = 8
"""Multipliers that tell which edges no design within the limits can use."""
SLACK = 1e-9
"""Part by which sums in another order may differ."""
CLOSE = 0.001
"""Change of the shares below which they are good enough."""
ROUNDS = 400
"""In which shares are found."""
COMPARED = 128
"""Ways that are compared with each other at once."""
Mask = list[NDArray[np.bool_]]
"""Per stage, which edges may be used."""
Best = Callable[[F64, int], "Found | None"]
"""From weights and an interval to the best design."""
Path = tuple[int, ...]
"""An edge of each stage."""


@dataclass(frozen=True)
class Bound:
    """The weighted costs of a design are at most this."""

    weights: F64
    most: float


@dataclass(frozen=True)
class Proof:
    """A bound, and the least of its weighted costs that every node, row by row, has still to come."""

    bound: Bound
    to_go: list[F64]


@dataclass(frozen=True)
class Found:
    """A complete design's costs, by kind, and its path."""

    costs: F64
    path: Path


class TooMany(Exception):
    """More labels than it is worth to compare."""


class Search:
    """Best designs of one network; what was priced is kept from one to the next."""

    def __init__(self, choices: Choices) -> None:
        self.choices, self.stages = choices, choices.stages

    def best(self, weights: F64, interval: int, only: Mask | None = None) -> Found | None:
        """The design of the least weighted costs whose frames follow each other in at most `interval` cycles; None where there is none.

        `only`: among the designs of these edges.

        A path that is shortest while all other costs are bounds is the shortest; until its costs are exact, it is priced, and what comes near.
        """
        while True:
            lengths = self._lengths(self._open(interval, only), weights)
            ahead = self._ahead(lengths)
            if ahead[-1][0] == inf:
                return None
            path = self._path(lengths, ahead)
            if not self._priced(path):
                return self._found(path)
            self._price(lengths, AT_ONCE)

    def within(self, weights: F64, limits: F64, interval: int) -> Found | None:
        """The same among those whose costs are at most `limits`; None where there is none."""
        known, _ = self._any_within(limits, interval)
        return None if known is None else self._least_within(weights, limits, interval, known)

    def _least_within(self, weights: F64, limits: F64, interval: int, known: Found, only: Mask | None = None) -> Found:
        """`known`, or the best design of those of the edges `only` where that is better."""
        kinds, scale = _limited(limits)
        upper, factors, ahead = float(known.costs @ weights), np.zeros(len(kinds)), FIRST_STEP
        best, kept, at = -inf, factors, factors
        for _ in range(STEPS):
            found = self.best(_weighed(weights, factors, kinds, scale), interval, only)
            if found is None:
                return known
            over = (found.costs - limits)[kinds] / scale
            lower = float(found.costs @ weights + factors @ over)
            if (over <= 0).all() and float(found.costs @ weights) < upper:
                known, upper = found, float(found.costs @ weights)
            if lower > best:
                best, kept, at = lower, factors, over
            else:
                ahead /= 2
            if best >= upper - SLACK * abs(upper) or not (norm := float(at @ at)):
                return known
            factors = np.maximum(0, kept + ahead * (upper - best) / norm * at)
        multiplied = _weighed(weights, kept, kinds, scale)

        def no_worse(most: float) -> Bound:
            return Bound(multiplied, most + float(kept @ (limits[kinds] / scale)))

        try:
            for gap in GAPS:  # the best is seldom far from the bound
                most = min(upper, best + gap * abs(best))
                better = self._labelled(weights, limits, (no_worse(most),), interval, only, MOST_LABELS)
                if better is not None or most == upper:
                    return better or known
        except TooMany:
            for half in self._halves(self._left((no_worse(upper),), interval, only)[0], limits):
                known = self._least_within(weights, limits, interval, known, half)
        return known

    def any_within(self, limits: F64, interval: int) -> tuple[Found, Bound] | None:
        """Some design whose costs are at most `limits`, and what holds for all of them; None where there is none."""
        found, bound = self._any_within(limits, interval) if self.possible(limits, interval) else (None, None)
        return None if found is None or bound is None else (found, bound)

    def intervals(self, bound: Bound, low: int, high: int) -> list[int]:
        """Intervals from `low` to below `high`, in order: the least one of a design for which `bound` holds is among them, or is `high`."""
        few, _ = self._left((bound,), high)
        alike = self.choices.like(high)
        beats = np.concatenate([stage.beats[ok] for stage, ok in zip(self.stages, few, strict=True)])
        found = np.unique(beats[(beats >= max(low, alike)) & (beats < high)]).tolist()
        return [alike - 1, *found] if alike > low else found

    def possible(self, limits: F64, interval: int) -> bool:
        """Whether some design may be within `limits`, as far as is known without pricing any."""
        last = None
        for found, factors, over in islice(self._nearer(limits, interval, self._bounded), FEW):
            if float(factors @ over) > SLACK:
                return False
            if (over <= 0).all():
                return True
            last = found
        return last is not None

    def _open(self, interval: int, only: Mask | None) -> Mask:
        """The edges that are fast enough, of these only."""
        found = self.choices.open(interval)
        return found if only is None else [ok & also for ok, also in zip(found, only, strict=True)]

    def _any_within(self, limits: F64, interval: int, only: Mask | None = None) -> tuple[Found | None, Bound]:
        """Such a design, and what holds for all of them."""
        kinds, scale = _limited(limits)
        tried, found = list[tuple[float, Bound]](), None
        for one, factors, over in self._nearer(limits, interval, partial(self.best, only=only)):
            found = one
            tried.append(
                (float(factors @ over), Bound(_weighed(np.zeros(len(limits)), factors, kinds, scale), float(factors @ (limits[kinds] / scale))))
            )
            if (over <= 0).all() or tried[-1][0] > 0:
                break
        tried.sort(key=itemgetter(0), reverse=True)
        best, bound = tried[0] if tried else (inf, Bound(np.zeros(len(limits)), 0))
        if found is None or best > 0:
            return None, bound
        if (found.costs <= limits).all():
            return found, bound
        others = tuple(other for _, other in tried[1:PROOFS])
        try:
            for share in PARTS:  # where many edges are left, the first of them may do
                nearer = Bound(bound.weights, bound.most + (1 - share) * best)
                if (found := self._labelled(None, limits, (nearer, *others), interval, only, MOST_LABELS)) is not None:
                    break
        except TooMany:
            halves = self._halves(self._left((bound, *others), interval, only)[0], limits)
            return next((any_ for half in halves if (any_ := self._any_within(limits, interval, half)[0]) is not None), None), bound
        return found, bound

    def _halves(self, few: Mask, limits: F64) -> list[Mask]:
        """The edges in two parts: of the stage whose edges differ most in a limited cost, those of little and those of much."""
        kinds, scale = _limited(limits)
        spread = [np.ptp(stage.costs[ok][:, kinds], axis=0) / scale for stage, ok in zip(self.stages, few, strict=True)]
        n, at = np.unravel_index(np.argmax(spread), (len(few), len(kinds)))
        costs = self.stages[n].costs[:, kinds[at]]
        little = costs <= (costs[few[n]].min() + costs[few[n]].max()) / 2
        return [[*few[:n], few[n] & part, *few[n + 1 :]] for part in (little, ~little)]

    def nearest(self, limits: F64, interval: int) -> Found | None:
        """A design whose greatest excess over `limits` is small, in parts of the limit; None where none is fast enough."""
        tried = list(self._nearer(limits, interval))
        return min(tried, key=lambda one: float(one[2].max(initial=0.0)))[0] if tried else None

    def _bounded(self, weights: F64, interval: int) -> Found | None:
        """What `best` would find if all costs were exact."""
        lengths = self._lengths(self.choices.open(interval), weights)
        ahead = self._ahead(lengths)
        return None if ahead[-1][0] == inf else self._found(self._path(lengths, ahead))

    def _nearer(self, limits: F64, interval: int, best: Best | None = None) -> Iterator[tuple[Found, F64, F64]]:
        """Designs of ever less excess over the limited kinds, with the weights for which each is best, and its excess in parts of the limits."""
        kinds, scale = _limited(limits)
        factors, seen = np.full(len(kinds), 1 / max(1, len(kinds))), list[F64]()
        for _ in range(STEPS):
            found = (best or self.best)(_weighed(np.zeros(len(limits)), factors, kinds, scale), interval)
            if found is None:
                return
            seen.append((found.costs - limits)[kinds] / scale)
            yield found, factors, seen[-1]
            before, factors = factors, (factors + _mixed(np.array(seen))) / 2
            if np.abs(factors - before).max() < CLOSE:
                return

    def _priced(self, path: Path) -> bool:
        """Price what is not priced of a path; whether there was any."""
        unknown = [(stage, edge) for stage, edge in zip(self.stages, path, strict=True) if not stage.priced[edge]]
        for stage, edge in unknown:
            self.choices.price(stage, edge)
        return bool(unknown)

    def _price(self, lengths: list[F64], count: int) -> None:
        """Price the `count` edges that are on the shortest paths."""
        waiting = list[tuple[float, int, int]]()
        for n, (stage, through) in enumerate(zip(self.stages, self._through(lengths, self._ahead(lengths), self._behind(lengths)), strict=True)):
            promising = np.flatnonzero(~stage.priced & (through < inf))
            if len(promising) > count:
                promising = promising[np.argpartition(through[promising], count)[:count]]
            waiting += [(float(through[edge]), n, int(edge)) for edge in promising]
        for _, n, edge in nsmallest(count, waiting):
            self.choices.price(self.stages[n], edge)

    def _labelled(
        self, weights: F64 | None, limits: F64, bounds: tuple[Bound, ...], interval: int, only: Mask | None = None, most: float = inf
    ) -> Found | None:
        """The best of the designs within the limits, for which all of `bounds` hold; without `weights`, any of them. TooMany for more than `most` labels.

        Where costs that are bounds allow none there is none; else those of what they allow are made exact, and more of the others each time.
        """
        few, proofs = self._left(bounds, interval, only)
        asked = AT_ONCE
        while (found := self._best_label(weights, limits, few, proofs, most)) is not None:
            if not self._priced(found.path):
                return found
            self._price(self._lengths(few, bounds[0].weights), asked)
            asked *= 2
            few, proofs = self._left(bounds, interval, only)
        return None

    def _best_label(self, weights: F64 | None, limits: F64, few: Mask, proofs: list[Proof], most: float) -> Found | None:
        """The same for the costs as they are known, among the edges `few`."""
        alone = np.eye(len(limits))
        kinds = [int(kind) for kind in _limited(limits)[0] if -self._ahead(self._lengths(few, -alone[kind]))[-1][0] > limits[kind]]
        for kind in kinds:  # the others cannot be exceeded
            proofs = [*proofs, Proof(Bound(alone[kind], float(limits[kind])), self._behind(self._lengths(few, alone[kind])))]
        labels = {0: _Labels(np.zeros((1, len(limits))), np.zeros((1, 2), np.int64))}
        rows = list[dict[int, _Labels]]()
        for n, (stage, ok) in enumerate(zip(self.stages, few, strict=True)):
            rows.append(labels)
            living = [int(edge) for edge in np.flatnonzero(ok) if int(stage.tails[edge]) in labels]
            labels = {}
            for head, group in groupby(living, key=stage.head_of):
                made = _Labels.joined([rows[-1][int(stage.tails[edge])].behind(stage.costs[edge], edge) for edge in group])
                made = made.chosen(np.all([made.costs @ p.bound.weights + p.to_go[n + 1][head] <= p.bound.most for p in proofs], axis=0))
                if len(made.costs):
                    first = [] if weights is None else [made.costs @ weights]
                    labels[head] = made.chosen(_undominated(np.column_stack([*first, made.costs[:, kinds]])))
            if sum(len(made.costs) for made in labels.values()) > most:
                raise TooMany
        return self._found(self._back(rows, labels[0])) if labels else None

    def _back(self, rows: list[dict[int, _Labels]], end: _Labels) -> Path:
        """The path of the first label at the output port."""
        path, label, at = list[int](), 0, end
        for stage, row in zip(reversed(self.stages), reversed(rows), strict=True):
            edge, label = map(int, at.back[label])
            path.append(edge)
            at = row[int(stage.tails[edge])]
        return tuple(reversed(path))

    def _left(self, bounds: tuple[Bound, ...], interval: int, only: Mask | None = None) -> tuple[Mask, list[Proof]]:
        """The edges on paths for which all bounds hold, and what tells so of a beginning of a path."""
        few, proofs = self._open(interval, only), list[Proof]()
        for bound in bounds:
            most = bound.most + SLACK * abs(bound.most)
            lengths = self._lengths(few, bound.weights)
            behind = self._behind(lengths)
            few = [t <= most for t in self._through(lengths, self._ahead(lengths), behind)]
            proofs.append(Proof(Bound(bound.weights, most), behind))
        return few, proofs

    def _lengths(self, usable: Mask, weights: F64) -> list[F64]:
        """Per stage, the weighted costs of the edges that may be used, infinite for the others."""
        return [np.where(ok, stage.costs @ weights, inf) for stage, ok in zip(self.stages, usable, strict=True)]

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
        return Found(np.asarray(costs), path)


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
    """Shares of the kinds [kinds] of which the least of `seen` [designs, kinds] is nearly greatest: a game, played by regret matching.

    Both sides forget negative regrets and the later rounds count more (Tammelin, "Solving large imperfect information games using CFR+", 2014).
    """
    designs, kinds = seen.shape
    ours, theirs, total, shares = np.zeros(kinds), np.zeros(designs), np.zeros(kinds), np.full(kinds, 1 / kinds)
    for turn in range(1, ROUNDS + 1):
        excess = seen @ shares
        answer = _matched(theirs)
        theirs = np.maximum(0, theirs + answer @ excess - excess)
        gained = _matched(theirs) @ seen
        ours = np.maximum(0, ours + gained - gained @ shares)
        shares = _matched(ours)
        total += turn * shares
    return np.asarray(total / total.sum())


def _matched(regrets: F64) -> F64:
    """Shares in proportion to the regrets; equal ones where there are none."""
    whole = regrets.sum()
    return regrets / whole if whole > 0 else np.full(len(regrets), 1 / len(regrets))


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
    kept = order[:0]
    for rows in np.split(order, range(COMPARED, len(order), COMPARED)):
        block = rows[~_dominates(costs[kept], costs[rows]).any(axis=0)]
        kept = np.append(kept, block[~np.triu(_dominates(costs[block], costs[block]), 1).any(axis=0)])
    return kept


def _dominates(a: F64, b: F64) -> NDArray[np.bool_]:
    """[rows of a, rows of b] whether a row of `a` is at most as great as one of `b` in every cost."""
    return np.all([x[:, None] <= y for x, y in zip(a.T, b.T, strict=True)], axis=0)
