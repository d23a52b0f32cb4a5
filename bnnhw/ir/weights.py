"""Integer weights as planes of bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bnnhw.ir.encoding import I64, U8, Alphabet, signed_bits


@dataclass(frozen=True, eq=False)
class Weights:
    """Weight planes: value[o, k] = sum_p scale[p, o] * symbol(bits[p, o, k]), 0 where the mask is 0."""

    alphabet: Alphabet
    bits: U8
    """[P, O, K]"""
    scale: I64
    """[P, O]"""
    mask: U8 | None = None
    """[P, O, K]; None where every weight counts."""

    @staticmethod
    def binary(signs: NDArray[np.integer]) -> Weights:
        """One bipolar plane from signs [O, K]; +1 is bit 1."""
        return Weights(Alphabet.BIPOLAR, (signs > 0).astype(np.uint8)[None], np.ones((1, len(signs)), np.int64))

    @staticmethod
    def of_values(values: I64) -> Weights:
        """Planes for weights [O, K]: of the forms that fit, the one with the fewest planes.

        One bipolar plane (masked where weights are 0) with a scale per output; bipolar planes of odd numbers;
        two's complement planes; one masked plane per magnitude, of the layer or, for two planes less, of each output.
        """
        row_unit = np.maximum(np.gcd.reduce(values, axis=1), 1)
        signs = values // row_unit[:, None]
        if np.abs(signs).max() <= 1:
            return _masked(signs[None], row_unit[None])
        unit = int(np.gcd.reduce(values, axis=None))
        units = values // unit
        forms: list[tuple[int, Callable[[], Weights]]] = []
        if (units % 2 != 0).all():
            bits = int(np.abs(units).max()).bit_length()
            forms.append((bits, lambda: _centred(units, bits, unit)))
        signed = signed_bits(int(units.min()), int(units.max())) if units.min() < 0 else int(units.max()).bit_length()
        forms.append((signed, lambda: _complement(units, signed, unit)))
        magnitudes = np.unique(np.abs(units[units != 0]))
        forms.append((len(magnitudes), lambda: _masked(*_of_magnitudes(units, np.broadcast_to(magnitudes, (len(units), len(magnitudes))), unit))))
        per_row = max(len(np.unique(np.abs(row[row != 0]))) for row in units)
        forms.append((per_row + 2, lambda: _masked(*_of_magnitudes(units, _row_magnitudes(units, per_row), unit))))
        return min(forms, key=lambda form: form[0])[1]()

    @property
    def planes(self) -> int:
        """P."""
        return len(self.bits)

    @property
    def outputs(self) -> int:
        """O."""
        return self.bits.shape[1]

    @property
    def is_binary(self) -> bool:
        """Whether the values are just -1 and +1."""
        one_plane = self.alphabet is Alphabet.BIPOLAR and self.planes == 1 and self.mask is None
        return one_plane and bool((self.scale == 1).all())

    @property
    def stored_bits(self) -> int:
        """Bits that hold the planes: two a weight under a mask of bipolar weights, else one."""
        return self.bits.size * (2 if self.alphabet is Alphabet.BIPOLAR and self.mask is not None else 1)

    @cached_property
    def values(self) -> I64:
        """[O, K] integer weights."""
        low, high = self.alphabet.value
        total = np.zeros(self.bits.shape[1:], np.int64)
        for p in range(self.planes):
            plane = np.where(self.bits[p] == 1, np.int64(high), np.int64(low)) * self.scale[p][:, None]
            total += plane if self.mask is None else plane * self.mask[p]
        return total

    def outputs_kept(self, keep: NDArray) -> Weights:
        """The weights of some outputs."""
        mask = None if self.mask is None else self.mask[:, keep]
        return replace(self, bits=self.bits[:, keep], scale=self.scale[:, keep], mask=_needed(mask))

    def inputs_kept(self, keep: NDArray) -> Weights:
        """The weights of some inputs; `keep` indexes K."""

        def columns(planes: U8) -> U8:
            return np.ascontiguousarray(planes[:, :, keep])

        return replace(self, bits=columns(self.bits), mask=_needed(None if self.mask is None else columns(self.mask)))

    def negated(self, where: NDArray[np.bool_]) -> Weights:
        """Bipolar weights with the sign of some [O, K] turned round."""
        assert self.alphabet is Alphabet.BIPOLAR
        return replace(self, bits=self.bits ^ where.astype(np.uint8)[None])


def _needed(mask: U8 | None) -> U8 | None:
    """The mask, None where every weight counts."""
    return None if mask is None or mask.all() else mask


def _masked(signs: NDArray[np.integer], scale: I64) -> Weights:
    """Bipolar planes of signs [P, O, K]; the mask is dropped where no sign is 0."""
    mask = None if signs.all() else (signs != 0).astype(np.uint8)
    return Weights(Alphabet.BIPOLAR, (signs > 0).astype(np.uint8), np.ascontiguousarray(scale, np.int64), mask)


def _of_magnitudes(values: I64, magnitudes: I64, unit: int) -> tuple[I64, I64]:
    """Signs [P, O, K] and scales [P, O] of one plane per magnitude [O, P] of each output."""
    planes = [np.where(np.abs(values) == m[:, None], np.sign(values), 0) for m in magnitudes.T]
    return np.stack(planes), magnitudes.T * unit


def _row_magnitudes(values: I64, most: int) -> I64:
    """[O, P] the magnitudes of each output, filled up with one that it does not have."""
    rows = [np.unique(np.abs(row[row != 0])) for row in values]
    return np.stack([np.concatenate([row, np.full(most - len(row), np.abs(values).max() + 1)]) for row in rows])


def _centred(values: I64, bits: int, unit: int) -> Weights:
    """Bipolar planes of odd numbers below 2**bits in magnitude."""
    return _counted(Alphabet.BIPOLAR, (values + (1 << bits) - 1) // 2, [unit << p for p in range(bits)])


def _complement(values: I64, bits: int, unit: int) -> Weights:
    """Two's complement planes; all planes count positive where no weight is negative."""
    scale = [unit << p for p in range(bits)]
    if values.min() < 0:
        scale[-1] = -scale[-1]
    return _counted(Alphabet.UNIPOLAR, values, scale)


def _counted(alphabet: Alphabet, codes: I64, scale: list[int]) -> Weights:
    bits = np.stack([(codes >> p) & 1 for p in range(len(scale))]).astype(np.uint8)
    return Weights(alphabet, bits, np.broadcast_to(np.array(scale, np.int64)[:, None], bits.shape[:2]).copy())
