"""Trainings refuse to mirror labels that lie left and right, and tell labels that nothing can be learnt of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import spheres

from medvision.errors import PipelineError
from medvision.fingerprint import measure_case
from medvision.geometry import Geometry
from medvision.pipeline import Settings
from medvision.study import Case, Source
from medvision.training import Sample, Split
from medvision.volume import Labels, Volume
from medvision.workflows.training_data.label_doubts import label_findings, require_sides_apart
from medvision.workflows.training_data.noticed import notice
from medvision.workflows.training_data.prepare import PreparedCase

GRID = Geometry.from_spacing((2, 2, 2), (24, 14, 12))
NAMES = {1: "dim", 2: "bright"}


def settings(task: str, labels: Mapping[int, str], **train: Any) -> Settings:
    from pydantic import TypeAdapter

    network: dict[str, Any] = {"use": "dynunet" if task == "segmentation" else "resnet"}
    content = {
        "name": "a", "task": task, "description": "b", "contract": {"shows": "c"}, "labels": labels,
        "network": network, "steps": [{"use": "reorient", "orientation": "RAS"}],
        "train": {"patch": (16, 16, 16)} | train if task == "segmentation" else train,
    }  # fmt: skip
    if task == "regression":
        content["regression"] = [{"unit": "year"} for _ in labels]
    return TypeAdapter(Settings).validate_python(content)


def mask(number: int, *, stored: set[int], kept: set[int], **stated: str) -> PreparedCase:
    image, labels = spheres(GRID, seed=number)
    volume = Volume(image[None], GRID)
    before, after = (np.where(np.isin(labels, list(numbers)), labels, 0) for numbers in (stored, kept))
    case = Case(f"c{number}", (Source("nifti", (Path("a.nii"),)),), attributes=stated)
    figures = measure_case(volume, Labels(before, GRID, NAMES), id=case.id)
    return PreparedCase(case, Sample(case.id, image[None], after), "", "", "", figures, ())


def classed(number: int, target: Any) -> PreparedCase:
    case = Case(f"c{number}", (Source("nifti", (Path("a.nii"),)),))
    image = np.zeros((1, 4, 4, 4), np.float32)
    figures = measure_case(Volume(image, Geometry.from_spacing((1, 1, 1), (4, 4, 4))), target)
    return PreparedCase(case, Sample(case.id, image, 0), "", "", "", figures, ())


WHOLE = [mask(number, stored={1, 2}, kept={1, 2}) for number in range(4)]
MIRRORED = settings("segmentation", NAMES, augmentation={"mirror_axes": (0,)})


def test_labels_that_lie_left_and_right_are_not_mirrored() -> None:
    with pytest.raises(
        PipelineError, match="'dim' lies to the left of 'bright' in nearly all training cases"
    ) as refused:
        require_sides_apart(WHOLE, MIRRORED)
    assert refused.value.code == "pipeline-invalid"
    require_sides_apart(WHOLE, settings("segmentation", NAMES, augmentation={"mirror_axes": (1,)}))
    require_sides_apart([classed(0, 1)], settings("classification", {0: "a", 1: "b"}))


def test_cases_of_one_stated_side_tell_nothing_by_the_place_of_labels() -> None:
    left = [mask(number, stored={1, 2}, kept={1, 2}, side="left") for number in range(4)]
    require_sides_apart(left, MIRRORED)
    with pytest.raises(PipelineError, match="'dim' lies to the left of 'bright'"):
        require_sides_apart([*left, mask(5, stored={1, 2}, kept={1, 2}, side="right")], MIRRORED)


def test_labels_that_the_steps_leave_no_voxel_of_are_counted() -> None:
    plain = settings("segmentation", NAMES)
    assert label_findings(WHOLE[:3], WHOLE[3:], plain) == []
    thin = [mask(n, stored={1, 2}, kept={2}) for n in range(2)]
    (finding,) = label_findings([*WHOLE[:2], *thin[:1]], thin[1:], plain)
    assert (finding.code, finding.grade) == ("label-lost", "warning")
    assert finding.message == "the steps leave no voxel of 'dim' in 2 of 4 cases that have it"


def test_cases_whose_label_image_is_empty_are_counted_and_named() -> None:
    empty = [mask(number, stored=set(), kept=set()) for number in (7, 8)]
    sides = ([*WHOLE[:3], empty[0]], [WHOLE[3], empty[1]])
    parts = Split(*(tuple(entry.case for entry in side) for side in sides))
    noticed = notice(parts, *sides, settings("segmentation", NAMES))
    (told,) = (finding for finding in noticed.findings if finding.code == "label-empty")
    assert (told.grade, told.message) == ("warning", "2 cases: no voxel has a label")
    assert noticed.named["label-empty"] == ["c7", "c8"]
    assert (
        "label-empty" not in notice(Split(parts.train[:3], ()), sides[0][:3], [], settings("segmentation", NAMES)).named
    )
    classes = [classed(0, (0.0,))]
    assert (
        "label-empty"
        not in notice(Split((classes[0].case,), ()), classes, [], settings("classification", {0: "a", 1: "b"})).named
    )


def test_labels_and_classes_without_a_training_case_are_told() -> None:
    plain = settings("segmentation", NAMES)
    empty = [mask(number, stored=set(), kept=set()) for number in range(2)]
    (finding,) = label_findings(empty, [], plain)
    assert (finding.code, finding.grade) == ("label-absent", "warning")
    assert finding.message == "no training case has 'dim', 'bright': it cannot be learnt"
    (finding,) = label_findings([mask(0, stored={1}, kept={1})], WHOLE[:2], plain)
    assert finding.message == "no training case has 'bright', and 2 held-out cases do: it cannot be learnt"


@pytest.mark.parametrize(
    ("task", "training", "held_out", "words"),
    [
        (
            "classification",
            [0, 1, 0],
            [2, 1],
            ["no training case has 'c', and 1 held-out case does: it cannot be learnt"],
        ),
        ("classification", [0, 1, 2], [1], []),
        ("multilabel", [(1, 0, None), (0, 1, 0)], [(0, 0, 0)], ["no training case has 'c': it cannot be learnt"]),
    ],
)
def test_classes_are_looked_for_by_what_cases_state(
    task: str, training: list[Any], held_out: list[Any], words: list[str]
) -> None:
    plain = settings(task, {0: "a", 1: "b", 2: "c"})
    sides = [[classed(number, target) for number, target in enumerate(side)] for side in (training, held_out)]
    assert [finding.message for finding in label_findings(*sides, plain)] == words


def test_a_label_that_all_training_cases_have_is_told() -> None:
    plain = settings("multilabel", {0: "a", 1: "b", 2: "c"})
    training = [classed(number, target) for number, target in enumerate([(1, 0, 1), (1, 1, None)])]
    held_out = [classed(2, (0, 1, 1)), classed(3, (1, 0, 0)), classed(4, (1, 0, None))]
    (finding,) = label_findings(training, held_out[2:], plain)
    assert (finding.code, finding.grade) == ("label-absent", "warning")
    assert finding.message == "all training cases that state it have 'a', 'c': it cannot be learnt"
    (finding,) = label_findings(training, held_out[1:], plain)
    assert finding.message.endswith(" have 'a', 'c', and 1 held-out case does not: it cannot be learnt")
    (finding,) = label_findings(training, held_out, plain)
    assert finding.message.endswith(" have 'a', 'c', and 2 held-out cases do not: it cannot be learnt")
    assert label_findings([*training, classed(5, (0, 0, 0))], held_out, plain) == []


def test_values_that_few_training_cases_state_are_told() -> None:
    plain = settings("regression", {0: "age", 1: "bmi"})
    full = [classed(number, (61.5, 20.0 + number)) for number in range(6)]
    (finding,) = label_findings(full, [], plain)
    assert (finding.code, finding.grade) == ("too-few-cases", "warning")
    assert finding.message == "'age' is the same in all 6 training cases that state it: it cannot be learnt"
    (finding,) = label_findings([classed(7, (60.0, None)), *full[:5]], full, plain)
    assert finding.message == "'bmi' is known of 5 of 6 training cases: too few to learn it"
    assert label_findings([classed(7, (60.0, None)), *full], [], plain) == []
