from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_frames import DX, MR, US, frame, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from phantoms import slice_of

from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.io.dicom import volumes as module
from medvision.io.dicom.frame import Frame
from medvision.io.dicom.header import read_frames
from medvision.io.dicom.volumes import Group, groups_of

SAGITTAL = {"orientation": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)}


def stack(count: int = 4, t: int = 0, **stated: Any) -> list[Frame]:
    return [frame(k, file=Path(f"t{t}_{k}"), sop_instance=f"{t}.{k}", **stated) for k in range(count)]


def series(*orders: tuple[tuple[str, Any], ...], count: int = 4) -> list[Frame]:
    return [one for t, order in enumerate(orders) for one in stack(count, t, order=order)]


def names(group: Group) -> list[list[str]]:
    return [sorted(one.file.name for one in volume) for volume in group.volumes]


def of(t: int, count: int = 4) -> list[str]:
    return [f"t{t}_{k}" for k in range(count)]


def test_frames_at_places_of_their_own_are_one_volume() -> None:
    (group,) = groups_of(stack())
    assert names(group) == [of(0)]
    assert (group.order, group.refused, group.dropped) == ((), (), ())


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("echo time", (2.3, 4.6)),
        ("echo number", (1.0, 2.0)),
        ("inversion time", (100.0, 900.0)),
        ("component", ("MAGNITUDE", "PHASE")),
        ("image type", ("M", "P")),
        ("time index", (1.0, 2.0)),
        ("time", (1.0, 2.0)),
        ("b-value", (0.0, 1000.0)),
        ("gradient direction", ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0))),
        ("trigger time", (10.0, 80.0)),
        ("acquisition number", (1.0, 2.0)),
        ("acquisition time", (36000.0, 36060.0)),
    ],
)
def test_volumes_at_one_place_are_told_apart_by_what_their_headers_state(name: str, values: tuple[Any, Any]) -> None:
    (group,) = groups_of(series(((name, values[1]),), ((name, values[0]),)))
    assert names(group) == [of(1), of(0)]
    assert group.order == (name,)


def test_two_reasons_to_differ_are_both_used_and_in_order() -> None:
    orders = [(("echo time", echo), ("time", time)) for time in (2.0, 1.0) for echo in (5.0, 2.0)]
    (group,) = groups_of(series(*orders))
    assert names(group) == [of(3), of(1), of(2), of(0)]
    assert group.order == ("echo time", "time")


@pytest.mark.parametrize("name", ["echo time", "inversion time", "b-value", "trigger time"])
def test_values_that_differ_in_their_last_digits_are_one(name: str) -> None:
    frames = [
        frame(k, file=Path(f"t{t}_{k}"), order=((name, 46.0 * (t + 1) + 1e-4 * k),)) for t in range(2) for k in range(4)
    ]
    (group,) = groups_of(frames)
    assert names(group) == [of(0), of(1)]


def test_values_that_vary_within_a_volume_do_not_part_it() -> None:
    frames = [
        frame(k, file=Path(f"t0_{k}"), order=(("trigger time", 10.0 * k), ("acquisition number", k + 1.0)))
        for k in range(4)
    ]
    assert [names(group) for group in groups_of(frames)] == [[of(0)]]


def test_volumes_one_after_the_other_are_told_apart_by_the_times_of_their_slices() -> None:
    frames = [
        frame(k, file=Path(f"t{t}_{k}"), order=(("acquisition time", 100.0 * t + (k * 7) % 4),))
        for t in range(3)
        for k in range(4)
    ]
    (group,) = groups_of(frames)
    assert names(group) == [of(0), of(1), of(2)]
    assert group.order == ("acquisition time",)


def test_slices_whose_times_overlap_are_not_sorted_into_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "same_pixels", lambda one, other: False)
    frames = [
        frame(k, file=Path(f"t{t}_{k}"), order=(("acquisition time", 2.0 * t + k),)) for t in range(2) for k in range(4)
    ]
    (group,) = groups_of(frames)
    assert [len(volume) for volume in group.volumes] == [8]  # refused when it is stacked: two slices at one place


