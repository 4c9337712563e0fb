from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import positional, write_dicom_series, write_nifti
from test_dicom_segmentation import IMAGE, frame, item, saved, segmentation

from medvision.errors import Finding, GeometryError, InputError
from medvision.geometry import Geometry
from medvision.io import read_labels, read_volume, scan
from medvision.io.dicom.series import only_series
from medvision.io.read import label_grid
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


OF_PLACE, OF_SERIES = "1.2.826.0.1.3", "1.2.826.0.1.2"  # what the phantom's slices state


def write_case(
    folder: Path,
    *,
    label: str = "seg.dcm",
    image: str = "scan",
    place: str | None = OF_PLACE,
    series: Sequence[str] = (OF_SERIES,),
    **tags: str | None,
) -> Path:
    """Write a CT, its DICOM SEG of two segments, and a manifest; return the manifest."""
    write_dicom_series(folder / "scan", positional(IMAGE), IMAGE, **tags)
    seg = segmentation([(1, 12.5, frame((1, 2))), (2, 5.0, frame((2, 0)))])
    if place is not None:
        seg.FrameOfReferenceUID = place
    seg.ReferencedSeriesSequence = [item(SeriesInstanceUID=uid) for uid in series]
    saved(seg, folder)
    (folder / "cases.csv").write_text(f"image,label\n{image},{label}\n")
    return folder / "cases.csv"


def test_a_manifest_names_a_dicom_seg_as_the_label_of_a_series(tmp_path: Path) -> None:
    found = scan([write_case(tmp_path)])
    assert found.rejected == ()
    (case,) = found.cases
    assert case.label == Source("dicom", (tmp_path / "seg.dcm",))
    labels = read_labels(case, {1: "liver", 2: "spleen"}, read_volume(case).geometry)
    assert labels.geometry.matches(IMAGE, tolerance_mm=1e-3)
    assert {tuple(at): labels.voxels[tuple(at)] for at in np.argwhere(labels.voxels)} == {(2, 1, 5): 1, (0, 2, 2): 2}
    with pytest.raises(InputError, match="which is label 2 here"):
        read_labels(case, {1: "spleen", 2: "liver"}, IMAGE)


def read_case(folder: Path, **stated: Any) -> Labels:
    (case,) = scan([write_case(folder, **stated)]).cases
    return read_labels(case, {1: "liver", 2: "spleen"}, read_volume(case).geometry)


@pytest.mark.parametrize(
    ("stated", "tag"),
    [
        ({"place": "1.2.826.0.1.4"}, "Frame of Reference"),
        ({"place": "1.2.826.0.1.4", "series": []}, "Frame of Reference"),
        ({"series": ["1.2.826.0.1.9"]}, "Referenced Series"),
        ({"series": ["1.2.826.0.1.9", "1.2.826.0.1.8"], "FrameOfReferenceUID": None}, "Referenced Series"),
    ],
)
def test_a_dicom_seg_of_another_patient_on_an_equal_grid_is_refused(
    tmp_path: Path, stated: dict[str, Any], tag: str
) -> None:
    with pytest.raises(InputError, match=tag) as caught:
        read_case(tmp_path, **stated)
    assert (caught.value.code, caught.value.path) == ("label-of-another", tmp_path / "seg.dcm")
    assert "1.2.826" not in str(caught.value)


@pytest.mark.parametrize(
    "stated",
    [
        {"place": None, "series": []},
        {"place": None},
        {"FrameOfReferenceUID": None, "place": "1.2.826.0.1.4"},
        {"series": ["1.2.826.0.1.9", OF_SERIES]},
    ],
)
def test_a_dicom_seg_that_does_not_contradict_its_image_is_read(tmp_path: Path, stated: dict[str, Any]) -> None:
    assert np.count_nonzero(read_case(tmp_path, **stated).voxels) == 2


def test_a_nifti_image_states_nothing_that_a_dicom_seg_could_contradict(tmp_path: Path) -> None:
    write_case(tmp_path, place="1.2.826.0.1.4", series=["1.2.826.0.1.9"])
    image = Source("nifti", (write_nifti(tmp_path / "i.nii", positional(IMAGE), IMAGE),))
    case = Case("c", (image,), label=Source("dicom", (tmp_path / "seg.dcm",)))
    assert np.count_nonzero(read_labels(case, {1: "liver", 2: "spleen"}, IMAGE).voxels) == 2


