"""How the values of a tensor are spelled in bits: levels of a code, or plain integers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.errors import BnnhwError

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
MAX_INTEGER_BITS = 62


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

    @staticmethod
    def of_values(values: tuple[int, ...]) -> Encoding:
        """The encoding with fewest planes for rising `values`.

        Evenly spaced values count up from the first; others are thermometer or binary codes over their
        common step, whichever has fewer planes.
        """
        if values == (-1, 1):
            return Encoding.bipolar()
        steps = np.diff(values)
        unit = int(np.gcd.reduce(steps)) if len(steps) else 1
        places = [(v - values[0]) // unit for v in values]
        bits = max(1, places[-1].bit_length())
        if len(steps) <= bits:
            thermometer = tuple(tuple(int(level > q) for q in range(len(steps))) for level in range(len(values)))
            return Encoding(Alphabet.UNIPOLAR, values[0], tuple(int(s) for s in steps), thermometer)
        codebook = tuple(tuple((place >> q) & 1 for q in range(bits)) for place in places)
        return Encoding(Alphabet.UNIPOLAR, values[0], tuple(unit << q for q in range(bits)), codebook)

    @property
    def planes(self) -> int:
        """Q."""
        return len(self.scale)

    @property
    def low(self) -> int:
        """Least value."""
        return int(self.values[0])

    @property
    def high(self) -> int:
        """Greatest value."""
        return int(self.values[-1])

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


@dataclass(frozen=True)
class Integers:
    """Two's complement numbers from `low` to `high`; a product reads their bits as planes."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high or self.bits > MAX_INTEGER_BITS:
            raise BnnhwError(f"integers from {self.low} to {self.high} do not fit {MAX_INTEGER_BITS} bits; narrow them with a fixed-point layer")

    @property
    def bits(self) -> int:
        """Bits of a number."""
        return signed_bits(self.low, self.high)

    @property
    def planes(self) -> int:
        """Q, read as planes."""
        return self.bits

    @property
    def scale(self) -> tuple[int, ...]:
        """Coefficient of each plane: the last counts negative."""
        return (*(1 << q for q in range(self.bits - 1)), -(1 << (self.bits - 1)))

    alphabet = Alphabet.UNIPOLAR
    offset = 0

    def level_of(self, value: float) -> int | None:
        """The number itself, None for one outside."""
        return int(value) if value == int(value) and self.low <= value <= self.high else None


Format = Encoding | Integers
"""What a stream between layers carries: levels of an encoding, or integers."""


def numbers(code: Format, stored: NDArray[np.integer]) -> NDArray[np.integer]:
    """The values of a stored array: levels of an encoding, or integers as they are."""
    return code.values[stored] if isinstance(code, Encoding) else stored


def signed_bits(low: int, high: int) -> int:
    """Bits of a two's complement number that holds `low` and `high`."""
    return max(low.bit_length() if low >= 0 else (~low).bit_length(), high.bit_length() if high >= 0 else (~high).bit_length()) + 1


def _counting(bits: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple((level >> q) & 1 for q in range(bits)) for level in range(1 << bits))
