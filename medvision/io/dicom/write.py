"""A volume as a DICOM series: one valid single-frame CT, MR or PET file a slice, the same bytes for the same volume.

Nothing identifies a patient unless that is asked for: no dates, no names, new UIDs.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medvision.errors import GeometryError, InputError, OutputError, UsageError
from medvision.files import sha256_of_text
from medvision.geometry import FloatArray, Geometry
from medvision.io.dicom.inherited import Inherited
from medvision.io.dicom.iods import OF_PET, SOP_CLASSES, UNITS_OF_PET, required
from medvision.io.dicom.stored import Stored, decimal, stored
from medvision.io.folders import replacing_folder
from medvision.io.located import quiet
from medvision.volume import Volume

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
_RIGHT_ANGLE_WITHIN = 1e-4  # the cosine of the angle of rows and columns


@dataclass(frozen=True)
class WrittenSeries:
    """What :func:`write_dicom_series` wrote.

    Parameters
    ----------
    files
        A file for each slice, in the order of k.
    rounded_by
        By how much a value in a file differs at most from the volume's, both taken as 32-bit floats: half a step of
        the 16 bits, 0 where all values are the same.
    """

    files: tuple[Path, ...]
    rounded_by: float


def write_dicom_series(
    folder: Path,
    volume: Volume,
    *,
    name: str,
    like: Sequence[Path] = (),
    keep_identity: bool = False,
    force: bool = False,
) -> WrittenSeries:
    """Write a volume as a folder of single-frame CT, MR or PET files, Explicit VR Little Endian, all or none.

    Whole numbers that 16 bits hold are written as they are, others by a rescale slope and intercept: one for the
    series, for PET one a slice. Every slice states its own position, so that a sheared volume is written exactly.
    DICOM orders slices along the normal of their rows and columns: a volume whose k runs the other way comes back with
    k reversed, each voxel where it was.

    Parameters
    ----------
    folder
        The new folder; ``0001.dcm`` is the slice k = 0.
    volume
        One channel, modality ``"CT"``, ``"MR"`` or ``"PT"``.
    name
        What tells the patient from others: only a hash of it is written.
    like
        Files that the volume was read from: a slice takes the facts of its acquisition from the one that lies nearest.
        Study and frame of reference become new UIDs that depend on theirs alone, so that series stay together.
    keep_identity
        Take over the patient, the study, its dates and the UIDs of study and frame of reference too.
    force
        An older series in `folder` is replaced.

    Raises
    ------
    InputError
        ``modality-unknown``; ``modality-differs``: `like` is of another; ``unsupported``: another modality, several
        channels, PET without a unit or a fact that it must state; ``bad-rescale``: values beyond 32-bit floats.
    GeometryError
        ``bad-geometry``: a picture without physical size, or rows that are not at right angles to columns.
    UsageError
        `keep_identity` without `like`.
    OutputError
        ``output-exists``; ``output-unwritable``.
    """
    if keep_identity and not like:
        raise UsageError("usage", "there is no file whose identity could be kept")
    if folder.exists() and not force:
        raise OutputError("output-exists", "there is something of this name already", path=folder)
    _check(volume)
    values = stored(volume)
    with quiet():
        inherited = Inherited.of(like, str(volume.modality), keep_identity=keep_identity)
        shared = _shared(volume, name, inherited, like)
        with replacing_folder(folder) as temporary:
            for k in range(volume.geometry.shape[2]):
                elements = _of_slice(volume.geometry, values, k, shared, inherited)
                (temporary / _file_name(k)).write_bytes(_file(elements))
    return WrittenSeries(tuple(folder / _file_name(k) for k in range(volume.geometry.shape[2])), values.rounded_by)


def _file_name(k: int) -> str:
    return f"{k + 1:04d}.dcm"


def _check(volume: Volume) -> None:
    if volume.modality is None:
        raise InputError("modality-unknown", "a DICOM file states its modality", cure="Name it: `--modality`.")
    if volume.modality not in SOP_CLASSES:
        text = f"a volume of modality {volume.modality} is not written as DICOM; {', '.join(SOP_CLASSES)} are"
        raise InputError("unsupported", text, cure="Write NIfTI.")
    if volume.channels != 1:
        text = f"a series holds one channel, the volume has {volume.channels}"
        raise InputError("unsupported", text, cure="Name each channel's file as an input of its own.")
    if volume.modality == "PT" and volume.unit not in UNITS_OF_PET:
        text = "a PET image states the unit of its values, which is not known here"
        raise InputError("unsupported", text, cure="Convert from the DICOM series of the scan.")
    if not volume.geometry.physical:
        raise GeometryError("bad-geometry", "a picture without physical size cannot be placed in a patient")
    across, down, _ = volume.geometry.directions.T
    if abs(across @ down) > _RIGHT_ANGLE_WITHIN:
        text = "rows and columns are not at right angles, which DICOM cannot state"
        raise GeometryError("bad-geometry", text, cure="Write NIfTI, or read with `--orthogonal`.")


def _shared(volume: Volume, name: str, inherited: Inherited, like: Sequence[Path]) -> dict[str, Any]:
    """Return the elements that all slices share, as they are where `inherited` does not know better."""
    geometry, modality = volume.geometry, str(volume.modality)
    elements = {
        **required(modality),
        **_uids(volume, name, inherited),
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": SOP_CLASSES[modality],
        "Modality": modality,
        # The name of a case is often that of a folder, and that of a folder often a person's.
        "PatientName": "Converted^",
        "PatientID": f"case-{sha256_of_text([name])[:12]}",
        "SliceThickness": decimal(_distance(geometry)),
        "DerivationDescription": "written by medvision",
    }
    if any(finding.code == "lossy-compressed" for finding in volume.findings):
        elements["LossyImageCompression"] = "01"
    if modality == "PT":
        _check_facts(inherited, like)
        return {**elements, **UNITS_OF_PET[str(volume.unit)], "NumberOfSlices": geometry.shape[2]}
    if volume.unit is not None:
        elements["RescaleType"] = volume.unit
    return elements


def _check_facts(inherited: Inherited, like: Sequence[Path]) -> None:
    """Refuse PET where a slice would lack what it must state; each takes it from the file that lies nearest."""
    if not like:
        text = f"a PET image states {', '.join(OF_PET)}, which a volume does not hold"
        raise InputError("unsupported", text, cure="Convert from the DICOM series of the scan.")
    for file, facts in zip(like, inherited.files, strict=True):
        if missing := [keyword for keyword in OF_PET if keyword not in facts]:
            text = f"a PET image states {', '.join(missing)}, which this file of the series does not"
            raise InputError("unsupported", text, path=file, cure="Write NIfTI.")


def _uids(volume: Volume, name: str, inherited: Inherited) -> dict[str, str]:
    """Return UIDs made from content (PS3.5, B.2): the same volume has the same ones, another has others."""
    content = [name, volume.digest(), volume.geometry.affine.tobytes().hex(), str(volume.modality), str(volume.unit)]
    series = sha256_of_text([*content, inherited.digest()])
    made = {"SeriesInstanceUID": _uid("series", series)}
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID"):
        known = inherited.first(keyword)
        made[keyword] = str(known) if known and inherited.keep_identity else _uid(keyword, str(known or series))
    return made


def _uid(*parts: str) -> str:
    return f"2.25.{int(sha256_of_text(parts)[:32], 16)}"


def _distance(geometry: Geometry) -> float:
    """Return the distance between neighbouring slices along their normal, in mm."""
    across, down, _ = geometry.directions.T
    return float(abs(np.cross(across, down) @ geometry.affine[:3, 2]))


def _of_slice(
    geometry: Geometry, values: Stored, k: int, shared: Mapping[str, Any], inherited: Inherited
) -> dict[str, Any]:
    """Return all elements of slice k."""
    position = _RAS_TO_LPS @ geometry.to_world((0, 0, k))
    elements = {**shared, **inherited.elements(position), **_placed(geometry, position), **_pixels(values, k)}
    if "BodyPartExamined" in elements and not elements["Laterality"]:
        del elements["Laterality"]  # empty means unknown; a part of the body that is not paired has none
    elements |= {"SOPInstanceUID": _uid("slice", str(shared["SeriesInstanceUID"]), str(k)), "InstanceNumber": k + 1}
    if shared["Modality"] == "PT":
        elements["ImageIndex"] = k + 1
        if elements["SeriesType"][0] in ("DYNAMIC", "GATED"):  # its other volumes are series of their own here
            elements["SeriesType"] = ["STATIC", "IMAGE"]
    elif shared["Modality"] == "CT" or not values.is_plain:
        elements.setdefault("RescaleType", "US")  # unspecified
    if shared["Modality"] == "MR" and "RescaleType" not in elements:
        del elements["RescaleSlope"], elements["RescaleIntercept"]
    return elements


def _placed(geometry: Geometry, position: FloatArray) -> dict[str, Any]:
    """Return the elements of the Image Plane module (PS3.3, C.7.6.2); LPS, mm."""
    cosines = (_RAS_TO_LPS @ geometry.directions[:, :2]).T.ravel()
    placed: dict[str, Any] = {
        "ImagePositionPatient": [decimal(x) for x in position],
        "ImageOrientationPatient": [decimal(x) for x in cosines],
        "PixelSpacing": [decimal(geometry.spacing[1]), decimal(geometry.spacing[0])],
    }
    if not geometry.is_sheared:  # else it can be taken along the normal or from corner to corner
        placed["SpacingBetweenSlices"] = decimal(_distance(geometry))
    return placed


def _pixels(values: Stored, k: int) -> dict[str, Any]:
    """Return the elements of the Image Pixel module (PS3.3, C.7.6.3), and the rescale (C.11.1)."""
    pixels = values.pixels[:, :, k].T
    return {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1 if pixels.dtype.kind == "i" else 0,
        "RescaleSlope": decimal(values.slopes[k]),
        "RescaleIntercept": decimal(values.intercept),
        "PixelData": pixels.astype(pixels.dtype.newbyteorder("<")).tobytes(),
    }


def _file(elements: Mapping[str, Any]) -> bytes:
    """Return the elements as a DICOM file (PS3.10)."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()