def test_a_dicom_seg_is_of_one_of_the_channels(tmp_path: Path) -> None:
    write_case(tmp_path)
    other = {"FrameOfReferenceUID": "1.2.826.0.1.4", "SeriesInstanceUID": "1.2.826.0.1.9"}
    write_dicom_series(tmp_path / "other", positional(IMAGE), IMAGE, **other)
    mine, others = (only_series(sorted((tmp_path / name).iterdir()), tmp_path) for name in ("scan", "other"))
    label = Source("dicom", (tmp_path / "seg.dcm",))
    names = {1: "liver", 2: "spleen"}
    assert read_labels(Case("c", (others, mine), label=label), names, IMAGE).voxels.any()
    with pytest.raises(InputError, match="Frame of Reference"):
        read_labels(Case("c", (others, others), label=label), names, IMAGE)


def test_a_dicom_seg_on_another_grid_is_refused_and_its_own_grid_can_be_asked_for(tmp_path: Path) -> None:
    (case,) = scan([write_case(tmp_path)]).cases
    elsewhere = Geometry(IMAGE.affine + np.array([[0, 0, 0, 0.4], [0] * 4, [0] * 4, [0] * 4]), IMAGE.shape)
    with pytest.raises(GeometryError) as caught:
        read_labels(case, {1: "liver", 2: "spleen"}, elsewhere)
    assert (caught.value.code, caught.value.path) == ("grid-differs", tmp_path / "seg.dcm")
    assert isinstance(case.label, Source)
    assert label_grid(case.label).matches(IMAGE.cropped((0, 0, 2), (4, 3, 6)), tolerance_mm=1e-6)
    nifti = write_nifti(tmp_path / "l.nii", values_with("u1"), GRID)
    assert label_grid(Source("nifti", (nifti,))).matches(GRID, tolerance_mm=1e-4)


def test_a_dicom_seg_is_no_image(tmp_path: Path) -> None:
    found = scan([write_case(tmp_path, image="seg.dcm")])
    assert (found.cases, [finding.code for finding in found.rejected]) == ((), ["no-image"])
    everything = scan([tmp_path])
    assert [case.id for case in everything.cases] == ["scan"]
    assert "not-analysed-here" in [finding.code for finding in everything.skipped]


@pytest.mark.parametrize("label", ["scan/0001.dcm", "scan"])
def test_a_dicom_image_is_no_label(tmp_path: Path, label: str) -> None:
    (case,) = scan([write_case(tmp_path, label=label)]).cases
    with pytest.raises(InputError, match=r"no segmentation of voxels|one DICOM SEG file") as caught:
        read_labels(case, {1: "liver"}, IMAGE)
    assert caught.value.code == "unsupported"


def test_a_dicom_label_that_cannot_be_parsed_or_is_missing_is_refused(tmp_path: Path) -> None:
    manifest = write_case(tmp_path, label="gone.dcm")
    assert [finding.code for finding in scan([manifest]).rejected] == ["not-found"]
    (tmp_path / "gone.dcm").write_bytes(bytes(128) + b"DICM" + b"\x02\0\0\0UL\x04\0")
    assert [finding.code for finding in scan([manifest]).rejected] == ["bad-header"]


def test_a_data_set_can_have_dicom_segs_as_its_labels(tmp_path: Path) -> None:
    write_case(tmp_path)
    entry = {"image": "scan/0001.dcm", "label": "seg.dcm"}
    content = {"labels": {"0": "background", "1": "liver", "2": "spleen"}, "training": [entry]}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    (case,) = scan([tmp_path / "dataset.json"]).cases
    assert case.label == Source("dicom", (tmp_path / "seg.dcm",))


def test_a_seg_of_another_writer_is_the_label_of_its_image(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "dicom_objects" / "highdicom"
    names = ("ct_image.dcm", "seg_image_ct_binary_single_frame.dcm")
    (tmp_path / "cases.csv").write_text(f"image,label\n{folder / names[0]},{folder / names[1]}\n")
    (case,) = scan([tmp_path / "cases.csv"]).cases
    labels = read_labels(case, {1: "region"}, read_volume(case).geometry)
    assert int(labels.voxels.sum()) == 1832
