"""Images that lie like one volume and are none: other echoes, types, persons, parts that are not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import positional, write_dicom_series

import medvision as mv
from medvision.geometry import Geometry

GRID = Geometry(np.diag([-1.0, -1.0, 3.0, 1.0]), (6, 5, 12))


def loaded(folder: Path, slices: Mapping[int, Mapping[str, Any]], modality: str = "MR", **tags: Any) -> Any:
    write_dicom_series(folder, positional(GRID), GRID, modality=modality, slices=slices, **tags)
    return mv.load(folder)


def of_halves(keyword: str, one: Any, other: Any, *, interleaved: bool) -> dict[int, dict[str, Any]]:
    return {k: {keyword: one if (k % 2 if interleaved else k < 6) else other} for k in range(12)}


KINDS = [
    ("ImageType", ["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]),
    ("EchoTime", 10, 80),
    ("EchoNumbers", 1, 2),
    ("InversionTime", 100, 900),
]


@pytest.mark.parametrize(("keyword", "one", "other"), KINDS)
@pytest.mark.parametrize("interleaved", [True, False])
def test_images_of_two_kinds_in_other_places_are_two_volumes(
    tmp_path: Path, keyword: str, one: Any, other: Any, interleaved: bool
) -> None:
    found = loaded(tmp_path, of_halves(keyword, one, other, interleaved=interleaved))
    assert sorted(volume.geometry.shape for volume in found.volumes.values()) == [(6, 5, 6)] * 2
    for volume in found.volumes.values():
        assert np.array_equal(volume.voxels[0], positional(volume.geometry))


@pytest.mark.parametrize(("keyword", "one", "other"), [*KINDS[:3], ("DiffusionBValue", 0.0, 1000.0)])
def test_one_image_of_another_kind_refuses_the_series_and_is_named(
    tmp_path: Path, keyword: str, one: Any, other: Any
) -> None:
    found = loaded(tmp_path, {k: {keyword: other if k == 4 else one} for k in range(12)})
    assert not found.volumes
    assert [finding.code for finding in found.rejected] == ["series-mixed"]
    assert found.rejected[0].path == tmp_path / f"{12 - 4:04d}.dcm"


@pytest.mark.parametrize(
    ("keyword", "one", "other"), [("ConvolutionKernel", "B30f", "B70f"), ("KVP", 80, 140), ("FlipAngle", 5, 30)]
)
def test_slices_taken_in_two_ways_are_for_review(tmp_path: Path, keyword: str, one: Any, other: Any) -> None:
    found = loaded(tmp_path, of_halves(keyword, one, other, interleaved=False), "CT")
    (volume,) = found.volumes.values()
    assert [(finding.code, finding.grade) for finding in volume.findings] == [("technique-differs", "warning")]


@pytest.mark.parametrize(
    ("keyword", "one", "other"),
    [("PatientName", "Doe^Jane", "Roe^Ann"), ("PatientBirthDate", "19170203", "19800101"), ("PatientSex", "F", "M")],
)
def test_two_persons_without_an_id_are_never_one_volume(tmp_path: Path, keyword: str, one: str, other: str) -> None:
    found = loaded(tmp_path, of_halves(keyword, one, other, interleaved=False), PatientID=None)
    assert not found.volumes
    assert [finding.code for finding in found.rejected] == ["series-mixed"]
    assert one not in str(found.rejected[0])
    assert other not in str(found.rejected[0])


def test_a_name_in_other_capitals_and_with_empty_parts_is_the_same_person(tmp_path: Path) -> None:
    slices = of_halves("PatientName", "Doe^Jane", "DOE^JANE^^^", interleaved=True)
    assert len(loaded(tmp_path, slices).volumes) == 1


def test_slices_that_the_header_counts_and_that_are_not_there_are_missed(tmp_path: Path) -> None:
    pet = loaded(tmp_path / "pet", {}, "PT", NumberOfSlices=14)
    assert [finding.code for finding in pet.rejected] == ["slices-missing"]
    assert "12 of 14" in pet.rejected[0].message
    (volume,) = loaded(tmp_path / "ct", {}, "CT", ImagesInAcquisition=14).volumes.values()
    assert [(finding.code, finding.grade) for finding in volume.findings] == [("slices-missing", "warning")]
    (whole,) = loaded(tmp_path / "whole", {}, "CT", ImagesInAcquisition=12).volumes.values()
    assert whole.findings == ()
    (mr,) = loaded(tmp_path / "mr", {}, "MR", ImagesInAcquisition=48).volumes.values()
    assert mr.findings == ()  # it counts echoes and times too


def test_parts_of_a_concatenation_that_are_not_there_are_missed(tmp_path: Path) -> None:
    parts = {
        k: {"ConcatenationUID": "1.2.3", "InConcatenationNumber": 1 + k // 6, "InConcatenationTotalNumber": 3}
        for k in range(12)
    }
    assert [finding.code for finding in loaded(tmp_path / "a", parts).rejected] == ["slices-missing"]
    whole = {k: {**stated, "InConcatenationTotalNumber": 2} for k, stated in parts.items()}
    assert len(loaded(tmp_path / "b", whole).volumes) == 1


def test_acquisition_numbers_that_the_times_contradict_refuse_the_series(tmp_path: Path) -> None:
    for time in range(2):
        swapped = {
            k: {
                "AcquisitionTime": f"10{time:02d}00",
                "AcquisitionNumber": (time if k % 2 else 1 - time) + 1,
                "SOPInstanceUID": f"1.2.{time}.{k}",
            }
            for k in range(12)
        }
        write_dicom_series(tmp_path / str(time), positional(GRID) + 1000 * time, GRID, modality="MR", slices=swapped)
    found = mv.load(tmp_path)
    assert not found.volumes
    assert {finding.code for finding in found.rejected} == {"series-mixed"}
