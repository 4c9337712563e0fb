"""Learning curves: nested subsets by patient, the same for every start; each training is done once."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stubbed_training import CLASSES, Played, write_pictures, write_settings
from typer.testing import CliRunner

import medvision as mv
from medvision.errors import Finding, PipelineError, UsageError
from medvision.pipeline import PipelineFolder
from medvision.study import Case, Source
from medvision.workflows.comparing.paired import Comparable
from medvision.workflows.comparing.ways import Way, shown_source, ways_of
from medvision.workflows.fitting.machine import Machine
from medvision.workflows.learning_curve import CurveDesign, LearningCurve, learning_curve, plan_of_curve
from medvision.workflows.starting.start import Start
from medvision.workflows.training_data.subsets import sizes_of, subset

WAYS = (Way("scratch"), Way("a", Start("a.pt", "head")))


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """How intervals behave is tested in test_comparison; here they are only to be quick."""
    monkeypatch.setattr("medvision.workflows.comparing.paired._RESAMPLES", 200)


@pytest.fixture(autouse=True)
def weights_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What trainings start from is there, and known by its bytes."""
    monkeypatch.chdir(tmp_path)
    Path("a.pt").write_bytes(b"weights")


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[PipelineFolder, list[Path]]:
    return PipelineFolder.open(write_settings(tmp_path / "s", **CLASSES)), [write_pictures(tmp_path / "p.npz")]


def played_curve(played: Played, *given: Any) -> LearningCurve:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("medvision.workflows.learning_curve.Workbench", played.at)
        patched.setattr("medvision.workflows.learning_curve.trainer_at", played.trainer_at)
        return learning_curve(*given)


