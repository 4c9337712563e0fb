"""The learning rate follows its curve, whatever a share of the training means in steps or in minutes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medvision.training import Training
from medvision.training.schedules import learning_rate, schedule_of

SCHEDULES = ("poly", "cosine", "one-cycle")


def rates(settings: Training, *shares: float) -> list[float]:
    return [learning_rate(settings, share) for share in shares]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("poly", [1.0, 0.75**0.9, 0.5**0.9, 0.0]),
        ("cosine", [1.0, (1 + 0.5**0.5) / 2, 0.5, 0.0]),
    ],
)
def test_a_schedule_without_warm_up_has_the_values_computed_by_hand(schedule: Any, expected: list[float]) -> None:
    settings = Training(learning_rate=2.0, schedule=schedule)
    assert rates(settings, 0.0, 0.25, 0.5, 1.0) == pytest.approx([2 * value for value in expected])


def test_one_cycle_starts_at_a_25th_is_greatest_after_three_tenths_and_ends_at_0() -> None:
    settings = Training(learning_rate=1.0, schedule="one-cycle")
    found = rates(settings, 0.0, 0.15, 0.3, 0.65, 1.0)
    assert found == pytest.approx([0.04, 0.52, 1.0, 0.5, 0.0], abs=1e-12)


def test_one_cycle_is_that_of_torch_but_for_the_end() -> None:
    # torch puts the peak at step 0.3 * 100 - 1, and ends above 0; so each phase is compared by its own share
    optimiser = torch.optim.SGD([torch.zeros(1)], 1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.0, total_steps=101, pct_start=0.31, final_div_factor=1e9)
    settings, peak = Training(learning_rate=1.0, schedule="one-cycle"), 0.31 * 101 - 1
    for step in range(101):
        share = 0.3 * step / peak if step < peak else 0.3 + 0.7 * (step - peak) / (100 - peak)
        assert learning_rate(settings, share) == pytest.approx(theirs.get_last_lr()[0], abs=1e-6)
        optimiser.step()
        if step < 100:
            theirs.step()


@pytest.mark.parametrize("schedule", ["poly", "cosine"])
def test_a_warm_up_rises_in_a_line_from_0_and_the_curve_goes_over_the_rest(schedule: Any) -> None:
    warm = Training(learning_rate=1.0, schedule=schedule, warmup=0.2)
    plain = Training(learning_rate=1.0, schedule=schedule)
    assert rates(warm, 0.0, 0.05, 0.1) == pytest.approx([0.0, 0.25, 0.5])
    assert rates(warm, 0.2, 0.6, 0.84, 1.0) == pytest.approx(rates(plain, 0.0, 0.5, 0.8, 1.0))


def test_the_schedule_that_is_not_set_goes_with_the_optimiser() -> None:
    assert schedule_of(Training(optimiser="sgd")) == "poly"
    assert schedule_of(Training(optimiser="adamw")) == "cosine"
    assert schedule_of(Training(optimiser="sgd", schedule="one-cycle")) == "one-cycle"
    assert rates(Training(optimiser="adamw"), 0.3) == rates(Training(optimiser="adamw", schedule="cosine"), 0.3)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_before_the_start_and_after_the_end_the_ends_hold(schedule: Any) -> None:
    settings = Training(schedule=schedule)
    assert rates(settings, -0.5, 1.2) == rates(settings, 0.0, 1.0)
    assert learning_rate(settings, 1.2) == pytest.approx(0.0, abs=1e-15)


@given(
    schedule=st.sampled_from(SCHEDULES), warmup=st.floats(0.0, 0.5), share=st.floats(0.0, 1.0), step=st.floats(0, 1e-4)
)
def test_a_rate_lies_between_0_and_the_greatest_and_never_jumps(
    schedule: Any, warmup: float, share: float, step: float
) -> None:
    settings = Training(learning_rate=1.0, schedule=schedule, warmup=max(warmup, 0.01))
    here, next_ = rates(settings, share, share + step)
    assert 0.0 <= here <= 1.0
    # poly falls infinitely fast at its end, from values near 0
    assert abs(here - next_) <= 110 * step + (0.001 if share > 0.9 else 1e-12)


@given(schedule=st.sampled_from(SCHEDULES), shares=st.tuples(st.floats(0.5, 1.0), st.floats(0.5, 1.0)))
def test_in_the_second_half_every_schedule_falls(schedule: Any, shares: tuple[float, float]) -> None:
    settings = Training(learning_rate=1.0, schedule=schedule, warmup=0.5)
    assert learning_rate(settings, min(shares)) >= learning_rate(settings, max(shares))
