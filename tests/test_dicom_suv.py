from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from medvision.errors import InputError
from medvision.io.dicom.suv import suv_factor


def pet(drug: dict[str, Any] | None = None, **stated: Any) -> Dataset:
    """Return a header: 70 kg, 350 MBq with a half-life of an hour, injected at 09:00 and scanned at 10:00."""
    usual = {
        "Units": "BQML",
        "CorrectedImage": ["NORM", "ATTN", "DECY"],
        "DecayCorrection": "START",
        "PatientWeight": "70",
        "SeriesDate": "20260102",
        "SeriesTime": "100000",
        "AcquisitionDate": "20260102",
        "AcquisitionTime": "100000",
    }
    tracer = {
        "RadiopharmaceuticalStartTime": "090000.00",
        "RadionuclideTotalDose": "350000000",
        "RadionuclideHalfLife": "3600",
    }
    dataset = filled({**usual, **stated})
    dataset.RadiopharmaceuticalInformationSequence = [filled({**tracer, **(drug or {})})]
    return dataset


def filled(tags: dict[str, Any]) -> Dataset:
    dataset = Dataset()
    for keyword, value in tags.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def by_date(text: str) -> dict[str, Any]:
    return {"RadiopharmaceuticalStartDateTime": text, "RadiopharmaceuticalStartTime": None}


def nuclide(code: str) -> list[Dataset]:
    return [filled({"CodeValue": code})]


def two_drugs() -> Dataset:
    dataset = pet()
    dataset.RadiopharmaceuticalInformationSequence.append(filled({"RadionuclideTotalDose": "1e8"}))
    return dataset


def test_half_of_the_dose_is_left_after_a_half_life() -> None:
    # 70,000 g / (350,000,000 Bq / 2)
    assert suv_factor(pet()) == pytest.approx(4e-4)


def test_a_dose_corrected_to_injection_is_taken_whole() -> None:
    # 70,000 g / 350,000,000 Bq; no time is asked for.
    no_times = dict.fromkeys(("SeriesTime", "AcquisitionTime", "SeriesDate", "AcquisitionDate"))
    drug = {"RadiopharmaceuticalStartTime": None, "RadionuclideHalfLife": None}
    assert suv_factor(pet(drug, DecayCorrection="ADMIN", **no_times)) == pytest.approx(2e-4)


def test_values_in_suv_already_are_left() -> None:
    assert suv_factor(filled({"Units": "GML"})) == 1
    assert suv_factor(filled({"Units": "GML", "SUVType": "BW"})) == 1


@pytest.mark.parametrize(
    ("moment", "factor"),
    [("20260102090000", 4e-4), ("20260102080000.000000", 8e-4), ("20260102093000", 2e-4 * 2**0.5)],
)
def test_the_date_and_time_of_injection_is_used_where_it_is_stated(moment: str, factor: float) -> None:
    assert suv_factor(pet(by_date(moment))) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("day", "before"),
    [("20260102", "20260101"), ("20260101", "20251231"), ("20260501", "20260430"), ("20240301", "20240229")],
)
def test_an_injection_before_midnight_is_an_hour_before_a_scan_after_it(day: str, before: str) -> None:
    times = {"SeriesDate": day, "AcquisitionDate": day, "SeriesTime": "003000", "AcquisitionTime": "003000"}
    assert suv_factor(pet(by_date(f"{before}233000"), **times)) == pytest.approx(4e-4)


def test_a_bed_position_taken_later_has_the_factor_of_the_start() -> None:
    assert suv_factor(pet(AcquisitionTime="101500")) == pytest.approx(4e-4)


def test_a_time_of_injection_with_an_offset_from_utc_is_not_compared_with_local_times() -> None:
    both = {"RadiopharmaceuticalStartDateTime": "20260102080000.0+0000"}
    assert suv_factor(pet(both)) == pytest.approx(4e-4)  # by Radiopharmaceutical Start Time
    with pytest.raises(InputError, match="Start Time is missing"):
        suv_factor(pet(by_date("20260102080000.0+0000")))


@pytest.mark.parametrize("code", ["C-111A1", "77004003", "X-1"])
def test_a_half_life_within_a_twentieth_of_that_of_the_nuclide_is_used(code: str) -> None:
    drug = {"RadionuclideHalfLife": "6400", "RadionuclideCodeSequence": nuclide(code)}
    assert suv_factor(pet(drug)) == pytest.approx(2e-4 * 2 ** (3600 / 6400))


