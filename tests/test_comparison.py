"""The paired difference: right on simulated trainings whose truth is known, and silent where nothing can be told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.comparison import Difference, mean_over_runs, paired_difference
from medvision.errors import InputError, UsageError
from medvision.evaluate import auc

Runs = list[tuple[Any, ...]]


def simulated(
    generator: np.random.Generator, *, effect: float, patients: int, runs: int, of_patients: float, of_runs: float
) -> tuple[Runs, Runs]:
    """Return two ways of training: patients differ much, but alike; the effect differs from patient to patient."""
    hardness = generator.normal(0.8, 0.1, patients)
    gain = effect + of_patients * generator.standard_normal(patients)
    first = [(hardness + 0.01 * generator.standard_normal(patients),) for _ in range(runs)]
    second = [
        (hardness + gain + of_runs * generator.standard_normal() + 0.01 * generator.standard_normal(patients),)
        for _ in range(runs)
    ]
    return first, second


@pytest.mark.parametrize(
    ("of_patients", "of_runs"), [(0.05, 0.0), (0.0, 0.05), (0.05, 0.02)], ids=["patients", "runs", "both"]
)
def test_intervals_hold_the_truth_as_often_as_they_say_whatever_varies(of_patients: float, of_runs: float) -> None:
    generator = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        first, second = simulated(generator, effect=0.02, patients=30, runs=3, of_patients=of_patients, of_runs=of_runs)
        found = paired_difference(first, second, range(30), np.mean, seed=seed, resamples=150)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.02 <= found.high
    assert held / 200 >= 0.91


def test_without_an_effect_a_difference_is_seldom_claimed() -> None:
    generator = np.random.default_rng(1)
    verdicts = []
    for seed in range(200):
        first, second = simulated(generator, effect=0.0, patients=30, runs=3, of_patients=0.03, of_runs=0.02)
        verdicts.append(paired_difference(first, second, range(30), np.mean, seed=seed, resamples=150).verdict)
    assert verdicts.count("made no difference") >= 185


@pytest.mark.parametrize(("effect", "verdict"), [(0.02, "helped"), (-0.02, "hurt")])
def test_pairing_finds_an_effect_far_smaller_than_the_spread_of_patients(effect: float, verdict: str) -> None:
    generator = np.random.default_rng(2)
    first, second = simulated(generator, effect=effect, patients=40, runs=3, of_patients=0.02, of_runs=0.002)
    assert paired_difference(first, second, range(40), np.mean, seed=0).verdict == verdict
    shuffled = [(generator.permutation(values),) for (values,) in second]
    assert paired_difference(first, shuffled, range(40), np.mean, seed=0).verdict == "made no difference"


def test_cases_of_a_patient_count_as_one() -> None:
    first, second = [(np.zeros(40),)], [(np.repeat([0.3, -0.2, 0.2, 0.1, -0.1, 0.2, 0.2, -0.1], 5),)]
    by_case = paired_difference(first, second, range(40), np.mean, seed=0)
    by_patient = paired_difference(first, second, np.repeat(range(8), 5).tolist(), np.mean, seed=0)
    assert (by_case.verdict, by_case.patients) == ("helped", 40)
    assert (by_patient.verdict, by_patient.patients) == ("made no difference", 8)


def test_five_patients_have_no_interval_and_six_have_one() -> None:
    """However many cases they have, and however clear the difference is."""
    first, gain = np.zeros(30), np.linspace(0.1, 0.2, 30)
    five = paired_difference([(first,)], [(gain,)], np.repeat(range(5), 6).tolist(), np.mean, seed=0)
    six = paired_difference([(first,)], [(gain,)], np.repeat(range(6), 5).tolist(), np.mean, seed=0)
    assert (five.verdict, six.verdict) == ("cannot be told", "helped")
    assert str(five) == "cannot be told: 0.150 (no interval: 5 of 6 patients needed)"
    level = mean_over_runs([(gain,)], np.repeat(range(5), 6).tolist(), np.mean, seed=0)
    assert (str(level), level.to_json()["level"]) == ("0.150 (no interval: 5 of 6 patients needed)", 0.95)


def test_runs_that_disagree_widen_the_interval() -> None:
    generator = np.random.default_rng(3)
    gain = generator.normal(0.1, 0.02, 30)
    alike = paired_difference([(np.zeros(30),)] * 3, [(gain,)] * 3, range(30), np.mean, seed=0)
    apart = paired_difference(
        [(np.zeros(30),)] * 3, [(gain + by,) for by in (-0.1, 0.0, 0.1)], range(30), np.mean, seed=0
    )
    assert alike.value == pytest.approx(apart.value)
    assert (alike.verdict, apart.verdict) == ("helped", "made no difference")
    assert apart.runs == pytest.approx((gain.mean() - 0.1, gain.mean(), gain.mean() + 0.1))


def test_statistics_of_several_columns_are_compared() -> None:
    truth = np.array([0, 1] * 20)
    noise = np.random.default_rng(4).normal(size=(2, 40))
    good, bad = truth + 0.2 * noise[0], truth + 3 * noise[1]
    found = paired_difference([(bad, truth)], [(good, truth)], range(40), auc, seed=0, resamples=300)
    assert found.value == pytest.approx((auc(good, truth) or 0) - (auc(bad, truth) or 0))
    assert found.verdict == "helped"


def test_what_is_not_defined_is_not_told() -> None:
    truth = np.zeros(6)
    undefined = paired_difference([(np.arange(6), truth)], [(np.arange(6), truth)], range(6), auc, seed=0)
    assert (undefined.value, undefined.verdict, str(undefined)) == (
        None,
        "cannot be told",
        "cannot be told: not defined",
    )
    rare = np.array([1, 0, 0, 0, 0, 0])
    often_undefined = paired_difference([(np.arange(6), rare)], [(-np.arange(6), rare)], range(6), auc, seed=0)
    assert (often_undefined.value, often_undefined.low) == (1.0, None)
    assert str(often_undefined) == "cannot be told: 1.000 (no interval)"


def test_one_patient_or_equal_gains_give_no_interval() -> None:
    one = paired_difference([(np.zeros(5),)], [(np.arange(5.0),)], ["a"] * 5, np.mean, seed=0)
    assert (one.value, one.low, one.verdict) == (2.0, None, "cannot be told")
    same = paired_difference([(np.zeros(5),)], [(np.zeros(5),)], range(5), np.mean, seed=0)
    assert (same.low, same.verdict) == (None, "made no difference")
    everywhere = paired_difference([(np.zeros(5),)], [(np.ones(5),)], range(5), np.mean, seed=0)
    assert (everywhere.low, everywhere.verdict) == (None, "cannot be told")


@given(st.integers(0, 50))
def test_turned_around_the_difference_is_the_negative_and_the_verdict_the_opposite(seed: int) -> None:
    generator = np.random.default_rng(seed)
    first, second = simulated(generator, effect=0.1, patients=12, runs=1, of_patients=0.02, of_runs=0.0)
    there = paired_difference(first, second, range(12), np.mean, seed=0, resamples=50)
    back = paired_difference(second, first, range(12), np.mean, seed=0, resamples=50)
    assert back.value == pytest.approx(-(there.value or 0))
    assert {"helped": "hurt", "hurt": "helped"}.get(there.verdict, there.verdict) == back.verdict


def test_the_mean_of_runs_has_an_interval_that_holds_the_truth() -> None:
    generator, held = np.random.default_rng(5), 0
    for seed in range(100):
        hardness = generator.normal(0.8, 0.1, 30)
        runs = [(hardness + generator.normal(0, 0.02),) for _ in range(3)]
        found = mean_over_runs(runs, range(30), np.mean, seed=seed, resamples=150)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.8 <= found.high
    assert held >= 91


def test_the_mean_of_runs_is_told_with_what_is_known() -> None:
    known = mean_over_runs([(np.arange(8.0),), (np.arange(8.0) + 2,)], range(8), np.mean, seed=0)
    assert (known.value, known.runs) == (4.5, (3.5, 5.5))
    assert str(known).startswith("4.500 (")
    assert known.to_json()["patients"] == 8
    assert (
        str(mean_over_runs([(np.arange(4.0),)], ["a"] * 4, np.mean, seed=0))
        == "1.500 (no interval: 1 of 6 patients needed)"
    )
    undefined = mean_over_runs([(np.arange(4), np.zeros(4))], range(4), auc, seed=0)
    assert (undefined.value, str(undefined)) == (None, "not defined")


def test_the_json_holds_the_verdict_and_every_run() -> None:
    told = Difference(0.012, 0.003, 0.021, (0.01, 0.014), 40).to_json()
    assert (told["verdict"], told["runs"], told["patients"]) == ("helped", [0.01, 0.014], 40)


@pytest.mark.parametrize(
    ("first", "second", "options", "error"),
    [
        ([(np.zeros(3),)], [(np.zeros(3),)] * 2, {}, UsageError),
        ([], [], {}, InputError),
        ([(np.zeros(3),)], [(np.zeros(4),)], {}, InputError),
        ([(np.zeros(3),)], [(np.zeros(3),)], {"level": 1.0}, UsageError),
        ([(np.zeros(3),)], [(np.zeros(3),)], {"resamples": 0}, UsageError),
    ],
)
def test_what_cannot_be_compared_is_refused(first: Runs, second: Runs, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        paired_difference(first, second, range(3), np.mean, seed=0, **options)


def test_no_case_is_refused() -> None:
    with pytest.raises(InputError, match="one at least"):
        paired_difference([(np.zeros(0),)], [(np.zeros(0),)], [], np.mean, seed=0)
