"""Every file bundled with pydicom, and the objects of shared/data: right against pydicom, or refused by code."""

from __future__ import annotations

import warnings
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from pydicom.data import get_testdata_files
from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array

import medvision as mv
from medvision.io.read import Loaded
from medvision.volume import Volume

_TINY = "TINY_ALPHA"  # fifty headers without pixels, read together through their DICOMDIR below
FILES = {
    str(path.relative_to(path.parents[1] if path.parent.name == "test_files" else path.parents[3])): path
    for path in sorted({Path(name) for name in get_testdata_files("**/*") if Path(name).is_file()})
    if _TINY not in path.parts
    and not path.name.startswith("README")
    and not (path.name.startswith("DICOMDIR") and not path.suffix)  # directories are read below
}
DISC = next(Path(name).parent for name in get_testdata_files("**/*") if name.endswith("DICOMDIR-reordered"))
"""A folder of images with directories of several kinds."""

# What is not read, and why that is right: the code, and where it stands among the refused or the passed over.
_NOT_DICOM = "no-image"
ALLOWED: dict[str, tuple[str, ...]] = {
    # no images
    "crayons.icc": (_NOT_DICOM,),
    "rtplan.dump": (_NOT_DICOM,),
    "rtstruct.dump": (_NOT_DICOM,),
    "test1.json": (_NOT_DICOM, "bad-manifest"),
    "test_PN.json": (_NOT_DICOM, "bad-manifest"),
    "zipMR.gz": ("unsupported",),
    # objects without pixels to analyse
    "reportsi.dcm": ("not-analysed-here",),
    "reportsi_with_empty_number_tags.dcm": ("not-analysed-here",),
    "rtplan.dcm": ("not-analysed-here",),
    "rtplan_truncated.dcm": ("not-analysed-here", "truncated"),
    "rtstruct.dcm": ("not-analysed-here",),
    "test-SR.dcm": ("not-analysed-here",),
    "waveform_ecg.dcm": ("not-analysed-here",),
    "ExplVR_LitEndNoMeta.dcm": ("not-analysed-here",),  # an RT ion plan
    "6293": ("not-analysed-here",),  # localizers: projections, not slices
    "6924": ("not-analysed-here",),
    "DICOMDIR-empty.dcm": ("no-image", "empty-folder", "not-analysed-here"),
    # segmentations of which frames were cut out
    "liver_1frame.dcm": ("bad-header", "not-analysed-here"),
    "liver_expb_1frame.dcm": ("bad-header", "not-analysed-here"),
    # headers without an image: no SOP class, no Rows, no pixels
    "ExplVR_BigEndNoMeta.dcm": ("not-analysed-here",),
    "UN_sequence.dcm": ("bad-header",),
    "badVR.dcm": ("bad-header",),  # its Number of Frames is no number
    "empty_charset_LEI.dcm": ("bad-header",),
    "meta_missing_tsyntax.dcm": ("bad-header",),
    "nested_priv_SQ.dcm": ("bad-header",),
    "no_meta.dcm": ("bad-header", "not-an-image"),
    "no_meta_group_length.dcm": ("bad-header",),
    "priv_SQ.dcm": ("bad-header",),
    # damaged on purpose
    "MR_truncated.dcm": ("truncated",),
    # lone slices that state no thickness
    "rtdose_1frame.dcm": ("bad-geometry",),
    "rtdose_expb_1frame.dcm": ("bad-geometry",),
    "rtdose_rle_1frame.dcm": ("bad-geometry",),
    # 12-bit JPEG with loss, which neither decoder of [codecs] knows
    "JPEG-lossy.dcm": ("codec-missing", "unsupported"),
    "JPGExtended.dcm": ("codec-missing", "unsupported"),
    # streams that contradict their headers
    "J2K_pixelrep_mismatch.dcm": ("bad-header", "codec-missing"),
    "JPEG2000-embedded-sequence-delimiter.dcm": ("bad-header", "codec-missing"),
}
OBJECTS: dict[str, tuple[str, ...]] = {
    "seg_image": ("not-analysed-here",),
    "sm_image": ("unsupported",),  # whole slides
    "sm_annotations": ("not-analysed-here",),
    "sr_document": ("not-analysed-here",),
    "rt.dcm": ("not-analysed-here",),
    "reference_rt.dcm": ("not-analysed-here",),
    "dummy_rt.dcm": ("not-analysed-here",),
    "one_slice_data/0.dcm": ("bad-geometry",),  # no thickness
    "oriented_data": ("bad-geometry",),
    "2_ORIGINAL.dcm": ("not-analysed-here",),  # a localizer
}


