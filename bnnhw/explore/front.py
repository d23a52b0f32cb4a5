"""The points that no other point betters: fewest LUTs for most frames a second, in each family of FPGAs."""

from __future__ import annotations

from collections.abc import Sequence

from bnnhw.explore.points import COST, GAIN, Outcome, Result


def places(outcomes: Sequence[Outcome]) -> dict[str, list[tuple[float, float]]]:
    """(LUTs, frames a second) by target."""
    found: dict[str, list[tuple[float, float]]] = {}
    for r in _comparable(outcomes):
        found.setdefault(r.point.target, []).append((r.values[COST], r.values[GAIN]))
    return found


def _comparable(outcomes: Sequence[Outcome]) -> list[Result]:
    """Those whose evaluation gave both."""
    return [o for o in outcomes if isinstance(o, Result) and COST in o.values and GAIN in o.values]


def front(outcomes: Sequence[Outcome]) -> tuple[Result, ...]:
    """Target by target in the order given, LUTs rising; of points alike in both, the first."""
    results = _comparable(outcomes)
    best: list[Result] = []
    for target in dict.fromkeys(r.point.target for r in results):
        most = float("-inf")
        ranked = sorted((r for r in results if r.point.target == target), key=lambda r: (r.values[COST], -r.values[GAIN]))
        for r in ranked:
            if r.values[GAIN] > most:
                most = r.values[GAIN]
                best.append(r)
    return tuple(best)
