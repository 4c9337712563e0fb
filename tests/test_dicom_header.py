from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from phantoms import positional, slice_of
from pydicom.dataset import Dataset

from medvision.errors import MedvisionError
from medvision.geometry import Geometry
from medvision.io.dicom import header as module
from medvision.io.dicom.frame import Frame
from medvision.io.dicom.header import read_dataset, read_frames
from medvision.io.located import quiet

GRID = Geometry(np.diag([-2.0, -1.0, 3.0, 1.0]), (4, 5, 3))
BIG_ENDIAN = "1.2.840.10008.1.2.2"


def dataset_of(k: int = 0, **tags: Any) -> Dataset:
    dataset = slice_of(positional(GRID)[:, :, k], GRID, k, "MR")
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    return dataset


def read(folder: Path, **tags: Any) -> Frame:
    dataset_of(**tags).save_as(folder / "a.dcm", enforce_file_format=True)
    with quiet():
        (found,) = read_frames(folder / "a.dcm")
    return found


def by_pydicom(file: Path, monkeypatch: pytest.MonkeyPatch) -> Frame:
    with monkeypatch.context() as patch, quiet():
        patch.setattr(module, "quick_elements", lambda content, wanted: None)
        (found,) = read_frames(file)
    return found


STATED: dict[str, Any] = {
    "SeriesDescription": "t1 mprage",
    "SeriesNumber": 7,
    "SpacingBetweenSlices": "3.3",
    "PatientOrientation": ["L", "P"],
    "ImagerPixelSpacing": ["0.1", "0.2"],
    "RescaleSlope": "2.5",
    "RescaleIntercept": "-1",
    "RescaleType": "US",
    "LossyImageCompression": "01",
    "EchoTime": "4.6",
    "EchoNumbers": 2,
    "InversionTime": "900",
    "TemporalPositionIdentifier": 3,
    "TemporalPositionIndex": 70000,
    "DiffusionBValue": 1000.0,
    "DiffusionGradientOrientation": [0.0, 0.6, 0.8],
    "TriggerTime": "80.5",
    "AcquisitionNumber": 9,
    "AcquisitionDate": "20260102",
    "AcquisitionTime": "101500.25",
    "PixelPaddingValue": 5,
    "PixelPaddingRangeLimit": 9,
}


def test_a_quick_look_and_pydicom_give_the_same_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tags in ({}, STATED):
        quick = read(tmp_path, **tags)
        slow = by_pydicom(tmp_path / "a.dcm", monkeypatch)
        assert quick.pixels is not None
        assert slow.pixels is None
        assert {**vars(quick), "pixels": None, "order": set(quick.order)} == {**vars(slow), "order": set(slow.order)}


def test_what_a_header_states_stands_in_its_frame(tmp_path: Path) -> None:
    found = read(tmp_path, **STATED)
    assert (found.position, found.pixel_spacing, found.imager_spacing) == ((0, 0, 0), (1, 2), (0.1, 0.2))
    assert (found.slope, found.intercept, found.rescale_type) == (2.5, -1, "US")
    assert (found.padding, found.padding_limit, found.is_lossy) == (5, 9, True)
    assert (found.series_number, found.description, found.spacing_between) == (7, "t1 mprage", 3.3)
    assert dict(found.order) == {
        "echo time": 4.6,
        "echo number": 2,
        "inversion time": 900,
        "image type": "AXIAL",
        "time": 3,
        "time index": 70000,
        "b-value": 1000,
        "gradient direction": (0, 0.6, 0.8),
        "trigger time": 80.5,
        "acquisition number": 9,
        "acquisition time": found.ordered_by("acquisition time"),
    }


