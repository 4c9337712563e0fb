"""The least number of patients of an interval, against what chance does."""

from __future__ import annotations

import numpy as np
import pytest

from medvision.intervals import least_patients


@pytest.mark.parametrize(("level", "least"), [(0.95, 6), (0.99, 8), (0.9, 5), (0.75, 3), (0.5, 2), (0.1, 2)])
def test_the_least_number_is_the_first_whose_range_holds_the_middle_often_enough(level: float, least: int) -> None:
    assert least_patients(level) == least
    assert 1 - 2.0 ** (1 - least) >= level
    assert least == 2 or 1 - 2.0 ** (2 - least) < level


def test_the_range_of_five_values_holds_their_mean_too_seldom_and_that_of_six_often_enough() -> None:
    values = np.random.default_rng(0).normal(0.0, 1.0, (100_000, 6))

    def held(count: int) -> float:
        return float(np.mean((values[:, :count].min(1) <= 0) & (values[:, :count].max(1) >= 0)))

    assert held(5) == pytest.approx(0.9375, abs=0.004)
    assert held(6) == pytest.approx(0.96875, abs=0.003)
