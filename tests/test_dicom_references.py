"""Real series in zip archives, read in place, against NIfTI that dcm2niix or the series' own repository made."""

from __future__ import annotations

import io
import re
import zipfile
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
import pytest

import medvision as mv
from medvision.io.read import Loaded
from medvision.study import Reading
from medvision.volume import Volume

NEAR_MM = 1e-3
SERIES = {  # the DICOM series in each archive, and the volumes of each
    "bits12": {"s1": 1, "s2": 1, "s3": 1},
    "decubitus_HFS": {"": 1},
    "enhanced_siemens": {"": 4},
    "mosaic_ep2d_Int_4": {"": 6},
}


@pytest.fixture
def page(docs: Path) -> str:
    return (docs / "explanation" / "reading.md").read_text("utf-8")


@cache
def _loaded(path: Path) -> Loaded:
    return mv.load(path)


def _groups(loaded: Loaded) -> tuple[dict[str, list[Volume]], dict[str, list[Volume]]]:
    """Return the volumes read from DICOM and from NIfTI, those of one series or file together, in their order."""
    dicom, nifti = defaultdict(list), defaultdict(list)
    for case in sorted(loaded.volumes):
        name = re.sub(r"-v\d+$", "", case)
        (dicom if re.search(r"_In(_|-|$)", name) else nifti)[name].append(loaded.volumes[case])
    return dicom, nifti


def _differs(volume: Volume, reference: Volume) -> str:
    """Return in words how two volumes differ, whatever the order of their axes; empty where they do not."""
    turned = reference.geometry.reoriented(volume.geometry.orientation)
    if turned.shape != volume.geometry.shape:
        return f"shapes {turned.shape} and {volume.geometry.shape}"
    apart = float(np.linalg.norm(turned.corners - volume.geometry.corners, axis=1).max())
    if apart > NEAR_MM:
        return f"corners lie {apart:.4f} mm apart"
    same = np.array_equal(reference.onto(turned, order=0).voxels, volume.voxels)
    return "" if same else "voxels differ"


@pytest.mark.parametrize("name", SERIES)
def test_a_series_equals_its_references_in_voxels_and_corners(shared_data: Path, name: str) -> None:
    loaded = _loaded(shared_data / "dicom_series" / f"{name}.zip")
    dicom, nifti = _groups(loaded)
    assert not loaded.rejected
    assert sorted(map(len, dicom.values())) == sorted(SERIES[name].values())
    assert nifti
    for volumes in dicom.values():
        matches = 0
        for references in nifti.values():
            wrong = [_differs(v, r) for v, r in zip(volumes, references, strict=True)]
            matches += not any(wrong)
        # Each series has one reference from dcm2niix, and most have one of their own repository.
        assert matches == len(nifti) // len(dicom), [
            [_differs(v, r) for v, r in zip(volumes, rs, strict=True)] for rs in nifti.values()
        ]


def test_a_series_read_from_a_zip_equals_the_files_unpacked(shared_data: Path, tmp_path: Path) -> None:
    archive = shared_data / "dicom_series" / "bits12.zip"
    with zipfile.ZipFile(archive) as packed:
        for member in packed.namelist():
            if "/In/" in member and not member.endswith("/"):
                (tmp_path / Path(member).name).write_bytes(packed.read(member))
    unpacked = sorted(volume.digest() for volume in mv.load(tmp_path).volumes.values())
    dicom, _ = _groups(_loaded(archive))
    assert unpacked == sorted(volume.digest() for volumes in dicom.values() for volume in volumes)


def test_a_tilted_series_with_uneven_gaps_is_refused_as_its_headers_say(shared_data: Path) -> None:
    archive = shared_data / "dicom_series" / "ct_ge_tilt.zip"
    loaded = _loaded(archive)
    assert not loaded.volumes
    assert [finding.code for finding in loaded.rejected] == ["slices-uneven"]
    assert "allow" in str(loaded.rejected[0].cure)
    gaps, sideways = _by_hand(archive)
    assert np.ptp(gaps) > 5  # mm along the normal: 4 becomes 1.1, then 7
    assert sideways > 10  # mm: the gantry is tilted


@pytest.mark.parametrize("name", SERIES)
def test_the_documentation_states_the_volumes_and_how_near_their_references_they_lie(
    shared_data: Path, page: str, name: str
) -> None:
    dicom, nifti = _groups(_loaded(shared_data / "dicom_series" / f"{name}.zip"))
    apart = [
        float(np.linalg.norm(r.geometry.reoriented(v.geometry.orientation).corners - v.geometry.corners, axis=1).max())
        for volumes in dicom.values()
        for references in nifti.values()
        for v, r in zip(volumes, references, strict=True)
    ]
    volumes = [volume for members in dicom.values() for volume in members]
    size = "x".join(map(str, volumes[0].geometry.shape))
    assert _row(page, name)[2:] == ["read", f"{len(volumes)} of {size}", "equal", f"{max(apart):.5f} mm"]


def test_the_documentation_states_why_the_tilted_series_is_refused_and_how_it_is_read_if_allowed(
    shared_data: Path, page: str
) -> None:
    archive = shared_data / "dicom_series" / "ct_ge_tilt.zip"
    gaps, sideways = _by_hand(archive)
    assert _row(page, "ct_ge_tilt")[2] == "refused: `slices-uneven`"
    tilt = np.arctan(sideways / gaps.sum())
    along = np.concatenate([[0], np.cumsum(gaps)])
    numbers = np.arange(len(along))
    off = np.abs(along - np.polyval(np.polyfit(numbers, along, 1), numbers)).max()
    (volume,) = mv.load(archive, reading=Reading(allow_gaps=True)).volumes.values()
    usual, least, most = gaps[0], gaps.min(), gaps.max()
    text = " ".join(page.split())
    between = [f"{gap / np.cos(tilt):.2f} mm" for gap in (usual, least, most)]
    for said in (
        f"Its {len(along)} slices lie {between[0]} apart, then {between[1]} once, then {between[2]}, while",
        f"the gantry is tilted by {np.degrees(tilt):.1f} degrees",
        f"{usual:.2f}, {least:.2f} and {most:.2f} mm",
        f"the best one places a slice {off:.1f} mm beside",
        f"{'x'.join(map(str, volume.geometry.shape))} voxels",
        f"an even distance of {volume.geometry.spacing[2]:.2f} mm",
    ):
        assert said in text
    assert volume.geometry.is_sheared
    assert {f.code for f in volume.findings if f.grade == "warning"} == {"slices-uneven", "gantry-tilt"}


def _row(page: str, name: str) -> list[str]:
    """Return the cells of a series' row in the table of the documentation."""
    (row,) = re.findall(rf"^\| `{name}` .*$", page, flags=re.MULTILINE)
    return [cell.strip() for cell in row.strip("|").split("|")]


def _by_hand(archive: Path) -> tuple[np.ndarray, float]:
    """Return the distances of slices along the normal, and how far they move sideways, from the tags alone."""
    with zipfile.ZipFile(archive) as packed:
        names = [name for name in packed.namelist() if "/In/" in name and not name.endswith("/")]
        headers = [pydicom.dcmread(io.BytesIO(packed.read(name)), stop_before_pixels=True) for name in names]
    cosines = np.array(headers[0].ImageOrientationPatient, float)
    normal = np.cross(cosines[:3], cosines[3:])
    places = np.array(sorted((h.ImagePositionPatient for h in headers), key=lambda p: float(np.dot(p, normal))), float)
    along = places @ normal
    across = places - np.outer(along, normal)
    return np.diff(along), float(np.linalg.norm(across - across[0], axis=1).max())
