"""What is asked of one DICOM file's header, and whether an object of its kind is read at all."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medvision.errors import GeometryError, InputError
from medvision.io.located import decoding, located

PROJECTIONS = ("CR", "DX", "MG")
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_READ = {  # SOP classes below _STORAGE (PS3.4, B.5) that are read
    "2": "CT",
    "4": "MR",
    "128": "PT",
    "1": "CR",
    "1.1": "DX",
    "1.1.1": "DX",
    "1.2": "MG",
    "1.2.1": "MG",
}
# Annotations, raw data, registrations, segmentations, presentation states, structured reports, documents, plans, ...
_NOT_ANALYSED = ("9.", "11.", "66", "67", "68.", "77.1.5.", "78.", "79", "80", "88.", "91.1", "104.", "4.2", "481.")
_DICOMDIR = "1.2.840.10008.1.3.10"
_DEFLATED = b"1.2.840.10008.1.2.1.99"

_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "ImageType",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "PatientID",
    "FrameOfReferenceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PatientOrientation",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "ModalityLUTSequence",
    "Units",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "LossyImageCompression",
]


@dataclass(frozen=True)
class Header:
    """One file's header; it knows identities in order to compare them, and is never shown or written.

    Attributes are named as in DICOM; None where the tag is missing or empty.
    """

    file: Path
    transfer_syntax: str
    sop_class: str
    sop_instance: str | None
    modality: str | None
    image_type: tuple[str, ...]
    study: str | None
    series: str | None
    patient: str | None
    frame_of_reference: str | None
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    patient_orientation: tuple[str, ...]
    pixel_spacing: tuple[float, ...] | None
    slice_thickness: float | None
    spacing_between: float | None
    rows: int | None
    columns: int | None
    frames: int
    samples: int | None
    photometric: str | None
    bits_allocated: int | None
    bits_stored: int | None
    high_bit: int | None
    pixel_representation: int | None
    slope: float | None
    intercept: float | None
    rescale_type: str | None
    has_modality_lut: bool
    units: str | None
    padding: int | None
    padding_limit: int | None
    is_lossy: bool

    @property
    def is_analysed(self) -> bool:
        """Whether this is an image, and not a report, a segmentation, a plan, a directory, ..."""
        if self.sop_class == _DICOMDIR or self.sop_class.removeprefix(_STORAGE).startswith(_NOT_ANALYSED):
            return False
        return self.rows is not None or self.sop_class.removeprefix(_STORAGE) in _READ

    @property
    def is_projection(self) -> bool:
        """Whether this is a radiograph: a picture without a position in the patient."""
        return self.modality in PROJECTIONS


def read_header(file: Path) -> Header:
    """Return the header of a DICOM file; call it within :func:`medvision.io.located.quiet`.

    Raises
    ------
    InputError
        ``bad-header``: the file cannot be parsed, or states no SOP class or Transfer Syntax; ``unsupported``:
        deflated as a whole, which could unpack to any size; ``unreadable``.
    """
    from pydicom import dcmread

    with located(file):
        if _is_deflated(file):
            raise InputError("unsupported", "deflated DICOM is not read")
        with decoding("the header"):
            dataset = dcmread(file, stop_before_pixels=True, specific_tags=[_tag(name) for name in _TAGS], force=True)
        return _header(dataset, file)


def check_kind(header: Header) -> None:
    """Refuse what is not read: it is never guessed at.

    Raises
    ------
    InputError
        ``unsupported``, ``codec-missing``, ``bad-header``, ``truncated``, each naming the tag and the file.
    """
    with located(header.file):
        _check_object(header)
        _check_pixels(header)
        if not _has_decoder(header.transfer_syntax):
            raise InputError("codec-missing", f"its Transfer Syntax {header.transfer_syntax} has no decoder here")
        _check_size(header)


def _check_object(header: Header) -> None:
    if header.frames > 1:
        raise InputError("unsupported", f"it is multi-frame: Number of Frames is {header.frames}")
    modality = _READ.get(header.sop_class.removeprefix(_STORAGE))
    if modality is None:
        raise InputError("unsupported", f"objects of SOP class {header.sop_class} are not read")
    if header.modality != modality:
        raise InputError("bad-header", f"Modality {header.modality} does not belong to the SOP class, {modality} does")
    if "MOSAIC" in header.image_type:
        raise InputError("unsupported", "it is a mosaic: a volume tiled into one picture")
    if modality == "CT" and "LOCALIZER" in header.image_type:
        raise InputError("unsupported", "it is a localizer: a projection, not a slice")
    if modality == "PT" and header.units not in ("BQML", "CNTS"):
        raise InputError("unsupported", f"Units {header.units} of a PET image are not read, BQML and CNTS are")


def _check_pixels(header: Header) -> None:
    if header.samples not in (1, None) or header.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise InputError("unsupported", f"it is in colour: Photometric Interpretation is {header.photometric}")
    if header.photometric == "MONOCHROME1" and header.is_projection:
        raise InputError("unsupported", "its grey values are inverted (MONOCHROME1)")
    if header.has_modality_lut:
        raise InputError("unsupported", "its values go through a Modality LUT")
    allocated, stored = header.bits_allocated, header.bits_stored
    if allocated not in (8, 16, 32) or not stored or not 1 <= stored <= allocated or header.high_bit != stored - 1:
        raise InputError(
            "bad-header",
            f"Bits Allocated {allocated}, Bits Stored {stored}, High Bit {header.high_bit} do not go together",
        )
    if header.pixel_representation not in (0, 1):
        raise InputError("bad-header", "Pixel Representation is missing or neither 0 nor 1")
    if not header.rows or not header.columns:
        raise InputError("bad-header", "Rows or Columns is missing or zero")


def _check_size(header: Header) -> None:
    """Compare the file's size with what its header claims, where pixels are not compressed."""
    from pydicom.uid import UID

    claimed = (header.rows or 0) * (header.columns or 0) * (header.bits_allocated or 0) // 8
    there = header.file.stat().st_size
    if not UID(header.transfer_syntax).is_encapsulated and there < claimed:
        raise InputError("truncated", f"the file has {there:,} bytes, its pixels alone need {claimed:,}")


