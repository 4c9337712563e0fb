from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dicom_frames import CT, DX, MR, STORAGE, US, frame, picture
from phantoms import positional, slice_of

from medvision.errors import MedvisionError
from medvision.geometry import Geometry
from medvision.io.dicom import admission
from medvision.io.dicom.admission import check_kind, is_unknown_volume
from medvision.io.dicom.header import read_frames
from medvision.io.dicom.objects import DICOMDIR, IMAGES, image_kind, name_of, other_object

COLOUR = {"samples": 3, "photometric": "RGB", "bits_allocated": 8, "bits_stored": 8, "high_bit": 7}


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Return a file large enough for anything that a test claims."""
    (tmp_path / "large").write_bytes(bytes(4000))
    return tmp_path / "large"


def refusal_of(**stated: Any) -> MedvisionError:
    with pytest.raises(MedvisionError) as caught:
        check_kind(frame(**stated))
    assert caught.value.path == stated.get("file", Path("slice000"))
    return caught.value


@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"samples": None},
        {"photometric": "MONOCHROME1"},
        {"sop_class": MR, "modality": "MR", "bits_stored": 12, "high_bit": 11, "pixel_representation": 1},
        {"sop_class": STORAGE + "30", "modality": "MR", "bits_stored": None, "high_bit": None, "bits_allocated": 32},
        {"sop_class": "1.2.3", "modality": "MR"},
        {"sop_class": US, "modality": "US", **COLOUR},
        {"sop_class": US, "modality": "US", **COLOUR, "photometric": "YBR_FULL_422"},
        {"sop_class": US, "modality": "US", **COLOUR, "photometric": "PALETTE COLOR", "samples": 1},
        {"sop_class": STORAGE + "7.1", "modality": "OT", "bits_allocated": 1, "bits_stored": 1, "high_bit": 0},
        {"image_type": ("ORIGINAL", "PRIMARY", "MOSAIC"), "tile": (0, 0, 12, 10), "modality": "MR", "sop_class": MR},
        {"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER"), "modality": "MR", "sop_class": MR},
    ],
)
def test_what_can_be_read_passes(large: Path, stated: dict[str, Any]) -> None:
    check_kind(frame(file=large, **stated))


@pytest.mark.parametrize(
    ("stated", "code", "told"),
    [
        ({"sop_class": STORAGE + "88.11"}, "unsupported", "structured report"),
        ({"sop_class": STORAGE + "77.1.6"}, "unsupported", "whole slide"),
        ({"sop_class": "1.2.3", "modality": "MR", "position": None}, "unsupported", "(private)"),
        ({"sop_class": "1.2.840.10008.5.9", "modality": "MR"}, "unsupported", "1.2.840.10008.5.9"),
        ({"sop_class": "1.2.3", "modality": "US"}, "unsupported", "unknown"),
        ({"sop_class": MR}, "bad-header", "Modality"),
        ({"modality": None}, "bad-header", "Modality"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "MOSAIC")}, "unsupported", "mosaic"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "unsupported", "localizer"),
        ({"rows": None}, "bad-header", "Rows"),
        ({"columns": 0}, "bad-header", "Rows or Columns"),
        ({"rows": -5}, "bad-header", "Rows"),
        ({"samples": 3}, "bad-header", "3 samples"),
        ({"photometric": None}, "unsupported", "is not read"),
        ({"photometric": "Jane^Doe 1970"}, "unsupported", "is not read"),
        ({"photometric": "CMYK"}, "unsupported", "CMYK"),
        ({"photometric": "RGB", "samples": 1}, "bad-header", "1 samples"),
        ({"photometric": "RGB", "samples": 3, "pixel_representation": 1}, "bad-header", "signed"),
        (COLOUR, "unsupported", "colour"),
        ({"photometric": "PALETTE COLOR"}, "unsupported", "colour"),
        ({"sop_class": DX, "modality": "DX", **COLOUR}, "unsupported", "colour"),
        ({"bits_allocated": 12}, "bad-header", "Bits Allocated 12"),
        ({"bits_allocated": None}, "bad-header", "Bits Allocated None"),
        ({"bits_stored": 17, "high_bit": 16}, "bad-header", "Bits Stored 17"),
        ({"bits_stored": 0, "high_bit": -1}, "bad-header", "Bits Stored 0"),
        ({"high_bit": 12}, "bad-header", "High Bit 12"),
        ({"pixel_representation": None}, "bad-header", "Pixel Representation"),
        ({"pixel_representation": 2}, "bad-header", "Pixel Representation"),
        ({"sop_class": STORAGE + "30", "bits_stored": None, "high_bit": None}, "bad-header", "floating-point"),
        ({"transfer_syntax": "1.2.3.4"}, "unsupported", "Transfer Syntax"),
    ],
)
def test_what_cannot_be_read_right_is_refused_by_its_tag(stated: dict[str, Any], code: str, told: str) -> None:
    error = refusal_of(**stated)
    assert error.code == code
    assert told in str(error)
    assert "Jane" not in str(error)


@pytest.mark.parametrize(
    ("syntax", "told"), [("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.57"), ("1.2.3", "(private)")]
)
def test_a_syntax_without_a_decoder_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, syntax: str, told: str
) -> None:
    monkeypatch.setattr(admission, "has_decoder", lambda _: False)
    error = refusal_of(transfer_syntax=syntax)
    assert error.code == "codec-missing"
    assert told in str(error)
    assert "codecs" in str(error)


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ({"rows": 41}, "truncated"),
        ({"frames": 70}, "truncated"),
        ({"rows": 65535, "columns": 65535}, "too-large"),
        ({"rows": 60000, "columns": 60000, "transfer_syntax": "1.2.840.10008.1.2.4.90"}, "too-large"),
        ({"rows": 400, "columns": 400, "transfer_syntax": "1.2.840.10008.1.2.5"}, "truncated"),
        ({"tile": (0, 0, 60, 60), "image_type": ("MOSAIC",), "sop_class": MR, "modality": "MR"}, "truncated"),
        ({"sop_class": US, "modality": "US", **COLOUR, "photometric": "YBR_FULL_422", "rows": 500}, "truncated"),
    ],
)
def test_a_header_that_claims_more_than_the_file_can_hold_is_refused(
    large: Path, stated: dict[str, Any], code: str
) -> None:
    assert refusal_of(file=large, **{"columns": 50, "rows": 40, **stated}).code == code


def test_a_file_of_just_the_size_that_is_claimed_passes(large: Path) -> None:
    check_kind(frame(file=large, rows=40, columns=50))
    check_kind(frame(file=large, rows=300, columns=400, transfer_syntax="1.2.840.10008.1.2.5"))


def test_a_deflated_file_is_held_to_what_it_unpacks_to(tmp_path: Path) -> None:
    grid = Geometry.from_spacing((1, 1, 1), (64, 64, 1))
    dataset = slice_of(positional(grid)[:, :, 0] * 0, grid, 0)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    dataset.file_meta.MediaStorageSOPClassUID = CT
    for name, rows in (("whole", 64), ("short", 6400)):
        dataset.Rows = rows
        dataset.save_as(tmp_path / name, enforce_file_format=True)
    assert (tmp_path / "whole").stat().st_size < 64 * 64 * 2
    check_kind(read_frames(tmp_path / "whole")[0])
    with pytest.raises(MedvisionError) as caught:
        check_kind(read_frames(tmp_path / "short")[0])
    assert caught.value.code == "truncated"


@pytest.mark.parametrize(
    ("stated", "is_one"),
    [
        ({"sop_class": "1.2.3"}, True),
        ({}, False),
        ({"sop_class": "1.2.840.10008.5.9"}, False),
        ({"sop_class": "1.2.3", "modality": "US"}, False),
        ({"sop_class": "1.2.3", "position": None}, False),
        ({"sop_class": "1.2.3", "orientation": None}, False),
        ({"sop_class": "1.2.3", "pixel_spacing": None}, False),
    ],
)
def test_a_private_class_is_a_volume_where_modality_and_geometry_say_so(stated: dict[str, Any], is_one: bool) -> None:
    assert is_unknown_volume(frame(**stated)) is is_one


def test_every_object_has_a_name_and_is_an_image_or_something_else() -> None:
    assert name_of(CT) == "CT image"
    assert name_of(STORAGE + "481.3") == "radiotherapy structure set"
    assert name_of(STORAGE + "481.9") == "radiotherapy object"
    assert name_of(STORAGE + "77.1.6") == "whole slide image"
    assert name_of(DICOMDIR) == "directory of files (DICOMDIR)"
    assert name_of("1.2.3") == name_of(STORAGE + "999") == "object of an unknown SOP class"
    assert image_kind(STORAGE + "88.11") is None
    assert other_object(STORAGE + "77.1.6") is None  # an image, and not one that is read
    assert not [uid for uid in IMAGES if other_object(uid) is not None]


def test_a_picture_of_a_radiograph_passes(large: Path) -> None:
    check_kind(picture(file=large))


@pytest.mark.parametrize(("photometric", "samples"), [("PALETTE COLOR", 1), ("YBR_FULL_422", 3)])
def test_colours_are_counted_as_they_are_when_decoded(
    large: Path, photometric: str, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MAX_BYTES", 40 * 30 * 3 - 1)
    stated = {**COLOUR, "photometric": photometric, "samples": samples, "rows": 30, "columns": 40}
    assert refusal_of(sop_class=US, modality="US", file=large, **stated).code == "too-large"
