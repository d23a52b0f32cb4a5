"""Sums of bits, and their comparison with constants: heaps of bits by weight, reduced by counters at the least number of LUTs.

A column's bits are reduced to one before the next column's, so a plan depends on the heights of the columns alone.
The bits that come first are counted first, which makes trees of what is planned as a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from heapq import heapify, heappop, heappush
from math import inf

from bnnhw.lutmap.builder import Builder
from bnnhw.lutmap.fabric import COUNTER_LUTS, Fabric
from bnnhw.lutmap.netlist import ONE, ZERO, literal

Counter = tuple[int, int]
"""Bits of the next column and of this one that are counted together."""
ADDER, DECIDE = (0, 0), (0, 1)
"""In the place of a counter: an adder for all that is left, or LUTs that compare it."""
HALF = (0, 2)
"""The half adder: it saves no bit, so it is for a column's last two."""
BULK = 14
"""Height from which on columns are reduced by the best counter alone."""
TRIED = 4
"""Columns of two bits or more up to which every counter is tried."""


CHAINED: tuple[Counter, ...] = ((0, 7), (1, 5))
"""Counters that are two LUTs before a carry chain, where there are such."""


@lru_cache
def counters(fabric: Fabric) -> tuple[Counter, ...]:
    """Half adders, and those that save a third of a bit a LUT or more; the best of one column first."""
    found = [(k, n) for n in range(2, fabric.lut_inputs + 1) for k in range(fabric.lut_inputs + 1 - n) if 2 * k + n <= 7]
    found += [c for c in CHAINED if fabric.xilinx and c not in found]

    def saved(c: Counter) -> float:
        return (sum(c) - _out_bits(c)) / _luts_of(c, fabric)

    return tuple(sorted((c for c in found if c == HALF or 3 * saved(c) >= 1), key=lambda c: (-saved(c), c)))


@lru_cache
def _luts_of(counter: Counter, fabric: Fabric) -> int:
    """LUTs of a counter."""
    return COUNTER_LUTS if fabric.xilinx and counter in CHAINED else fabric.luts(sum(counter), _out_bits(counter))


@lru_cache
def _out_bits(counter: Counter) -> int:
    return (2 * counter[0] + counter[1]).bit_length()


@lru_cache(maxsize=1 << 18)
def plan(heights: tuple[int, ...], fabric: Fabric, limits: int = 0, done: int = 0) -> tuple[int, Counter]:
    """The least LUTs that reduce columns of these heights, of which the lowest has two bits or more, and the first step.

    Without `limits` each column is left with one bit; else the sum is compared with so many constants, `done` bits of
    it being lower and known already.
    """
    best = counters(fabric)[0]
    if heights[0] > BULK:
        times = (heights[0] - BULK - 1) // (best[1] - 1) + 1
        return times * _luts_of(best, fabric) + luts(after(heights, best, times), fabric, limits, done), best
    if limits and _fits(heights, fabric, done):
        return limits * _compare_luts(done, sum(heights), fabric), DECIDE
    here, above = heights[0], heights[1] if len(heights) > 1 else 0
    options = [c for c in counters(fabric) if c[1] <= here and c[0] <= above and (c != HALF or here == 2)]
    if len(heights) > TRIED and sum([height > 1 for height in heights]) > TRIED:
        options = options[:1]
    least, first = inf, best
    for c in options:
        own, left = _luts_of(c, fabric), after(heights, c)
        if own + _at_least(left, fabric, limits) < least and (found := own + luts(left, fabric, limits, done)) < least:
            least, first = found, c
    if not limits and len(heights) >= fabric.least_adder and heights[0] <= 3 and max(heights[1:]) <= 2:
        least, first = min((least, first), (len(heights) + fabric.carry_luts, ADDER), key=lambda p: p[0])
    return int(least), first


def _at_least(heights: tuple[int, ...], fabric: Fabric, limits: int) -> int:
    """LUTs that reduce columns of these heights at least: one saves no more than a bit, before carry chains two.

    Left are the bits of the greatest sum, or what one LUT can compare beside those.
    """
    most = 0
    for height in reversed(heights):
        most = 2 * most + height
    spare = sum(heights) - most.bit_length() - (fabric.lut_inputs if limits else 0)
    return max(0, spare) // (2 if fabric.xilinx else 1) + limits


