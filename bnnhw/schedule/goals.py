"""Designs for a wanted rate with least cost, or with the most frames for a budget: exact over PE, SIMD, planes and lanes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import inf

from bnnhw.estimate.power import expected_picojoules
from bnnhw.estimate.resources import cost, model, popcount_luts
from bnnhw.ir import design as d
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.instances import Instance
from bnnhw.ir.integer import Network
from bnnhw.ir.pipeline import pipeline
from bnnhw.schedule.folding import fold_for_interval, fully_folded, input_lanes, output_lanes
from bnnhw.schedule.search import Found, Search, Vector

MINIMISED = ("luts", "block_rams", "energy")
KINDS = ("luts", "flip_flops", "block_rams", "dsps")
TITLES = {"luts": "LUTs", "flip_flops": "flip-flops", "block_rams": "block RAMs", "dsps": "DSPs"}


@dataclass(frozen=True)
class Budget:
    """The most that a design may have of each kind of cell."""

    luts: float = inf
    flip_flops: float = inf
    block_rams: float = inf
    dsps: float = inf

    @property
    def limited(self) -> tuple[str, ...]:
        """Kinds of which there is not any number."""
        return tuple(kind for kind in KINDS if getattr(self, kind) < inf)


class Folder:
    """Finds designs of one network for one family of FPGAs; what was priced is kept from search to search."""

    def __init__(self, net: Network, target: str, clock_mhz: float, minimise: str = "luts", budget: Budget | None = None) -> None:
        """`minimise`: one of MINIMISED; energy is dynamic, of a frame, at an assumed activity. Errors: BnnhwError for an unknown target."""
        self.net, self.target, self.clock_mhz, self.minimise = net, target, clock_mhz, minimise
        self.budget = Budget() if budget is None else budget
        self.whole = {"energy": 1.0, "block_rams": 1.0, "dsps": 1.0, **model(target).whole}
        self._searches: dict[object, Search] = {}

    def least(self, interval: int) -> d.Design:
        """The design with least cost whose frames follow each other in at most `interval` cycles, within the budget.

        BnnhwError with the best interval and what limits it where none is fast enough, with the least cost where none is small enough.
        """
        found = self._found(interval)
        if found is None:
            fold_for_interval(self.net, interval, self.clock_mhz)  # says so where it cannot be reached
            self._refuse(interval)
        assert found is not None
        return self._design(found, interval)

    def fastest(self, progress: Callable[[int, int], None] | None = None) -> d.Design:
        """The design with the most frames a second within the budget. `progress`: (done, of all). Errors: BnnhwError."""
        slow = pipeline(self.net, fully_folded(self.net, self.clock_mhz)).interval
        best = self._found(slow)
        if best is None:
            self._refuse(slow)
        assert best is not None
        low, high, done = 1, slow, 0
        steps = slow.bit_length()
        while low < high:
            middle = (low + high) // 2
            found = self._found(middle)
            if found is None:
                low = middle + 1
            else:
                best, high = found, min(middle, pipeline(self.net, self._design(found, middle)).interval)
            done += 1
            if progress:
                progress(min(done, steps), steps)
        return self._design(best, high)

    def _found(self, interval: int) -> Found | None:
        """The best within the budget: found without it, if that is in it, else among all that no other beats."""
        found = self._search(interval, limited=False).designs(interval)
        if not found or self._within(found[0].costs):
            return found[0] if found else None
        if self.minimise in self.budget.limited and found[0].costs[0] * self.whole[self.minimise] > getattr(self.budget, self.minimise):
            return None
        among = self._search(interval, limited=True).designs(interval)
        return among[0] if among else None

    def _search(self, interval: int, *, limited: bool) -> Search:
        """A search for that interval; one serves all intervals where costs do not depend on it."""
        key = (limited, interval if self.minimise == "energy" else 0)
        if key not in self._searches:
            self._searches[key] = self._limited(interval) if limited else self._free(interval)
        return self._searches[key]

    @cached_property
    def _order(self) -> tuple[str, ...]:
        return (self.minimise, *(kind for kind in KINDS if kind != self.minimise))

    def _free(self, interval: int) -> Search:
        def price(i: Instance) -> Vector:
            return self._price(i, interval)

        def lanes(units: int, bits: int) -> float:
            return popcount_luts(units, bits, self.target)

        return Search(self.net, price, len(self._order), None, lanes if self.minimise == "luts" else None)

    def _limited(self, interval: int) -> Search:
        limits = tuple(getattr(self.budget, kind, inf) / self.whole[kind] for kind in self._order)
        kept = [n for n, most in enumerate(limits) if n == 0 or most < inf]

        def price(i: Instance) -> Vector:
            costs = self._price(i, interval)
            return tuple(costs[n] for n in kept)

        return Search(self.net, price, len(kept), tuple(limits[n] for n in kept))

    def _price(self, i: Instance, interval: int) -> Vector:
        found = cost(i, self.target)
        costs = (found.luts, found.flip_flops, found.block_rams, float(found.dsps))
        if self.minimise == "luts":
            return costs
        if self.minimise == "energy":
            return expected_picojoules(self.target, found, i.beats, interval), *costs
        return tuple(float(getattr(found, kind)) for kind in self._order)

    def _within(self, costs: Vector) -> bool:
        return all(c * self.whole[kind] <= getattr(self.budget, kind, inf) for c, kind in zip(costs, self._order, strict=True))

    def _design(self, found: Found, interval: int) -> d.Design:
        return d.Design(self.net.name, self.clock_mhz, input_lanes(self.net, interval), output_lanes(self.net, interval), found.foldings)

    def _refuse(self, interval: int) -> None:
        """Say by how much the budget is too small."""
        for kind in self.budget.limited:
            (least,) = Folder(self.net, self.target, self.clock_mhz, kind)._free(interval).designs(interval)
            needed, most = least.costs[0] * self.whole[kind], getattr(self.budget, kind)
            if needed > most:
                raise BnnhwError(
                    f"network {self.net.name!r}: {most:g} {TITLES[kind]} are too few, the smallest design of {interval} cycles a frame has "
                    f"{needed:.0f} in {self.target}; give more, or lower --fps"
                )
        raise BnnhwError(
            f"network {self.net.name!r}: no design of {interval} cycles a frame is within all of the budget in {self.target}; give more, or lower --fps"
        )
