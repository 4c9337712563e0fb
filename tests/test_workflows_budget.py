"""A time is kept to: what is cut for it, in which order, and what a training with a time leaves."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import SPHERES_TOML, write_sphere_data
from tiny_pipeline import TINY, pipeline

import medvision as mv
from medvision.errors import PipelineError, UsageError
from medvision.networks import save_weights
from medvision.pipeline import PipelineFolder, Settings, read_settings
from medvision.training import Training, build_optimiser
from medvision.tuning import Group
from medvision.workflows.comparing.ways import Way
from medvision.workflows.fitting import budget as workflow
from medvision.workflows.fitting.budget import Budget, Timed, fit_into
from medvision.workflows.fitting.pacing import done_in_time
from medvision.workflows.learning_curve import CurveDesign
from medvision.workflows.train import Start, train

Cost = Callable[[Settings], float]


@dataclass
class Clock:
    """A clock that only steps and validations move; keeps the settings whose step was measured."""

    cost: Cost
    validation: float = 0.0
    now: float = 1000.0
    measured: list[Settings] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def step_of(self, settings: Settings) -> Callable[[int], None]:
        self.measured.append(settings)

        def step(number: int) -> None:
            self.now += self.cost(settings)

        return step

    def fit(self, seconds: float, wished: Settings, **further: Any) -> Timed:
        return fit_into(seconds, wished, self.step_of, lambda _: self.validation, **further)


@pytest.fixture
def wished(tmp_path: Path) -> Settings:
    settings = read_settings(pipeline(tmp_path, text=TINY))
    network: Any = replace(settings.network, channels=(32, 64, 128))  # type: ignore[call-arg]
    long = replace(settings.train, epochs=100, steps_per_epoch=50, batch=8, patch=(64, 64, 64))
    return replace(settings, network=network, train=long)


def timed(monkeypatch: pytest.MonkeyPatch, cost: Cost, *, validation: float = 0.0) -> Clock:
    clock = Clock(cost, validation)
    monkeypatch.setattr(workflow.time, "monotonic", clock)
    return clock


def width(settings: Settings) -> int:
    channels: Any = settings.network
    return int(channels.channels[0])


def words(found: Timed) -> list[str]:
    return [finding.message for finding in found.findings if finding.code == "budget-cut"]


def test_nothing_is_cut_where_steps_enough_fit(monkeypatch: pytest.MonkeyPatch, wished: Settings) -> None:
    clock = timed(monkeypatch, lambda _: 0.05, validation=1.0)
    found = clock.fit(100.0, wished)
    assert clock.measured == [wished]
    assert (found.step_seconds, found.validation_seconds) == (pytest.approx(0.05), 1.0)
    train = found.settings.train
    # 100 s less five measured steps, two validations after the last step, and 2 s to write
    assert 1860 <= train.total_steps <= (100 - 0.25 - 2 - workflow.EXPORT_SECONDS) / 0.05
    assert replace(found.settings, train=wished.train) == wished
    (told,) = found.findings
    assert (told.code, told.grade) == ("budget", "note")
    assert f"with no limit, the settings take {wished.train.total_steps:,} steps" in told.message
    assert f"about {train.total_steps:,} steps of 0.05 s fit into the time" in told.message


def test_a_time_for_some_steps_only_is_a_warning_and_keeps_a_validation_within_the_patience(
    monkeypatch: pytest.MonkeyPatch, wished: Settings
) -> None:
    clock = timed(monkeypatch, lambda _: 2.0, validation=5.0)
    patient = replace(wished, train=replace(wished.train, epochs=90, validate_every=1, early_stopping=2))
    found = clock.fit(100.0, patient, may_cut=False)
    (told,) = found.findings
    assert (told.code, told.grade) == ("budget", "warning")
    assert "too few to learn from" in told.message
    assert found.settings.train.early_stopping == found.settings.train.validate_every > 2
    assert clock.fit(1000.0, patient, may_cut=False).findings[0].grade == "note"


def test_batch_width_and_patch_are_cut_in_turn_until_steps_enough_fit(
    monkeypatch: pytest.MonkeyPatch, wished: Settings
) -> None:
    clock = timed(monkeypatch, lambda s: 1e-8 * width(s) * s.train.batch * math.prod(s.train.patch))  # type: ignore[arg-type]
    first = clock.cost(wished)
    for factor, cut in ((0.9, 1), (0.45, 2), (0.2, 3), (0.1, 4), (0.06, 5)):
        found = clock.fit(1000 * first * factor + 1 + workflow.EXPORT_SECONDS, wished)
        named = [message.split(":")[0].removeprefix("to fit the time, ") for message in words(found)]
        assert named == ["the batch", "the network's width", "the patch", "the batch", "the network's width"][:cut]
        assert found.settings.train.total_steps >= 900
    assert width(found.settings) == 8
    assert (found.settings.train.batch, found.settings.train.patch) == (2, (52, 52, 56))


def test_nothing_is_cut_where_the_steps_that_are_wished_fit(monkeypatch: pytest.MonkeyPatch, wished: Settings) -> None:
    few = replace(wished, train=replace(wished.train, epochs=10, steps_per_epoch=20))
    found = timed(monkeypatch, lambda _: 0.2).fit(60.0, few)
    assert words(found) == []
    assert 250 < found.settings.train.total_steps < 300
    assert words(timed(monkeypatch, lambda s: 0.4 * s.train.batch).fit(60.0, few)) != []


def test_a_cut_that_gains_nothing_is_neither_made_nor_said(monkeypatch: pytest.MonkeyPatch, wished: Settings) -> None:
    """The batch costs nothing here: it stays as it is, also where the patch is cut after it."""
    clock = timed(monkeypatch, lambda s: 1e-7 * width(s) * s.train.patch[0] ** 3)  # type: ignore[index]
    found = clock.fit(60.0, wished)
    assert found.settings.train.batch == 8
    assert not [message for message in words(found) if "batch" in message]
    assert [message for message in words(found) if "patch" in message]
    assert len([s for s in clock.measured if s.train.batch == 4]) == 1, "what gained nothing is not tried again"


def test_where_nothing_helps_the_settings_stay_and_fewer_steps_are_taken(
    monkeypatch: pytest.MonkeyPatch, wished: Settings
) -> None:
    found = timed(monkeypatch, lambda _: 1.0).fit(300.0, wished)
    assert words(found) == []
    assert replace(found.settings, train=wished.train) == wished
    assert 250 <= found.settings.train.total_steps <= 297


def test_where_nothing_may_be_cut_only_the_steps_become_fewer(
    monkeypatch: pytest.MonkeyPatch, wished: Settings
) -> None:
    clock = timed(monkeypatch, lambda s: 1e-7 * width(s) * s.train.batch)
    found = clock.fit(4.0, wished, may_cut=False)
    assert (clock.measured, words(found)) == ([wished], [])


@pytest.mark.parametrize("step", [0.05, 1.0, 15.0, 150.0, 1e4])
@pytest.mark.parametrize("seconds", [18.0, 180.0, 3600.0])
def test_measuring_takes_no_more_than_its_share_and_a_step_however_slow_steps_are(
    monkeypatch: pytest.MonkeyPatch, wished: Settings, step: float, seconds: float
) -> None:
    clock = timed(monkeypatch, lambda settings: step * width(settings) / 32)
    clock.fit(seconds, wished)
    assert clock.now - 1000.0 <= workflow._MEASURING * seconds + step


def test_what_is_imported_for_the_first_step_takes_nothing_from_the_measuring(
    monkeypatch: pytest.MonkeyPatch, wished: Settings
) -> None:
    clock = timed(monkeypatch, lambda _: 0.05)
    built = clock.step_of

    def slowly(settings: Settings) -> Callable[[int], None]:
        clock.now += 0 if clock.measured else 40.0
        return built(settings)

    found = fit_into(100.0, wished, slowly, lambda _: 0.0)
    assert found.step_seconds == pytest.approx(0.05)
    assert clock.now == pytest.approx(1040.25), "five steps"
    assert 1120 <= found.settings.train.total_steps <= (60 - 0.25 - workflow.EXPORT_SECONDS) / 0.05


def test_a_second_step_is_done_where_the_first_may_have_paid_for_what_is_set_up_once(
    monkeypatch: pytest.MonkeyPatch, wished: Settings
) -> None:
    clock = timed(monkeypatch, lambda _: 0.0)

    def step_of(settings: Settings) -> Callable[[int], None]:
        def step(number: int) -> None:
            clock.now += 0.5 if number else 3.5

        return step

    assert fit_into(100.0, wished, step_of, lambda _: 0.0, may_cut=False).step_seconds == 0.5
    assert fit_into(80.0, wished, step_of, lambda _: 0.0, may_cut=False).step_seconds == 3.5


def test_one_step_is_enough_where_it_takes_long(monkeypatch: pytest.MonkeyPatch, wished: Settings) -> None:
    clock = timed(monkeypatch, lambda _: 10.0)
    assert clock.fit(120.0, wished, may_cut=False).step_seconds == 10.0
    assert clock.now == 1010.0


def test_cuts_that_there_is_no_time_to_measure_are_made_by_estimate_and_said(
    monkeypatch: pytest.MonkeyPatch, wished: Settings
) -> None:
    """Three minutes: the first step takes half a minute, so that no other is begun."""
    clock = timed(monkeypatch, lambda _: 30.0)
    found = clock.fit(180.0, wished)
    assert clock.measured == [wished]
    assert clock.now == 1030.0
    assert len(words(found)) > 3
    assert all(message.endswith("(not measured)") for message in words(found))
    assert width(found.settings) == 8
    first = words(timed(monkeypatch, lambda s: 12.0 * s.train.batch / 8).fit(180.0, wished))
    assert [message.endswith("(not measured)") for message in first[:2]] == [False, True]


def test_a_validation_is_timed_once_and_of_the_settings_that_are_chosen(
    monkeypatch: pytest.MonkeyPatch, wished: Settings
) -> None:
    clock = timed(monkeypatch, lambda settings: 0.5 * width(settings) / 32)
    validated: list[Settings] = []
    found = fit_into(100.0, wished, clock.step_of, lambda settings: (validated.append(settings), 7.0)[1])
    assert [replace(settings, train=found.settings.train) for settings in validated] == [found.settings]
    assert (width(found.settings), found.validation_seconds) == (8, 7.0)
    assert found.settings.train.total_steps <= (100 - 14 - workflow.EXPORT_SECONDS) / found.step_seconds


@pytest.mark.parametrize("seconds", [0.0, 1.0, -60.0])
def test_a_step_is_done_however_short_the_time(
    monkeypatch: pytest.MonkeyPatch, wished: Settings, seconds: float
) -> None:
    found = timed(monkeypatch, lambda _: 1.0).fit(seconds, wished)
    train = found.settings.train
    assert (train.epochs, train.steps_per_epoch, train.validate_every) == (1, 1, 1)
    assert (found.findings[-1].code, found.findings[-1].grade) == ("budget", "warning")
    assert "it will end late" in found.findings[-1].message


@pytest.mark.parametrize(("validation", "often"), [(0.2, 10), (5.0, 1)])
def test_slow_validations_are_left_to_the_end(
    monkeypatch: pytest.MonkeyPatch, wished: Settings, validation: float, often: int
) -> None:
    train = timed(monkeypatch, lambda _: 0.01, validation=validation).fit(100.0, wished).settings.train
    assert train.epochs // train.validate_every == often
    assert 45 <= train.epochs <= 60


def test_steps_without_a_measurable_time_are_no_division_by_zero(
    monkeypatch: pytest.MonkeyPatch, wished: Settings
) -> None:
    assert timed(monkeypatch, lambda _: 0.0).fit(10.0, wished).settings.train.total_steps > 1000


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(minutes: float) -> None:
    with pytest.raises(UsageError, match="a time above 0 is wanted"):
        Budget(minutes)


@pytest.mark.parametrize("minutes", [5_259_601.0, 1e308])
def test_a_time_of_more_than_ten_years_is_refused(minutes: float) -> None:
    with pytest.raises(UsageError, match="ten years at most") as caught:
        Budget(minutes)
    assert "fewer minutes" in (caught.value.finding.cure or "")
    with pytest.raises(UsageError, match="ten years at most"):
        CurveDesign((None,), 1, (Way("scratch"),), minutes)
    assert Budget(5_259_600.0, 7.0).deadline == 7.0 + 315_576_000.0


def test_a_part_of_a_time_begins_now_and_remembers_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = timed(monkeypatch, lambda _: 0.0)
    whole = Budget(10.0, started=clock.now)
    clock.now += 240
    part = whole.part(0.5)
    assert (part.minutes, part.started, part.deadline, part.asked) == (3.0, 1240.0, 1420.0, 10.0)
    again = part.part(0.5)
    assert (again.minutes, again.asked) == (1.5, 10.0)
    assert replace(whole, may_cut=False).part(0.5).may_cut is False
    clock.now += 10_000
    assert 60 * whole.part(0.5).minutes == pytest.approx(0.5), "of a time that is over, half a second"


def test_what_was_spent_before_is_taken_off_and_can_be_given_back() -> None:
    whole = Budget(10.0, started=100.0)
    assert whole.without(60.0).deadline == whole.deadline - 60.0
    assert whole.without(60.0).without(-60.0) == whole
    assert whole.without(60.0).minutes == 10.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sphere_data(tmp_path_factory.mktemp("data"))


WIDE = SPHERES_TOML.replace("[8, 8, 8]", "[16, 16, 16]").replace("epochs = 4", "epochs = 4000")


def opened(folder: Path, text: str = WIDE) -> PipelineFolder:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.toml").write_text(text, encoding="utf-8")
    return PipelineFolder.open(folder)


def test_a_training_with_a_time_ends_in_time_and_says_what_was_in_force(data: Path, tmp_path: Path) -> None:
    pipeline = opened(tmp_path / "settings")
    build_optimiser(pipeline.settings.train, [Group("all", list(pipeline.build_network().parameters()))])  # imports
    torch.manual_seed(5)
    before, began, steps = torch.get_rng_state(), time.monotonic(), [0.0]

    def told(done: int, total: int, last: str) -> None:
        steps[0] = time.monotonic() - began

    result = mv.Pipeline(pipeline).train(data, tmp_path / "out", minutes=0.12, progress=told)
    assert torch.equal(torch.get_rng_state(), before), "to measure draws nothing from the caller's generator"
    assert steps[0] < 7.2, "the last step is done in time, by a second or more on a machine that is not busy"
    left = PipelineFolder.open(tmp_path / "out")
    assert left.settings.train.total_steps < pipeline.settings.train.total_steps
    codes = [finding.code for finding in result.findings]
    assert "budget" in codes
    assert ("budget-cut" in codes) == (left.settings.network != pipeline.settings.network)
    kept = json.loads((tmp_path / "out" / "checkpoints" / "timed.json").read_text())
    assert kept["step_seconds"] > 0
    rows = (tmp_path / "out" / "curves.csv").read_text().splitlines()
    total = (len(rows) - 1) * left.settings.train.steps_per_epoch
    assert left.require_weights().trained_with["steps"] == str(total)


@pytest.fixture
def begun(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[PipelineFolder, Path]:
    """A training with a time that was stopped after an epoch that, by its checkpoint, took 7 seconds."""
    from medvision.workflows.fitting import fit as workflow

    def fitted(seconds: float, wished: Settings, *_: Any, may_cut: bool, keep_network: bool, **__: Any) -> Timed:
        assert may_cut
        assert not keep_network
        train = replace(wished.train, epochs=3, steps_per_epoch=1, batch=1)
        return Timed(replace(wished, train=train), 0.01, 0.02, ())

    real = workflow.optimise

    def stopping(*arguments: Any, **further: Any) -> Any:
        def stop(*_: Any) -> None:
            if stop_at and list(further["folder"].glob("last*")):
                raise KeyboardInterrupt

        stop_at = True
        return real(*arguments, **{**further, "progress": stop})

    pipeline = opened(tmp_path / "settings")
    with monkeypatch.context() as patched:
        patched.setattr("medvision.workflows.fitting.pacing.fit_into", fitted)
        patched.setattr(workflow, "optimise", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(pipeline, [data], tmp_path / "out", budget=Budget(5.0))
    return pipeline, tmp_path / "out"


def test_a_training_that_goes_on_uses_the_settings_chosen_before_and_counts_the_time_spent(
    data: Path, begun: tuple[PipelineFolder, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from medvision.workflows.fitting import pacing as workflow

    pipeline, out = begun
    assert read_settings(out / "pipeline.toml").train.batch == 1
    deadlines: list[float] = []

    class Paced:
        def __init__(
            self, deadline: float, validation_seconds: float, first_seconds: float, writing_seconds: float
        ) -> None:
            deadlines.append(deadline)
            assert validation_seconds == pytest.approx(0.02)
            assert first_seconds == pytest.approx(0.01)
            assert writing_seconds == workflow.EXPORT_SECONDS

        def left(self, state: Any) -> int:
            return max(0, 2 - state.epoch)

    def never(*_: Any, **__: Any) -> Timed:
        raise AssertionError("a step is measured once")

    monkeypatch.setattr("medvision.workflows.fitting.pacing.fit_into", never)
    monkeypatch.setattr(workflow, "UntilDeadline", Paced)
    monkeypatch.setattr(workflow, "seconds_spent", lambda folder: 7.0 if folder.name == "checkpoints" else 0.0)
    budget = Budget(5.0)
    result = train(pipeline, [data], out, budget=budget)
    assert deadlines == [pytest.approx(budget.deadline - 7.0)]
    left = PipelineFolder.open(out)
    assert (left.settings.train.batch, left.settings.train.steps_per_epoch) == (1, 1)
    assert len((out / "curves.csv").read_text().splitlines()) == 3
    assert "\n- 2 steps were done in the time\n" in (out / "card.md").read_text(), "and not the 3 that were planned"
    weights = (out / "weights.safetensors").read_bytes()
    again = train(pipeline, [data], out, budget=Budget(5.0))
    assert len(deadlines) == 1, "what is done is not begun again"
    assert len((out / "curves.csv").read_text().splitlines()) == 3, "what came to its end is not trained further"
    assert (out / "weights.safetensors").read_bytes() == weights
    assert again.results == result.results


def test_how_many_steps_were_done_is_said_where_others_were_planned_or_the_time_was_shared() -> None:
    planned, whole = Training(epochs=10, steps_per_epoch=7), Budget(60.0)
    assert done_in_time(None, planned, epochs=9) == done_in_time(whole, planned, epochs=10) == ()
    told = [finding.message for finding in done_in_time(whole, planned, epochs=9)]
    assert told == ["63 steps were done in the time"]
    told = [finding.message for finding in done_in_time(whole.part(0.1), planned, epochs=10)]
    assert told == ["70 steps were done in its share of the time, 60 min for all trainings"]


def test_settings_that_are_not_those_that_were_fitted_are_not_gone_on_with(
    data: Path, begun: tuple[PipelineFolder, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medvision.workflows.fitting.pacing.EXPORT_SECONDS", 1e9)  # so that no further epoch fits
    pipeline, out = begun
    file = out / "pipeline.toml"
    text = file.read_text()
    assert text.count("\nbatch = 1 ") == 1  # and behind it, what it was
    file.write_text(text.replace("\nbatch = 1 ", "\nbatch = 2 "))
    with pytest.raises(PipelineError, match="not the settings that were fitted") as caught:
        train(pipeline, [data], out, budget=Budget(5.0))
    assert (caught.value.code, caught.value.path) == ("weights-mismatch", file)
    file.write_text("# words of my own\n" + text)
    train(pipeline, [data], out, budget=Budget(5.0))


def test_a_network_that_starts_from_weights_is_not_cut(wished: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = timed(monkeypatch, lambda settings: 1.0 * settings.train.batch)
    found = clock.fit(10.0, wished, keep_network=True).settings
    assert found.network == wished.network
    assert found.train.batch < wished.train.batch


def test_a_training_with_a_start_keeps_its_network_in_a_time(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bool] = []

    def fitted(seconds: float, wished: Settings, *_: Any, may_cut: bool, keep_network: bool, **__: Any) -> Timed:
        kept.append(keep_network)
        return Timed(replace(wished, train=replace(wished.train, epochs=1, steps_per_epoch=1, batch=1)), 0.01, 0.02, ())

    monkeypatch.setattr("medvision.workflows.fitting.pacing.fit_into", fitted)
    monkeypatch.setattr("medvision.workflows.fitting.pacing.EXPORT_SECONDS", 1e9)  # so that one epoch is trained
    settings = opened(tmp_path / "settings")
    save_weights(tmp_path / "a.safetensors", settings.build_network())
    start = Start(str(tmp_path / "a.safetensors"))
    train(settings, [data], tmp_path / "out", start=start, budget=Budget(1.0))
    assert kept == [True]


def test_another_time_is_another_training(data: Path, begun: tuple[PipelineFolder, Path]) -> None:
    pipeline, out = begun
    for other in (Budget(6.0), None):
        with pytest.raises(PipelineError, match="other settings or data"):
            train(pipeline, [data], out, budget=other)


def test_a_batch_that_processes_share_is_cut_to_what_they_can_share(
    wished: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = timed(monkeypatch, lambda settings: 1.0 * settings.train.batch)
    assert clock.fit(10.0, wished, shared_by=4).settings.train.batch == 4
