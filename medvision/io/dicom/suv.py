"""Standardised uptake values of PET from what a header states, or why they cannot be had.

After the vendor-neutral description of the Quantitative Imaging Biomarkers Alliance (SUVbw from Units BQML), and PS3.3,
C.8.9.1 and C.8.9.4. Nothing is guessed: what is missing is named.
"""

from __future__ import annotations

import math
import re
from typing import Any

from medvision.errors import InputError
from medvision.io.dicom.tags import DatasetTags, seconds_of

_DAY = 86_400.0


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
    weight = _above_zero(tags, "PatientWeight", "Patient's Weight")
    drug = tags.item("RadiopharmaceuticalInformationSequence")
    if drug is None:
        raise _unknown("Radiopharmaceutical Information Sequence is missing")
    dose = _above_zero(drug, "RadionuclideTotalDose", "Radionuclide Total Dose")
    return 1000.0 * weight / (dose * _decay(tags, drug))


def _decay(tags: DatasetTags, drug: DatasetTags) -> float:
    """Return the share of the dose that is left at the time to which the image is corrected."""
    correction = tags.text("DecayCorrection")
    if correction == "ADMIN":
        return 1.0
    if correction != "START":
        raise _unknown("Decay Correction is neither START nor ADMIN")
    half_life = _above_zero(drug, "RadionuclideHalfLife", "Radionuclide Half Life")
    waited = _seconds_waited(tags, drug)
    return math.pow(2.0, -waited / half_life)


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
    # With an offset from UTC it cannot be compared with times that have none.
    if moment is not None and midnight is not None and re.fullmatch(r"\d{14}(\.\d+)?", whole or ""):
        return moment - midnight
    moment = seconds_of(drug.text("RadiopharmaceuticalStartTime"))
    if moment is None:
        raise _unknown("Radiopharmaceutical Start Time is missing")
    return moment


def _above_zero(tags: DatasetTags, name: str, words: str) -> float:
    value = tags.hint(name)
    if value is None or value <= 0:
        raise _unknown(f"{words} is missing or not above zero")
    return value


def _unknown(why: str) -> InputError:
    return InputError("suv-unknown", why)