@pytest.mark.parametrize("name", FILES)
def test_a_bundled_file_is_read_as_pydicom_decodes_it_or_refused_by_its_code(name: str) -> None:
    path = FILES[name]
    _check(path, ALLOWED.get(path.name, ()))


def test_each_object_of_the_shared_data_is_read_or_refused_by_its_code(shared_data: Path) -> None:
    files = [*shared_data.glob("dicom_objects/**/*.dcm"), *shared_data.glob("dicom_phi/*.dcm")]
    assert files
    for path in files:
        allowed = next((codes for part, codes in OBJECTS.items() if part in str(path)), ())
        _check(path, allowed)


def _check(path: Path, allowed: tuple[str, ...]) -> None:
    got = mv.load(path)
    codes = {finding.code for finding in (*got.rejected, *got.skipped)}
    if not got.volumes:
        assert codes, "nothing came, and nothing was said"
        assert codes & set(allowed), f"{path.name}: {[str(finding) for finding in (*got.rejected, *got.skipped)]}"
        return
    assert not got.rejected
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
    volumes = [got.volumes[case] for case in sorted(got.volumes)]
    assert_decoded(dataset, volumes)
    assert_itk_agrees(path, dataset, volumes)


def assert_decoded(dataset: pydicom.Dataset, volumes: list[Volume]) -> None:
    """Compare each frame's real values, and its place, with pydicom's."""
    frames = real_values(dataset)
    places = positions(dataset, len(frames))
    slices = {
        (n, k): volume.voxels[:, :, :, k] for n, volume in enumerate(volumes) for k in range(volume.geometry.shape[2])
    }
    assert len(slices) == len(frames)
    for f, frame in enumerate(frames):
        found = [key for key in slices if places is None or _lies_at(volumes[key[0]], key[1], places[f])]
        key = list(slices)[f] if places is None else found[0]
        wanted = np.moveaxis(frame, -1, 0).transpose(0, 2, 1)
        assert slices[key].shape == wanted.shape
        volume = volumes[key[0]]
        assert _equal(slices[key], wanted, volume), f"frame {f} has other values"
        if places is not None:
            _assert_axes(dataset, volume)


def _equal(got: NDArray[Any], wanted: NDArray[Any], volume: Volume) -> bool:
    codes = {finding.code for finding in volume.findings}
    if "inverted" in codes:  # MONOCHROME1: mirrored as a whole
        total = got.astype(float) + wanted
        return bool(np.ptp(total) <= 1e-3 * max(1.0, float(np.abs(total).max())))
    off = np.abs(got.astype(float) - wanted)
    if "padding-replaced" in codes:
        return bool(np.median(off) == 0 and (off > 1e-3).mean() < 0.5)
    return bool(off.max() <= 1e-5 * max(1.0, float(np.abs(wanted).max())))


