from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_frames import DOSE, US, frame
from pydicom.dataset import Dataset
from torture import lattice
from torture_dicom import Frame, enhanced, save
from torture_frames import mosaic

from medvision.errors import MedvisionError
from medvision.io.dicom import multiframe
from medvision.io.dicom.frame import Frame as Header
from medvision.io.dicom.header import read_frames
from medvision.io.dicom.multiframe import frames_of

AXIAL = lattice(shape=(4, 5, 3))


def header(**tags: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def frames_in(folder: Path, *tags: dict[str, Any], modality: str = "MR", **top: Any) -> tuple[Header, ...]:
    """Return what is read of an enhanced object with a frame for each of `tags`, its functional groups."""
    dataset = enhanced([Frame(AXIAL, k, tags=one) for k, one in enumerate(tags)], modality)
    for keyword, value in top.items():
        setattr(dataset, keyword, value)
    return read_frames(save(folder / "e.dcm", dataset))


def code_of(first: Header, dataset: Dataset) -> str:
    with pytest.raises(MedvisionError) as caught:
        frames_of(first, dataset)
    return caught.value.code


def test_frames_without_groups_are_numbered_and_else_as_their_file() -> None:
    found = frames_of(frame(sop_class=US, frames=3), header())
    assert [one.number for one in found] == [0, 1, 2]
    assert {one.rows for one in found} == {6}


@pytest.mark.parametrize(("frames", "code"), [(1_000_001, "too-large"), (0, "bad-header"), (-3, "bad-header")])
def test_a_number_of_frames_that_cannot_be_is_refused(frames: int, code: str) -> None:
    assert code_of(frame(frames=frames), header()) == code


def test_each_frame_has_its_own_groups_or_those_that_all_share(tmp_path: Path) -> None:
    frames = [Frame(AXIAL, k, slope=0.5 + k, intercept=-k) for k in (2, 0, 1)]
    dataset = enhanced(frames, shared=("PlaneOrientationSequence",))
    dataset.PerFrameFunctionalGroupsSequence[1].PixelMeasuresSequence = [
        header(PixelSpacing=["9", "8"], SpacingBetweenSlices="4")
    ]
    found = read_frames(save(tmp_path / "e.dcm", dataset))
    assert [one.position[2] for one in found if one.position] == [-14, -20, -17]
    assert [(one.slope, one.intercept) for one in found] == [(2.5, -2), (0.5, 0), (1.5, -1)]
    assert [one.pixel_spacing for one in found] == [(1.5, 2.0), (9.0, 8.0), (1.5, 2.0)]
    assert [(one.slice_thickness, one.spacing_between) for one in found] == [(3.0, None), (None, 4.0), (3.0, None)]
    assert {one.orientation for one in found} == {(1.0, 0.0, 0.0, 0.0, 1.0, 0.0)}
    assert {one.rescale_type for one in found} == {"US"}


@pytest.mark.parametrize("name", multiframe._IN_ONE_PLACE)
def test_a_group_that_all_frames_share_and_one_has_too_is_refused(tmp_path: Path, name: str) -> None:
    dataset = enhanced([Frame(AXIAL, k) for k in range(3)], shared=(name,))
    shared = dataset.SharedFunctionalGroupsSequence[0]
    setattr(dataset.PerFrameFunctionalGroupsSequence[1], name, [*shared[name]])
    with pytest.raises(MedvisionError, match=name) as caught:
        read_frames(save(tmp_path / "e.dcm", dataset))
    assert caught.value.code == "bad-header"


def test_a_slope_of_several_values_is_noticed(tmp_path: Path) -> None:
    twice = {"PixelValueTransformationSequence": {"RescaleSlope": ["1", "2"], "RescaleIntercept": "0"}}
    assert [one.has_one_rescale for one in frames_in(tmp_path, {}, twice)] == [True, False]


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ({}, None),
        ({"FloatPixelPaddingValue": -9.5}, (-9.5, -9.5)),
        ({"FloatPixelPaddingValue": -9.5, "FloatPixelPaddingRangeLimit": -1.0}, (-9.5, -1.0)),
        ({"DoubleFloatPixelPaddingValue": 0.1, "DoubleFloatPixelPaddingRangeLimit": 0.0}, (0.1, 0.0)),
    ],
)
def test_padding_of_floating_point_pixels_is_read(tmp_path: Path, tags: dict[str, Any], wanted: object) -> None:
    (found,) = frames_in(tmp_path, {}, **tags)
    assert found.float_padding == wanted


