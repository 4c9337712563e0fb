"""A transfer is compared with training from scratch, pair by pair; each training is done once."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import write_sphere_data
from stubbed_training import CLASSES, MASKS, Played, write_pictures, write_settings

import medvision as mv
from medvision.errors import Finding, InputError, PipelineError, UsageError
from medvision.files import sha256_of, sha256_of_text
from medvision.pipeline import PipelineFolder, Settings
from medvision.transfer.hub import Fetched, Hub, HubReference
from medvision.workflows.comparing.paired import comparable
from medvision.workflows.comparing.runs import Run
from medvision.workflows.comparing.ways import Way, pin_starts, shown_source
from medvision.workflows.fitting.budget import Budget
from medvision.workflows.prove import TransferProof, prove_transfer
from medvision.workflows.scoring.scored import Scored
from medvision.workflows.starting.source import digest_of_source
from medvision.workflows.train import Start


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """How intervals behave is tested in test_comparison; here they are only to be quick."""
    monkeypatch.setattr("medvision.workflows.comparing.paired._RESAMPLES", 200)


@pytest.fixture(autouse=True)
def weights_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What trainings start from is there, and known by its bytes."""
    monkeypatch.chdir(tmp_path)
    Path("weights.pt").write_bytes(b"weights")


@pytest.fixture
def spheres(tmp_path: Path) -> tuple[PipelineFolder, list[Path]]:
    """Return settings of a segmentation and a data set of eight cases, two a patient."""
    return PipelineFolder.open(write_settings(tmp_path / "s", **MASKS)), [write_sphere_data(tmp_path / "data")]


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[PipelineFolder, list[Path]]:
    """Return settings of a classification, and pictures without patients whose split is fixed."""
    return PipelineFolder.open(write_settings(tmp_path / "s", **CLASSES)), [write_pictures(tmp_path / "p.npz")]


def of_transfer(gain: float) -> Played:
    return Played(lambda run: gain if run.way.start else 0.0)


