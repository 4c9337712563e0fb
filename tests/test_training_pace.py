"""As many epochs are left as the settings say, or as fit into a time by a clock that is ours."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.training import EveryEpoch, UntilDeadline
from medvision.training.checkpoint import TrainingState


def ran(pace: UntilDeadline, clock: list[float], seconds: list[float]) -> tuple[list[int], TrainingState]:
    """Train epochs that take these seconds, the last of them for all that follow; return what was left before each."""
    state, told = TrainingState(), []
    while left := pace.left(state):
        told.append(left)
        took = seconds[min(state.epoch, len(seconds) - 1)]
        clock[0] += took
        row = {"seconds_data": took * 0.25, "seconds_network": took * 0.75, "seconds_validation": 0.0}
        state = state.advanced(row, share=state.share + (1 - state.share) / left, seconds=took)
        assert len(told) < 10_000
    return told, state


def paced(
    clock: list[float],
    deadline: float,
    *,
    validation: float = 0.0,
    first: float = 1.0,
    writing: float = 0.0,
    busy: float = 1.0,
) -> UntilDeadline:
    """Return a pace by a clock that is ours, of a process that computes for a part `busy` of the time."""
    return UntilDeadline(deadline, validation, first, writing, clock=lambda: clock[0], computed=lambda: clock[0] * busy)


def test_a_fixed_number_of_epochs_counts_down_to_none() -> None:
    pace = EveryEpoch(3)
    assert [pace.left(TrainingState(epoch=epoch)) for epoch in range(5)] == [3, 2, 1, 0, 0]


def test_epochs_that_take_what_was_expected_are_as_many_as_fit() -> None:
    clock = [100.0]
    told, state = ran(paced(clock, 110.5), clock, [1.0])
    assert told == list(range(10, 0, -1))
    assert (state.share, clock[0]) == (1.0, 110.0)


def test_what_is_kept_for_two_validations_and_the_writing_is_not_trained_in() -> None:
    clock = [0.0]
    told, _ = ran(paced(clock, 11.0, validation=1.5, writing=1.0), clock, [1.0])
    assert told[0] == 7
    assert clock[0] == 7.0


def test_a_validation_that_was_seen_counts_in_place_of_what_was_expected() -> None:
    row = {"seconds_data": 0.0, "seconds_network": 1.0}
    rows = ({**row, "seconds_validation": 2.0}, {**row, "seconds_validation": 0.0})
    assert paced([0.0], 20.0, validation=9.0).left(TrainingState(epoch=2, share=0.5, rows=rows)) == 16


@pytest.mark.parametrize(("busy", "told"), [(2.0, 18), (1.0, 18), (0.5, 16), (0.01, 12)])
def test_on_a_busy_machine_more_is_kept_for_the_end(busy: float, told: int) -> None:
    """Of 20 seconds 2 are kept, twice as much by a process that gets half a core, and four times at most."""
    clock = [0.0]
    pace = paced(clock, 40.0, writing=2.0, busy=busy)
    rows = ({"seconds_data": 0.0, "seconds_network": 1.0},)
    pace.left(TrainingState(epoch=1, share=0.5, rows=rows))
    clock[0] = 20.0
    assert pace.left(TrainingState(epoch=1, share=0.5, rows=rows)) == told


def test_how_busy_the_machine_is_is_judged_by_the_last_ten_seconds() -> None:
    clock, computed = [0.0], [0.0]
    pace = UntilDeadline(100.0, 0.0, 1.0, 2.0, clock=lambda: clock[0], computed=lambda: computed[0])
    state = TrainingState(epoch=1, share=0.5, rows=({"seconds_data": 0.0, "seconds_network": 1.0},))
    for _ in range(30):  # idle at first, and then alone
        clock[0] += 1
        computed[0] += 1 if clock[0] > 15 else 0
        told = pace.left(state)
    assert told == 100 - 30 - 2


def test_the_last_epoch_but_one_is_the_last_where_two_slow_ones_would_not_fit() -> None:
    rows = tuple({"seconds_data": 0.0, "seconds_network": took} for took in (1.0, 1.0, 1.3))
    state = TrainingState(epoch=3, share=0.5, rows=rows)
    assert [paced([0.0], left).left(state) for left in (3.5, 2.7, 2.5, 1.5, 0.1)] == [3, 2, 1, 1, 1]


def test_slower_epochs_become_fewer_and_faster_ones_more() -> None:
    clock = [0.0]
    told, _ = ran(paced(clock, 20.0), clock, [2.0])
    assert (told[0], len(told), clock[0]) == (20, 10, 20.0)
    clock = [0.0]
    told, _ = ran(paced(clock, 20.0), clock, [0.5])
    assert (told[0], len(told), clock[0]) == (20, 40, 20.0)


def test_one_slow_epoch_does_not_shorten_the_training_by_more_than_itself() -> None:
    clock = [0.0]
    told, _ = ran(paced(clock, 20.0), clock, [1.0, 1.0, 6.0, 1.0])
    assert len(told) == 15


def test_an_epoch_is_done_even_where_none_fits_and_nothing_after_the_deadline() -> None:
    clock = [0.0]
    told, state = ran(paced(clock, -5.0), clock, [3.0])
    assert (told, state.share) == ([1], 1.0)
    clock = [0.0]
    told, state = ran(paced(clock, 4.0), clock, [1.0, 9.0])
    assert len(told) == 2
    assert 0 < state.share < 1, "the deadline passed within an epoch that was not to be the last"


def test_a_training_that_goes_on_judges_by_the_epochs_it_has_seen() -> None:
    rows = tuple({"seconds_data": 0.0, "seconds_network": 2.0} for _ in range(5))
    state = TrainingState(epoch=5, share=0.5, rows=rows)
    assert paced([0.0], 11.0).left(state) == 5
    assert paced([0.0], 11.0).left(TrainingState(epoch=5, share=1.0, rows=rows)) == 0


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.floats(0.5, 2.0), min_size=1, max_size=30),
    st.floats(20.0, 200.0),
    st.floats(0.3, 3.0),
)
def test_every_training_ends_within_an_epoch_of_its_deadline(
    seconds: list[float], deadline: float, first: float
) -> None:
    clock = [0.0]
    told, state = ran(paced(clock, deadline, first=first), clock, seconds)
    assert deadline - 2 * 2.0 <= clock[0] <= deadline + 2.0
    assert 0 < state.share <= 1
    assert state.epoch == len(told)


def test_the_clock_is_one_that_never_goes_back() -> None:
    import time

    assert UntilDeadline(0.0, 0.0, 1.0).clock is time.monotonic
    assert UntilDeadline(time.monotonic() + 10, 0.0, 1.0).left(TrainingState()) in (9, 10)