def luts(heights: tuple[int, ...], fabric: Fabric, limits: int = 0, done: int = 0) -> int:
    """The least LUTs that reduce columns of these heights, as `plan` says."""
    for first, height in enumerate(heights):
        if height > 1:
            return plan(heights[first:], fabric, limits, done if limits else 0)[0]
        done += height
    return limits * _compare_luts(done, 0, fabric)


def _fits(heights: tuple[int, ...], fabric: Fabric, done: int) -> bool:
    """Whether one LUT can compare what is left, beside what a chain of others says of the lower bits."""
    return sum(heights) + min(done, 1) <= fabric.lut_inputs


def _compare_luts(done: int, left: int, fabric: Fabric) -> int:
    """LUTs that compare bits with a constant: `done` of different weights, in a chain, before its last those that are left."""
    luts, told = 1, 0
    while done + left + told > fabric.lut_inputs:
        luts, done, told = luts + 1, done - min(done, fabric.lut_inputs - told), 1
    return luts


def after(heights: tuple[int, ...], counter: Counter, times: int = 1) -> tuple[int, ...]:
    """Heights when a counter has been set that many times at the lowest column."""
    out, (above, here) = _out_bits(counter), counter
    lowest = [height + times for height in heights[:out]] + [times] * (out - len(heights))
    lowest[0] -= times * here
    lowest[1] -= times * above
    return (*lowest, *heights[out:])


@lru_cache(maxsize=1 << 12)
def weighted_tables(weights: tuple[int, ...], inverted: int) -> tuple[int, ...]:
    """Truth tables of the bits of a weighted sum of inputs, of which those in `inverted` count where they are 0."""
    values = [sum(w for k, w in enumerate(weights) if (i ^ inverted) >> k & 1) for i in range(1 << len(weights))]
    return tuple(sum((v >> bit & 1) << i for i, v in enumerate(values)) for bit in range(sum(weights).bit_length()))


@lru_cache(maxsize=1 << 14)
def limit_table(weights: tuple[int, ...], inverted: int, limit: int) -> int:
    """Truth table of whether the same sum reaches a limit."""
    return sum((sum(w for k, w in enumerate(weights) if (i ^ inverted) >> k & 1) >= limit) << i for i in range(1 << len(weights)))


def add_up(build: Builder, columns: Sequence[Sequence[int]], fabric: Fabric) -> list[int]:
    """Literals of the sum of the literals in `columns`, of weights 1, 2, 4 and so on; low bit first."""
    heap = _Heap(build, columns, fabric)
    while heap.columns:
        step = heap.step()
        if step == ADDER:
            carry = heap.columns[0].take(1)[0] if len(heap.columns[0]) == 3 else literal(ZERO)
            rows = zip(*[(*column.take(len(column)), literal(ZERO), literal(ZERO))[:2] for column in heap.columns], strict=True)
            a, b = ([build.plain(x) for x in row] for row in rows)
            return heap.done + [literal(net) for net in build.adder(a, b, build.plain(carry))]
        heap.count(step)
    while heap.done and heap.done[-1] == literal(ZERO):
        heap.done.pop()
    return heap.done


def reached(build: Builder, columns: Sequence[Sequence[int]], limits: Sequence[int], fabric: Fabric) -> list[int]:
    """Nets that tell for each limit whether the sum of the literals in `columns` reaches it."""
    most = sum(len(column) << n for n, column in enumerate(columns))
    between = sorted({limit for limit in limits if 0 < limit <= most})
    found = {limit: ONE if limit <= 0 else ZERO for limit in limits}
    if between:
        heap = _Heap(build, columns, fabric, len(between))
        while heap.columns and (step := heap.step()) != DECIDE:
            heap.count(step)
        found |= {limit: heap.decide(limit) for limit in between}
    return [found[limit] for limit in limits]