def test_from_python_it_is_a_method_of_a_pipeline(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = by_size()
    monkeypatch.setattr("medvision.workflows.learning_curve.Workbench", played.at)
    monkeypatch.setattr("medvision.workflows.learning_curve.trainer_at", played.trainer_at)
    pipeline, (data,) = pictures
    asked: dict[str, Any] = {
        "sizes": [8, None],
        "repeats": 1,
        "sources": ["scratch", "a.pt"],
        "tune": "head",
        "minutes_each": 3.0,
    }
    curve = mv.Pipeline(pipeline).learning_curve(str(data), str(tmp_path / "out"), **asked)
    assert [(point.start, point.cases) for point in curve.points] == [
        ("scratch", 8),
        ("scratch", curve.points[1].cases),
        ("a.pt", 8),
        ("a.pt", curve.points[1].cases),
    ]
    assert {(run.way.start, run.asked_minutes) for run in played.done} == {(None, 3.0), (Start("a.pt", "head"), 3.0)}


def by_size() -> Played:
    """Return a training that gains with the number of cases, and more from weights where cases are few."""
    return Played(lambda run: len(run.parts.train) / 100 + (4 / len(run.parts.train) if run.way.start else 0))


def cases_of(counts: list[int]) -> list[Case]:
    """Return patients with so many cases each; every fourth patient is of the second class."""
    source = (Source("npz", (Path("x.npz"),), ("x", 0)),)
    return [
        Case(f"p{patient}_{n}", source, label=int(patient % 4 == 0), patient=f"p{patient}")
        for patient, count in enumerate(counts)
        for n in range(count)
    ]


@given(st.lists(st.integers(1, 4), min_size=8, max_size=40), st.integers(0, 5), st.integers(0, 3))
def test_subsets_are_of_whole_patients_nested_and_no_larger_than_asked(
    counts: list[int], seed: int, repeat: int
) -> None:
    cases = cases_of(counts)
    before: set[str] = set()
    for size in (4, 6, len(cases)):
        chosen = {case.id for case in subset(cases, size, seed=seed, repeat=repeat)}
        assert before <= chosen
        assert size - 3 <= len(chosen) <= size
        patients = {case.patient for case in cases if case.id in chosen}
        assert chosen == {case.id for case in cases if case.patient in patients}
        before = chosen
    assert len(before) == len(cases)
    assert subset(cases, None, seed=seed, repeat=repeat) == tuple(cases)


@given(st.integers(0, 20))
def test_each_class_is_there_in_its_share(repeat: int) -> None:
    cases = cases_of([1] * 80)
    for size in (8, 20, 40):
        of_second = sum(case.label == 1 for case in subset(cases, size, seed=0, repeat=repeat))
        assert abs(of_second - size / 4) <= 1


def test_the_repeat_decides_who_is_drawn_and_the_order_of_cases_does_not() -> None:
    cases = cases_of([1] * 40)
    drawn = [{case.id for case in subset(cases, 10, seed=0, repeat=repeat)} for repeat in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert {case.id for case in subset(cases[::-1], 10, seed=0, repeat=0)} == drawn[0]


def test_cases_with_label_images_are_drawn_without_classes() -> None:
    source = Source("nifti", (Path("x.nii"),))
    cases = [Case(f"c{n}", (source,), label=source) for n in range(10)]
    assert len(subset(cases, 4, seed=0, repeat=0)) == 4


@pytest.mark.parametrize("sizes", [(100, 50), (50, 50), (None, 50), (None, None), (0, 50), (-3,)])
def test_sizes_are_counts_in_rising_order_each_once(sizes: tuple[int | None, ...]) -> None:
    with pytest.raises(UsageError, match="each once and in rising order"):
        CurveDesign(sizes, 1, WAYS)


def test_a_size_that_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(UsageError, match="12 cases are there"):
        subset(cases_of([3] * 4), 50, seed=0, repeat=0)
    with pytest.raises(UsageError, match="first patient drawn has more"):
        subset(cases_of([3] * 4), 2, seed=0, repeat=0)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "or all; got ''"),
        ("0", "or all; got '0'"),
        ("50,,100", "or all; got ''"),
        ("-5", "or all; got '-5'"),
        ("half", "or all; got 'half'"),
        ("50,50", "a size is named twice: 50,50"),
        ("all,all", "a size is named twice: all,all"),
    ],
)
def test_sizes_that_are_none_are_refused(words: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        sizes_of(words)


def test_starts_are_named_as_in_the_command_and_shown_without_their_folder(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"")
    found = ways_of(["scratch", f" {tmp_path / 'a.pt'}"], "lora:r=2")
    assert found == (Way("scratch"), Way("a.pt", Start(str(tmp_path / "a.pt"), "lora:r=2")))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.pt").write_bytes(b"")
    both = ways_of(["scratch", *(str(tmp_path / name / "a.pt") for name in ("one", "two"))])
    assert [way.name for way in both] == ["scratch", "one/a.pt", "two/a.pt"]
    with pytest.raises(UsageError, match="missing"):
        ways_of(["scratch", "", "a"])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (((), 1, WAYS), "needs a size, a repeat and a start"),
        (((5,), 0, WAYS), "needs a size, a repeat and a start"),
        (((5,), 1, ()), "needs a size, a repeat and a start"),
        (((5,), 1, (Way("a"), Way("a", Start("b.pt")))), "a start is named twice: a"),
    ],
)
def test_a_curve_of_nothing_or_of_one_start_twice_is_refused(values: tuple[object, ...], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        CurveDesign(*values)  # type: ignore[arg-type]


def test_every_start_trains_on_the_same_cases_and_all_are_measured_on_the_same(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    played = by_size()
    curve = played_curve(played, *pictures, tmp_path / "out", CurveDesign((8, 20, None), 2, WAYS))
    assert len(played.done) == 3 * 2 * 2
    for one, other in zip(played.done[::2], played.done[1::2], strict=True):
        assert (one.way.name, other.way.name, one.seed) == ("scratch", "a", other.seed)
        assert one.parts == other.parts
    assert len({tuple(case.id for case in run.parts.val) for run in played.done}) == 1
    assert [(point.start, point.cases) for point in curve.points] == [
        (way, size) for way in ("scratch", "a") for size in (8, 20, 40)
    ]
    levels = [point.level.value or 0 for point in curve.points]
    assert levels[:3] == sorted(levels[:3])
    few, all_of_them = curve.points[3], curve.points[5]
    assert few.difference is not None
    assert all_of_them.difference is not None
    assert few.difference.verdict == "helped"
    assert (few.difference.value or 0) > (all_of_them.difference.value or 0)
    assert curve.points[0].difference is None
    assert (few.seconds, few.steps, few.patients) == (2.5, 8.0, 8.0)


def test_with_a_time_all_ways_have_the_same_network_and_batches(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    played = by_size()
    played_curve(played, *pictures, tmp_path / "out", CurveDesign((8,), 1, WAYS, 2.0))
    assert [(budget.minutes, budget.may_cut) for budget in played.budgets if budget] == [(2.0, False)] * 2


def test_what_all_points_share_is_done_before_the_first_and_is_told_apart(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]

    class Slow(Played):
        def digests(self) -> dict[str, str]:
            clock[0] += 40.0
            return super().digests()

        def warm_up(self) -> None:
            super().warm_up()
            clock[0] += 2.0

    monkeypatch.setattr("medvision.workflows.comparing.runs.time.monotonic", lambda: clock[0])
    played = Slow(by_size().gain)
    curve = played_curve(played, *pictures, tmp_path / "out", CurveDesign((8,), 1, WAYS, 2.0))
    assert (played.prepared_before, played.warmed) == (0, 1)
    assert (curve.shared_seconds, curve.to_json()["shared_seconds"]) == (42.0, 42.0)
    assert "preparing the cases took 42.0 s more, once" in curve.table()
    again = played_curve(played, *pictures, tmp_path / "out", CurveDesign((8,), 1, WAYS, 2.0))
    assert (played.warmed, again.shared_seconds, again.notes) == (1, 42.0, curve.notes), "all is done"
    more = played_curve(played, *pictures, tmp_path / "out", CurveDesign((8, 20), 1, WAYS, 2.0))
    assert more.shared_seconds == 84.0


def test_settings_that_a_training_would_write_over_are_refused_at_once(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    for place in ("out", "out/runs/scratch-1_8_1"):
        settings, played = PipelineFolder.open(write_settings(tmp_path / place, **CLASSES)), by_size()
        with pytest.raises(UsageError, match="would be written over"):
            played_curve(played, settings, pictures[1], tmp_path / "out", CurveDesign((8,), 1, WAYS))
        assert played.done == []
        (tmp_path / place / "pipeline.toml").unlink()


def test_the_curve_is_left_as_table_json_and_picture(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    curve = played_curve(by_size(), *pictures, tmp_path / "out", CurveDesign((8, None), 2, WAYS))
    rows = list(csv.DictReader((tmp_path / "out" / "curve.csv").read_text().splitlines()))
    assert [(row["start"], row["cases"]) for row in rows] == [(w, n) for w in ("scratch", "a") for n in ("8.0", "40.0")]
    assert float(rows[0]["low"]) <= float(rows[0]["AUC"]) <= float(rows[0]["high"])
    assert [bool(row["verdict"]) for row in rows] == [False, False, True, True]
    told = json.loads((tmp_path / "out" / "curve.json").read_text())
    assert [point["start"] for point in told["points"]] == ["scratch", "scratch", "a", "a"]
    trained_and_held_out = [(point["patients"], point["level"]["patients"]) for point in told["points"]]
    assert trained_and_held_out == [(8.0, 64), (40.0, 64)] * 2
    assert told == json.loads(json.dumps(curve.to_json()))
    assert [start["source"] for start in told["starts"]] == [None, shown_source("a.pt")]
    assert (tmp_path / "out" / "curve.png").read_bytes().startswith(b"\x89PNG")
    lines = curve.table().splitlines()
    assert len(lines) == 5 + 3
    assert lines[5].startswith("Seconds are those of a training; preparing the cases took ")
    assert lines[6] == curve.notes[0] == told["notes"][0]
    assert lines[6].startswith("a: it is not known on which images these weights were trained")
    assert lines[7] == "the trainings are of unequal length, from 8 steps to 40"


def test_a_point_whose_trainings_are_of_unequal_length_has_no_verdict(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    played = by_size()
    played.steps = lambda run: 1 if run.way.start and len(run.parts.train) == 8 else 9
    curve = played_curve(played, *pictures, tmp_path / "out", CurveDesign((8, None), 2, WAYS))
    small, large = (point.difference for point in curve.points if point.difference)
    assert (small.verdict, small.withheld) == (
        "cannot be told",
        "the trainings are of unequal length, from 1 step to 9",
    )
    assert large.withheld is None


def test_warnings_of_the_trainings_are_told_of_the_curve(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    absent = Finding("label-absent", "warning", "no training case has b: it cannot be learnt")
    played = by_size()
    played.warned = lambda run: (absent,) if len(run.parts.train) == 8 and run.seed == 6 and run.way.start else ()
    curve = played_curve(played, *pictures, tmp_path / "out", CurveDesign((8, None), 2, WAYS))
    assert curve.notes[1] == f"a, 8 cases, repeat 2: {absent.message}"
    again = played_curve(by_size(), *pictures, tmp_path / "out", CurveDesign((8, None), 2, WAYS))
    assert again.notes == curve.notes == tuple(json.loads((tmp_path / "out" / "curve.json").read_text())["notes"])


@pytest.mark.parametrize(("least", "most", "told"), [(0.0, 1.0, (0.0, 1.0)), (None, 0.5, (-1.55, 0.5))])
def test_no_interval_reaches_beyond_what_there_can_be(
    least: float | None, most: float, told: tuple[float, float]
) -> None:
    """Two runs that differ much: Student's t of one degree of freedom reaches 12.7 standard errors far."""
    columns = tuple((np.full(8, value) + np.linspace(-0.01, 0.01, 8),) for value in (0.2, 0.5))
    found = Comparable("AUC", columns, tuple("abcdefgh"), np.mean, least=least, most=most).level([0, 1], seed=0)
    assert (found.value, found.low, found.high) == (pytest.approx(0.35), pytest.approx(told[0], abs=0.2), told[1])


def test_the_picture_has_no_figure_that_there_cannot_be(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medvision.workflows.comparing import curve as workflow

    shown: list[tuple[float, float]] = []
    real = workflow._shown
    monkeypatch.setattr(workflow, "_shown", lambda *ends: (shown.append(real(*ends)), shown[-1])[1])
    played_curve(Played(lambda run: run.seed - 5.0), *pictures, tmp_path / "out", CurveDesign((8,), 2, WAYS))
    assert shown == [(0.0, 1.0)]


def test_a_curve_that_was_stopped_goes_on_and_a_larger_one_takes_what_is_there(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    asked = CurveDesign((8, None), 2, WAYS)
    first, second, third = by_size(), by_size(), by_size()
    first.stop_at = 5
    with pytest.raises(KeyboardInterrupt):
        played_curve(first, *pictures, tmp_path / "out", asked)
    planned = plan_of_curve(*pictures, tmp_path / "out", asked)
    assert [run.done for run in planned] == [True] * 5 + [False] * 3
    played_curve(second, *pictures, tmp_path / "out", asked)
    assert len(second.done) == 3
    played_curve(third, *pictures, tmp_path / "out", CurveDesign((8, 20, None), 2, WAYS))
    assert {len(run.parts.train) for run in third.done} == {20}
    assert len(third.done) == 4


def test_the_command_says_what_it_would_do_and_does_nothing(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    from medvision_cli.app import app

    out = tmp_path / "out"
    words = ["learning-curve", str(pictures[0].folder), str(pictures[1][0]), "--sizes", "8,all", "--repeats", "1"]
    words += ["--from", "scratch,a.pt", "--out", str(out), "--dry-run"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert "a.pt: 8 cases of 8 patients, repeat 1" in shown.output
    assert "4 of 4 trainings to do" in shown.output
    assert not out.exists()
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)
    assert told["schema"] == "medvision.learning-curve-plan/1"
    assert [(run["start"], run["cases"], run["repeat"]) for run in told["runs"]] == [
        (start, cases, 1) for cases in (8, 40) for start in ("scratch", "a.pt")
    ]


def test_the_command_trains_and_leaves_a_curve(pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path) -> None:
    from medvision_cli.app import app

    toml = pictures[0].folder / "pipeline.toml"
    small = "blocks = [1, 1, 1, 1]\nchannels = [4, 4, 4, 4]\nstem_kernel = 3\n"
    toml.write_text(toml.read_text().replace('use = "resnet"\n', f'use = "resnet"\n{small}'))
    out = tmp_path / "out"
    words = ["learning-curve", str(toml.parent), str(pictures[1][0]), "--sizes", "8", "--repeats", "1"]
    shown = CliRunner().invoke(app, [*words, "--out", str(out)])
    assert shown.exit_code == 0, shown.output
    assert "scratch" in shown.output
    assert "curve.png" in shown.output
    folders = sorted(path.name for path in (out / "runs").iterdir())
    assert folders == ["scratch-1_8_1"]
    assert PipelineFolder.open(out / "runs" / folders[0]).weights is not None
    told = json.loads(CliRunner().invoke(app, [*words, "--out", str(out), "--json"]).output)
    assert [point["steps"] for point in told["points"]] == [2.0]
    assert all(point["seconds"] >= 0 for point in told["points"])


def test_a_start_that_cannot_be_used_is_refused_before_any_case_is_prepared(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing is prepared or trained")

    monkeypatch.setattr("medvision.workflows.fitting.workbench.prepare", never)
    ways = (Way("scratch"), Way("late", Start(str(tmp_path / "missing.pt"))))
    with pytest.raises(PipelineError, match=r"missing\.pt"):
        learning_curve(*pictures, tmp_path / "out", CurveDesign((8,), 1, ways))
    with pytest.raises(UsageError, match="mlflow2"):
        learning_curve(*pictures, tmp_path / "out", CurveDesign((8,), 1, ways[:1]), machine=Machine(log="mlflow2"))
