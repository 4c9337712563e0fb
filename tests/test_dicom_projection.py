from __future__ import annotations

import numpy as np
import pytest
from dicom_frames import picture

from medvision.errors import GeometryError
from medvision.io.dicom.projection import picture_grid, projection_grid


def codes(findings: object) -> list[tuple[str, str]]:
    return [(finding.code, finding.grade) for finding in findings]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("letters", "along_row", "along_column"),
    [
        (("L", "F"), (-1, 0, 0), (0, 0, -1)),
        (("P", "F"), (0, -1, 0), (0, 0, -1)),
        (("A", "H"), (0, 1, 0), (0, 0, 1)),
        (("R", "P"), (1, 0, 0), (0, -1, 0)),
        (("AL", "FR"), (0, 1, 0), (0, 0, -1)),
    ],
)
def test_rows_and_columns_point_where_patient_orientation_says(
    letters: tuple[str, str], along_row: tuple[int, ...], along_column: tuple[int, ...]
) -> None:
    grid, findings = projection_grid(picture(patient_orientation=letters, pixel_spacing=(0.25, 0.5)))
    assert grid.affine[:3, 0].tolist() == [0.5 * x for x in along_row]
    assert grid.affine[:3, 1].tolist() == [0.25 * x for x in along_column]
    assert np.linalg.norm(grid.affine[:3, 2]) == 1
    assert grid.shape == (5, 6, 1)
    assert codes(findings) == [("spacing-source", "note"), ("one-slice", "note")]


def test_the_spacing_at_the_detector_is_a_warning_and_pixel_spacing_goes_before_it() -> None:
    both = picture(patient_orientation=("L", "F"), pixel_spacing=(0.2, 0.2), imager_spacing=(0.4, 0.4))
    grid, findings = projection_grid(both)
    assert grid.spacing_mm[:2] == pytest.approx((0.2, 0.2))
    assert codes(findings)[0] == ("spacing-source", "note")
    grid, findings = projection_grid(picture(patient_orientation=("L", "F"), imager_spacing=(0.4, 0.3)))
    assert grid.spacing_mm[:2] == pytest.approx((0.3, 0.4))
    assert codes(findings)[0] == ("spacing-source", "warning")


def test_without_any_spacing_the_axes_count_pixels_and_that_is_a_warning() -> None:
    grid, findings = projection_grid(picture())
    assert not grid.physical
    assert codes(findings) == [("spacing-source", "warning")]


@pytest.mark.parametrize("letters", [(), ("", "")])
def test_without_directions_it_is_taken_as_hung_with_a_warning(letters: tuple[str, ...]) -> None:
    grid, findings = projection_grid(picture(patient_orientation=letters, pixel_spacing=(1, 1)))
    assert grid.orientation[:2] == "LI"
    assert ("orientation-assumed", "warning") in codes(findings)


@pytest.mark.parametrize(
    "stated",
    [
        {"patient_orientation": ("L", "R")},
        {"patient_orientation": ("L", "L")},
        {"patient_orientation": ("L",)},
        {"patient_orientation": ("L", "")},
        {"patient_orientation": ("L", "F", "H")},
        {"patient_orientation": ("X", "F")},
        {"pixel_spacing": (0, 1)},
        {"pixel_spacing": None, "imager_spacing": (1, -1)},
        {"imager_spacing": (1, 0)},
    ],
)
def test_impossible_directions_and_spacings_are_refused(stated: dict[str, object]) -> None:
    with pytest.raises(GeometryError) as caught:
        projection_grid(picture(**{"pixel_spacing": (1, 1), **stated}))
    assert caught.value.code == "bad-geometry"
    assert caught.value.path is not None


def test_a_frame_without_a_place_counts_pixels_with_a_note() -> None:
    grid, findings = picture_grid(picture())
    assert (grid.shape, grid.physical) == ((5, 6, 1), False)
    assert codes(findings) == [("no-place", "note")]
