"""What an object is by its SOP class: an image that is read, one that is refused by its name, or no image."""

from __future__ import annotations

from pathlib import Path

import pytest
from phantoms import positional, write_dicom_series
from pydicom.uid import UID_dictionary

from medvision.geometry import Geometry
from medvision.io import scan
from medvision.io.dicom.objects import DICOMDIR, IMAGES, NOT_READ, SEGMENTATIONS, image_kind, name_of, other_object

STORAGE = "1.2.840.10008.5.1.4.1.1."
OF_MEDICINE = {
    uid: name
    for uid, (name, kind, *_) in UID_dictionary.items()
    if uid.startswith(STORAGE) and kind == "SOP Class" and "DICOS" not in name
}


def test_every_storage_class_of_images_is_read_or_refused_by_a_name_of_its_own() -> None:
    images = {uid for uid, name in OF_MEDICINE.items() if "Image Storage" in name and "Trial" not in name}
    images -= {uid for uid in images if "Eddy Current" in OF_MEDICINE[uid]}  # of non-destructive testing
    assert len(images) > 55
    assert sorted(images - IMAGES.keys() - NOT_READ.keys()) == []


def test_every_class_in_the_tables_is_one_of_the_standard_and_stands_in_one() -> None:
    assert sorted((IMAGES.keys() | NOT_READ.keys()) - OF_MEDICINE.keys()) == []
    assert IMAGES.keys() & NOT_READ.keys() == set()
    names = [*(kind.name for kind in IMAGES.values()), *NOT_READ.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("uid", NOT_READ)
def test_an_image_that_is_not_read_is_known_as_an_image(uid: str) -> None:
    assert image_kind(uid) is None
    assert other_object(uid) is None
    assert name_of(uid) == NOT_READ[uid]


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        (STORAGE + "77.1.5.3", "stereometric relationship"),
        (STORAGE + "66.4", "segmentation"),
        (STORAGE + "66.7", "label map segmentation"),
        (STORAGE + "481.3", "radiotherapy structure set"),
        (STORAGE + "481.7", "radiotherapy object"),
        (STORAGE + "88.11", "structured report"),
        (DICOMDIR, "directory of files (DICOMDIR)"),
    ],
)
def test_an_object_without_an_image_is_named(uid: str, name: str) -> None:
    assert (other_object(uid), name_of(uid), image_kind(uid)) == (name, name, None)


@pytest.mark.parametrize("uid", [STORAGE + "999", "1.2.3"])
def test_an_unknown_class_is_said_to_be_unknown(uid: str) -> None:
    assert other_object(uid) is None
    assert name_of(uid) == "object of an unknown SOP class"


def test_segmentations_are_no_images() -> None:
    assert all(other_object(uid) is not None for uid in SEGMENTATIONS)


@pytest.mark.parametrize("uid", ["6.2", "13.1.4", "13.1.5", "77.1.5.4", "481.23"])
def test_a_file_of_a_class_that_is_not_read_is_refused_by_its_name(tmp_path: Path, uid: str) -> None:
    grid = Geometry.from_spacing((1, 1, 2), (3, 4, 2))
    write_dicom_series(tmp_path, positional(grid), grid, SOPClassUID=STORAGE + uid, Modality="OT")
    found = scan([tmp_path])
    assert (found.cases, found.skipped) == ((), ())
    assert {finding.code for finding in found.rejected} == {"unsupported"}
    assert NOT_READ[STORAGE + uid] in found.rejected[0].message
