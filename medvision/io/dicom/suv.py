"""Standardised uptake values of PET from what a header states, or why they cannot be had.

After the vendor-neutral description of the Quantitative Imaging Biomarkers Alliance (SUVbw from Units BQML), and PS3.3,
C.8.9.1 and C.8.9.4. Nothing is guessed: what is missing, or cannot be, is named.
"""

from __future__ import annotations

import math
import re
from typing import Any

from medvision.errors import InputError
from medvision.io.dicom.tags import DatasetTags, seconds_of

_DAY = 86_400.0
_WEIGHTS = (0.1, 500.0)  # kg; a mouse would be given in g
_DOSES = (1e5, 1e11)  # Bq; 370 would be MBq
_HALF_LIVES = (50.0, 1e6)  # s; 1.83 would be hours
_MOST_OFF = 0.05  # of a half-life
_MOST_APART = 60.0  # s
_NUCLIDES = {  # SNOMED CT and SNOMED-RT codes of CID 4020, and half-lives in s
    **dict.fromkeys(("77004003", "C-111A1"), 6586.0),  # 18F
    **dict.fromkeys(("40565003", "C-105A1"), 1223.0),  # 11C
    **dict.fromkeys(("21576001", "C-107A1"), 598.0),  # 13N
    **dict.fromkeys(("129504001", "C-B1038"), 122.0),  # 15O
    **dict.fromkeys(("35337001", "C-131A3"), 4057.0),  # 68Ga
    **dict.fromkeys(("79197006", "C-159A2"), 76.0),  # 82Rb
    **dict.fromkeys(("3932008", "C-127A2"), 45720.0),  # 64Cu
    **dict.fromkeys(("63360001", "C-168A4"), 282240.0),  # 89Zr
}


def suv_factor(dataset: Any) -> float:
    """Return by what stored PET values in real units are multiplied to become SUVbw (g/ml).

    For Units BQML it is body weight in g / injected dose in Bq at the time to which the image is corrected for decay;
    for GML of type BW it is 1.

    Raises
    ------
    InputError
        ``suv-unknown``: naming the tag that is missing or has a value that does not allow it.
    """
    tags = DatasetTags(dataset)
    units = tags.text("Units")
    if units == "GML":
        kind = tags.text("SUVType")
        if kind not in (None, "BW"):
            raise _unknown("SUV Type is not BW")
        return 1.0
    if units != "BQML":
        raise _unknown("Units is neither BQML nor GML")
    corrected = tags.texts("CorrectedImage")
    if "DECY" not in corrected or "ATTN" not in corrected:
        raise _unknown("Corrected Image lacks ATTN or DECY")
    weight = _likely(tags, "PatientWeight", "Patient's Weight", "kg", _WEIGHTS)
    drugs = tags.items("RadiopharmaceuticalInformationSequence")
    if not drugs:
        raise _unknown("Radiopharmaceutical Information Sequence is missing")
    if len(drugs) > 1:
        raise _unknown("Radiopharmaceutical Information Sequence states several drugs")
    dose = _likely(drugs[0], "RadionuclideTotalDose", "Radionuclide Total Dose", "Bq", _DOSES)
    return 1000.0 * weight / (dose * _decay(tags, drugs[0]))


def _decay(tags: DatasetTags, drug: DatasetTags) -> float:
    """Return the share of the dose that is left at the time to which the image is corrected."""
    correction = tags.text("DecayCorrection")
    if correction == "ADMIN":
        return 1.0
    if correction != "START":
        raise _unknown("Decay Correction is neither START nor ADMIN")
    half_life = _half_life(drug)
    waited = _seconds_waited(tags, drug)
    return math.pow(2.0, -waited / half_life)


def _half_life(drug: DatasetTags) -> float:
    """Return the half-life in s, which must be that of the nuclide where its code is known."""
    stated = _likely(drug, "RadionuclideHalfLife", "Radionuclide Half Life", "s", _HALF_LIVES)
    nuclide = drug.item("RadionuclideCodeSequence")
    known = _NUCLIDES.get(nuclide.text("CodeValue") or "") if nuclide is not None else None
    if known is not None and abs(stated - known) > _MOST_OFF * known:
        raise _unknown("Radionuclide Half Life is not that of the Radionuclide Code Sequence")
    return stated


def _seconds_waited(tags: DatasetTags, drug: DatasetTags) -> float:
    """Return the time from injection to the start of the scan.

    Series Time is the start of the scan only where no later processing has moved it: it must not lie after the
    acquisition of the slice.
    """
    started = seconds_of(tags.text("SeriesTime"))
    acquired = seconds_of(tags.text("AcquisitionTime"))
    if started is None or acquired is None:
        raise _unknown("Series Time or Acquisition Time is missing")
    if tags.text("SeriesDate") != tags.text("AcquisitionDate") or started > acquired:
        raise _unknown("Series Time lies after Acquisition Time, so that the start of the scan is not known")
    injected = _injected(tags, drug)
    waited = started - injected
    if not 0 <= waited < _DAY:
        raise _unknown("the injection does not lie within the day before the scan")
    return waited


def _injected(tags: DatasetTags, drug: DatasetTags) -> float:
    """Return the time of injection in seconds of the day of the series."""
    whole = drug.text("RadiopharmaceuticalStartDateTime")
    moment, midnight = seconds_of(whole), seconds_of(f"{tags.text('SeriesDate')}000000")
    of_day = seconds_of(drug.text("RadiopharmaceuticalStartTime"))
    # With an offset from UTC it cannot be compared with times that have none.
    if moment is not None and midnight is not None and re.fullmatch(r"\d{14}(\.\d+)?", whole or ""):
        if of_day is not None and _MOST_APART < (moment - of_day) % _DAY < _DAY - _MOST_APART:
            raise _unknown("Radiopharmaceutical Start Date Time and Start Time contradict each other")
        return moment - midnight
    if of_day is None:
        raise _unknown("Radiopharmaceutical Start Time is missing")
    return of_day


def _likely(tags: DatasetTags, name: str, words: str, unit: str, ends: tuple[float, float]) -> float:
    """Return a value that lies within what can be; outside it, it was mostly written in another unit."""
    value = tags.hint(name)
    if value is None or value <= 0 or len(tags.values(name)) > 1:
        raise _unknown(f"{words} is missing or not one number above zero")
    if not ends[0] <= value <= ends[1]:
        raise _unknown(f"{words} lies outside {ends[0]:g} to {ends[1]:g} {unit}")
    return value


def _unknown(why: str) -> InputError:
    return InputError("suv-unknown", why)