def test_slices_of_which_some_state_no_time_are_not_sorted_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "same_pixels", lambda one, other: False)
    frames = [*stack(4, 0, order=(("acquisition time", 1.0),)), *stack(4, 1)]
    (group,) = groups_of(frames)
    assert [len(volume) for volume in group.volumes] == [8]


def test_one_place_more_often_than_the_others_is_not_sorted_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "same_pixels", lambda one, other: False)
    frames = [
        frame(k, file=Path(f"t{t}_{k}"), order=(("acquisition time", 10.0 * t + k),))
        for t in range(2)
        for k in range(4 - t)
    ]
    (group,) = groups_of(frames)
    assert [len(volume) for volume in group.volumes] == [7]


def test_a_volume_that_lacks_slices_of_the_others_is_refused_and_they_are_kept() -> None:
    frames = series((("time", 1.0),), (("time", 2.0),), (("time", 3.0),))
    (group,) = groups_of([one for one in frames if one.file.name != "t1_2"])
    assert names(group) == [of(0), of(2)]
    assert [(finding.code, finding.message) for finding in group.refused] == [
        ("slices-missing", "volume 2 of 3 has slices in 3 of 4 places")
    ]


def test_volumes_of_which_each_lacks_a_slice_are_one_group_to_refuse() -> None:
    later = [frame(k + 1, file=Path(f"t1_{k}"), order=(("time", 2.0),)) for k in range(4)]
    (group,) = groups_of([*stack(4, 0, order=(("time", 1.0),)), *later])
    assert [len(volume) for volume in group.volumes] == [8]
    assert (group.order, group.refused) == ((), ())


@pytest.mark.parametrize("name", ["echo number", "component", "time index", "time", "b-value"])
def test_frames_of_two_kinds_at_places_of_their_own_make_no_volume_together(name: str) -> None:
    both = [frame(k, order=((name, f"{k % 2}" if name == "component" else float(k % 2)),)) for k in range(8)]
    groups = groups_of(both)
    assert [len(group.volumes[0]) for group in groups] == [4, 4]
    assert {one.order for one in groups[0].volumes[0]} != {one.order for one in groups[1].volumes[0]}


def test_one_frame_of_another_kind_among_many_stays_with_them() -> None:
    frames = [frame(k, order=(("time", 1.0 + (k == 3)),)) for k in range(6)]
    assert [len(group.volumes[0]) for group in groups_of(frames)] == [6]


def test_planes_are_parted_and_small_turns_are_not() -> None:
    turned = tuple(np.radians(3) * x for x in (0.0, 0.0, 1.0))
    near = (1.0, 0.0, turned[2], 0.0, 1.0, 0.0)
    frames = [
        *stack(3),
        frame(3, orientation=near),
        *[frame(k, file=Path(f"s{k}"), position=(3.0 * k, 0.0, 0.0), **SAGITTAL) for k in range(3)],
    ]
    assert sorted(len(group.volumes[0]) for group in groups_of(frames)) == [3, 4]


@pytest.mark.parametrize(
    "cosines", [(-1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, -1.0, 0.0, 0.0), (-1.0, 0, 0, 0, -1.0, 0)]
)
def test_a_slice_turned_or_mirrored_in_its_plane_is_refused(cosines: tuple[float, ...]) -> None:
    with pytest.raises(InputError) as caught:
        groups_of([*stack(3), frame(3, file=Path("z"), orientation=cosines)])
    assert caught.value.code == "series-mixed"
    assert caught.value.path == Path("z")


def test_a_frame_without_orientation_or_position_stays_with_the_others() -> None:
    for gone in ("orientation", "position"):
        (group,) = groups_of([*stack(3), frame(3, **{gone: None})])
        assert len(group.volumes[0]) == 4
    (group,) = groups_of([frame(k, orientation=None) for k in range(3)])
    assert len(group.volumes[0]) == 3