@pytest.mark.parametrize("moment", ["20260102085930", "20260102090100"])
def test_two_statements_of_the_injection_may_differ_by_a_minute(moment: str) -> None:
    assert suv_factor(pet({"RadiopharmaceuticalStartDateTime": moment})) == pytest.approx(4e-4, rel=0.02)


def test_two_statements_of_the_injection_are_compared_over_midnight() -> None:
    drug = {"RadiopharmaceuticalStartDateTime": "20260101235950", "RadiopharmaceuticalStartTime": "000010"}
    times = {"SeriesTime": "005950", "AcquisitionTime": "005950"}
    assert suv_factor(pet(drug, **times)) == pytest.approx(4e-4)


NO_DRUG = filled({"Units": "BQML", "CorrectedImage": ["ATTN", "DECY"], "PatientWeight": "70"})


@pytest.mark.parametrize(
    ("dataset", "told"),
    [
        (pet(Units=None), "Units is neither BQML nor GML"),
        (pet(Units="CNTS"), "Units is neither BQML nor GML"),
        (pet(Units="GML", SUVType="LBM"), "SUV Type is not BW"),
        (pet(CorrectedImage=None), "Corrected Image lacks"),
        (pet(CorrectedImage=["ATTN"]), "Corrected Image lacks"),
        (pet(CorrectedImage=["DECY"]), "Corrected Image lacks"),
        (pet(PatientWeight=None), "Patient's Weight"),
        (pet(PatientWeight="0"), "Patient's Weight"),
        (NO_DRUG, "Radiopharmaceutical Information Sequence is missing"),
        (pet({"RadionuclideTotalDose": None}), "Radionuclide Total Dose"),
        (pet({"RadionuclideTotalDose": "-5"}), "Radionuclide Total Dose"),
        (pet(DecayCorrection=None), "Decay Correction is neither"),
        (pet(DecayCorrection="NONE"), "Decay Correction is neither"),
        (pet({"RadionuclideHalfLife": None}), "Radionuclide Half Life"),
        (pet({"RadionuclideHalfLife": "0"}), "Radionuclide Half Life"),
        (pet(SeriesTime=None), "Series Time or Acquisition Time is missing"),
        (pet(AcquisitionTime=None), "Series Time or Acquisition Time is missing"),
        (pet(SeriesTime="100001"), "Series Time lies after Acquisition Time"),
        (pet(SeriesDate="20260103"), "Series Time lies after Acquisition Time"),
        (pet(PatientWeight=["70", "71"]), "Patient's Weight is missing or not one number"),
        (pet(PatientWeight="70000"), "Patient's Weight lies outside 0.1 to 500 kg"),
        (pet({"RadionuclideTotalDose": "350"}), "Total Dose lies outside 100000 to 1e[+]11 Bq"),
        (pet({"RadionuclideTotalDose": "3.5e11"}), "Total Dose lies outside"),
        (pet({"RadionuclideHalfLife": "49"}), "Half Life lies outside 50 to 1e[+]06 s"),
        (
            pet({"RadionuclideHalfLife": "6200", "RadionuclideCodeSequence": nuclide("C-111A1")}),
            "not that of the Radio",
        ),
        (
            pet({"RadionuclideHalfLife": "6586", "RadionuclideCodeSequence": nuclide("40565003")}),
            "not that of the Radio",
        ),
        (two_drugs(), "states several drugs"),
        (pet({"RadiopharmaceuticalStartDateTime": "20260102085859"}), "contradict each other"),
        (pet({"RadiopharmaceuticalStartDateTime": "20260102100000"}), "contradict each other"),
        (pet({"RadiopharmaceuticalStartTime": None}), "Radiopharmaceutical Start Time is missing"),
        (pet({"RadiopharmaceuticalStartTime": "100001"}), "within the day before the scan"),
        (pet(by_date("20260101090000")), "within the day before the scan"),
        (pet(by_date("20260231090000")), "Radiopharmaceutical Start Time is missing"),
    ],
)
def test_what_is_missing_or_in_the_way_is_named(dataset: Dataset, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        suv_factor(dataset)
    assert caught.value.code == "suv-unknown"
