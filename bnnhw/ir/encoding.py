"""How the levels of a quantised tensor are spelled in bits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.errors import BnnhwError

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


class Alphabet(Enum):
    """The two symbols that one bit stands for."""

    UNIPOLAR = (0, 1)
    BIPOLAR = (-1, 1)


@dataclass(frozen=True)
class Encoding:
    """Levels as an integer offset plus integer coefficients times one-bit symbols.

    value = offset + sum_q scale[q] * symbol(bit[q]); `codebook[level][q]` are a level's bits and
    values rise strictly with the level. Q planes, L levels.
    """

    alphabet: Alphabet
    offset: int
    scale: tuple[int, ...]
    codebook: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if any(len(bits) != self.planes for bits in self.codebook):
            raise BnnhwError(f"encoding: every level needs {self.planes} bits, one a plane; mend the codebook")
        if (np.diff(self.values) <= 0).any():
            raise BnnhwError("encoding: values must rise strictly with the level; sort the codebook")

    @staticmethod
    def bipolar() -> Encoding:
        """-1, +1."""
        return Encoding(Alphabet.BIPOLAR, 0, (1,), ((0,), (1,)))

    @staticmethod
    def unipolar() -> Encoding:
        """0, 1."""
        return Encoding.uint(1)

    @staticmethod
    def uint(bits: int) -> Encoding:
        """0 .. 2**bits - 1."""
        return Encoding(Alphabet.UNIPOLAR, 0, tuple(1 << q for q in range(bits)), _counting(bits))

    @staticmethod
    def sint(bits: int) -> Encoding:
        """-2**(bits-1) .. 2**(bits-1) - 1, two's complement: the last plane counts negative."""
        scale = (*(1 << q for q in range(bits - 1)), -(1 << (bits - 1)))
        half = 1 << (bits - 1)
        codes = _counting(bits)
        return Encoding(Alphabet.UNIPOLAR, 0, scale, codes[half:] + codes[:half])

    @staticmethod
    def centred(bits: int) -> Encoding:
        """2p - (2**bits - 1) for p = 0 .. 2**bits - 1: the odd numbers, with bipolar planes."""
        return Encoding(Alphabet.BIPOLAR, 0, tuple(1 << q for q in range(bits)), _counting(bits))

    @property
    def planes(self) -> int:
        """Q."""
        return len(self.scale)

    @property
    def levels(self) -> int:
        """L."""
        return len(self.codebook)

    @cached_property
    def bits(self) -> U8:
        """[L, Q] bits of every level."""
        return np.array(self.codebook, np.uint8).reshape(self.levels, self.planes)

    @cached_property
    def values(self) -> I64:
        """[L] value of every level."""
        low, high = self.alphabet.value
        symbols = np.where(self.bits == 1, high, low).astype(np.int64)
        return self.offset + symbols @ np.array(self.scale, np.int64)

    def level_of(self, value: float) -> int | None:
        """The level with exactly this value, None where there is none."""
        found = np.flatnonzero(self.values == value)
        return int(found[0]) if len(found) else None


def _counting(bits: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple((level >> q) & 1 for q in range(bits)) for level in range(1 << bits))