@pytest.mark.parametrize(
    ("groups", "name", "value"),
    [
        ({"FrameContentSequence": {"StackID": "A"}}, "stack", "A"),
        ({"MREchoSequence": {"EffectiveEchoTime": 4.6}}, "echo time", 4.6),
        ({"MRImageFrameTypeSequence": {"ComplexImageComponent": "PHASE"}}, "component", "PHASE"),
        ({"FrameContentSequence": {"TemporalPositionIndex": 7}}, "time index", 7.0),
        ({"TemporalPositionSequence": {"TemporalPositionTimeOffset": 2.5}}, "time", 2.5),
        ({"MRDiffusionSequence": {"DiffusionBValue": 1000.0}}, "b-value", 1000.0),
        ({"CardiacSynchronizationSequence": {"NominalCardiacTriggerDelayTime": 80.0}}, "trigger time", 80.0),
        ({"FrameContentSequence": {"FrameAcquisitionNumber": 3}}, "acquisition number", 3.0),
    ],
)
def test_what_tells_frames_apart_is_read_from_their_groups(
    tmp_path: Path, groups: dict[str, Any], name: str, value: object
) -> None:
    (found,) = frames_in(tmp_path, groups)
    assert found.ordered_by(name) == value


def test_a_gradient_direction_is_read_from_within_the_diffusion_group(tmp_path: Path) -> None:
    direction = header(DiffusionGradientOrientation=[0.0, 0.6, 0.8])
    groups = {"MRDiffusionSequence": {"DiffusionGradientDirectionSequence": [direction]}}
    (found,) = frames_in(tmp_path, groups)
    assert found.ordered_by("gradient direction") == (0.0, 0.6, 0.8)


@pytest.mark.parametrize("keyword", ["FrameAcquisitionDateTime", "FrameReferenceDateTime"])
def test_times_of_frames_are_those_of_their_acquisition_or_reference(tmp_path: Path, keyword: str) -> None:
    each = [{"FrameContentSequence": {keyword: f"202601021020{second}.5"}} for second in ("05", "09")]
    times = [one.ordered_by("acquisition time") for one in frames_in(tmp_path, *each)]
    assert isinstance(times[0], float)
    assert isinstance(times[1], float)
    assert times[1] - times[0] == 4


def test_what_the_file_states_goes_for_frames_that_state_nothing_else(tmp_path: Path) -> None:
    each: list[dict[str, Any]] = [{"MREchoSequence": {"EffectiveEchoTime": 4.6}}, {}]
    found = frames_in(tmp_path, *each, EchoTime="2.3", EchoNumbers=5)
    assert [one.ordered_by("echo time") for one in found] == [4.6, 2.3]
    assert [one.ordered_by("echo number") for one in found] == [5.0, 5.0]


def test_the_type_of_a_frame_goes_before_that_of_its_file(tmp_path: Path) -> None:
    each = [{"CTImageFrameTypeSequence": {"FrameType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}}, {}]
    found = frames_in(tmp_path, *each, modality="CT")
    assert [one.image_type[2] for one in found] == ["LOCALIZER", "VOLUME"]


def test_a_real_world_map_of_a_frame_is_noticed(tmp_path: Path) -> None:
    found = frames_in(tmp_path, {"RealWorldValueMappingSequence": {"RealWorldValueSlope": 2.0}}, {})
    assert [one.has_real_world_map for one in found] == [True, False]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda d: d.PerFrameFunctionalGroupsSequence.pop(), "bad-header"),
        (lambda d: d.PerFrameFunctionalGroupsSequence.append(Dataset()), "bad-header"),
        (lambda d: setattr(d, "PerFrameFunctionalGroupsSequence", []), "bad-header"),
        (
            lambda d: setattr(
                d.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0], "ImagePositionPatient", [1, 2]
            ),
            "bad-geometry",
        ),
    ],
    ids=["one group less", "one more", "none", "a position of two numbers"],
)
def test_groups_that_do_not_fit_the_frames_are_refused(tmp_path: Path, change: Any, code: str) -> None:
    dataset = enhanced([Frame(AXIAL, k) for k in range(3)])
    change(dataset)
    with pytest.raises(MedvisionError) as caught:
        read_frames(save(tmp_path / "e.dcm", dataset))
    assert (caught.value.code, caught.value.path) == (code, tmp_path / "e.dcm")