def test_stacks_of_an_enhanced_object_are_parted_where_they_are_stacks() -> None:
    both = [frame(k, order=(("stack", str(k // 4)),)) for k in range(8)]
    assert [len(group.volumes[0]) for group in groups_of(both)] == [4, 4]
    each = [frame(k, order=(("stack", str(k)),)) for k in range(8)]
    assert [len(group.volumes[0]) for group in groups_of(each)] == [8]


def test_series_numbers_part_series_that_share_one_uid() -> None:
    frames = [*stack(4, 0), *stack(4, 1, series_number=2)]
    assert [names(group) for group in groups_of(frames)] == [[of(0)], [of(1)]]


@pytest.mark.parametrize("number", [None, 7])
def test_a_slice_of_another_series_number_is_not_taken_from_its_volume(number: int | None) -> None:
    frames = [*stack(4), frame(4, series_number=number)]
    assert [len(group.volumes[0]) for group in groups_of(frames)] == [5]


def test_slices_of_a_series_number_each_are_one_volume() -> None:
    assert [len(group.volumes[0]) for group in groups_of([frame(k, series_number=k) for k in range(4)])] == [4]


def test_each_picture_stands_alone_and_the_frames_of_a_file_are_in_order() -> None:
    films = [picture(file=Path(name)) for name in ("b", "a")]
    assert [names(group) for group in groups_of(films)] == [[["a"]], [["b"]]]
    clip = [picture(file=Path("clip"), number=n, frames=12, sop_class=US) for n in (10, 2, 0)]
    (group,) = groups_of(clip)
    assert [volume[0].number for volume in group.volumes] == [0, 2, 10]
    assert group.order == ("frame",)


def test_pictures_and_slices_of_one_series_are_apart() -> None:
    groups = groups_of([*stack(3), picture(file=Path("z"), sop_class=DX)])
    assert [len(group.volumes[0]) for group in groups] == [3, 1]


@settings(max_examples=40, deadline=None)
@given(st.permutations(series(*[(("echo time", e), ("time", t)) for e in (2.0, 5.0) for t in (1.0, 2.0)], count=3)))
def test_the_order_of_frames_does_not_change_the_volumes(frames: list[Frame]) -> None:
    (group,) = groups_of(frames)
    assert names(group) == [of(0, 3), of(1, 3), of(2, 3), of(3, 3)]


GRID = Geometry(np.diag([-1.0, -1.0, 3.0, 1.0]), (4, 5, 3))


def saved(file: Path, pixels: int, k: int = 0, **stated: Any) -> Frame:
    dataset = slice_of(np.full((4, 5), pixels, np.int16), GRID, k, "MR")
    for keyword, value in stated.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = MR
    dataset.save_as(file, enforce_file_format=True)
    (one,) = read_frames(file)
    return one


def test_copies_with_the_same_pixels_are_dropped_and_told(tmp_path: Path) -> None:
    frames = [saved(tmp_path / f"{n}{k}", 10 * k, k, SOPInstanceUID=f"1.{n}.{k}") for n in range(3) for k in range(3)]
    (group,) = groups_of(frames)
    assert names(group) == [["00", "01", "02"]]
    assert [(finding.code, finding.grade) for finding in group.dropped] == [("slices-duplicate", "note")] * 6


@pytest.mark.parametrize(
    "other",
    [{"pixels": 11}, {"RescaleSlope": "2", "RescaleIntercept": "0"}, {"PixelPaddingValue": 0}, {"PatientID": "OTHER"}],
)
def test_what_differs_from_the_slice_at_its_place_is_no_copy(tmp_path: Path, other: dict[str, Any]) -> None:
    one = saved(tmp_path / "a", 10)
    pixels = other.pop("pixels", 10)
    (group,) = groups_of([one, saved(tmp_path / "b", pixels, **other), saved(tmp_path / "c", 10, 1)])
    assert [len(volume) for volume in group.volumes] == [3]
    assert group.dropped == ()


def test_a_file_that_has_changed_is_compared_anew(tmp_path: Path) -> None:
    frames = [saved(tmp_path / "a", 10), saved(tmp_path / "b", 10)]
    assert len(groups_of(frames)[0].dropped) == 1
    frames[1] = saved(tmp_path / "b", 99)
    (group,) = groups_of(frames)
    assert group.dropped == ()
    assert len(group.volumes[0]) == 2
