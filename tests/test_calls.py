"""The verbs without a pipeline, called from Python with paths in any form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from phantoms import positional, write_dicom_series

import medvision as mv
from medvision.workflows.convert import Form

GRID = mv.Geometry.from_spacing((1, 1, 2), (4, 5, 3))


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    write_dicom_series(tmp_path / "scans", positional(GRID), GRID)
    return tmp_path / "scans"


def test_one_path_or_several_of_either_kind_are_taken(scans: Path) -> None:
    for inputs in (str(scans), scans, [str(scans)], (scans,)):
        assert [case.id for case in mv.scan(inputs).cases] == ["scans"]
        assert [image.verdict for image in mv.check(inputs, headers_only=True).images] == ["accept"]


def test_a_check_hears_how_to_read_and_makes_pictures(scans: Path) -> None:
    heard = []
    found = mv.check(
        scans, reading=mv.Reading(allow_gaps=True), pictures=True, progress=lambda *step: heard.append(step)
    )
    (image,) = found.images
    assert image.thumbnail is not None
    assert heard[0] == (0, 1, "scans")


def test_images_are_converted_and_replaced_where_asked(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "nifti"
    assert [one.id for one in mv.convert(str(scans), str(out)).converted] == ["scans"]
    with pytest.raises(mv.MedvisionError) as caught:
        mv.convert(scans, out)
    assert caught.value.code == "output-exists"
    assert mv.convert(scans, out, force=True, reading=mv.Reading(orthogonal=True)).exit_code() == 0
    (volume,) = mv.load(out).volumes.values()
    assert np.array_equal(volume.voxels[0], positional(GRID))
    assert mv.convert(out, tmp_path / "dicom", form=Form(to="dicom", modality="CT")).exit_code() == 0
    assert len(list((tmp_path / "dicom" / "scans").iterdir())) == 3


def test_copies_are_made_without_what_identifies(scans: Path, tmp_path: Path) -> None:
    key, names = tmp_path / "key", tmp_path / "names.csv"
    names.write_text("patient_id,pseudonym\nPHANTOM-7,p1\n")
    assert mv.deidentify(str(scans), str(tmp_path / "out"), key=str(key), dry_run=True).written == 3
    assert not (tmp_path / "out").exists()
    result = mv.deidentify([scans], str(tmp_path / "out"), key=str(key), mapping=str(names))
    assert (result.written, result.refused, key.is_file()) == (3, (), True)
    copies = sorted((tmp_path / "out").rglob("*.dcm"))
    assert {copy.relative_to(tmp_path / "out").parts[0] for copy in copies} == {"p1"}
    assert len(copies) == 3
    assert not [copy for copy in copies if b"PHANTOM-7" in copy.read_bytes()]
