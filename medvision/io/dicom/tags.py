"""The values of tags, from raw elements or from pydicom's data sets, with damage told by the tag's name."""

from __future__ import annotations

import datetime
import functools
import math
import re
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping, MutableSequence
from typing import Any, final

from medvision.errors import GeometryError, InputError
from medvision.io.located import decoding

TAGS = {
    "SpecificCharacterSet": 0x00080005,
    "ImageType": 0x00080008,
    "SOPClassUID": 0x00080016,
    "SOPInstanceUID": 0x00080018,
    "AcquisitionDate": 0x00080022,
    "AcquisitionDateTime": 0x0008002A,
    "AcquisitionTime": 0x00080032,
    "Modality": 0x00080060,
    "SeriesDescription": 0x0008103E,
    "PatientName": 0x00100010,
    "PatientID": 0x00100020,
    "PatientBirthDate": 0x00100030,
    "PatientSex": 0x00100040,
    "SliceThickness": 0x00180050,
    "KVP": 0x00180060,
    "EchoTime": 0x00180081,
    "InversionTime": 0x00180082,
    "EchoNumbers": 0x00180086,
    "SpacingBetweenSlices": 0x00180088,
    "TriggerTime": 0x00181060,
    "ImagerPixelSpacing": 0x00181164,
    "ConvolutionKernel": 0x00181210,
    "FlipAngle": 0x00181314,
    "DiffusionBValue": 0x00189087,
    "DiffusionGradientOrientation": 0x00189089,
    "StudyInstanceUID": 0x0020000D,
    "SeriesInstanceUID": 0x0020000E,
    "SeriesNumber": 0x00200011,
    "AcquisitionNumber": 0x00200012,
    "PatientOrientation": 0x00200020,
    "ImagePositionPatient": 0x00200032,
    "ImageOrientationPatient": 0x00200037,
    "FrameOfReferenceUID": 0x00200052,
    "TemporalPositionIdentifier": 0x00200100,
    "ImagesInAcquisition": 0x00201002,
    "TemporalPositionIndex": 0x00209128,
    "ConcatenationUID": 0x00209161,
    "InConcatenationNumber": 0x00209162,
    "InConcatenationTotalNumber": 0x00209163,
    "SamplesPerPixel": 0x00280002,
    "PhotometricInterpretation": 0x00280004,
    "NumberOfFrames": 0x00280008,
    "Rows": 0x00280010,
    "Columns": 0x00280011,
    "PixelSpacing": 0x00280030,
    "BitsAllocated": 0x00280100,
    "BitsStored": 0x00280101,
    "HighBit": 0x00280102,
    "PixelRepresentation": 0x00280103,
    "PixelPaddingValue": 0x00280120,
    "PixelPaddingRangeLimit": 0x00280121,
    "RescaleIntercept": 0x00281052,
    "RescaleSlope": 0x00281053,
    "RescaleType": 0x00281054,
    "LossyImageCompression": 0x00282110,
    "ModalityLUTSequence": 0x00283000,
    "RealWorldValueMappingSequence": 0x00409096,
    "NumberOfSlices": 0x00540081,
    "Units": 0x00541001,
    "GridFrameOffsetVector": 0x3004000C,
    "DoseUnits": 0x30040002,
    "DoseType": 0x30040004,
    "DoseGridScaling": 0x3004000E,
    "PresentationLUTShape": 0x20500020,
    "SharedFunctionalGroupsSequence": 0x52009229,
    "PerFrameFunctionalGroupsSequence": 0x52009230,
}
"""The tags that are asked for, as group << 16 | element."""

_BINARY = frozenset(  # VR US or SS
    (
        "SamplesPerPixel",
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "PixelPaddingValue",
        "PixelPaddingRangeLimit",
        "InConcatenationNumber",
        "InConcatenationTotalNumber",
        "NumberOfSlices",
    )
)
_UINT32 = "TemporalPositionIndex"  # VR UL
_DOUBLES = frozenset(("DiffusionBValue", "DiffusionGradientOrientation"))  # VR FD
_TEXT_VRS = frozenset((b"CS", b"DA", b"DS", b"DT", b"IS", b"LO", b"PN", b"SH", b"TM", b"UI"))


def _vrs(name: str) -> frozenset[bytes]:
    """Return the VRs by which the bytes of a tag are understood here."""
    if name in _BINARY:
        return frozenset((b"US", b"SS"))
    if name == _UINT32:
        return frozenset((b"UL",))
    if name in _DOUBLES:
        return frozenset((b"FD",))
    return frozenset((b"SQ",)) if name.endswith("Sequence") else _TEXT_VRS


WANTED = {tag: _vrs(name) for name, tag in TAGS.items()}
"""The VRs that each tag is expected to have; one with another is left to pydicom."""


