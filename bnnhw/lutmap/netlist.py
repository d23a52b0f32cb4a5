"""Netlists of LUTs, adders and registers: plain data, their values, levels and cost.

Nets are numbers: 0 and 1 are the constants, then come the inputs, then each node's outputs in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bnnhw.lutmap.fabric import COUNTER_LUTS, LUT6, Fabric

ZERO, ONE = 0, 1
"""Nets of the constants."""
WORD = 64
"""Samples that are evaluated side by side."""


def literal(net: int) -> int:
    """The literal of a net: twice its number, and 1 more for its inverse."""
    return 2 * net


@dataclass(frozen=True)
class Luts:
    """LUTs of the same inputs, one for each table: bit i of a table is the output where the inputs, low bit first, are i."""

    inputs: tuple[int, ...]
    tables: tuple[int, ...]

    @property
    def n_outputs(self) -> int:
        return len(self.tables)

    def reading(self, nets: Sequence[int]) -> Luts:
        """The same with each input net replaced by `nets` of it."""
        return Luts(tuple(nets[i] for i in self.inputs), self.tables)


@dataclass(frozen=True)
class Adder:
    """a + b + carry, low bit first, with its carry out as the highest of its outputs."""

    a: tuple[int, ...]
    b: tuple[int, ...]
    carry: int = ZERO

    @property
    def inputs(self) -> tuple[int, ...]:
        """a, b, carry."""
        return (*self.a, *self.b, self.carry)

    @property
    def n_outputs(self) -> int:
        return len(self.a) + 1

    def reading(self, nets: Sequence[int]) -> Adder:
        """The same with each input net replaced by `nets` of it."""
        return Adder(tuple(nets[i] for i in self.a), tuple(nets[i] for i in self.b), nets[self.carry])


@dataclass(frozen=True)
class CarryCount:
    """The three bits of a sum of seven bits, or of five and then one of weight 2, on a carry chain.

    Bits of `inverted` count where they are 0: of the first five, or of the first three and the one of weight 2.
    The last two, of weight 1, enter the chain and cannot be.
    """

    counted: tuple[int, ...]
    """Five of weight 1, or three and one of weight 2."""
    entering: tuple[int, int]
    inverted: int = 0

    @property
    def inputs(self) -> tuple[int, ...]:
        """What is counted, what enters."""
        return (*self.counted, *self.entering)

    @property
    def weights(self) -> tuple[int, ...]:
        """Of the inputs."""
        return (1, 1, 1, 1, 1, 1, 1) if len(self.counted) == 5 else (1, 1, 1, 2, 1, 1)

    @property
    def n_outputs(self) -> int:
        return 3

    def reading(self, nets: Sequence[int]) -> CarryCount:
        """The same with each input net replaced by `nets` of it."""
        return CarryCount(tuple(nets[i] for i in self.counted), (nets[self.entering[0]], nets[self.entering[1]]), self.inverted)


@dataclass(frozen=True)
class Register:
    """Flip-flops that all take their inputs when the netlist is enabled."""

    inputs: tuple[int, ...]

    @property
    def n_outputs(self) -> int:
        return len(self.inputs)


Node = Luts | Adder | CarryCount | Register


@dataclass(frozen=True)
class Netlist:
    """Nodes, each behind those it reads."""

    n_inputs: int
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    fabric: Fabric = LUT6
    """What its nodes are made of."""

    @cached_property
    def firsts(self) -> tuple[int, ...]:
        """First output net of each node, and the number of nets."""
        nets = [2 + self.n_inputs]
        for node in self.nodes:
            nets.append(nets[-1] + node.n_outputs)
        return tuple(nets)

    @property
    def inputs(self) -> range:
        """Nets of the inputs."""
        return range(2, 2 + self.n_inputs)

    @property
    def luts(self) -> int:
        """LUTs of its tables and its counters on carry chains."""
        tables = sum(self.fabric.luts(len(n.inputs), len(n.tables)) for n in self.nodes if isinstance(n, Luts))
        return tables + sum(COUNTER_LUTS for n in self.nodes if isinstance(n, CarryCount))

    @property
    def flip_flops(self) -> int:
        """Bits of all registers."""
        return sum(n.n_outputs for n in self.nodes if isinstance(n, Register))

    @property
    def fanout(self) -> int:
        """Inputs of nodes that the busiest net drives."""
        read = np.bincount([i for node in self.nodes for i in node.inputs if i > ONE], minlength=1)
        return int(read.max())

    @cached_property
    def levels(self) -> int:
        """LUTs one behind the other between registers, a carry chain being one."""
        return max(arrivals(self), default=0)

    @cached_property
    def chains(self) -> int:
        """Carry chains one behind the other between registers."""
        return max(arrivals(self, (Adder, CarryCount)), default=0)


def arrivals(net: Netlist, counted: tuple[type, ...] = (Luts, Adder, CarryCount)) -> list[int]:
    """[nets] LUTs, or nodes of some kinds alone, between each net and the registers or inputs before it."""
    level = [0] * net.firsts[-1]
    for node, first in zip(net.nodes, net.firsts, strict=False):
        at = 0 if isinstance(node, Register) else isinstance(node, counted) + max((level[i] for i in node.inputs), default=0)
        level[first : first + node.n_outputs] = [at] * node.n_outputs
    return level


def evaluate(net: Netlist, x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[N, outputs] bits for input bits [N, inputs]; registers pass them on.

    64 samples a word: a LUT folds its table in halves by one input after the other, a carry ripples.
    """
    n, words = len(x), -(-len(x) // WORD)
    values = np.zeros((net.firsts[-1], words), np.uint64)
    values[ONE] = ~np.uint64(0)
    padded = np.zeros((words * WORD, net.n_inputs), np.uint8)
    padded[:n] = x
    values[2 : 2 + net.n_inputs] = np.packbits(np.ascontiguousarray(padded.T), axis=1, bitorder="little").view("<u8")
    for first, node in zip(net.firsts, net.nodes, strict=False):
        match node:
            case Luts():
                values[first : first + len(node.tables)] = _looked_up(node.tables, values[list(node.inputs)])
            case Adder():
                carry = values[node.carry].copy()
                for i, (a, b) in enumerate(zip(values[list(node.a)], values[list(node.b)], strict=True)):
                    values[first + i] = a ^ b ^ carry
                    carry = (a & b) | (carry & (a | b))
                values[first + len(node.a)] = carry
            case CarryCount():
                bits = [values[net] ^ (values[ONE] if node.inverted >> k & 1 else values[ZERO]) for k, net in enumerate(node.inputs)]
                values[first : first + 3] = _summed(bits, node.weights)
            case Register():
                values[first : first + len(node.inputs)] = values[list(node.inputs)]
    return np.unpackbits(values[list(net.outputs)].view(np.uint8), axis=1, count=n, bitorder="little").T


def _summed(bits: Sequence[NDArray[np.uint64]], weights: Sequence[int]) -> NDArray[np.uint64]:
    """[3, words] the bits of a sum below 8 of bits with weights 1 and 2."""
    total = np.zeros((3, len(bits[0])), np.uint64)
    for bit, weight in zip(bits, weights, strict=True):
        carry = bit
        for n in range(weight - 1, 3):
            total[n], carry = total[n] ^ carry, total[n] & carry
    return total


def _looked_up(tables: Sequence[int], inputs: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """[tables, words] outputs of LUTs with inputs [k, words]."""
    rows = np.array([[-(table >> i & 1) for i in range(1 << len(inputs))] for table in tables], np.int64).view(np.uint64)
    rows = rows[:, :, None]
    for x in inputs[::-1]:
        low, high = np.split(rows, 2, axis=1)
        rows = low ^ ((low ^ high) & x)
    return rows[:, 0]
