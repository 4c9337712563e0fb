"""Label images are told from images by their names beside an image's, or by few whole values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from medvision.study import Case, Source
from medvision.workflows.training_data.label_images import holds_labels, labels_by_name


def found(*files: str) -> set[str]:
    paths = [Path("data") / file for file in files]
    cases = [Case(f"case{number}", (Source("nifti", (path,)),)) for number, path in enumerate(paths)]
    return {files[int(name.removeprefix("case"))] for name in labels_by_name(cases)}


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("imagesTr/a.nii.gz", "labelsTr/a.nii.gz"),
        ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"),
        ("p1/flair.nii.gz", "p1/seg.nii.gz"),
        ("p1/p1_t1.nii.gz", "p1/p1_seg.nii.gz"),
        ("a.png", "a_mask.png"),
        ("a.nii", "a-Label.nii"),
        ("images/a.nii.gz", "images/masks/a.nii.gz"),
        ("sub-1_T1w.nii.gz", "derivatives/labels/sub-1_T1w.nii.gz"),
    ],
)
def test_a_file_with_a_telling_name_beside_an_image_of_its_name_is_a_label(image: str, label: str) -> None:
    assert found(image, label) == {label}
    assert found(label) == set(), "alone it says too little"


@pytest.mark.parametrize(
    "files",
    [
        ("a.nii.gz", "b.nii.gz"),
        ("labels.nii.gz.d/a.nii.gz", "b/c.nii.gz"),
        ("p1/seg.nii.gz", "p2/flair.nii.gz"),
        ("mask_of_a.png", "a.png"),
        ("segment/a.nii.gz", "other/a.nii.gz"),
    ],
)
def test_other_files_stay_images(files: tuple[str, ...]) -> None:
    assert found(*files) == set()


def test_what_does_not_lie_in_a_file_of_its_own_stays_an_image() -> None:
    image = Case("a", (Source("nifti", (Path("a.nii.gz"),)),))
    series = Case("s", (Source("dicom", (Path("masks/a"), Path("masks/b"))),))
    picture = Case("n", (Source("npz", (Path("a_mask.npz"),), ("train_images", 0)),))
    assert labels_by_name([image, series, picture]) == {}


def test_the_reason_names_the_image_and_the_file() -> None:
    cases = [Case(n, (Source("nifti", (Path(n),)),)) for n in ("a.nii.gz", "a_seg.nii.gz")]
    finding = labels_by_name(cases)["a_seg.nii.gz"]
    assert (finding.code, finding.grade, finding.path) == ("label-as-image", "note", Path("a_seg.nii.gz"))
    assert finding.message == "its name says that it is a label of a.nii.gz"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 1, 2]), True),
        (np.array([0.0, 255.0], np.float32), True),
        (np.arange(16), True),
        (np.arange(17), False),
        (np.array([0, 0.5]), False),
        (np.zeros(5), False),
        (np.append(np.zeros(300_000), np.arange(40)), False),
        (np.append(np.zeros(300_000), 1), True),
    ],
    ids=["three", "two of a picture", "16", "17", "a half", "one", "many in a corner", "a small structure"],
)
def test_few_whole_values_are_those_of_a_label(values: NDArray[Any], expected: bool) -> None:
    assert holds_labels(values) is expected