class Tags(ABC):
    """The values of one data set's tags."""

    @abstractmethod
    def values(self, name: str) -> list[Any]:
        """Return the values of a tag, texts or numbers; empty where it is missing or empty."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether the tag is there."""

    def text(self, name: str) -> str | None:
        """Return the first value as text; None where there is none."""
        values = self.values(name)
        return str(values[0]) or None if values else None

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all values as texts."""
        return tuple(str(value) for value in self.values(name))

    def whole(self, name: str) -> int | None:
        """Return a whole number; None where there is none, InputError ``bad-header`` where it is something else."""
        number = self.number(name)
        if number is None:
            return None
        if not math.isfinite(number) or number != int(number):
            raise InputError("bad-header", f"{name} is no whole number")
        return int(number)

    def number(self, name: str) -> float | None:
        """Return a number, perhaps NaN; None where there is none, InputError ``bad-header`` where it is none."""
        values = self.values(name)
        return _number(values[0], name) if values and values[0] != "" else None

    def numbers(self, name: str, count: int) -> tuple[float, ...] | None:
        """Return `count` finite numbers; None where the tag is missing, GeometryError where they are others."""
        values = self.values(name)
        if not values or values == [""]:
            return None
        numbers = tuple(_number(value, name) for value in values)
        if len(numbers) != count or not all(map(math.isfinite, numbers)):
            raise GeometryError("bad-geometry", f"{name} is {count} finite numbers, {len(numbers)} are there")
        return numbers

    def hint(self, name: str) -> float | None:
        """Return a finite number that nothing depends on; None where it is missing or damaged."""
        try:
            number = self.number(name)
        except InputError:
            return None
        return number if number is not None and math.isfinite(number) else None


@final
class RawTags(Tags):
    """Values of the bytes that :func:`medvision.io.dicom.elements.quick_elements` found."""

    def __init__(self, raw: Mapping[int, bytes]) -> None:
        self._raw = raw

    def values(self, name: str) -> list[Any]:
        """Return the values of a tag."""
        content = self._raw.get(TAGS[name])
        if not content:
            return []
        if name in _BINARY or name == _UINT32:
            return [int.from_bytes(content[: 4 if name == _UINT32 else 2], "little")]
        if name in _DOUBLES:
            count = len(content) // 8
            return list(struct.unpack(f"<{count}d", content[: count * 8]))
        text = self._decoded(content).strip(" \0")
        return [part.strip(" \0") for part in text.split("\\")] if text else []

    def has(self, name: str) -> bool:
        """Whether the tag is there."""
        return TAGS[name] in self._raw

    def _decoded(self, content: bytes) -> str:
        """Return text by the Specific Character Set (PS3.3, C.12.1.1.2); nearly all of it is ASCII."""
        if content.isascii() and b"\x1b" not in content:
            return content.decode("ascii")
        from pydicom.charset import convert_encodings, decode_bytes

        stated = self._raw.get(TAGS["SpecificCharacterSet"], b"").decode("latin-1").strip(" \0")
        with decoding("SpecificCharacterSet"):
            return str(decode_bytes(content, convert_encodings(stated.split("\\")), set()))


@final
class DatasetTags(Tags):
    """Values of a pydicom data set, or of an item of one of its sequences."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def values(self, name: str) -> list[Any]:
        """Return the values of a tag."""
        with decoding(name):
            element = self._dataset.get(_tag(name))
            value = element.value if element is not None else None
            if value is None or (isinstance(value, str) and not value.strip()):
                return []
            if element.VR == "SQ":
                raise InputError("bad-header", f"{name} is a sequence, and no value")
            if isinstance(value, bytes):  # an element of unknown VR
                text = value.decode("latin-1").strip(" \0")
                return [part.strip() for part in text.split("\\")] if text else []
            if element.VR == "PN" and not isinstance(value, MutableSequence):
                value = str(value)  # else it would be taken apart into its letters
            if isinstance(value, str) or not hasattr(value, "__iter__"):
                return [value.strip() if isinstance(value, str) else value]
            return [part.strip() if isinstance(part, str) else part for part in value]

    def has(self, name: str) -> bool:
        """Whether the tag is there."""
        with decoding(name):
            return _tag(name) in self._dataset

    def content(self, name: str) -> bytes | None:
        """Return the bytes of an element that is stored as such, as tables can be; None where its values are others."""
        with decoding(name):
            value = self._dataset[_tag(name)].value if self.has(name) else None
            return value if isinstance(value, bytes) else None

    def item(self, name: str) -> DatasetTags | None:
        """Return the first item of a sequence; None where there is none."""
        return next(iter(self.items(name)), None)

    def items(self, name: str) -> list[DatasetTags]:
        """Return the items of a sequence."""
        with decoding(name):
            return [DatasetTags(item) for item in self._dataset.get(name) or ()]


def seconds_of(text: str | None) -> float | None:
    """Return a DICOM time or date and time as a number that grows with it; None where it is none.

    >>> seconds_of("101500.5"), seconds_of("20260102101500"), seconds_of("soon")
    (36900.5, 63903032100.0, None)
    """
    match = re.fullmatch(r"(?:(\d{4})(\d\d)(\d\d))?(\d{6})(\.\d+)?([+-]\d{4})?", text or "")
    if match is None:
        return None
    year, month, day = (int(part or 0) for part in match.group(1, 2, 3))
    hours, minutes, seconds = int(match[4][:2]), int(match[4][2:4]), int(match[4][4:])
    try:
        days = datetime.date(year, month, day).toordinal() if match[1] else 0
    except ValueError:  # no day of the calendar
        return None
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds + float(match[5] or 0)


def _number(value: Any, name: str) -> float:
    try:
        if isinstance(value, str) and "_" in value:  # Python would read 1_0 as 10
            raise ValueError
        return float(value)
    except (ValueError, TypeError, OverflowError):
        raise InputError("bad-header", f"{name} cannot be understood: it is no number") from None


@functools.cache
def _tag(name: str) -> Any:
    from pydicom.datadict import tag_for_keyword
    from pydicom.tag import Tag

    return Tag(TAGS[name] if name in TAGS else tag_for_keyword(name))
