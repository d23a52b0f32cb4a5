"""Designs for a wanted rate with least cost, or with the most frames for a budget: exact over PE, SIMD, planes, lanes and memory styles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import ceil, inf, prod

import numpy as np

from bnnhw.estimate.power import clock_picojoules
from bnnhw.estimate.resources import estimate, model
from bnnhw.ir import design as d
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.integer import Network
from bnnhw.ir.pipeline import pipeline
from bnnhw.schedule.choices import F64, Choices
from bnnhw.schedule.choices import KINDS as COSTS
from bnnhw.schedule.folding import fully_folded, unreached
from bnnhw.schedule.search import Found, Search
from bnnhw.schedule.stages import LOGIC, LUT_LEVELS

MINIMISED = ("area", "luts", "block_rams", "energy")
KINDS = ("luts", "flip_flops", "block_rams", "dsps")
TITLES = {"luts": "LUTs", "flip_flops": "flip-flops", "block_rams": "block RAMs", "dsps": "DSPs"}
SHARES = {"xc7": (380, 240), "xcup": (330, 200), "ecp5": (400, 540), "ice40": (180, 660), "gowin": (330, 430)}
"""LUTs that a family's smaller FPGAs have for each block RAM, and for each DSP: XC7Z020, ZU3EG, LFE5U-85, iCE40UP5K, GW1NR-9."""
DIGITS = 1000
"""Rates below it are told with so many parts."""
LARGEST = 3
"""Layers that a message names."""
STRIDE = 2
"""Part of an interval by which the next is greater that is tried until there is a design within the budget."""
TIE = 1e-9
"""Weight of what decides where costs are equal."""


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


def check_budget(net: Network, design: d.Design, target: str, budget: Budget) -> None:
    """Refuse a given design that is estimated to be over a budget: BnnhwError."""
    if budget.limited:
        whole = estimate(pipeline(net, design), target).whole
        for kind in budget.limited:
            if (used := getattr(whole, kind)) > (most := getattr(budget, kind)):
                folder = Folder(net, target, design.clock_mhz, budget=budget, logic=design.logic)
                raise BnnhwError(
                    f"network {net.name!r}: the design is estimated at {used:g} {TITLES[kind]} in {target}, over the budget of {most:g}"
                    f"{largest(net, design, target, kind)}; fold more, or give more{folder.suggestion('without a design file ')}"
                )


def largest(net: Network, design: d.Design, target: str, kind: str) -> str:
    """The layers that take most of a kind of cell, for a message."""
    each = {name: getattr(cells, kind) for name, cells in estimate(pipeline(net, design), target).layers().items()}
    most = sorted((name for name in each if each[name] > 0), key=lambda name: (-each[name], name))[:LARGEST]
    return f" (most in {', '.join(f'{name} {each[name]:g}' for name in most)})" if most else ""


