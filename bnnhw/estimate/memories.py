"""What a memory becomes: block memory, memory of LUTs, or logic, by the costs that Yosys' `memory_libmap` weighs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.design import MemoryStyle

MUX_COST = 0.5
"""Of a multiplexer's input bit, or a decoder's output, where words lie in several banks."""

QUEUE_COST = 3
"""Of a memory that is read at once."""


class Kind(Enum):
    """How the library uses a memory."""

    ROM = "rom"
    """Read-only, the read registered."""
    RAM = "ram"
    """One write and one registered read a cycle."""
    QUEUE = "queue"
    """One write and one read at once a cycle."""


class Style(Enum):
    """What a memory is made of."""

    BLOCK = "block"
    LUTS = "luts"
    LOGIC = "logic"
    """A read-only memory is a function of its address, any other flip-flops."""


@dataclass(frozen=True)
class Unit:
    """A memory primitive in its shapes."""

    cost: float
    shapes: tuple[tuple[int, int], ...]
    """(width, words)"""
    block_rams: float = 0
    luts: int = 0
    scale: float = 0
    """Part of the cost that shrinks with the used width."""
    overhead: float = 0
    """Cost of what a RAM needs beside its units."""
    byte: int = 1
    """Bits that are written together, so that banks beside each other begin at a multiple."""


@dataclass(frozen=True)
class Memory:
    """What one memory becomes."""

    style: Style
    block_rams: float = 0
    luts: int = 0
    """LUTs that hold it, without the multiplexers between them."""
    banks: int = 1
    """Parts between which a multiplexer chooses by the high address bits."""


def _block(cost: float, block_rams: float, bits: int, *widths: int, overhead: float = 0) -> Unit:
    """A block of `bits` words of one bit; widths above 4 have a parity bit in nine."""
    return Unit(cost, tuple((w, bits // (w if w < 9 else w // 9 * 8)) for w in widths), block_rams, overhead=overhead, byte=9)


def _luts(cost: float, width: int, words: int, luts: int, scale: float) -> Unit:
    return Unit(cost, ((width, words),), luts=luts, scale=scale, overhead=2)


XILINX_BLOCKS = (
    _block(129, 0.5, 1 << 14, 1, 2, 4, 9, 18, 36),
    _block(257, 1, 1 << 15, 1, 2, 4, 9, 18, 36, 72),
)
BLOCKS = {
    "xc7": XILINX_BLOCKS,
    "xcup": XILINX_BLOCKS,
    "ecp5": (_block(128, 1, 1 << 14, 1, 2, 4, 9, 18, 36, overhead=16),),
    "gowin": (_block(128, 1, 1 << 14, 1, 2, 4, 9, 18, 36, overhead=4),),
    "ice40": (Unit(64, ((2, 2048), (4, 1024), (8, 512), (16, 256)), 1, overhead=8),),
}
LUT_RAMS = {
    "xc7": (_luts(8, 6, 32, 4, 7), _luts(8, 3, 64, 4, 7), _luts(2, 1, 32, 2, 2), _luts(4, 1, 64, 2, 4), _luts(8, 1, 128, 4, 8)),
    "xcup": (_luts(16, 14, 32, 8, 16), _luts(16, 7, 64, 8, 16), _luts(2, 1, 32, 2, 2), _luts(4, 1, 64, 2, 4), _luts(8, 1, 128, 4, 8),
             _luts(16, 1, 256, 8, 16)),
    "ecp5": (_luts(4, 4, 16, 4, 0),),
    "gowin": (_luts(4, 4, 16, 4, 4),),
    "ice40": (),
}  # fmt: skip
ROM_BIT = {"xc7": 1 / 64, "xcup": 1 / 64, "ecp5": 1 / 16, "gowin": 1 / 16, "ice40": 1 / 16}
"""Cost of a read-only bit in logic; a written bit costs 1."""


@lru_cache(maxsize=1 << 16)
def memory(target: str, width: int, words: int, kind: Kind, style: MemoryStyle = MemoryStyle.AUTO) -> Memory:
    """The cheapest form of a memory of `words` words of `width` bits in the family named `target`, of that style if one is asked for."""
    bit = ROM_BIT[target] if kind is Kind.ROM else 1.0
    best, found = inf if style is MemoryStyle.BLOCK else width * words * bit, Memory(Style.LOGIC)
    luts = () if kind is Kind.ROM or style is MemoryStyle.BLOCK else LUT_RAMS[target]
    if luts and style is MemoryStyle.DISTRIBUTED:
        best = inf
    units = luts + (() if kind is Kind.QUEUE or style is MemoryStyle.DISTRIBUTED else BLOCKS[target])
    for unit in units:
        for shape in unit.shapes:
            cost, used, banks = _units(unit, *shape, width, words, kind)
            if cost < best:
                best, found = cost, Memory(Style.LUTS if unit.luts else Style.BLOCK, unit.block_rams * used, unit.luts * used, banks)
    return found


def block_roms(target: str, widths: NDArray[np.int64], words: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Block RAMs of read-only memories of the style "block", and their banks, of many at once."""
    best, block_rams, banks = np.full(widths.shape, inf), np.zeros(widths.shape), np.ones(widths.shape, np.int64)
    for unit in BLOCKS[target]:
        for shape in unit.shapes:
            cost, used, parts = _units(unit, *shape, widths, words, Kind.ROM)
            less = cost < best
            best, block_rams, banks = np.where(less, cost, best), np.where(less, unit.block_rams * used, block_rams), np.where(less, parts, banks)
    return block_rams, banks


def _units(unit: Unit, unit_width: int, unit_words: int, width: Any, words: Any, kind: Kind) -> tuple[Any, Any, Any]:
    """Cost of a memory in one shape of a unit, units and banks; width and words are numbers or arrays."""
    banks = -(-words // unit_words)
    if unit.luts:
        units = banks * -(-width // unit_width)
        cost = units * (unit.cost - unit.scale) + banks * width / unit_width * unit.scale
    else:  # banks lie beside each other in a block
        byte = min(unit.byte, unit_width)
        step = width if kind is Kind.ROM or banks == 1 else -(-width // byte) * byte
        units = -(-(banks * step) // unit_width)
        cost = units * unit.cost
    cost = cost + MUX_COST * (banks - 1) * width
    if kind is not Kind.ROM:
        cost += unit.overhead + (MUX_COST * banks if banks > 1 else 0) + (QUEUE_COST if kind is Kind.QUEUE else 0)
    return cost, units, banks
