"""Which images weights have seen travels with them, and a comparison on such images is refused or told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import SPHERES_TOML, write_sphere_data
from stubbed_training import CLASSES, Played, write_pictures, write_settings

from medvision.errors import InputError, PipelineError
from medvision.files import sha256_of
from medvision.pipeline import SEEN, PipelineFolder, builtin_names
from medvision.pipeline import copy as copy_pipeline
from medvision.study import Case, Source
from medvision.training import Split
from medvision.workflows.comparing.ways import Way
from medvision.workflows.evaluate import evaluate
from medvision.workflows.learning_curve import CurveDesign, learning_curve
from medvision.workflows.run import run
from medvision.workflows.starting.seen import (
    Seen,
    evaluation_note,
    notes_of_starts,
    seen_by_start,
    seen_of_source,
    start_findings,
)
from medvision.workflows.train import Start, train

HASHES = {name: name * 64 for name in "abcdef"}
"""The hash of an image of each name."""


def weights(folder: Path, seen: Seen | None = None) -> str:
    """Write a folder of weights that nobody loads, with what they have seen, and return its name."""
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"weights")
    sha256 = sha256_of(folder / "weights.safetensors")
    (folder / "weights.json").write_text(json.dumps({"sha256": sha256}))
    if seen is not None:
        seen.write(folder / SEEN, weights_sha256=sha256)
    return str(folder)


def seen(**names: str) -> Seen:
    """Return what has seen the images of these names, a letter each."""
    return Seen.of(**{kind: [HASHES[name] for name in letters] for kind, letters in names.items()})


def parts() -> Split:
    """Train on a to d, hold out e and f."""
    cases = [Case(name, (Source("npz", (Path("x"),), ("x", 0)),), label=0) for name in HASHES]
    return Split(tuple(cases[:4]), tuple(cases[4:]))


def test_what_was_seen_is_written_and_read_by_the_start_of_each_hash(tmp_path: Path) -> None:
    known = seen(trained="ba", chosen="c", unlabelled="d")
    known.write(tmp_path / SEEN, weights_sha256="w")
    told = json.loads((tmp_path / SEEN).read_text())
    assert told["trained"] == ["a" * 16, "b" * 16]
    assert Seen.read(tmp_path / SEEN, weights_sha256="w") == Seen.read(tmp_path / SEEN) == known
    assert Seen.read(tmp_path / SEEN, weights_sha256="of others") is None
    assert Seen.read(tmp_path / "none") is None
    assert known.among(HASHES.values()) == {"trained": 2, "chosen": 1, "unlabelled": 1}


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"weights_sha256": "w", "trained": 1, "chosen": [], "unlabelled": [], "complete": true}'],
)
def test_a_damaged_list_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / SEEN).write_text(content)
    with pytest.raises(PipelineError, match="cannot be read"):
        Seen.read(tmp_path / SEEN)


@pytest.mark.parametrize("change", [{"trained": ["a" * 16]}, {"complete": True}, {"weights_sha256": "of others"}])
def test_a_list_that_has_been_changed_by_hand_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    seen(trained="ab").and_also(None).write(tmp_path / SEEN, weights_sha256="w")
    told = json.loads((tmp_path / SEEN).read_text())
    (tmp_path / SEEN).write_text(json.dumps(told | change))
    with pytest.raises(PipelineError, match="has been changed since it was written") as caught:
        Seen.read(tmp_path / SEEN, weights_sha256="w")
    assert (caught.value.code, caught.value.path) == ("weights-mismatch", tmp_path / SEEN)
    del told["sha256"]  # as an earlier version wrote it
    (tmp_path / SEEN).write_text(json.dumps(told))
    assert Seen.read(tmp_path / SEEN, weights_sha256="w") == seen(trained="ab").and_also(None)


@pytest.mark.parametrize("name", builtin_names())
def test_what_shipped_weights_have_seen_is_sealed(name: str) -> None:
    opened = PipelineFolder.open(name)
    found = Seen.read(opened.folder / SEEN, weights_sha256=opened.require_weights().sha256)
    assert found is not None
    assert found.trained
    assert "sha256" in json.loads((opened.folder / SEEN).read_bytes())


def test_what_weights_started_from_has_seen_they_have_seen_too() -> None:
    both = seen(trained="a", chosen="c").and_also(seen(trained="b", unlabelled="d"))
    assert both == seen(trained="ab", chosen="c", unlabelled="d")
    assert both.complete
    foreign = seen(trained="a").and_also(None)
    assert (foreign.complete, foreign.trained) == (False, seen(trained="a").trained)
    assert not seen(trained="b").and_also(foreign).complete


def test_an_image_that_was_seen_twice_counts_once_as_what_matters_more() -> None:
    twice = seen(trained="a", chosen="ab", unlabelled="abc")
    assert twice.among(HASHES.values()) == {"trained": 1, "chosen": 1, "unlabelled": 1}


def test_what_a_training_started_from_is_kept_when_the_source_is_gone(tmp_path: Path) -> None:
    source, kept = weights(tmp_path / "w", seen(trained="a")), tmp_path / "checkpoints"
    assert seen_by_start(None, kept) == Seen()
    assert seen_by_start(source, kept) == seen(trained="a")
    (tmp_path / "w" / SEEN).unlink()
    assert seen_by_start(source, kept) == seen(trained="a")
    assert seen_of_source(source) is None
    foreign = seen_by_start(source, tmp_path / "other")
    assert not foreign.complete
    (tmp_path / "a.pt").write_bytes(b"foreign")
    assert seen_of_source(str(tmp_path / "a.pt")) is None


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"trained": "ae"}, "1 of 2 held-out images are among those that the weights which this started from were tr"),
        ({"chosen": "ef"}, "2 of 2 held-out images are among those that the weights which this started from were ch"),
        ({"unlabelled": "f"}, "1 of 2 held-out images were seen without labels before: figures on them are too good"),
    ],
)
def test_a_training_is_told_which_held_out_images_its_start_has_seen(known: Mapping[str, str], words: str) -> None:
    (told,) = start_findings(seen(**known), [HASHES["e"], HASHES["f"]])
    assert (told.code, told.grade) == ("split-leak", "warning")
    assert told.message.startswith(words)
    assert start_findings(seen(**known), [HASHES["b"]]) == start_findings(None, HASHES.values()) == ()


def test_a_comparison_with_weights_that_were_trained_on_held_out_images_is_refused(tmp_path: Path) -> None:
    source = weights(tmp_path / "w", seen(trained="abf"))
    with pytest.raises(InputError, match="other was trained on 1 of 2 held-out images with their labels") as caught:
        notes_of_starts({"scratch": None, "other": source}, parts(), HASHES)
    assert caught.value.code == "split-leak"


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"trained": "abc"}, ["w has seen 3 of 4 images to train on with their labels before"]),
        ({"unlabelled": "abef"}, ["w has seen 2 of 2 held-out images without labels"]),
        ({"chosen": "e"}, ["w: 1 of 2 held-out images had chosen these weights"]),
        ({}, []),
        (None, ["w: it is not known on which images these weights were trained; held-out ones may be among them"]),
    ],
)
def test_what_weights_knew_before_is_told_of_a_comparison(
    tmp_path: Path, known: Mapping[str, str] | None, words: list[str]
) -> None:
    source = weights(tmp_path / "w", None if known is None else seen(**known))
    assert list(notes_of_starts({"w": source}, parts(), HASHES)) == words


def test_no_training_of_a_curve_is_done_where_one_start_knows_the_answers(tmp_path: Path) -> None:
    source = weights(tmp_path / "w", seen(trained="a"))
    settings = PipelineFolder.open(write_settings(tmp_path / "s", **CLASSES))
    data = write_pictures(tmp_path / "p.npz")
    played = Played(lambda _: 0.0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("medvision.workflows.learning_curve.Workbench", played.at)
        patched.setattr("medvision.workflows.learning_curve.trainer_at", played.trainer_at)
        patched.setattr(
            Played, "digests", lambda self: {c.id: HASHES["a"] for c in (*self.parts.train, *self.parts.val)}
        )
        with pytest.raises(InputError, match="w was trained on 64 of 64 held-out images"):
            learning_curve(
                settings, [data], tmp_path / "out", CurveDesign((8,), 1, (Way("scratch"), Way("w", Start(source))))
            )
    assert played.done == []


def test_an_evaluation_says_whether_its_images_are_new_to_the_weights() -> None:
    images = [HASHES["e"], HASHES["f"]]
    assert evaluation_note(seen(trained="f", chosen="e"), images).startswith(
        "Not held out: the weights were trained on 1"
    )
    assert evaluation_note(seen(trained="a", chosen="e"), images).startswith(
        "Optimistic: the weights were chosen among ot"
    )
    assert evaluation_note(seen(trained="a", unlabelled="ef"), images).startswith(
        "The weights were pretrained on 2 of "
    )
    assert evaluation_note(seen(trained="a"), images) == (
        "None of these images is one that the weights were trained on, voxel by voxel; "
        "copies that were mirrored, turned, cropped or resampled, "
        "and other images of their patients, cannot be told"
    )
    unknown = "Whether the weights were trained on any of these images is not known"
    assert evaluation_note(None, []) == evaluation_note(seen(trained="a").and_also(None), images) == unknown


def test_what_was_seen_is_copied_with_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights(tmp_path / "w", seen(trained="a"))
    for name in ("pipeline.toml", "card.md"):
        (tmp_path / "w" / name).write_text("")
    monkeypatch.setattr("medvision.pipeline.folder.find", lambda name: tmp_path / str(name))
    assert tmp_path / "c" / SEEN in copy_pipeline("w", tmp_path / "c", weights=True)
    assert tmp_path / "d" / SEEN not in copy_pipeline("w", tmp_path / "d")


def test_a_training_leaves_what_it_has_seen_and_the_next_and_an_evaluation_tell_of_it(tmp_path: Path) -> None:
    data, settings = write_sphere_data(tmp_path / "data"), tmp_path / "settings"
    settings.mkdir()
    short = SPHERES_TOML.replace("epochs = 4", "epochs = 2\nvalidate_every = 1").replace(
        "steps_per_epoch = 40", "steps_per_epoch = 2"
    )
    (settings / "pipeline.toml").write_text(short)
    opened = PipelineFolder.open(settings)
    first = train(opened, [data], tmp_path / "first")
    known = Seen.read(
        tmp_path / "first" / SEEN, weights_sha256=PipelineFolder.open(first.folder).require_weights().sha256
    )
    assert known is not None
    assert (len(known.trained), len(known.chosen), known.complete) == (len(first.train), len(first.val), True)
    second = train(opened, [data], tmp_path / "second", start=Start(str(first.folder)), seed=1)
    shared = set(second.val) & set(first.train)
    told = [finding.message for finding in second.findings if finding.code == "split-leak"]
    assert shared
    assert told[0].startswith(f"{len(shared)} of {len(second.val)} held-out images are among those")
    later = Seen.read(tmp_path / "second" / SEEN)
    assert later is not None
    assert known.trained < later.trained
    trained = PipelineFolder.open(first.folder)
    run(trained, [data], tmp_path / "results")
    found = evaluate(tmp_path / "results", trained, [data])
    assert found.seen == {"trained": len(first.train), "chosen": len(first.val), "unlabelled": 0}
    assert found.to_json()["seen"] == found.seen
    assert f"Not held out: the weights were trained on {len(first.train)} of these" in found.notes[-1]
    (first.folder / SEEN).unlink()
    unknown = evaluate(tmp_path / "results", trained, [data])
    assert (unknown.seen, unknown.notes[-1][-12:]) == (None, "is not known")