def test_slices_that_share_most_are_still_told_by_what_is_their_own(tmp_path: Path) -> None:
    found = []
    for k in range(3):
        tags = {"SOPInstanceUID": f"1.2.{k}", "AcquisitionTime": f"10150{k}", "TriggerTime": f"{k}", "EchoTime": "5"}
        dataset_of(k, **tags).save_as(tmp_path / f"{k}", enforce_file_format=True)
        found += read_frames(tmp_path / f"{k}")
    assert [one.file.name for one in found] == ["0", "1", "2"]
    assert [one.position[2] for one in found if one.position] == [0, 3, 6]
    assert [one.sop_instance for one in found] == ["1.2.0", "1.2.1", "1.2.2"]
    assert [one.ordered_by("acquisition time") for one in found] == [36900, 36901, 36902]
    assert [one.ordered_by("trigger time") for one in found] == [0, 1, 2]


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ({}, None),
        ({"AcquisitionTime": "101500"}, 36900),
        ({"AcquisitionDateTime": "2026"}, None),
        ({"AcquisitionDate": "20260102"}, None),
    ],
)
def test_the_time_of_acquisition_is_what_is_stated_or_none(tmp_path: Path, tags: dict[str, str], wanted: Any) -> None:
    assert read(tmp_path, **tags).ordered_by("acquisition time") == wanted


def test_the_date_and_time_goes_before_date_and_time(tmp_path: Path) -> None:
    both = read(tmp_path, AcquisitionDateTime="20260102101500", AcquisitionTime="235959")
    parted = read(tmp_path, AcquisitionDate="20260102", AcquisitionTime="101500")
    assert both.ordered_by("acquisition time") == parted.ordered_by("acquisition time")


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", BIG_ENDIAN])
def test_a_syntax_that_is_not_stated_is_told_from_the_elements(
    tmp_path: Path, syntax: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = dataset_of()
    del dataset.file_meta
    if syntax == BIG_ENDIAN:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    implicit, little = syntax == "1.2.840.10008.1.2", syntax != BIG_ENDIAN
    pydicom.dcmwrite(tmp_path / "a", dataset, implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    found = by_pydicom(tmp_path / "a", monkeypatch) if syntax == BIG_ENDIAN else read_frames(tmp_path / "a")[0]
    assert (found.transfer_syntax, found.is_assumed) == (syntax, True)


@pytest.mark.parametrize("content", [b"", b"no DICOM at all, and far from it" * 20, bytes(128) + b"DICM"])
def test_what_states_no_class_is_no_image_that_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(MedvisionError) as caught, quiet():
        read_frames(tmp_path / "a")
    assert (caught.value.code, caught.value.path) == ("bad-header", tmp_path / "a")


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"SOPClassUID": None}, "bad-header"),
        ({"ImagePositionPatient": ["1", "2"]}, "bad-geometry"),
        ({"PixelSpacing": ["1"]}, "bad-geometry"),
        ({"NumberOfFrames": "-3"}, "bad-header"),
    ],
)
def test_a_header_that_cannot_be_understood_is_refused_with_its_file(
    tmp_path: Path, tags: dict[str, Any], code: str
) -> None:
    with pytest.raises(MedvisionError) as caught:
        read(tmp_path, **tags)
    assert (caught.value.code, caught.value.path) == (code, tmp_path / "a.dcm")


@pytest.mark.parametrize("number", ["1", "", " 1"])
def test_one_frame_can_be_stated_or_not(tmp_path: Path, number: str) -> None:
    with quiet():
        assert read(tmp_path, NumberOfFrames=number).frames == 1


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(MedvisionError) as caught:
        read_frames(tmp_path / "gone")
    assert caught.value.code == "unreadable"


def test_content_that_pydicom_cannot_parse_is_refused_without_a_quotation() -> None:
    import io

    broken = bytes(128) + b"DICM" + b"\x02\0\0\0UL\x03\0abc" + b"\x10\0\x10\0PN\x06\0SECRET" * 3
    with pytest.raises(MedvisionError) as caught, quiet():
        read_dataset(io.BytesIO(broken), with_pixels=True)
    assert caught.value.code == "bad-header"
    assert "SECRET" not in str(caught.value)
