"""Laws of encodings and weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnhw.ir.encoding import Encoding
from bnnhw.ir.errors import BnnhwError
from bnnhw.ir.weights import Weights


@given(st.integers(1, 8))
def test_named_encodings_have_the_values_they_name(bits: int) -> None:
    assert (Encoding.uint(bits).values == np.arange(1 << bits)).all()
    assert (Encoding.sint(bits).values == np.arange(-(1 << (bits - 1)), 1 << (bits - 1))).all()
    assert (Encoding.centred(bits).values == 2 * np.arange(1 << bits) - ((1 << bits) - 1)).all()


def test_bipolar_and_unipolar() -> None:
    assert Encoding.bipolar().values.tolist() == [-1, 1]
    assert Encoding.unipolar().values.tolist() == [0, 1]


def test_level_of_finds_only_exact_values() -> None:
    assert Encoding.bipolar().level_of(1) == 1
    assert Encoding.bipolar().level_of(0) is None
    assert Encoding.centred(8).level_of(-255.0) == 0


def test_values_must_rise() -> None:
    good = Encoding.uint(2)
    with pytest.raises(BnnhwError, match="rise strictly"):
        Encoding(good.alphabet, 0, good.scale, good.codebook[::-1])


def test_masked_and_scaled_weight_planes() -> None:
    signs = np.array([[1, -1, 1], [-1, -1, 1]])
    plain = Weights.binary(signs)
    assert plain.is_binary and (plain.values == signs).all()
    mask = np.array([[[1, 0, 1], [0, 1, 1]]], np.uint8)
    ternary = Weights(plain.alphabet, plain.bits, np.array([[3, 2]]), mask)
    assert not ternary.is_binary
    assert ternary.values.tolist() == [[3, 0, 3], [0, -2, 2]]
