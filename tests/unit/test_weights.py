"""Planes for integer weights, and encodings for level values: the same numbers, in as few planes as the forms give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bnnhw.ir.encoding import Alphabet, Encoding
from bnnhw.ir.weights import Weights

MATRICES = st.integers(1, 40).flatmap(
    lambda most: arrays(np.int64, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(-most, most))
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(MATRICES)
def test_planes_give_the_values(values: np.ndarray) -> None:
    w = Weights.of_values(values)
    assert (w.values == values).all()
    assert w.planes <= 7 and (w.planes > 1 or (w.scale > 0).all())


@pytest.mark.parametrize(
    ("values", "planes", "alphabet", "masked"),
    [
        ([[1, -1, 1]], 1, Alphabet.BIPOLAR, False),
        ([[3, -3], [5, 5]], 1, Alphabet.BIPOLAR, False),
        ([[2, 0, -2], [1, 1, 0]], 1, Alphabet.BIPOLAR, True),
        ([[3, -1, 1, -3]], 2, Alphabet.BIPOLAR, False),
        ([[7, 0, -4], [7, -4, 7]], 2, Alphabet.BIPOLAR, True),
        ([[0, 1, 2, 3]], 2, Alphabet.UNIPOLAR, False),
        ([[-4, 3, 1, 0, -2]], 3, Alphabet.UNIPOLAR, False),
        ([[0, 0], [0, 0]], 1, Alphabet.BIPOLAR, True),
    ],
)
def test_the_form_with_fewest_planes(values: list[list[int]], planes: int, alphabet: Alphabet, masked: bool) -> None:
    w = Weights.of_values(np.array(values))
    assert (w.values == values).all()
    assert (w.planes, w.alphabet, w.mask is not None) == (planes, alphabet, masked)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sets(st.integers(-60, 60), min_size=2, max_size=9))
def test_encodings_give_the_level_values(values: set[int]) -> None:
    rising = tuple(sorted(values))
    code = Encoding.of_values(rising)
    assert code.values.tolist() == list(rising)
    assert code.planes <= min(len(rising) - 1, 7)
    assert len({tuple(b) for b in code.codebook}) == len(rising)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(MATRICES, st.data())
def test_parts_and_negation(values: np.ndarray, data: st.DataObject) -> None:
    w = Weights.of_values(values)
    rows = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    columns = np.array(data.draw(st.lists(st.booleans(), min_size=values.shape[1], max_size=values.shape[1])))
    assert (w.outputs_kept(rows).values == values[rows]).all()
    assert (w.inputs_kept(np.flatnonzero(columns)).values == values[:, columns]).all()
    if w.alphabet is Alphabet.BIPOLAR:
        where = rows[:, None] ^ columns[None]
        assert (w.negated(where).values == np.where(where, -values, values)).all()