def test_a_group_that_is_empty_leaves_its_attribute_unknown(tmp_path: Path) -> None:
    (found,) = frames_in(tmp_path, {"PlanePositionSequence": {}, "PixelMeasuresSequence": {}})
    assert (found.position, found.pixel_spacing) == (None, None)


def test_shared_groups_can_be_missing(tmp_path: Path) -> None:
    dataset = enhanced([Frame(AXIAL, 0)])
    for gone in ([], None):
        if gone is None:
            del dataset.SharedFunctionalGroupsSequence
        else:
            dataset.SharedFunctionalGroupsSequence = gone
        (found,) = read_frames(save(tmp_path / "e.dcm", dataset))
        assert found.position is not None


def dose(**stated: Any) -> Header:
    return frame(**{"sop_class": DOSE, "modality": "RTDOSE", "position": (1.0, 2.0, 30.0), "frames": 3, **stated})


def test_planes_of_a_dose_lie_along_its_normal_from_the_first() -> None:
    found = frames_of(dose(), header(GridFrameOffsetVector=["0", "2.5", "5"]))
    assert [one.position for one in found] == [(1, 2, 30), (1, 2, 32.5), (1, 2, 35)]
    tilted = dose(orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0))
    found = frames_of(tilted, header(GridFrameOffsetVector=["0", "-2", "-4"]))
    assert np.allclose([one.position for one in found], [(1, 2, 30), (3, 2, 30), (5, 2, 30)])


@pytest.mark.parametrize("y", [1.0, -1.0])
def test_planes_of_a_dose_can_be_stated_by_their_position(y: float) -> None:
    feet_first = dose(orientation=(1.0, 0.0, 0.0, 0.0, y, 0.0))
    found = frames_of(feet_first, header(GridFrameOffsetVector=["30", "32", "34"]))
    assert [one.position for one in found] == [(1, 2, 30), (1, 2, 32), (1, 2, 34)]


def test_a_dose_of_one_plane_needs_no_offsets() -> None:
    assert frames_of(dose(frames=1), header()) == (dose(frames=1),)


@pytest.mark.parametrize(
    ("stated", "offsets"),
    [
        ({}, None),
        ({}, ["0", "2"]),
        ({}, ["7", "9", "11"]),
        ({"position": None}, ["0", "2", "4"]),
        ({"orientation": None}, ["0", "2", "4"]),
        ({"orientation": (1.0, 0.0, 0.0, 0.0, 0.8, 0.6)}, ["30", "32", "34"]),
    ],
)
def test_a_dose_whose_planes_have_no_certain_place_is_refused(
    stated: dict[str, Any], offsets: list[str] | None
) -> None:
    dataset = header() if offsets is None else header(GridFrameOffsetVector=offsets)
    assert code_of(dose(**stated), dataset) == "bad-geometry"


@pytest.mark.parametrize(
    ("private", "public", "b"),
    [(700, None, 700), (700, 650.0, 650), (None, 650.0, 650), (None, None, None), (0, None, 0)],
)
def test_the_b_value_of_a_mosaic_is_the_public_one_or_else_the_private_one(
    tmp_path: Path, private: float | None, public: float | None, b: float | None
) -> None:
    dataset = mosaic(lattice(), b_value=private)
    if public is not None:
        dataset.DiffusionBValue = public
    found = read_frames(save(tmp_path / "m.dcm", dataset))
    assert len(found) == 8
    assert {one.ordered_by("b-value") for one in found} == {b}


def test_a_mosaic_whose_tiles_are_not_stated_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiframe, "tiles_of", lambda dataset: None)
    assert code_of(frame(image_type=("ORIGINAL", "PRIMARY", "MOSAIC")), header()) == "unsupported"