def proved(
    given: tuple[PipelineFolder, list[Path]],
    out: Path,
    played: Played,
    tune: str = "full",
    source: str = "weights.pt",
    **options: object,
) -> TransferProof:
    start = Start(source, tune)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("medvision.workflows.prove.Workbench", played.at)
        patched.setattr("medvision.workflows.prove.trainer_at", played.trainer_at)
        return prove_transfer(*given, out, start=start, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gain", "words"),
    [(0.4, "transfer helped by 0."), (-0.4, "transfer hurt by 0."), (0.0, "transfer made no difference: 0.000")],
)
def test_the_answer_is_helped_hurt_or_no_difference(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path, gain: float, words: str
) -> None:
    found = proved(pictures, tmp_path / "out", of_transfer(gain))
    assert words in found.words
    assert found.words.startswith("AUC: ")
    told = json.loads((tmp_path / "out" / "transfer.json").read_text())
    assert (told["words"], told["cases"], told["left_out"]) == (found.words, 64, 0)
    assert [(row["start"], row["seed"]) for row in told["runs"]] == [
        (way, seed) for seed in (5, 6, 7) for way in ("scratch", "transfer")
    ]
    assert (tmp_path / "out" / "transfer.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((tmp_path / "out" / "transfer.csv").read_text().splitlines()))
    assert list(rows[0]) == ["start", "seed", "figure", "seconds", "steps"]
    assert [row["start"] for row in rows] == ["scratch", "transfer"] * 3
    assert [row["steps"] for row in rows] == ["40"] * 6
    assert [pair.gain for pair in found.pairs] == list(found.difference.runs)
    assert found.table().splitlines()[-1] == found.words
    assert len(found.table().splitlines()) == 7
    assert found.table().splitlines()[-2] == told["notes"][0] == found.notes[0]


def test_from_python_it_is_a_method_of_a_pipeline(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = of_transfer(0.4)
    monkeypatch.setattr("medvision.workflows.prove.Workbench", played.at)
    monkeypatch.setattr("medvision.workflows.prove.trainer_at", played.trainer_at)
    pipeline, (data,) = pictures
    start = Start("weights.pt", "head")
    found = mv.Pipeline(pipeline).prove_transfer(str(data), str(tmp_path / "out"), start=start, seeds=2, minutes=2.0)
    assert found.difference.verdict == "helped"
    assert [(run.way.start, run.asked_minutes) for run in played.done] == [(None, 2.0), (start, 2.0)] * 2


def test_all_trainings_share_the_split_and_the_two_of_a_seed_its_number(
    spheres: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    played = of_transfer(0.1)
    found = proved(spheres, tmp_path / "out", played, tune="head", budget=Budget(2.0), seed=9)
    assert [(run.way, run.seed, run.asked_minutes) for run in played.done[:2]] == [
        (Way("scratch"), 9, 2.0),
        (Way("transfer", Start("weights.pt", "head")), 9, 2.0),
    ]
    assert len({tuple(case.id for case in run.parts.val) for run in played.done}) == 1
    assert not {case.patient for case in played.done[0].parts.val} & {
        case.patient for case in played.done[0].parts.train
    }
    assert (found.figure, found.cases, found.left_out) == ("mean Dice", 1, 1)
    assert found.difference.patients == 1
    assert found.difference.verdict == "cannot be told"


def test_a_proof_that_was_stopped_goes_on_and_one_that_is_done_trains_nothing(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    undisturbed = proved(pictures, tmp_path / "other", of_transfer(0.2))
    first, second, third = of_transfer(0.2), of_transfer(0.2), of_transfer(0.2)
    first.stop_at = 3
    with pytest.raises(KeyboardInterrupt):
        proved(pictures, tmp_path / "out", first)
    found = proved(pictures, tmp_path / "out", second)
    assert [len(played.done) for played in (first, second)] == [3, 3]
    assert proved(pictures, tmp_path / "out", third).to_json() == found.to_json() == undisturbed.to_json()
    assert third.done == []


def test_trainings_of_another_start_or_of_other_data_are_not_taken(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    proved(pictures, tmp_path / "out", of_transfer(0.2), seeds=1)
    with pytest.raises(PipelineError, match="another start"):
        proved(pictures, tmp_path / "out", of_transfer(0.2), seeds=1, tune="head")
    write_pictures(pictures[1][0], train=44)
    with pytest.raises(PipelineError, match="other data"):
        proved(pictures, tmp_path / "out", of_transfer(0.2), seeds=1)


def test_one_seed_is_said_to_leave_chance_out(pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path) -> None:
    found = proved(pictures, tmp_path / "out", of_transfer(0.2), seeds=1)
    assert "of one seed" in found.words
    assert len(found.difference.runs) == 1


def test_a_time_is_shared_by_all_trainings_and_nothing_is_cut_between_them(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    played = of_transfer(0.2)
    proved(pictures, tmp_path / "out", played, seeds=2, budget=Budget(8.0))
    assert (played.prepared_before, played.warmed) == (0, 1), "what all share is none's own cost"
    shares = [budget for budget in played.budgets if budget is not None]
    assert [budget.minutes for budget in shares] == pytest.approx([8 / 4, 8 / 3, 8 / 2, 8], rel=0.05), "of what is left"
    assert {(budget.may_cut, budget.asked) for budget in shares} == {(False, 8.0)}
    with pytest.raises(PipelineError, match="another start"):
        proved(pictures, tmp_path / "out", played, seeds=2)


@pytest.mark.parametrize(("before", "now"), [(1, 3), (3, 1)])
def test_a_time_that_was_dealt_is_not_dealt_again_among_other_numbers_of_trainings(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path, before: int, now: int
) -> None:
    played = of_transfer(0.2)
    played.stop_at = 1  # also of a proof that was stopped: the first training has had its share
    with pytest.raises(KeyboardInterrupt):
        proved(pictures, tmp_path / "out", played, seeds=before, budget=Budget(8.0))
    told = f"time limit was divided among {2 * before} trainings here; now it would be divided among {2 * now}"
    with pytest.raises(PipelineError, match=told) as caught:
        proved(pictures, tmp_path / "out", of_transfer(0.2), seeds=now, budget=Budget(8.0))
    assert (caught.value.code, caught.value.path) == ("weights-mismatch", tmp_path / "out")
    found = proved(pictures, tmp_path / "out", of_transfer(0.2), seeds=before, budget=Budget(8.0))
    assert len(found.pairs) == before


def test_a_time_of_which_an_earlier_version_did_not_keep_the_shares_is_not_dealt_again(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    proved(pictures, tmp_path / "out", of_transfer(0.2), seeds=1, budget=Budget(8.0))
    (tmp_path / "out" / "shared.json").write_text('{"seconds": 1.0, "notes": []}')
    with pytest.raises(PipelineError, match="among another number of trainings here; now it would be divided among 6"):
        proved(pictures, tmp_path / "out", of_transfer(0.2), seeds=3, budget=Budget(8.0))


@pytest.mark.parametrize("name", ["shared.json", "starts.json"])
def test_damage_to_what_a_proof_keeps_is_refused_with_its_file(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path, name: str
) -> None:
    proved(pictures, tmp_path / "out", of_transfer(0.2), seeds=1)
    (tmp_path / "out" / name).write_text('{"seconds": ')
    with pytest.raises(PipelineError, match="cannot be read") as caught:
        proved(pictures, tmp_path / "out", of_transfer(0.2), seeds=1)
    assert (caught.value.code, caught.value.path) == ("weights-mismatch", tmp_path / "out" / name)


def test_without_a_limit_further_seeds_are_added(pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path) -> None:
    proved(pictures, tmp_path / "out", of_transfer(0.2), seeds=1)
    played = of_transfer(0.2)
    assert len(proved(pictures, tmp_path / "out", played, seeds=3).pairs) == 3
    assert len(played.done) == 4


def test_warnings_of_the_trainings_are_told_of_the_proof_also_when_they_were_done_before(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    late, few = Finding("budget", "warning", "no step fits"), Finding("budget", "note", "about 40 steps fit")
    played = of_transfer(0.2)
    played.warned = lambda run: (late, few) if run.way.start else (few,)
    found = proved(pictures, tmp_path / "out", played)
    assert found.notes[-1] == "3 of 6 trainings: no step fits"
    assert "3 of 6 trainings: no step fits" in found.table().splitlines()
    assert proved(pictures, tmp_path / "out", of_transfer(0.2)).to_json() == found.to_json()
    assert json.loads((tmp_path / "out" / "transfer.json").read_text())["notes"] == list(found.notes)


def test_no_seed_is_refused(pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one seed at least"):
        proved(pictures, tmp_path / "out", of_transfer(0.2), seeds=0)


def test_progress_says_which_training_it_is_of(pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path) -> None:
    told: list[str] = []
    proved(
        pictures, tmp_path / "out", of_transfer(0.2), seeds=1, progress=lambda done, total, words: told.append(words)
    )
    assert told == ["scratch, seed 5 (1 of 2): step", "transfer, seed 5 (2 of 2): step"]


def test_a_source_is_known_by_its_bytes_and_shown_without_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"one")
    (tmp_path / "b.pt").write_bytes(b"one")
    assert Way("x", Start(str(tmp_path / "a.pt"))).digest() == Way("x", Start(str(tmp_path / "b.pt"))).digest()
    shown = shown_source(str(tmp_path / "a.pt"))
    assert shown.startswith("a.pt (SHA-256 ")
    assert str(tmp_path) not in shown
    assert shown_source("hf:org/repo") == "hf:org/repo"
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "weights.safetensors").write_bytes(b"one")
    assert digest_of_source(str(tmp_path / "pipeline")) == digest_of_source(str(tmp_path / "a.pt"))
    assert len(digest_of_source("mr-hippocampus")) == 64
    (tmp_path / "bundle" / "models").mkdir(parents=True)
    (tmp_path / "bundle" / "models" / "model.pt").write_bytes(b"one")
    assert digest_of_source(str(tmp_path / "bundle")) == digest_of_source(str(tmp_path / "a.pt"))
    with pytest.raises(PipelineError, match="no such file"):
        digest_of_source(str(tmp_path / "c.pt"))


def test_what_identifies_a_way_is_as_earlier_versions_kept_it() -> None:
    source = sha256_of(Path("weights.pt"))
    assert Way("scratch").digest() == sha256_of_text(["scratch", "full", "False"])
    assert Way("x", Start("weights.pt", "head", partial=True)).digest() == sha256_of_text([source, "head", "True"])


def test_a_proof_that_starts_from_the_hub_is_of_one_commit(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = ["one"]

    def fetch(self: Hub, wanted: HubReference, *, limit_bytes: int) -> Fetched:
        commit = wanted.revision or commits[-1]
        return Fetched(Path("weights.pt"), f"hf:org/repo@{commit}:w.pt", sha256_of(Path("weights.pt")), None)

    monkeypatch.setattr(Hub, "fetch", fetch)
    played = of_transfer(0.2)
    played.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        proved(pictures, tmp_path / "out", played, source="hf:org/repo")
    taken = f"hf:org/repo@one:w.pt#sha256={sha256_of(Path('weights.pt'))}"
    assert played.done[1].way.start == Start(taken, "full")
    proved(pictures, tmp_path / "out", of_transfer(0.2), source="hf:org/repo")
    told = json.loads((tmp_path / "out" / "transfer.json").read_text())
    assert told["source"] == taken
    commits.append("two")  # the hub moves on; what has begun does not
    played = of_transfer(0.2)
    assert proved(pictures, tmp_path / "out", played, source="hf:org/repo").source == taken
    assert not played.done
    named = f"hf:org/repo@two:w.pt#sha256={sha256_of(Path('weights.pt'))}"
    ways = (Way("scratch"), Way("other", Start("hf:org/repo@two")))
    assert pin_starts(ways, tmp_path / "out", keep=False)[1].start == Start(named)
    with pytest.raises(PipelineError, match="another start"):
        proved(pictures, tmp_path / "out", of_transfer(0.2), source="hf:org/repo@two")
    (again,) = pin_starts((Way("transfer", Start("hf:org/repo")),), tmp_path / "out")
    assert again.start == Start(taken), "still known"


def test_settings_that_a_training_would_write_over_are_refused_at_once(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    for place in ("out", "out/transfer-6"):
        settings = PipelineFolder.open(write_settings(tmp_path / place, **CLASSES))
        played = of_transfer(0.2)
        with pytest.raises(UsageError, match="would be written over"):
            proved((settings, pictures[1]), tmp_path / "out", played)
        assert played.done == []
        (tmp_path / place / "pipeline.toml").unlink()


def settings_of(tmp_path: Path, **values: object) -> Settings:
    return PipelineFolder.open(write_settings(tmp_path / "s", **values)).settings


def test_where_no_case_has_a_dice_nothing_is_compared(tmp_path: Path) -> None:
    runs = [[Scored("a", "p", dice={"x": None})], [Scored("a", "p", dice={"x": 0.5})]]
    with pytest.raises(InputError, match="no held-out case"):
        comparable(runs, settings_of(tmp_path, **MASKS))


def test_more_than_two_classes_are_compared_by_their_mean_auc(tmp_path: Path) -> None:
    names = ("x", "y", "z")
    scored = [
        Scored(str(n), str(n), probabilities={name: float(name == names[n % 3]) for name in names}, truth=names[n % 3])
        for n in range(6)
    ]
    assert comparable([scored], settings_of(tmp_path, **CLASSES)).of_run(0) == 1.0


def test_several_labels_are_compared_by_the_mean_auc_of_those_that_can_be_told(tmp_path: Path) -> None:
    marks: list[tuple[bool | None, bool]] = [(True, True), (False, True), (None, True), (False, True)]
    chances = [(0.9, 0.1), (0.1, 0.2), (1.0, 0.3), (0.9, 0.4)]
    scored = [
        Scored(
            str(n), str(n), probabilities=dict(zip("ab", said, strict=True)), marks=dict(zip("ab", true, strict=True))
        )
        for n, (said, true) in enumerate(zip(chances, marks, strict=True))
    ]
    assert comparable([scored], settings_of(tmp_path, **CLASSES)).of_run(0) == 0.75
    assert comparable([scored[2:]], settings_of(tmp_path, **CLASSES)).of_run(0) is None


def test_values_are_compared_by_their_error_in_standard_deviations(tmp_path: Path) -> None:
    settings = SimpleNamespace(task="regression", regression=[SimpleNamespace(sd=2.0), SimpleNamespace(sd=None)])
    truths: list[tuple[float, float | None]] = [(1.0, 5.0), (3.0, None)]
    scored = [
        Scored(str(n), str(n), values={"a": 2.0, "b": 4.0}, truths=dict(zip("ab", true, strict=True)))
        for n, true in enumerate(truths)
    ]
    found = comparable([scored], settings)  # type: ignore[arg-type]
    assert found.of_run(0) == -(0.5 + 1.0) / 2
    unknown = [Scored("c", "c", values={"a": 2.0, "b": 4.0}, truths={"a": None, "b": None})]
    assert comparable([unknown], settings).of_run(0) is None  # type: ignore[arg-type]


def test_a_figure_that_is_not_defined_is_none_and_drawn_nowhere(tmp_path: Path) -> None:
    """All held-out pictures are of one class."""
    import numpy as np

    data = write_pictures(tmp_path / "p.npz")
    arrays = dict(np.load(data))
    arrays["val_labels"][:] = 0
    np.savez(data, **arrays)
    pipeline = PipelineFolder.open(write_settings(tmp_path / "s", **CLASSES))
    found = proved((pipeline, [data]), tmp_path / "out", of_transfer(0.2))
    assert (found.difference.value, found.difference.verdict) == (None, "cannot be told")
    assert "not defined" in found.table()


def test_a_run_says_its_seed(pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path) -> None:
    from medvision.training import Split

    assert Run(Way("scratch"), Split((), ()), pictures[0], tmp_path).seed == 5


def test_real_trainings_from_a_pipeline_leave_plain_pipelines(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    from medvision.workflows.train import train

    folder = write_settings(tmp_path / "s", **CLASSES)
    toml = (folder / "pipeline.toml").read_text()
    small = "blocks = [1, 1, 1, 1]\nchannels = [4, 4, 4, 4]\nstem_kernel = 3\n"
    (folder / "pipeline.toml").write_text(toml.replace('use = "resnet"\n', f'use = "resnet"\n{small}'))
    data = [write_pictures(tmp_path / "p.npz", train=8, val=8)]
    train(PipelineFolder.open(folder), data, tmp_path / "before")
    pipeline = PipelineFolder.open(folder)
    found = prove_transfer(pipeline, data, tmp_path / "out", start=Start(str(tmp_path / "before"), "lora:r=1"), seeds=1)
    assert [(pair.scratch.steps, pair.transfer.steps) for pair in found.pairs] == [(2, 2)]
    weights = {
        name: load_file(path / "weights.safetensors")
        for name, path in [
            ("before", tmp_path / "before"),
            ("scratch", tmp_path / "out" / "scratch-5"),
            ("transfer", tmp_path / "out" / "transfer-5"),
        ]
    }
    assert weights["before"].keys() == weights["scratch"].keys() == weights["transfer"].keys()
    frozen = {name for name, values in weights["before"].items() if (values == weights["transfer"][name]).all()}
    assert {name for name in weights["before"] if "bn" in name and "tracked" not in name} <= frozen
    assert not {"fc.weight", "layer1.0.conv1.weight"} & frozen
    assert PipelineFolder.open(tmp_path / "out" / "transfer-5").weights is not None


@pytest.mark.parametrize("damage", ["fewer", "twice"])
def test_a_run_whose_kept_cases_are_not_those_held_out_is_refused(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path, damage: str
) -> None:
    proved(pictures, tmp_path / "out", of_transfer(0.2), seeds=1)
    (path,) = (tmp_path / "out").glob("scratch-*/run.json")
    content = json.loads(path.read_text())
    first, *others = content["cases"]
    path.write_text(json.dumps({**content, "cases": others if damage == "fewer" else [first, first, *others]}))
    with pytest.raises(PipelineError, match="cannot be read") as caught:
        proved(pictures, tmp_path / "out", of_transfer(0.2), seeds=1)
    assert (caught.value.code, caught.value.path) == ("weights-mismatch", path)


def test_the_interval_of_a_difference_ends_where_differences_do(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    played = Played(lambda run: (3.0 if run.seed == 5 else -3.0) if run.way.start else 0.0)  # two seeds far apart
    difference = proved(pictures, tmp_path / "out", played, seeds=2).difference
    assert (difference.low, difference.high) == (-1.0, 1.0)


def test_a_gain_of_trainings_of_unequal_length_is_no_answer(
    pictures: tuple[PipelineFolder, list[Path]], tmp_path: Path
) -> None:
    played = of_transfer(0.4)
    played.steps = lambda run: 7 if run.way.start else 3
    proof = proved(pictures, tmp_path / "out", played)
    told = proof.to_json()
    assert told["verdict"] == told["difference"]["verdict"] == "cannot be told"
    assert proof.difference.value is not None
    assert proof.difference.value > 0
    assert proof.words.endswith("(the trainings are of unequal length, from 3 steps to 7)")
    played = of_transfer(0.4)
    played.steps = lambda run: 7 if run.way.start else 4
    assert proved(pictures, tmp_path / "alike", played).difference.verdict == "helped"