class _Heap:
    """Columns of literals while they are reduced from the lowest on."""

    def __init__(self, build: Builder, columns: Sequence[Sequence[int]], fabric: Fabric, limits: int = 0) -> None:
        self.build, self.fabric, self.limits = build, fabric, limits
        self.columns = [_Column(build, column) for column in columns]
        self.done: list[int] = []
        """Lower bits of the sum."""
        self._settle()

    def step(self) -> Counter:
        """What to do next."""
        known = sum(x != literal(ZERO) for x in self.done)
        return plan(tuple(map(len, self.columns)), self.fabric, self.limits, known if self.limits else 0)[1]

    def count(self, step: Counter) -> None:
        """Set a counter at the lowest column."""
        above, here = step
        if self.fabric.xilinx and step in CHAINED:
            out = self._chained([*self.columns[0].take(here), *(self.columns[1].take(above) if above else [])], here)
        else:
            out = self._looked_up(above, here)
        self.columns += [_Column(self.build) for _ in range(len(out) - len(self.columns))]
        for column, x in zip(self.columns, out, strict=False):
            column.add(x)
        self._settle()

    def _looked_up(self, above: int, here: int) -> list[int]:
        """Literals of the bits of a counter of LUTs."""
        pins = sorted(self.columns[0].take(here), key=_polarity) + (sorted(self.columns[1].take(above), key=_polarity) if above else [])
        inverted = sum((x & 1) << k for k, x in enumerate(pins))
        return [literal(net) for net in self.build.luts([x >> 1 for x in pins], weighted_tables((1,) * here + (2,) * above, inverted))]

    def _chained(self, pins: list[int], here: int) -> list[int]:
        """The same of a counter on a carry chain; where most bits of weight 1 are inverted, of the opposite sum, which is 7 less this one."""
        opposite = int(2 * sum(x & 1 for x in pins[:here]) > here)
        ones = sorted((x ^ opposite for x in pins[:here]), key=_polarity)
        counted = [*ones[2:], *(x ^ opposite for x in pins[here:])]
        inverted = sum((x & 1) << k for k, x in enumerate(counted))
        out = self.build.counter([x >> 1 for x in counted], (ones[0] >> 1, ones[1] >> 1), inverted)
        return [literal(net) ^ opposite for net in out]

    def _settle(self) -> None:
        """Take away what is done."""
        while self.columns and len(self.columns[0]) <= 1:
            column = self.columns.pop(0)
            self.done += column.take(len(column)) or [literal(ZERO)]

    def decide(self, limit: int) -> int:
        """Net of whether the sum reaches a limit: a chain from the lowest bits to what is left.

        With g whether the bits below 2**b reach the limit's digits there, the rest and g must reach its other digits and 1.
        """
        low = [(n, x) for n, x in enumerate(self.done) if x != literal(ZERO)]
        left = [(n, x) for n, column in enumerate(self.columns, len(self.done)) for _, x in column.queue]
        told, base = list[int](), 0
        while len(low) + len(left) + len(told) > self.fabric.lut_inputs:
            room = self.fabric.lut_inputs - len(told)
            part, low = low[:room], low[room:]
            top = part[-1][0] + 1
            told = [literal(self._compared(part, told, base, (limit >> base) % (1 << top - base)))]
            base = top
        return self._compared([*low, *left], told, base, limit >> base)

    def _compared(self, part: list[tuple[int, int]], told: list[int], base: int, digits: int) -> int:
        """Net of whether bits of weights from 2**base on, and what is told of those below, reach these digits."""
        pins = sorted([*((1 << n - base, x) for n, x in part), *((1, x) for x in told)], key=lambda pin: (pin[0], pin[1] & 1))
        inverted = sum((x & 1) << k for k, (_, x) in enumerate(pins))
        table = limit_table(tuple(w for w, _ in pins), inverted, digits + len(told))
        return self.build.lut([x >> 1 for _, x in pins], table)


class _Column:
    """Literals of one weight, the first to come first."""

    def __init__(self, build: Builder, literals: Sequence[int] = ()) -> None:
        self.build = build
        self.queue = [(build.arrival[x >> 1], x) for x in literals]
        heapify(self.queue)

    def __len__(self) -> int:
        return len(self.queue)

    def add(self, x: int) -> None:
        """One more."""
        heappush(self.queue, (self.build.arrival[x >> 1], x))

    def take(self, count: int) -> list[int]:
        """The first ones."""
        return [heappop(self.queue)[1] for _ in range(count)]


def _polarity(x: int) -> tuple[int, int]:
    """Order of a counter's pins that makes few different tables: those that are not inverted first."""
    return x & 1, x
