"""The facts of an acquisition as JSON beside a NIfTI file, in the names and units of BIDS.

Names and units: Brain Imaging Data Structure, "Magnetic Resonance Imaging" and "Positron Emission Tomography"; where
BIDS knows no name, that of dcm2niix. Times are in seconds, as BIDS has them; DICOM has milliseconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from medvision.io.dicom.facts import stated

_CODES = {  # words that the standard defines: capitals, digits, space and underscore (PS3.5, VR of CS)
    "Modality": "Modality",
    "BodyPartExamined": "BodyPartExamined",
    "PatientPosition": "PatientPosition",
    "ImageType": "ImageType",
    "ScanningSequence": "ScanningSequence",
    "SequenceVariant": "SequenceVariant",
    "ScanOptions": "ScanOptions",
    "EchoPlanarPulseSequence": "EchoPlanarPulseSequence",  # of multi-frame objects
    "MRAcquisitionType": "MRAcquisitionType",
}
_NAMES = {
    "Manufacturer": "Manufacturer",
    "ManufacturersModelName": "ManufacturerModelName",
    "SoftwareVersions": "SoftwareVersions",
    "ConvolutionKernel": "ConvolutionKernel",
}
_DESCRIPTIONS = {"SeriesDescription": "SeriesDescription", "ProtocolName": "ProtocolName"}
_NUMBERS = {  # keyword, and factor from DICOM's unit to that of BIDS
    "MagneticFieldStrength": ("MagneticFieldStrength", 1.0),  # T
    "ImagingFrequency": ("ImagingFrequency", 1.0),  # MHz
    "EchoTime": ("EchoTime", 1e-3),  # ms to s
    "RepetitionTime": ("RepetitionTime", 1e-3),
    "InversionTime": ("InversionTime", 1e-3),
    "FlipAngle": ("FlipAngle", 1.0),  # degrees
    "EchoTrainLength": ("EchoTrainLength", 1.0),
    "PixelBandwidth": ("PixelBandwidth", 1.0),  # Hz
    "SliceThickness": ("SliceThickness", 1.0),  # mm
    "SpacingBetweenSlices": ("SpacingBetweenSlices", 1.0),  # mm
    "KVP": ("KVP", 1.0),  # kV
    "XRayTubeCurrent": ("XRayTubeCurrent", 1.0),  # mA
    "ExposureTime": ("ExposureTime", 1e-3),
    "XRayExposure": ("Exposure", 1.0),  # mAs
}
_UNITS = {"BQML": "Bq/mL", "CNTS": "counts", "GML": "g/mL", "PROPCPS": "proportional to counts/s"}
_NUCLIDES = {  # PS3.16, CID 4020, in the codes of SNOMED CT and in its older ones
    **{"40565003": "C11", "21576001": "N13", "129504001": "O15", "77004003": "F18", "35337001": "Ga68"},
    **{"79197006": "Rb82", "3932008": "Cu64", "63360001": "Zr89", "40937006": "I124"},
    **{"C-105A1": "C11", "C-107A1": "N13", "C-B1038": "O15", "C-111A1": "F18", "C-131A3": "Ga68"},
}
_OF_PET = ["Units", "DecayCorrection", "ActualFrameDuration", "RadiopharmaceuticalInformationSequence"]
_OF_AXES = ["InPlanePhaseEncodingDirection", "AcquisitionTime"]
_KEYWORDS = [
    *_CODES.values(),
    *_NAMES.values(),
    *(keyword for keyword, _ in _NUMBERS.values()),
    *_OF_PET,
    *_OF_AXES,
]
_STEPS_WITHIN = 0.05  # of the repetition time: scanners round times of acquisition
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")


def sidecar(files: Sequence[Path], *, descriptions: bool = False) -> dict[str, Any]:
    """Return what the headers of one volume's files state about how it was made, as BIDS names it.

    Left out: what the files do not agree on; what identifies a person, a place or a machine (names, dates,
    institution, station, serial numbers); Phase Encoding Direction, since DICOM does not state its sign (its axis is
    given, as ``PhaseEncodingAxis``); and text that somebody typed, unless asked for.

    Parameters
    ----------
    files
        The DICOM files of one volume, in the order of its slices.
    descriptions
        Take over Series Description and Protocol Name: they are typed by hand, and can hold names.

    Returns
    -------
    JSON values. Times in s, lengths in mm, angles in degrees, activity in MBq.

    Raises
    ------
    InputError
        A file cannot be read.
    """
    wanted = _KEYWORDS + list(_DESCRIPTIONS.values()) * descriptions
    headers = [stated(file, wanted) for file in files]
    found: dict[str, Any] = {}
    for name, keyword in _CODES.items():
        found[name] = _code(_agreed(headers, keyword))
    for name, keyword in {**_NAMES, **(_DESCRIPTIONS if descriptions else {})}.items():
        found[name] = _text(_agreed(headers, keyword))
    for name, (keyword, factor) in _NUMBERS.items():
        found[name] = _number(_agreed(headers, keyword), factor)
    axis = _code(_agreed(headers, "InPlanePhaseEncodingDirection"))
    found["PhaseEncodingAxis"] = {"ROW": "i", "COL": "j", "COLUMN": "j"}.get(str(axis))
    if found["Modality"] == "PT":
        found |= _of_pet(headers)
    facts = {name: value for name, value in found.items() if value is not None}
    timing = _slice_timing(headers, facts)
    return facts | ({"SliceTiming": timing} if timing else {})


def volume_step_s(facts: Mapping[str, Any], first_files: Sequence[Path]) -> float | None:
    """Return the time from volume to volume in s: the repetition time of an echo-planar series, else not known.

    Parameters
    ----------
    facts
        What :func:`sidecar` gave.
    first_files
        The first file of each volume. Where they state times of acquisition that differ, these must agree.
    """
    repetition: float | None = facts.get("RepetitionTime")
    if repetition is None or not _is_planar(facts):
        return None
    times = [_seconds(stated(file, ["AcquisitionTime"]).get("AcquisitionTime")) for file in first_files]
    known = [time for time in times if time is not None]
    if len(known) < len(times) or len(set(known)) == 1:
        return repetition
    apart = [abs(later - earlier - repetition) for earlier, later in pairwise(known)]
    return repetition if max(apart) <= _STEPS_WITHIN * repetition else None


def _is_planar(facts: Mapping[str, Any]) -> bool:
    return "EP" in facts.get("ScanningSequence", ()) or facts.get("EchoPlanarPulseSequence") == "YES"


def _agreed(headers: Sequence[Mapping[str, Any]], keyword: str) -> Any:
    """Return what all files state; None where one states nothing or something else."""
    first = headers[0].get(keyword)
    return first if all(header.get(keyword) == first for header in headers) else None


def _code(value: Any) -> str | list[str] | None:
    """Return words of the standard; None where somebody wrote something else into them."""
    words = [value] if isinstance(value, str) else [str(word) for word in value or ()]
    if not words or not all(_CODE.fullmatch(word) for word in words):
        return None
    return words[0] if isinstance(value, str) else words


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value.strip() or None if isinstance(value, str) else ", ".join(str(word) for word in value)


def _number(value: Any, factor: float = 1.0) -> float | None:
    """Return a number in another unit, without the noise of binary fractions."""
    if hasattr(value, "__len__") and not isinstance(value, str) and len(value) == 1:  # Inversion Times
        value = value[0]
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return float(f"{number * factor:.12g}") if math.isfinite(number) else None


def _slice_timing(headers: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> list[float] | None:
    """Return when each slice of an echo-planar volume was taken, in s after the first of them.

    Acquisition Time (0008,0032) is that of the slice only in files of some scanners: it is believed where slices
    differ in it and all lie within one repetition time.
    """
    times = [_seconds(header.get("AcquisitionTime")) for header in headers]
    known = [time for time in times if time is not None]
    if len(known) < len(times) or not _is_planar(facts):
        return None
    first = min(known)
    latest = max(known) - first
    is_believed = 0 < latest < facts.get("RepetitionTime", 0)
    return [round(time - first, 6) for time in known] if is_believed else None


def _seconds(time: Any) -> float | None:
    """Return the seconds since midnight of a DICOM time, ``"HHMMSS.FFFFFF"``."""
    parts = re.fullmatch(r"(\d\d)(\d\d)(\d\d(?:\.\d{1,6})?)", str(time))
    return int(parts[1]) * 3600 + int(parts[2]) * 60 + float(parts[3]) if parts else None


def _of_pet(headers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return units, dose, nuclide and decay correction (BIDS, "Positron Emission Tomography")."""
    doses = _agreed(headers, "RadiopharmaceuticalInformationSequence") or [{}]
    nuclides = doses[0].get("RadionuclideCodeSequence") or [{}]
    activity = _number(doses[0].get("RadionuclideTotalDose"), 1e-6)
    corrected = _code(_agreed(headers, "DecayCorrection"))
    duration = _number(_agreed(headers, "ActualFrameDuration"), 1e-3)
    return {
        "Units": _UNITS.get(str(_agreed(headers, "Units"))),
        "TracerRadionuclide": _NUCLIDES.get(str(nuclides[0].get("CodeValue"))),
        "InjectedRadioactivity": activity,
        "InjectedRadioactivityUnits": "MBq" if activity is not None else None,
        "RadionuclideHalfLife": _number(doses[0].get("RadionuclideHalfLife")),
        "ImageDecayCorrected": {"NONE": False, "START": True, "ADMIN": True}.get(str(corrected)),
        "FrameDuration": [duration] if duration is not None else None,
    }
