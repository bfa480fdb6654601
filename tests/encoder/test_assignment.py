"""The assignment of least cost, against all assignments there are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.assignment import assign


@st.composite
def costs(draw: st.DrawFn) -> NDArray[np.float64]:
    rows, columns = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    # Small whole numbers, so that ties are common; and any others.
    number = st.integers(-3, 3).map(float) | st.floats(-100, 100)
    return np.array(draw(st.lists(number, min_size=rows * columns, max_size=rows * columns))).reshape(rows, columns)


@given(costs())
def test_no_other_assignment_costs_less(cost: NDArray[np.float64]) -> None:
    pairs = assign(cost)
    rows, columns = cost.shape
    fewer = min(rows, columns)
    assert len(pairs) == fewer == len({r for r, _ in pairs}) == len({c for _, c in pairs})
    assert pairs == sorted(pairs)
    tall = cost.T if rows > columns else cost
    every = itertools.permutations(range(tall.shape[1]), fewer)
    least = min(sum(tall[i, k] for i, k in enumerate(some)) for some in every)
    assert sum(cost[pair] for pair in pairs) == pytest.approx(least, abs=1e-9)


def test_costs_that_cannot_be_compared_are_refused() -> None:
    for wrong in (np.array([[np.nan]]), np.array([[np.inf]]), np.zeros(3)):
        with pytest.raises(ValueError, match="finite"):
            assign(wrong)
