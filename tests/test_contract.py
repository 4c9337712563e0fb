"""A case that is not what a pipeline was made for is refused or marked, with what was wanted and what came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from medvision.contract import Contract
from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.study import Case, Source
from medvision.volume import Volume

CASE = Case("a", (Source("nifti", (Path("a.nii"),)),))


def volume(
    spacing: tuple[float, float, float] = (1, 1, 1),
    shape: tuple[int, int, int] = (4, 5, 6),
    *,
    channels: int = 1,
    modality: str | None = "MR",
) -> Volume:
    voxels = np.arange(channels * np.prod(shape), dtype=np.float32).reshape(channels, *shape)
    return Volume(voxels, Geometry.from_spacing(spacing, shape), modality=modality)


def picture() -> Volume:
    return Volume(np.arange(6.0).reshape(1, 2, 3, 1), Geometry.of_picture(2, 3))


def found(contract: Contract, image: Volume, case: Case = CASE) -> list[tuple[str, str]]:
    return [(finding.code, finding.grade) for finding in contract.check(image, case)]


def test_a_case_that_is_as_wanted_gives_no_finding() -> None:
    contract = Contract("x", modality="MR", spacing_mm=(1, 1), extent_mm=(4, 6))
    assert contract.check(volume(), CASE) == ()


def test_a_contract_that_asks_nothing_accepts_any_volume() -> None:
    assert found(Contract("x"), volume((9, 0.1, 1), modality=None)) == []
    assert found(Contract("x"), volume(modality="CT")) == []


@pytest.mark.parametrize(("wanted", "given"), [(("T1",), 2), (("T1", "T2"), 1)])
def test_another_number_of_channels_is_refused_with_the_channels_wanted(wanted: tuple[str, ...], given: int) -> None:
    with pytest.raises(InputError, match=", ".join(wanted)) as caught:
        Contract("x", channels=wanted).check(volume(channels=given), CASE)
    assert (caught.value.code, caught.value.path) == ("channels-differ", Path("a.nii"))
    assert f"got {given}" in str(caught.value)


def test_a_picture_is_no_volume_and_a_volume_no_picture() -> None:
    assert found(Contract("x", dimensions=2), picture()) == []
    for dimensions, image, words in ((3, picture(), "a volume is wanted"), (2, volume(), "a picture is wanted")):
        with pytest.raises(InputError, match=words) as caught:
            Contract("x", dimensions=dimensions).check(image, CASE)  # type: ignore[arg-type]
        assert (caught.value.code, caught.value.path) == ("not-3d", Path("a.nii"))


def test_a_volume_of_one_slice_is_a_picture_with_a_size() -> None:
    upright = volume((1, 1, 5), (4, 5, 1))
    flat = Volume(upright.voxels, upright.geometry.reoriented("LPS"), modality="MR")
    assert found(Contract("x", dimensions=2, spacing_mm=(1, 5)), flat) == []
    # Its rows run upwards, to the front; those of a picture run downwards.
    assert found(Contract("x", dimensions=2), upright) == [("orientation-doubted", "warning")]
    with pytest.raises(InputError, match="a volume is wanted"):
        Contract("x").check(flat, CASE)


@pytest.mark.parametrize(
    ("of_the_file", "of_the_case", "wanted"),
    [
        ("MR", None, []),
        ("CT", None, [("modality-differs", "warning")]),
        ("CT", "MR", [("modality-differs", "warning")]),
        (None, "MR", []),
        (None, "CT", [("modality-differs", "warning")]),
        (None, None, [("modality-unknown", "note")]),
    ],
)
def test_the_modality_is_that_of_the_file_or_else_that_of_the_data_set(
    of_the_file: str | None, of_the_case: str | None, wanted: list[tuple[str, str]]
) -> None:
    case = Case("a", CASE.images, modality=of_the_case)
    assert found(Contract("x", modality="MR"), volume(modality=of_the_file), case) == wanted


@pytest.mark.parametrize(
    ("spacing", "wanted"),
    [((1, 1, 1), []), ((2, 0.5, 1), []), ((1, 1, 2.01), ["spacing-outside"]), ((0.49, 1, 1), ["spacing-outside"])],
)
def test_a_spacing_outside_the_limits_on_any_axis_is_for_review(
    spacing: tuple[float, float, float], wanted: list[str]
) -> None:
    findings = Contract("x", spacing_mm=(0.5, 2)).check(volume(spacing), CASE)
    assert [finding.code for finding in findings] == wanted
    assert all(finding.grade == "warning" for finding in findings)


def test_a_finding_about_a_size_states_it_and_its_limits() -> None:
    (finding,) = Contract("x", extent_mm=(10, 80)).check(volume((2, 2, 20), (10, 20, 5)), CASE)
    assert finding.code == "size-outside"
    assert finding.message == "the field of view is 20 x 40 x 100 mm; 10 to 80 mm is known"


def test_the_rounding_of_a_header_is_not_outside() -> None:
    step = float(np.float32(0.7))
    assert step != 0.7
    assert found(Contract("x", spacing_mm=(0.7, 0.7)), volume((step, step, step))) == []


def test_a_picture_without_a_size_cannot_be_checked_and_says_so() -> None:
    for limits in ({"spacing_mm": (1, 2)}, {"extent_mm": (1, 2)}):
        (finding,) = Contract("x", dimensions=2, **limits).check(picture(), CASE)  # type: ignore[arg-type]
        assert (finding.code, finding.grade) == ("spacing-outside", "warning")
        assert "no physical size" in finding.message


def test_a_size_that_no_file_states_is_assumed_with_a_note_where_the_contract_says_so() -> None:
    contract = Contract("x", spacing_mm=(0.5, 1.5), extent_mm=(60, 68), unsized=True)
    cube = Volume(np.arange(8.0).reshape(1, 2, 2, 2), Geometry(np.eye(4), (2, 2, 2), physical=False))
    (finding,) = contract.check(cube, CASE)
    assert (finding.code, finding.grade) == ("spacing-outside", "note")
    assert "a spacing of 0.5 to 1.5 mm and a field of view of 60 to 68 mm is assumed" in finding.message
    # What states a size is held to the limits all the same.
    assert found(contract, volume((0.4, 0.4, 0.4), (160, 160, 160))) == [("spacing-outside", "warning")]
    assert found(contract, volume((1, 1, 1), (80, 80, 80))) == [("size-outside", "warning")]


def test_a_channel_of_one_value_is_for_review() -> None:
    voxels = np.stack([np.arange(8.0).reshape(2, 2, 2), np.full((2, 2, 2), 7.0)])
    image = Volume(voxels, Geometry.from_spacing((1, 1, 1), (2, 2, 2)))
    (finding,) = Contract("x", channels=("T1", "T2")).check(image, CASE)
    assert (finding.code, finding.grade) == ("constant-image", "warning")
    assert "'T2'" in finding.message


def test_all_that_differs_is_told() -> None:
    contract = Contract("x", modality="MR", spacing_mm=(3, 4), extent_mm=(90, 99))
    codes = [code for code, _ in found(contract, volume(modality="CT"))]
    assert codes == ["modality-differs", "spacing-outside", "size-outside"]


@pytest.mark.parametrize(
    "fields",
    [
        {"dimensions": 4},
        {"channels": ()},
        {"side": "both"},
        {"orientation_margin": 2},
        {"spacing_mm": (2, 1)},
        {"spacing_mm": (0, 1)},
        {"extent_mm": (1, float("inf"))},
        {"extent_mm": (5, 1)},
        {"spacing": (1, 2)},
        {"unsized": True},
    ],
)
def test_a_contract_that_no_case_could_meet_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Contract("x", **fields)


@pytest.mark.parametrize(("greatest", "outside"), [(1, True), (20, True), (200, False), (255, False), (4000, True)])
def test_values_of_another_scale_are_for_review(greatest: float, outside: bool) -> None:
    voxels = np.linspace(0, greatest, 6).reshape(1, 2, 3, 1)
    codes = found(Contract("x", dimensions=2, values=(0, 255)), Volume(voxels, Geometry.of_picture(2, 3)))
    assert codes == ([("values-outside", "warning")] if outside else [])


def test_a_sheared_grid_is_for_review() -> None:
    affine = np.eye(4)
    affine[0, 2] = 1.5
    sheared = Volume(volume().voxels, Geometry(affine, (4, 5, 6)), modality="MR")
    assert found(Contract("x"), sheared) == [("sheared", "warning")]


def test_a_field_of_view_that_can_only_be_a_wrong_unit_is_refused_before_it_costs_memory() -> None:
    with pytest.raises(InputError, match="6000 mm") as caught:
        Contract("x", extent_mm=(1, 80)).check(volume((1000, 1000, 1000)), CASE)
    assert caught.value.code == "size-outside"


def test_where_axes_count_as_nifti_stores_them_an_image_of_another_kind_is_for_review() -> None:
    dicom = Case("a", (Source("dicom", (Path("a"),)),))
    stored = Contract("anything", axes_as_stored=True)
    assert found(stored, volume()) == []
    assert found(stored, volume(), dicom) == [("orientation-doubted", "warning")]
    (finding,) = stored.check(volume(), dicom)
    assert finding.message == "the network takes axes as NIfTI files store them; this is dicom"
    assert "--orientation" in str(finding.cure)
    assert found(Contract("anything"), volume(), dicom) == []
