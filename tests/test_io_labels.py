from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from phantoms import write_nifti

from medvision.errors import Finding, InputError
from medvision.geometry import Geometry
from medvision.io import read_labels
from medvision.study import Case, Reading, Source
from medvision.volume import Labels

GRID = Geometry.from_spacing((1, 2, 3), (3, 4, 5))


def labels_of(path: Path, *names: int, part: int | None = None) -> Labels:
    image = Source("nifti", (path,))
    case = Case("c", (image,), label=Source("nifti", (path,), part=part, reading=Reading(assume_ras=True)))
    return read_labels(case, {number: f"label {number}" for number in names}, GRID)


def refusal_of(path: Path, *names: int) -> Finding:
    with pytest.raises(InputError) as caught:
        labels_of(path, *names)
    assert caught.value.path == path
    return caught.value.finding


def values_with(kind: str, *others: float) -> np.ndarray:
    values = np.zeros(GRID.shape, kind)
    values.ravel()[: len(others)] = others
    return values


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", ">i4", ">f8"])
def test_whole_numbers_are_read_exactly_from_every_type(tmp_path: Path, kind: str) -> None:
    values = values_with(kind, 1, 7, 100)
    path = write_nifti(tmp_path / "l.nii", values.astype(kind.replace(">", "<")), GRID)
    assert np.array_equal(labels_of(path, 1, 7, 100).voxels, values)


@pytest.mark.parametrize(("kind", "most"), [("f4", 2**24 - 1), ("f8", 2**31 - 1), ("i4", 2**31 - 1), ("u8", 2**31 - 1)])
def test_large_labels_are_exact_up_to_the_limit_of_their_type(tmp_path: Path, kind: str, most: int) -> None:
    path = write_nifti(tmp_path / "l.nii", values_with(kind, most, most - 1), GRID)
    assert np.unique(labels_of(path, most, most - 1).voxels).tolist() == [0, most - 1, most]


def test_float32_labels_that_may_have_been_merged_are_refused(tmp_path: Path) -> None:
    values = values_with("f4", 2**24, 2**24 + 1)
    assert np.unique(values).tolist() == [0, 2**24]  # what has been lost
    refused = refusal_of(write_nifti(tmp_path / "l.nii", values, GRID), 2**24)
    assert refused.code == "bad-labels"
    assert "16,777,216" in refused.message
    assert "integers" in str(refused.cure)


@pytest.mark.parametrize(("kind", "value"), [("u8", 2**64 - 1), ("i8", 2**40), ("u4", 2**32 - 1), ("f8", 1e300)])
def test_labels_beyond_32_bits_are_refused(tmp_path: Path, kind: str, value: float) -> None:
    assert refusal_of(write_nifti(tmp_path / "l.nii", values_with(kind, value), GRID)).code == "bad-labels"


@pytest.mark.parametrize("kind", ["i1", "i8", "f4"])
def test_negative_labels_are_refused(tmp_path: Path, kind: str) -> None:
    refused = refusal_of(write_nifti(tmp_path / "l.nii", values_with(kind, -1), GRID))
    assert "-1" in refused.message


@pytest.mark.parametrize(
    ("others", "text"),
    [
        ((1.5, 2, 0.25), "2 of 60 values are not whole numbers, e.g. 1.5"),
        ((np.nan,), "1 of 60"),
        ((np.inf, 1), "1 of 60"),
    ],
)
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_values_that_are_not_whole_are_counted_and_one_is_named(
    tmp_path: Path, kind: str, others: tuple[float, ...], text: str
) -> None:
    refused = refusal_of(write_nifti(tmp_path / "l.nii", values_with(kind, *others), GRID), 1, 2)
    assert refused.code == "bad-labels"
    assert text in refused.message


def test_scaled_labels_are_whole_as_far_as_the_headers_slope_can_say(tmp_path: Path) -> None:
    values = values_with("i2", 10, 30)
    path = write_nifti(tmp_path / "l.nii", values, GRID, scl_slope=0.1)  # as float32: 0.100000001
    assert np.array_equal(labels_of(path, 1, 3).voxels, values // 10)
    path = write_nifti(tmp_path / "l.nii", values_with("i2", 20, 30), GRID, scl_slope=0.25)
    assert "1 of 60 values are not whole numbers, e.g. 7.5" in refusal_of(path, 5).message
    path = write_nifti(tmp_path / "l.nii", values, GRID, scl_slope=1e6)
    assert "float32 merges" in refusal_of(path).message
    path = write_nifti(tmp_path / "l.nii", values, GRID, scl_slope=3e38)
    assert "2 of 60" in refusal_of(path).message


def test_a_label_file_is_read_as_its_source_says(tmp_path: Path) -> None:
    both = np.stack([values_with("u1", 1), values_with("u1", 2)], axis=-1)
    path = write_nifti(tmp_path / "l.nii", both, GRID, sform_code=0, qform_code=0)
    assert labels_of(path, 1, 2, part=1).voxels.max() == 2
    with pytest.raises(InputError, match="not-3d"):
        labels_of(path, 1, 2)