@functools.cache
def _has_decoder(transfer_syntax: str) -> bool:
    from pydicom.pixels import get_decoder

    try:
        return bool(get_decoder(transfer_syntax).is_available)
    except NotImplementedError:
        raise InputError("unsupported", f"Transfer Syntax {transfer_syntax} is not read") from None


def _is_deflated(file: Path) -> bool:
    """Whether the file meta information names the deflated syntax; pydicom would unpack it without a limit."""
    with file.open("rb") as content:
        head = content.read(144)
        start = 132 if head[128:132] == b"DICM" else 0
        length = int.from_bytes(head[start + 8 : start + 12], "little")
        known = head[start : start + 6] == b"\x02\0\0\0UL"
        content.seek(start)
        return _DEFLATED in content.read(12 + min(length, 1 << 20) if known else 1 << 16)


def _header(dataset: Any, file: Path) -> Header:
    transfer_syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if not transfer_syntax:
        raise InputError("bad-header", "it states no Transfer Syntax UID (0002,0010)")
    sop_class = _text(dataset, "SOPClassUID")
    if sop_class is None:
        raise InputError("bad-header", "it states no SOP Class UID (0008,0016)")
    return Header(
        file=file,
        transfer_syntax=str(transfer_syntax),
        sop_class=sop_class,
        sop_instance=_text(dataset, "SOPInstanceUID"),
        modality=_text(dataset, "Modality"),
        image_type=_texts(dataset, "ImageType"),
        study=_text(dataset, "StudyInstanceUID"),
        series=_text(dataset, "SeriesInstanceUID"),
        patient=_text(dataset, "PatientID"),
        frame_of_reference=_text(dataset, "FrameOfReferenceUID"),
        position=_numbers(dataset, "ImagePositionPatient", 3),
        orientation=_numbers(dataset, "ImageOrientationPatient", 6),
        patient_orientation=_texts(dataset, "PatientOrientation"),
        pixel_spacing=_numbers(dataset, "PixelSpacing", 2),
        slice_thickness=_number(dataset, "SliceThickness"),
        spacing_between=_number(dataset, "SpacingBetweenSlices"),
        rows=_whole(dataset, "Rows"),
        columns=_whole(dataset, "Columns"),
        frames=_whole(dataset, "NumberOfFrames") or 1,
        samples=_whole(dataset, "SamplesPerPixel"),
        photometric=_text(dataset, "PhotometricInterpretation"),
        bits_allocated=_whole(dataset, "BitsAllocated"),
        bits_stored=_whole(dataset, "BitsStored"),
        high_bit=_whole(dataset, "HighBit"),
        pixel_representation=_whole(dataset, "PixelRepresentation"),
        slope=_number(dataset, "RescaleSlope"),
        intercept=_number(dataset, "RescaleIntercept"),
        rescale_type=_text(dataset, "RescaleType"),
        has_modality_lut="ModalityLUTSequence" in dataset,
        units=_text(dataset, "Units"),
        padding=_whole(dataset, "PixelPaddingValue"),
        padding_limit=_whole(dataset, "PixelPaddingRangeLimit"),
        is_lossy=_text(dataset, "LossyImageCompression") == "01",
    )


def _value(dataset: Any, keyword: str) -> Any:
    with decoding(keyword):
        element = dataset.get(_tag(keyword))  # twice as fast as by keyword, which matters for thousands of files
        return element.value if element is not None else None


@functools.cache
def _tag(keyword: str) -> Any:
    from pydicom.tag import Tag

    return Tag(keyword)


def _text(dataset: Any, keyword: str) -> str | None:
    value = _value(dataset, keyword)
    return str(value).strip() or None if value is not None else None


def _texts(dataset: Any, keyword: str) -> tuple[str, ...]:
    value = _value(dataset, keyword)
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(part) for part in value)


def _whole(dataset: Any, keyword: str) -> int | None:
    value = _value(dataset, keyword)
    if value is None or value == "":
        return None
    with decoding(keyword):
        return int(value)


def _number(dataset: Any, keyword: str) -> float | None:
    value = _value(dataset, keyword)
    if value is None or value == "":
        return None
    with decoding(keyword):
        return float(value)


def _numbers(dataset: Any, keyword: str, count: int) -> tuple[float, ...] | None:
    value = _value(dataset, keyword)
    if value is None or value == "":
        return None
    with decoding(keyword):
        numbers = tuple(float(part) for part in value)
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise GeometryError("bad-geometry", f"{keyword} is {count} finite numbers, {len(numbers)} are there")
    return numbers