class Folder:
    """Finds designs of one network for one family of FPGAs; what was priced is kept from search to search."""

    def __init__(
        self,
        net: Network,
        target: str,
        clock_mhz: float,
        minimise: str = "area",
        budget: Budget | None = None,
        levels: int = LUT_LEVELS,
        logic: d.Logic | None = None,
        most_port_bits: float = inf,
    ) -> None:
        """`most_port_bits`: of a beat. `minimise`: one of MINIMISED, area being LUTs and, at their SHARES, block RAMs and DSPs; energy dynamic, of a frame, at an
        assumed activity; `levels`: LUTs between the registers of products; `logic`: of popcounts,
        what suits the family if None. Errors: BnnhwError for an unknown target."""
        self.net, self.target, self.clock_mhz, self.minimise, self.levels = net, target, clock_mhz, minimise, levels
        self.logic = logic or LOGIC.get(target, d.Logic.LUT6)
        self.budget, self.most_port_bits = Budget() if budget is None else budget, most_port_bits
        self.whole = {"switched": 1.0, "block_rams": 1.0, "dsps": 1.0, **model(target).whole}

    @cached_property
    def _search(self) -> Search:
        return Search(Choices(self.net, self.target, self.levels, self.logic))

    @cached_property
    def _limits(self) -> F64:
        """The budget in costs of modules."""
        return np.array([getattr(self.budget, kind, inf) / self.whole[kind] for kind in COSTS])

    def least(self, interval: int) -> d.Design:
        """The design with least cost whose frames follow each other in at most `interval` cycles, within the budget.

        BnnhwError with the best interval and what limits it where none is fast enough, with the least cost where none is small enough.
        """
        if 0 < interval < self._least_interval:
            rate = self._rate(max(self._least_interval, self.shortest()))
            raise BnnhwError(
                f"network {self.net.name!r}: at an interval of {interval} cycles a port needs beats of more than {self.most_port_bits:g} bits, the most of the "
                f"board's DMA; lower --fps to {rate}"
            )
        found = self._search.best(self._weights(self.minimise, interval), interval) if interval else None
        if found is None:
            raise self._unreached(interval)
        if self.budget.limited and (found.costs > self._limits).any():
            found = self._search.within(self._weights(self.minimise, interval), self._limits, interval)
        if found is None:
            self._refuse(interval)
        assert found is not None
        return self._design(found, interval)

    def fastest(self, progress: Callable[[int, int], None] | None = None) -> d.Design:
        """A design with the most frames a second within the budget.

        `progress`: (done, of all). Errors: BnnhwError.
        """
        slowest = self.slowest
        if not self._search.possible(self._limits, slowest):
            self._refuse(slowest)
        least = min(slowest, self._least_interval)
        low, asked, done, missed, steps = least, least, 0, False, 2 * slowest.bit_length()
        while (best := self._search.any_within(self._limits, asked)) is None:  # fast designs are few
            if asked == slowest:
                self._refuse(slowest)
            if not missed and (missed := self._search.possible(self._limits, asked)) and self._search.any_within(self._limits, slowest) is None:
                self._refuse(slowest)  # there is none at all
            low, asked, done = asked + 1, min(slowest, asked + max(1, asked // STRIDE)), done + 1
            if progress:
                progress(min(done, steps), steps)
        design = self._design(best[0], asked)
        high, near = min(asked, pipeline(self.net, design).interval), True
        while left := self._search.intervals(best[1], low, high):
            asked = left[-1] if near else left[len(left) // 2]  # what was just found may well be the fastest
            found = self._search.any_within(self._limits, asked)
            if found is None:
                low = asked + 1
            else:
                best, design, near = found, self._design(found[0], asked), not near
                high = min(asked, pipeline(self.net, design).interval)
            done += 1
            if progress:
                progress(min(done, steps), steps)
        return design

    @cached_property
    def _least_interval(self) -> int:
        """Cycles a frame below which ports would have too wide beats."""
        last, bits = self.net.layers[-1], (d.port_bits(self.net.x), d.port_bits(self.net.layers[-1].out))
        elements = (prod(self.net.port.shape), prod(last.out_shape))
        return max(1 if self.most_port_bits == inf else ceil(n * b / self.most_port_bits) for n, b in zip(elements, bits, strict=True))

    def suggestion(self, how: str = "") -> str:
        """What would fit, for a message; empty where nothing does."""
        try:
            design = self.fastest()
        except BnnhwError:
            return ""
        return f"; {how}{self._rate(pipeline(self.net, design).interval)} frames/s would fit"

    def _rate(self, interval: int) -> str:
        """Frames a second of an interval, rounded down to what can be given as a rate."""
        rate = self.clock_mhz * 1e6 / interval
        return str(int(rate)) if rate >= DIGITS else f"{int(rate * DIGITS) / DIGITS:g}"

    def _weights(self, minimised: str, interval: int) -> F64:
        """Of the costs, in what is minimised."""
        block_ram, dsp = SHARES[self.target]
        weights = {
            "area": {"luts": 1.0, "block_rams": block_ram, "dsps": dsp, "flip_flops": TIE},
            "luts": {"luts": 1.0, "flip_flops": TIE, "block_rams": TIE, "dsps": TIE},
            "flip_flops": {"flip_flops": 1.0, "luts": TIE},
            "block_rams": {"block_rams": 1.0, "luts": TIE},
            "dsps": {"dsps": 1.0, "luts": TIE},
            "energy": {"switched": 1.0, "flip_flops": clock_picojoules(self.target) * interval},
        }[minimised]
        return np.array([weights.get(kind, 0.0) for kind in COSTS])

    def _design(self, found: Found, interval: int) -> d.Design:
        return d.Design(self.net.name, self.clock_mhz, *self._search.choices.ports(interval), self._search.choices.foldings(found.path), self.logic)

    @property
    def slowest(self) -> int:
        """Cycles a frame of the design that is folded most."""
        return pipeline(self.net, fully_folded(self.net, self.clock_mhz)).interval

    def shortest(self, low: int = 1) -> int:
        """Cycles a frame, from `low` on, of the fastest design that there is, whatever its size."""
        weights, high = self._weights("luts", low), self.slowest
        while low < high:
            middle = (low + high) // 2
            if self._search.best(weights, middle) is None:
                low = min(high, self._search.choices.later(middle))
            else:
                high = middle
        return high

    def _unreached(self, interval: int) -> BnnhwError:
        """What says how fast the fastest design is, which is slower."""
        high = self.shortest(interval + 1)
        best = self._search.best(self._weights("luts", interval), high)
        assert best is not None
        return unreached(self.net, interval, pipeline(self.net, self._design(best, high)), self.clock_mhz)

    def _refuse(self, interval: int) -> None:
        """Say by how much the budget is too small."""
        faster = interval < self.slowest
        remedy = f"give more, or lower --fps{self.suggestion()}" if faster else "give a larger budget or board"
        nearest = self._search.nearest(self._limits, interval)
        assert nearest is not None
        had = {kind: float(costs) * self.whole[kind] for kind, costs in zip(COSTS, nearest.costs, strict=True)}
        for kind in (kind for kind in self.budget.limited if had[kind] > getattr(self.budget, kind)):
            least = self._search.best(self._weights(kind, interval), interval)
            assert least is not None
            needed, most = float(least.costs[COSTS.index(kind)]) * self.whole[kind], getattr(self.budget, kind)
            if needed > most:
                raise BnnhwError(
                    f"network {self.net.name!r}: {most:g} {TITLES[kind]} are too few, the smallest design of {interval} cycles a frame has "
                    f"{needed:.0f} in {self.target}{largest(self.net, self._design(least, interval), self.target, kind)}; {remedy}"
                )
        over = max(self.budget.limited, key=lambda kind: had[kind] / max(getattr(self.budget, kind), TIE))
        consumers = largest(self.net, self._design(nearest, interval), self.target, over)
        shown = ", ".join(f"{had[kind]:.0f} of {getattr(self.budget, kind):g} {TITLES[kind]}" for kind in self.budget.limited)
        raise BnnhwError(
            f"network {self.net.name!r}: no design of {interval} cycles a frame is within all of the budget in {self.target}, "
            f"one that comes near has {shown}{consumers}; {remedy}"
        )
