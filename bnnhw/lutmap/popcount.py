"""Popcounts of folded layers: weights and inputs of each lane are inputs of the netlist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from bnnhw.ir.hardware import Gate
from bnnhw.lutmap.builder import Builder
from bnnhw.lutmap.fabric import Fabric
from bnnhw.lutmap.heap import add_up
from bnnhw.lutmap.netlist import Netlist, literal
from bnnhw.lutmap.stages import pipelined

HITS = {Gate.XNOR: (1, 0, 0, 1), Gate.AND: (0, 0, 0, 1), Gate.MASKED: (0, 0, 0, 0, 1, 0, 0, 1)}
"""By the bits of x, weight and mask, x in the low bit: whether a lane counts."""


SPARE = 2
"""Bits at most that need no LUT for another reason: the highest of a sum may be known to be 0."""
LATE = {1: 1 / 3, 2: 0.6}
"""Part of the lanes that come late, by how many of them enter a full adder: more would be one long chain."""


@dataclass(frozen=True)
class Groups:
    """How the gates of a popcount's lanes are shared out among the first LUTs."""

    pins: int
    """Inputs of a lane."""
    first: tuple[int, ...]
    """Lanes of each group of LUTs that counts these alone."""
    late: int
    """Full adders in which some lanes, that come late, are counted beside sums of others."""
    late_lanes: int
    """Lanes of each of these, of its three bits."""
    late_luts: int

    @staticmethod
    def of(lanes: int, gate: Gate, fabric: Fabric) -> Groups:
        """As many lanes together as LUTs have inputs for; some late where full adders have room for a lane beside sums."""
        pins = pins_of(gate)
        together = max(1, fabric.lut_inputs // pins)
        room = fabric.paired_inputs or (fabric.lut_inputs if (together, fabric.lut_inputs - pins) == (2, 2) else 0)
        late_lanes = max((n for n in (1, 2) if n * pins + 3 - n <= room), default=0)
        late = int(lanes * LATE[late_lanes]) // late_lanes if late_lanes else 0
        if late_lanes == 1:  # two sums become one
            late = min(late, -(-(lanes - late) // together) - 1)
        full, rest = divmod(lanes - late * late_lanes, together)
        return Groups(pins, (together,) * full + ((rest,) if rest else ()), late, late_lanes, fabric.luts(late_lanes * pins + 3 - late_lanes, 2))

    @property
    def heights(self) -> tuple[int, ...]:
        """Bits of weight 1, 2 and so on that come out."""
        bits = max(self.first).bit_length()
        counted = [sum(n.bit_length() > bit for n in self.first) for bit in range(bits)]
        if self.late:
            counted[0] -= self.late * (2 - self.late_lanes)
            counted[1] += self.late
        return tuple(counted)

    def luts(self, fabric: Fabric) -> int:
        """LUTs that they take."""
        return sum(fabric.luts(n * self.pins, n.bit_length()) for n in self.first) + self.late_luts * self.late


def pins_of(gate: Gate) -> int:
    """Inputs of a lane: x, weight, mask."""
    return len(HITS[gate]).bit_length() - 1


def least_luts(lanes: int, gate: Gate, fabric: Fabric) -> int:
    """LUTs that the netlist of a popcount has at least: one saves no more than a bit of what comes out of the gates, before carry chains two."""
    groups = Groups.of(lanes, gate, fabric)
    return groups.luts(fabric) + max(0, sum(groups.heights) - lanes.bit_length() - SPARE) // (2 if fabric.xilinx else 1)


@lru_cache(maxsize=1 << 10)
def popcount(lanes: int, gate: Gate, fabric: Fabric) -> Netlist:
    """The number of lanes that count. Inputs are x, then weights, then masks; outputs the count's bits."""
    groups = Groups.of(lanes, gate, fabric)
    build = Builder(groups.pins * lanes, fabric)
    columns: list[list[int]] = [[] for _ in groups.heights]
    lane = iter(range(lanes))

    def count(number: int, ones: Sequence[int] = ()) -> None:
        """Set the LUTs of the next lanes and of plain bits of weight 1."""
        nets = [build.inputs[part * lanes + at] for at in islice(lane, number) for part in range(groups.pins)]
        for column, net in zip(columns, build.luts([*nets, *ones], gated(gate, number, len(ones))), strict=False):
            column.append(net)

    for number in groups.first:
        count(number)
    for _ in range(groups.late):
        columns[0].sort(key=build.arrival.__getitem__)  # nearly sorted as it is
        sums = 3 - groups.late_lanes
        ones, columns[0] = columns[0][:sums], columns[0][sums:]
        count(groups.late_lanes, ones)
    total = add_up(build, [[literal(net) for net in column] for column in columns], fabric)
    return build.netlist([build.plain(x) for x in total[: lanes.bit_length()]])


@lru_cache(maxsize=1 << 10)
def popcount_stages(lanes: int, gate: Gate, fabric: Fabric, registers: int) -> Netlist:
    """The same, with registers on the way."""
    return pipelined(popcount(lanes, gate, fabric), registers)


@lru_cache
def gated(gate: Gate, lanes: int, ones: int) -> tuple[int, ...]:
    """Truth tables of the count of so many lanes, each with its x, weight and mask beside each other, and of plain bits behind them."""
    hits, pins = HITS[gate], pins_of(gate)
    gates = pins * lanes
    counts = [sum(hits[i >> pins * lane & (1 << pins) - 1] for lane in range(lanes)) + (i >> gates).bit_count() for i in range(1 << gates + ones)]
    return tuple(sum((n >> bit & 1) << i for i, n in enumerate(counts)) for bit in range((lanes + ones).bit_length()))