def real_values(dataset: pydicom.Dataset) -> NDArray[Any]:
    """Return (frames, rows, columns, samples) real values, from pydicom's decoding and lookup alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = pixel_array(dataset)  # YBR becomes RGB
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            values = _narrowed(apply_color_lut(values, dataset))
        elif dataset.SamplesPerPixel == 1:
            values = _rescaled(values, dataset)
    count = int(dataset.get("NumberOfFrames", 1) or 1)
    return np.asarray(values).reshape(count, dataset.Rows, dataset.Columns, -1)


def _narrowed(colours: NDArray[Any]) -> NDArray[Any]:
    """Return 16-bit colours that are 8-bit ones times 256 or 257 as 8-bit ones."""
    return colours >> 8 if colours.dtype == np.uint16 and (colours & 0xFF).max() in (0, 255) else colours


def _rescaled(values: NDArray[Any], dataset: pydicom.Dataset) -> NDArray[Any]:
    if "DoseGridScaling" in dataset:
        return values * float(dataset.DoseGridScaling)
    return np.asarray(apply_modality_lut(values, dataset))


def positions(dataset: pydicom.Dataset, count: int) -> list[NDArray[np.float64]] | None:
    """Return the position of each frame in LPS; None where the header states none."""
    if "ImagePositionPatient" not in dataset or "ImageOrientationPatient" not in dataset:
        return None
    first = np.array(dataset.ImagePositionPatient, float)
    if "GridFrameOffsetVector" not in dataset:
        return [first] * count
    cosines = np.array(dataset.ImageOrientationPatient, float)
    normal = np.cross(cosines[:3], cosines[3:])
    offsets = np.array(dataset.GridFrameOffsetVector, float)
    return [first + normal * (offset - (offsets[0] if offsets[0] else 0)) for offset in offsets]


def _lies_at(volume: Volume, k: int, place: NDArray[np.float64]) -> bool:
    return bool(np.abs(volume.geometry.to_world((0, 0, k)) * (-1, -1, 1) - place).max() < 1e-2)


def _assert_axes(dataset: pydicom.Dataset, volume: Volume) -> None:
    cosines = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = map(float, dataset.PixelSpacing)
    steps = np.diag([-1.0, -1.0, 1.0]) @ volume.geometry.affine[:3, :2]
    assert np.abs(steps - (cosines * [[between_columns], [between_rows]]).T).max() < 1e-4


def assert_itk_agrees(path: Path, dataset: pydicom.Dataset, volumes: list[Volume]) -> None:
    """Compare with SimpleITK too, where it is known to be right: single-frame grey images of signs it understands."""
    if dataset.SamplesPerPixel != 1 or dataset.PhotometricInterpretation != "MONOCHROME2" or len(volumes) != 1:
        return
    if int(dataset.get("NumberOfFrames", 1) or 1) > 1 or "PixelPaddingValue" in dataset:
        return
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        image = sitk.ReadImage(path)
    except RuntimeError:
        return
    values = sitk.GetArrayFromImage(image).reshape(dataset.Rows, dataset.Columns)
    assert np.abs(volumes[0].voxels[0, :, :, 0].T.astype(float) - values).max() <= 1e-3 * max(1, np.abs(values).max())
    if volumes[0].geometry.physical and "ImagePositionPatient" in dataset:
        place = np.array(image.GetOrigin()) * (-1, -1, 1)
        assert np.abs(volumes[0].geometry.to_world((0, 0, 0)) - place).max() < 1e-3


@cache
def _tree() -> Loaded:
    return mv.load(DISC / "DICOMDIR")


def _by_place(loaded: Loaded) -> dict[tuple[float, ...], list[NDArray[Any]]]:
    found = defaultdict(list)
    for volume in loaded.volumes.values():
        for k in range(volume.geometry.shape[2]):
            key = (*np.round(volume.geometry.to_world((0, 0, k)) * (-1, -1, 1), 2), *volume.geometry.shape[:2])
            found[key].append(volume.voxels[0, :, :, k].T)
    return found


def test_each_slice_read_through_a_directory_is_that_of_a_file() -> None:
    loaded = _tree()
    assert loaded.volumes
    places = _by_place(loaded)
    checked = 0
    for path in DISC.rglob("*"):
        if path.is_dir() or path.name.startswith(("DICOMDIR", "README")) or _TINY in path.parts:
            continue
        dataset = pydicom.dcmread(path)
        if "ImagePositionPatient" not in dataset or "LOCALIZER" in dataset.ImageType:
            continue
        key = (*np.round(np.array(dataset.ImagePositionPatient, float), 2), dataset.Columns, dataset.Rows)
        wanted = real_values(dataset)[0, :, :, 0]
        checked += any(np.array_equal(place, wanted) for place in places[key])
    slices = sum(v.geometry.shape[2] for v in loaded.volumes.values() if v.modality != "CR")
    assert checked == slices


@pytest.mark.parametrize("name", ["bigEnd", "implicit", "nooffset", "nopatient", "reordered"])
def test_every_kind_of_directory_gives_the_same_volumes(name: str) -> None:
    other = mv.load(DISC / f"DICOMDIR-{name}")
    assert sorted(v.digest() for v in other.volumes.values()) == sorted(v.digest() for v in _tree().volumes.values())


def test_a_directory_of_headers_without_pixels_is_refused() -> None:
    tiny = next(Path(name) for name in get_testdata_files("**/*") if name.endswith("TINY_ALPHA/DICOMDIR"))
    got = mv.load(tiny)
    assert not got.volumes
    assert {finding.code for finding in got.rejected} == {"bad-header"}
