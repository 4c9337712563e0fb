"""Errors and agreement of values, against numbers worked out by hand and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.agreement import bias, f1, limits_of_agreement, mean_absolute_error, pearson, root_mean_square_error
from medvision.errors import InputError

FOUND, TRUTH = [1.0, 2.0, 6.0], [2.0, 2.0, 3.0]  # errors -1, 0, 3
numbers = st.lists(st.tuples(*[st.floats(-1e3, 1e3)] * 2), min_size=2, max_size=20)


def test_errors_are_those_worked_out_by_hand() -> None:
    assert mean_absolute_error(FOUND, TRUTH) == pytest.approx(4 / 3)
    assert root_mean_square_error(FOUND, TRUTH) == pytest.approx(np.sqrt(10 / 3))
    assert bias(FOUND, TRUTH) == pytest.approx(2 / 3)
    spread = 1.96 * np.sqrt(((5 / 3) ** 2 + (2 / 3) ** 2 + (7 / 3) ** 2) / 2)
    assert limits_of_agreement(FOUND, TRUTH) == pytest.approx((2 / 3 - spread, 2 / 3 + spread))


def test_without_cases_nothing_is_known() -> None:
    assert [each([], []) for each in (mean_absolute_error, root_mean_square_error, bias, pearson, f1)] == [None] * 5
    assert limits_of_agreement([1.0], [1.0]) is None


def test_values_that_are_all_the_same_have_no_correlation() -> None:
    assert pearson([1.0, 1.0], [1.0, 2.0]) is None
    assert pearson([1.0, 2.0], [1.0, 1.0]) is None
    assert pearson([3.0, 2.0, 1.0], [1.0, 2.0, 3.0]) == pytest.approx(-1)


@given(numbers)
def test_the_errors_bound_each_other(pairs: list[tuple[float, float]]) -> None:
    found, truth = zip(*pairs, strict=True)
    mae, rmse, shift = (each(found, truth) for each in (mean_absolute_error, root_mean_square_error, bias))
    assert mae is not None
    assert rmse is not None
    assert shift is not None
    assert abs(shift) <= mae + 1e-6
    assert mae <= rmse + 1e-6


@given(numbers)
def test_correlation_is_that_of_numpy_and_within_one(pairs: list[tuple[float, float]]) -> None:
    found, truth = (np.array(side) for side in zip(*pairs, strict=True))
    value = pearson(found, truth)
    if value is not None and found.std() > 1e-3 and truth.std() > 1e-3:
        assert value == pytest.approx(np.corrcoef(found, truth)[0, 1], abs=1e-6)
    assert value is None or -1 <= value <= 1


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be compared"):
        bias([1.0], [1.0, 2.0])
    with pytest.raises(InputError, match="finite"):
        bias([float("nan")], [1.0])
    with pytest.raises(InputError, match="True and False"):
        f1([2], [1])
