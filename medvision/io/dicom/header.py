"""From a file to what its frames state; whether they can be read is asked later."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from medvision.errors import InputError
from medvision.io.dicom.content import opened
from medvision.io.dicom.elements import Elements, quick_elements
from medvision.io.dicom.frame import Frame, Numbers
from medvision.io.dicom.multiframe import frames_of
from medvision.io.dicom.tags import TAGS, WANTED, DatasetTags, RawTags, Tags, seconds_of
from medvision.io.located import decoding, located

_OF_ONE_SLICE = frozenset(
    TAGS[name]
    for name in ("SOPInstanceUID", "ImagePositionPatient", "AcquisitionTime", "AcquisitionDateTime", "TriggerTime")
)
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_ORDER = (
    ("echo time", "EchoTime"),
    ("echo number", "EchoNumbers"),
    ("inversion time", "InversionTime"),
    ("time", "TemporalPositionIdentifier"),
    ("time index", "TemporalPositionIndex"),
    ("b-value", "DiffusionBValue"),
    ("trigger time", "TriggerTime"),
    ("acquisition number", "AcquisitionNumber"),
)
_EXPLICIT, _IMPLICIT, _BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"


def read_frames(file: Path) -> tuple[Frame, ...]:
    """Return what the frames of a DICOM file state; call it within :func:`medvision.io.located.quiet`.

    Raises
    ------
    InputError
        ``bad-header``: the file cannot be parsed, or states no SOP class; ``unreadable``, ``too-large``, ``truncated``;
        what :func:`medvision.io.dicom.multiframe.frames_of` refuses.
    GeometryError
        ``bad-geometry``: a position, an orientation or a spacing of another count, or not finite.
    """
    with located(file):
        with opened(file) as content:
            elements = quick_elements(content, WANTED)
            if elements is not None and not _needs_dataset(elements):
                return (_of_elements(elements, file),)
            content.seek(0)
            dataset = read_dataset(content, with_pixels=False)
        syntax, is_assumed = _syntax_of(dataset)
        frame = _frame(DatasetTags(dataset), file, syntax, is_assumed=is_assumed, pixels=None)
        return frames_of(frame, dataset)


def read_dataset(content: Any, *, with_pixels: bool) -> Any:
    """Return pydicom's data set of a file.

    Raises
    ------
    InputError
        ``bad-header``: it cannot be parsed.
    """
    from pydicom import dcmread

    with decoding("the file" if with_pixels else "the header"):
        return dcmread(content, stop_before_pixels=not with_pixels, force=True)


def _needs_dataset(elements: Elements) -> bool:
    """Whether there are frames or tiles, whose description lies in sequences or private elements."""
    raw = elements.raw
    return (
        any(TAGS[name] in raw for name in (*_GROUPS, "GridFrameOffsetVector"))
        or raw.get(TAGS["NumberOfFrames"], b"").strip(b" \0") not in (b"", b"1")
        or b"MOSAIC" in raw.get(TAGS["ImageType"], b"")
    )


def _of_elements(elements: Elements, file: Path) -> Frame:
    """Return the frame of a classic file; slices of one series share nearly all, which is understood once."""
    tags, syntax = RawTags(elements.raw), elements.transfer_syntax
    shared = tuple((tag, content) for tag, content in elements.raw.items() if tag not in _OF_ONE_SLICE)
    alike = _alike(shared, syntax or (_EXPLICIT if elements.is_explicit else _IMPLICIT), is_assumed=not syntax)
    return replace(
        alike,
        file=file,
        sop_instance=tags.text("SOPInstanceUID"),
        position=tags.numbers("ImagePositionPatient", 3),
        order=_order(tags),
        pixels=elements.pixels,
    )


@functools.lru_cache(maxsize=256)
def _alike(shared: tuple[tuple[int, bytes], ...], syntax: str, *, is_assumed: bool) -> Frame:
    return _frame(RawTags(dict(shared)), Path(), syntax, is_assumed=is_assumed, pixels=None)


def _syntax_of(dataset: Any) -> tuple[str, bool]:
    """Return the Transfer Syntax, and whether it had to be told from the elements."""
    with decoding("the file meta information"):
        stated = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
        if stated:
            return str(stated), False
        is_implicit, is_little = dataset.original_encoding
        return (_IMPLICIT if is_implicit else _EXPLICIT if is_little else _BIG_ENDIAN), True


def _frame(
    tags: Tags, file: Path, syntax: str, *, is_assumed: bool, pixels: tuple[int, int, int | None] | None
) -> Frame:
    sop_class = tags.text("SOPClassUID")
    if sop_class is None:
        raise InputError("bad-header", "it states no SOP Class UID (0008,0016)")
    number = tags.hint("SeriesNumber")
    return Frame(
        file=file,
        number=0,
        transfer_syntax=syntax,
        is_assumed=is_assumed,
        sop_class=sop_class,
        sop_instance=tags.text("SOPInstanceUID"),
        study=tags.text("StudyInstanceUID"),
        series=tags.text("SeriesInstanceUID"),
        patient=tags.text("PatientID"),
        frame_of_reference=tags.text("FrameOfReferenceUID"),
        modality=tags.text("Modality"),
        image_type=tags.texts("ImageType"),
        description=tags.text("SeriesDescription"),
        series_number=int(number) if number is not None else None,
        position=tags.numbers("ImagePositionPatient", 3),
        orientation=tags.numbers("ImageOrientationPatient", 6),
        patient_orientation=tags.texts("PatientOrientation"),
        pixel_spacing=tags.numbers("PixelSpacing", 2),
        imager_spacing=tags.numbers("ImagerPixelSpacing", 2),
        slice_thickness=tags.hint("SliceThickness"),
        spacing_between=tags.hint("SpacingBetweenSlices"),
        rows=tags.whole("Rows"),
        columns=tags.whole("Columns"),
        frames=tags.whole("NumberOfFrames") or 1,
        samples=tags.whole("SamplesPerPixel"),
        photometric=tags.text("PhotometricInterpretation"),
        bits_allocated=tags.whole("BitsAllocated"),
        bits_stored=tags.whole("BitsStored"),
        high_bit=tags.whole("HighBit"),
        pixel_representation=tags.whole("PixelRepresentation"),
        slope=tags.number("RescaleSlope"),
        intercept=tags.number("RescaleIntercept"),
        rescale_type=tags.text("RescaleType"),
        has_modality_lut=tags.has("ModalityLUTSequence"),
        has_real_world_map=tags.has("RealWorldValueMappingSequence"),
        units=tags.text("Units"),
        padding=tags.whole("PixelPaddingValue"),
        padding_limit=tags.whole("PixelPaddingRangeLimit"),
        is_lossy=tags.text("LossyImageCompression") == "01",
        scaling=tags.number("DoseGridScaling"),
        order=_order(tags),
        pixels=pixels,
        person=tuple(_plain(tags.text(name)) for name in ("PatientName", "PatientBirthDate", "PatientSex")),
        technique=tuple(tags.text(name) or "" for name in ("KVP", "ConvolutionKernel", "FlipAngle")),
        images_stated=_count(tags, "ImagesInAcquisition"),
        slices_stated=_count(tags, "NumberOfSlices"),
        concatenation=_concatenation(tags),
        has_one_rescale=all(len(tags.values(n)) < 2 for n in ("RescaleSlope", "RescaleIntercept", "DoseGridScaling")),
        dose=(tags.text("DoseUnits"), tags.text("DoseType")),
        presentation=tags.text("PresentationLUTShape"),
    )


def _plain(text: str | None) -> str | None:
    """Return a name without what writers differ in: empty components, capitals, spaces."""
    return " ".join(re.sub(r"[\^=\s]+", " ", text).casefold().split()) or None if text is not None else None


def _count(tags: Tags, name: str) -> int | None:
    number = tags.hint(name)
    return int(number) if number is not None and number > 0 else None


def _concatenation(tags: Tags) -> tuple[str, int, int] | None:
    uid = tags.text("ConcatenationUID")
    part, total = tags.hint("InConcatenationNumber"), tags.hint("InConcatenationTotalNumber")
    return (uid, int(part), int(total)) if uid and part is not None and total is not None else None


def _order(tags: Tags) -> tuple[tuple[str, float | str | Numbers], ...]:
    """Return what can tell two images at one place from each other, most telling first."""
    found: list[tuple[str, float | str | Numbers | None]] = [
        (words, tags.hint(name)) for words, name in _ORDER if tags.has(name)
    ]
    gradient = tuple(value for value in tags.values("DiffusionGradientOrientation") if isinstance(value, float))
    found.append(("gradient direction", gradient or None))
    found += [("image type", "\\".join(tags.texts("ImageType")[2:]) or None), ("acquisition time", _acquired(tags))]
    return tuple((name, value) for name, value in found if value is not None)


def _acquired(tags: Tags) -> float | None:
    """Return when the image was acquired, in seconds that go on over midnight."""
    whole = tags.text("AcquisitionDateTime")
    if whole is None and (time := tags.text("AcquisitionTime")) is not None:
        whole = (tags.text("AcquisitionDate") or "") + time
    return seconds_of(whole)
