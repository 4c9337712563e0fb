from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_frames import DX, MR, US, frame, picture
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.errors import GeometryError, InputError, MedvisionError
from medvision.io.dicom import grid as module
from medvision.io.dicom.frame import Frame
from medvision.io.dicom.grid import check_together, stacked
from medvision.study import Reading

GAPS = Reading(allow_gaps=True)


@pytest.fixture(autouse=True)
def no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames here have no files, whose sizes could be compared."""
    monkeypatch.setattr(module, "check_kind", lambda frame: None)


def at(*along: float, sideways: float = 0.0) -> list[Frame]:
    return [frame(k, position=(-9.0, -8.0 + sideways * z, z)) for k, z in enumerate(along)]


def codes(stack: Any) -> list[tuple[str, str]]:
    return [(finding.code, finding.grade) for finding in stack.findings]


def refusal_of(frames: list[Frame], reading: Reading | None = None) -> MedvisionError:
    with pytest.raises(MedvisionError) as caught:
        stacked(frames, reading or Reading())
    assert caught.value.path is not None
    return caught.value


def test_the_grid_is_that_of_the_positions_in_ras() -> None:
    stack = stacked(at(0, 3, 6))
    wanted = [[-2, 0, 0, 9], [0, -1, 0, 8], [0, 0, 3, 0], [0, 0, 0, 1]]
    assert np.allclose(stack.geometry.affine, wanted)
    assert stack.geometry.shape == (5, 6, 3)
    assert (stack.findings, stack.taken_at) == ((), None)


@st.composite
def placed(draw: st.DrawFn) -> tuple[list[Frame], np.ndarray]:
    """Return frames of a sheared or straight stack in any direction, and their affine in LPS."""
    angles = [draw(st.floats(-3, 3)) for _ in range(3)]
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        c, s = np.cos(angle), np.sin(angle)
        one = np.eye(3)
        i, j = [n for n in range(3) if n != axis]
        one[i, i], one[j, j], one[i, j], one[j, i] = c, c, -s, s
        turn = turn @ one
    rows, columns, gap = (draw(st.floats(0.3, 6)) for _ in range(3))
    shear = draw(st.floats(-0.9, 0.9))
    step = turn[:, 2] * gap + turn[:, 1] * gap * shear
    start = np.array([draw(st.floats(-300, 300)) for _ in range(3)])
    count = draw(st.integers(2, 12))
    frames = [
        frame(
            k,
            position=tuple((start + k * step).tolist()),
            orientation=tuple(turn[:, :2].T.ravel().tolist()),
            pixel_spacing=(rows, columns),
        )
        for k in range(count)
    ]
    affine = np.column_stack([turn[:, 0] * columns, turn[:, 1] * rows, step, start])
    return frames, affine


@settings(max_examples=60, deadline=None)
@given(placed(), st.data())
def test_index_to_mm_is_each_frames_own_equation_and_back(
    case: tuple[list[Frame], np.ndarray], data: st.DataObject
) -> None:
    frames, affine = case
    grid = stacked(data.draw(st.permutations(frames))).geometry
    assert np.allclose(grid.affine[:3], np.diag([-1.0, -1.0, 1.0]) @ affine, atol=1e-6)
    index = np.stack(np.indices(grid.shape), axis=-1).reshape(-1, 3)
    assert np.allclose(grid.to_index(grid.to_world(index)), index, atol=1e-6)
    for k, one in enumerate(frames):  # PS3.3, C.7.6.2.1.1
        assert np.allclose(grid.to_world((0, 0, k)) * (-1, -1, 1), one.position, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.permutations(at(0, 3, 6.05, 9, 12, 18)))
def test_the_order_of_frames_changes_neither_grid_nor_slices(frames: list[Frame]) -> None:
    one, other = stacked(frames, GAPS), stacked(at(0, 3, 6.05, 9, 12, 18), GAPS)
    assert np.allclose(one.geometry.affine, other.geometry.affine, atol=1e-9)
    assert one.frames == other.frames
    assert one.taken_at is not None
    assert other.taken_at is not None
    assert np.allclose(one.taken_at, other.taken_at)


@pytest.mark.parametrize(
    ("along", "outcome"),
    [
        ((0, 3, 6.02, 9), None),
        ((0, 3, 6.05, 9), "warning"),
        ((0, 3, 6.14, 9), "warning"),
        ((0, 3, 6.2, 9), "slices-uneven"),
        ((0, 3, 9, 12), "slices-missing"),
        ((0, 3, 6, 12.1, 15), "slices-missing"),
        ((0, 3, 7.5, 12), "slices-uneven"),
        ((0, 1, 3, 6, 10), "slices-uneven"),
    ],
)
def test_uneven_distances_are_let_pass_told_or_refused_by_how_far_they_are_off(
    along: tuple[float, ...], outcome: str | None
) -> None:
    if outcome in (None, "warning"):
        assert codes(stacked(at(*along))) == ([] if outcome is None else [("slices-uneven", "warning")])
    else:
        error = refusal_of(at(*along))
        assert error.code == outcome
        assert "--allow-gaps" in str(error)


def test_distances_that_grow_from_slice_to_slice_lack_no_slice() -> None:
    along = np.cumsum([0, *(3 + 0.015 * n for n in range(12))])
    assert refusal_of(at(*along.tolist())).code == "slices-uneven"


def test_small_differences_that_add_up_are_refused() -> None:
    numbers = np.arange(30)
    error = refusal_of(at(*(3 * numbers + 0.025 * np.abs(numbers - 14.5)).tolist()))
    assert error.code == "slices-uneven"
    assert "off an even grid of 3.00 mm" in str(error)


@pytest.mark.parametrize("along", [(0, 3, 9, 12), (0, 2, 3, 9)])
def test_where_gaps_are_allowed_the_grid_has_the_least_distance_and_both_ends(along: tuple[float, ...]) -> None:
    stack = stacked(at(*along), GAPS)
    step = min(np.diff(along))
    assert stack.geometry.spacing_mm[2] == pytest.approx(step)
    assert stack.geometry.to_world((0, 0, 0))[2] == pytest.approx(along[0])
    assert stack.geometry.to_world((0, 0, stack.geometry.shape[2] - 1))[2] == pytest.approx(along[-1])
    assert stack.taken_at is not None
    assert np.allclose(np.interp(stack.taken_at, range(len(along)), along), np.arange(len(stack.taken_at)) * step)
    assert [grade for _, grade in codes(stack)] == ["warning"]


def test_gaps_in_a_tilted_stack_are_filled_along_the_tilt() -> None:
    tilted = at(0, 3, 6, 15, 18, sideways=0.3)
    stack = stacked(tilted, GAPS)
    assert ("gantry-tilt", "warning") in codes(stack)
    assert stack.taken_at is not None
    for k, one in enumerate(tilted):
        (place,) = np.flatnonzero(np.isclose(stack.taken_at, k))
        assert np.allclose(stack.geometry.to_world((0, 0, place)) * (-1, -1, 1), one.position, atol=1e-6)


def test_gaps_that_would_be_filled_with_ten_times_the_slices_are_refused() -> None:
    assert refusal_of(at(0, 0.02, 300), GAPS).code == "slices-uneven"
    assert stacked(at(0, 1, 28), GAPS).geometry.shape[2] == 29


def test_slices_at_one_position_are_refused_and_both_are_named() -> None:
    error = refusal_of(at(0, 3, 3.005, 6, 6))
    assert error.code == "slices-duplicate"
    assert "slice001" in str(error)
    assert "slice002" in str(error)
    assert "1 more pairs" in str(error)


def test_a_lone_slice_takes_its_thickness_and_needs_one() -> None:
    stack = stacked([frame(slice_thickness=2.5)])
    assert stack.geometry.spacing_mm == (2.0, 1.0, 2.5)
    assert codes(stack) == [("one-slice", "note")]
    for thickness in (None, 0.0, -1.0):
        assert refusal_of([frame(slice_thickness=thickness)]).code == "bad-geometry"


@pytest.mark.parametrize(("sideways", "told"), [(0.0, False), (0.005, False), (0.009, True), (0.3, True)])
def test_a_tilt_is_told_from_half_a_degree_or_a_tenth_of_a_millimetre(sideways: float, told: bool) -> None:
    stack = stacked(at(0, 3, 6, 9, 12, sideways=sideways))
    assert codes(stack) == ([("gantry-tilt", "warning")] if told and sideways * 12 > 0.1 else [])
    assert stack.geometry.affine[1, 2] == pytest.approx(-3 * sideways)


def test_slices_that_move_sideways_more_than_forwards_are_refused() -> None:
    assert "sideways" in str(refusal_of(at(0, 3, 6, sideways=1.1)))
    assert refusal_of(at(0, 3, 6, sideways=1.1)).code == "bad-geometry"


def test_slices_that_do_not_lie_on_a_line_are_refused_and_the_worst_is_named() -> None:
    frames = at(0, 3, 6, 9, 12)
    frames[2] = frame(2, position=(-9.0, -7.5, 6.0))
    error = refusal_of(frames)
    assert (error.code, error.path) == ("bad-geometry", Path("slice002"))


@pytest.mark.parametrize(
    "stated",
    [
        {"position": None},
        {"orientation": None},
        {"orientation": (1.0, 0, 0, 0, 1.1, 0)},
        {"orientation": (1.0, 0, 0, 0.1, 1.0, 0)},
        {"orientation": (0.0,) * 6},
        {"pixel_spacing": None},
        {"pixel_spacing": (1.0, 0.0)},
        {"pixel_spacing": (-1.0, 1.0)},
    ],
)
def test_geometry_that_is_missing_or_impossible_is_refused(stated: dict[str, Any]) -> None:
    with pytest.raises(GeometryError) as caught:
        stacked([frame(k, **stated) for k in range(3)])
    assert caught.value.code == "bad-geometry"


def test_a_stated_spacing_that_differs_is_a_note() -> None:
    differing = [frame(k, spacing_between=5.0) for k in range(3)]
    assert codes(stacked(differing)) == [("spacing-differs", "note")]
    for same in (3.0, -3.0, 3.005):
        assert codes(stacked([frame(k, spacing_between=same) for k in range(3)])) == []


@pytest.mark.parametrize("name", module._EXACT)
def test_a_frame_that_differs_in_what_a_volume_shares_is_refused_by_the_name_alone(name: str) -> None:
    value = {"rows": 7, "columns": 7, "bits_allocated": 32, "bits_stored": 12, "pixel_representation": 1}
    other = value.get(name, "OTHER")
    with pytest.raises(InputError) as caught:
        check_together([*at(0, 3, 6), frame(3, **{name: other})])
    assert (caught.value.code, caught.value.path) == ("series-mixed", Path("slice003"))
    assert module._EXACT[name] in str(caught.value)
    assert "OTHER" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "near", "far"),
    [
        ("orientation", (1.0, 5e-5, 0, 0, 1.0, 0), (1.0, 2e-4, 0, 0, 1.0, 0)),
        ("pixel_spacing", (1.00005, 2.0), (1.0002, 2.0)),
    ],
)
def test_directions_and_spacings_may_differ_by_rounding_alone(name: str, near: Any, far: Any) -> None:
    check_together([*at(0, 3, 6), frame(3, **{name: near})])
    for other in (far, None):
        with pytest.raises(InputError) as caught:
            check_together([*at(0, 3, 6), frame(3, **{name: other})])
        assert caught.value.code == "series-mixed"


def test_the_slice_that_is_unlike_most_is_named_even_if_it_is_the_first() -> None:
    frames = [frame(0, patient="Q"), *[frame(k) for k in range(1, 4)]]
    with pytest.raises(InputError) as caught:
        check_together(frames)
    assert caught.value.path == Path("slice000")


def test_what_is_asked_for_alone_is_compared() -> None:
    frames = [frame(0), frame(1, rows=9, orientation=None)]
    check_together(frames, only=("study", "patient"))
    check_together([frame(0), frame(1, series="9.9")], ignoring=("series",))
    with pytest.raises(InputError):
        check_together([frame(0), frame(1, study="9.9")], only=("study", "patient"))


def test_series_are_stacked_together_where_that_was_said() -> None:
    frames = [frame(k, series=f"1.{k}") for k in range(3)]
    assert refusal_of(frames).code == "series-mixed"
    assert stacked(frames, Reading(merge_series=True)).geometry.shape == (5, 6, 3)
    other = [*frames, frame(3, series="1.9", patient="Q")]
    assert refusal_of(other, Reading(merge_series=True)).code == "series-mixed"


def test_radiographs_and_frames_without_a_place_have_grids_of_their_own() -> None:
    film = stacked([picture(sop_class=DX, pixel_spacing=(0.1, 0.1), patient_orientation=("L", "F"))])
    assert film.geometry.orientation == "LIP"
    clip = stacked([picture(sop_class=US)])
    assert not clip.geometry.physical


def test_an_unknown_class_is_stacked_as_slices() -> None:
    frames = [frame(k, sop_class="1.2.3", modality="MR") for k in range(3)]
    assert stacked(frames).geometry.shape == (5, 6, 3)
    assert stacked([frame(k, sop_class=MR) for k in range(3)]).geometry.shape == (5, 6, 3)


def test_a_message_about_all_slices_names_their_folder_or_their_one_file() -> None:
    apart = [frame(k, file=Path("in") / f"{k}", position=(0, 0, z)) for k, z in enumerate((0.0, 3, 9, 12))]
    assert refusal_of(apart).path == Path("in")
    together = [frame(k, file=Path("in/a"), number=k, position=(0, 0, z)) for k, z in enumerate((0.0, 3, 9, 12))]
    assert refusal_of(together).path == Path("in/a")
