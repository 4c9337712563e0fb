"""De-identification: whatever is planted wherever in a file, its copy holds none of it, and its pixels are the same."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import re
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from pydicom import DataElement, Dataset, config
from pydicom.datadict import DicomDictionary, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import (
    CTImageStorage,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from medvision.deid import OPTIONS, DeidOptions, Secret, deidentified, edition, patient_key
from medvision.deid.codes import meaning_of
from medvision.deid.identity import identity_words
from medvision.deid.objects import check_object
from medvision.deid.profile import _content
from medvision.deid.values import cleaned_words, is_proper, shifted
from medvision.errors import InputError, OutputError, UsageError
from medvision.io.dicom.objects import IMAGES
from medvision.io.located import quiet
from medvision.workflows.deid import decoder
from medvision_cli import app

SECRET = Secret(bytes(range(32)))
# What is planted: by VR, a value that no copy may hold.
PLANTS = {
    **dict.fromkeys(("LO", "SH", "ST", "LT", "UT", "UC"), "Qzxvname 77"),
    **dict.fromkeys(("OB", "OW", "OD", "OF", "OL", "OV", "UN"), b"Qzxvname"),
    "PN": "Qzxvname^Jane",
    "AE": "QZXVNAME",
    "CS": "QZXVNAME",
    "UR": "http://qzxvname.example",
    "DA": "19610417",
    "DT": "19610417031459",
    "TM": "031459",
    "UI": "1.2.3.987654321.5",
    "IS": "987654321",
    "DS": "987654321",
}
TRACES = re.compile(rb"qzxv|19610417|031459|987654321", re.IGNORECASE)
PIXELS = ("PixelData", "LUTData", "PaletteColorLookupTable")  # what pixels need: numbers, not looked through


@pytest.fixture(autouse=True)
def _no_warnings_from_pydicom() -> Iterator[None]:
    with quiet():
        yield


def ct(pixels: Any = None, **tags: Any) -> Dataset:
    """Return a CT slice of a ramp, with identities where they usually are."""
    values = np.arange(64 * 48, dtype=np.int16).reshape(64, 48) - 1000 if pixels is None else np.asarray(pixels)
    dataset = Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.Modality, dataset.ImageType = CTImageStorage, "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.4", "1.2.3.5", "1.2.3.6"
    dataset.FrameOfReferenceUID = "1.2.3.7"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Qzxvname^Jane", "987654321", "19610417"
    dataset.StudyDate, dataset.StudyTime, dataset.InstanceNumber = "20240301", "031459", 3
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-1.5, 2, 30], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [0.5, 0.75], 2
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    put_pixels(dataset, values)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def put_pixels(dataset: Dataset, values: Any) -> None:
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = values.shape[2] if values.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if values.ndim == 3 else "MONOCHROME2"
    if values.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8 * values.dtype.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(values.dtype.kind == "i")
    dataset.PixelData = values.tobytes()
    dataset["PixelData"].VR = "OW"


def lettered(
    values: Any, words: str = "DOE JANE 1961-04-17", size: int = 14, level: float | None = None, top: int = 8
) -> Any:
    """Return the pixels with words at the left, as bright as the brightest."""
    mask = Image.new("1", values.shape[1::-1])
    ImageDraw.Draw(mask).text((6, top), words, font=ImageFont.load_default(size), fill=1)
    drawn = values.copy()
    drawn[np.asarray(mask)] = values.max() if level is None else level
    return drawn


def smooth(shape: tuple[int, int] = (128, 256)) -> Any:
    """Return a picture without lettering."""
    rows, columns = np.indices(shape)
    return (1000 + 400 * np.sin(rows / 19) * np.cos(columns / 23)).astype(np.int16)


def write(path: Path, dataset: Dataset, *, preamble: bytes = bytes(128)) -> Path:
    """Write a file as any sender may: with whatever preamble, meta information and values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "1.2.3")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3")
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    path.write_bytes(preamble + buffer.getvalue()[128:])
    return path


def clean(dataset: Dataset, *options: str, **settings: Any) -> Dataset:
    """Return the copy of a data set, once written and read."""
    chosen = DeidOptions(frozenset(options), **settings)
    names = {"patient": patient_key(dataset), "pseudonym": "P1"}
    result = deidentified(dataset, chosen, SECRET, **names, decode=lambda: decoded_of(dataset))
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, result.dataset, enforce_file_format=True)
    buffer.seek(0)
    return pydicom.dcmread(buffer)


def decoded_of(dataset: Dataset) -> list[Any]:
    """Return the frames of a data set as the workflow decodes those of its file."""
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.dcm", dataset)
        return list(decoder(path, dataset)())


def refusal(dataset: Dataset, **settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        clean(dataset, **settings)
    assert not TRACES.search(str(caught.value).encode())
    return caught.value.code


def planted() -> Dataset:
    """Return a data set with a plant in every element of the standard that can hold one, retired ones too."""
    dataset = Dataset()
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        is_pixels = any(word in keyword for word in PIXELS)
        if tag >> 16 in (0, 2, 4) or vr not in PLANTS or is_pixels or tag >= 0xFFFA0000:
            continue
        dataset.add(DataElement(tag, vr, PLANTS[vr], validation_mode=config.IGNORE))
    return dataset


def plant_everywhere(dataset: Dataset, *, is_deep: bool = True) -> Dataset:
    """Add the plants at the top, nested, in private and unknown elements, in overlays, and under wrong VRs."""
    needed = {element.tag for element in dataset} | {tag_for_keyword("SpecificCharacterSet")}
    plants = planted()
    del plants.SpecificCharacterSet, plants.NumberOfFrames
    for element in plants:
        if element.tag not in needed:
            dataset.add(element)
    if not is_deep:
        return dataset
    inner = Dataset()
    inner.update(plants)
    inner.ContributingEquipmentSequence = [plants]
    for keyword in ("SourceImageSequence", "SharedFunctionalGroupsSequence"):
        setattr(dataset, keyword, [inner])
    block = dataset.private_block(0x0029, "Qzxvname", create=True)
    for number, (vr, value) in enumerate(PLANTS.items()):
        block.add_new(number, vr, value)
    block.add_new(0xF0, "SQ", [plants])
    dataset.add_new(0x00081234, "LO", "Qzxvname")  # in no dictionary
    for element, vr, value in ((0x22, "LO", "Qzxvname"), (0x1500, "LO", "Qzxvname"), (0x4000, "LT", "Qzxvname")):
        dataset.add_new(0x60000000 + element, vr, value)
    dataset.add_new(0x60003000, "OW", b"Qzxvname")
    dataset.add_new(0x50003000, "OW", b"Qzxvname")
    for tag in (0x00181151, 0x00180088, 0x00189327, 0x00280106, 0x00400275, 0x0040A124):  # numbers, codes, a UID
        dataset.add(DataElement(tag, "LO", "Qzxvname"))
    dataset.SingleCollimationWidth = struct.unpack("<d", b"Qzxvname")[0]
    dataset.add(DataElement(0x00201208, "IS", "Qzxvname", already_converted=True))
    return dataset


def outputs(folder: Path) -> bytes:
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = "\n".join(str(path.relative_to(folder)) for path in files).encode()
    return names + b"".join(path.read_bytes() for path in files)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_nothing_that_is_planted_is_left_in_any_byte_that_is_written_or_said(
    syntax: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = plant_everywhere(ct())
    assert len(list(dataset)) > 1500
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").byteswap().tobytes()
    dataset.PixelData += b"Qzxvname"
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.SourceApplicationEntityTitle = "QZXVNAME"
    dataset.file_meta.PrivateInformationCreatorUID = "1.2.3.987654321"
    dataset.file_meta.PrivateInformation = b"Qzxvname"
    dataset.BurnedInAnnotation = "NO"
    with ignoring_validation():
        write(tmp_path / "in" / "Qzxvname" / "a.dcm", dataset, preamble=b"Qzxvname".ljust(128, b"\1"))
        write(tmp_path / "in" / "Qzxvname" / "b.dcm", ct(SOPClassUID=EncapsulatedPDFStorage, SOPInstanceUID="1.2.3.9"))
    assert len(TRACES.findall(outputs(tmp_path / "in"))) > 4000
    monkeypatch.chdir(tmp_path / "in" / "Qzxvname")
    monkeypatch.setattr(sys, "argv", ["medvision", "deid", "a.dcm", "b.dcm", "--out", "../../out", "--json"])
    with pytest.raises(SystemExit) as caught:
        app.main()
    assert caught.value.code == 4
    said = capsys.readouterr()
    written = outputs(tmp_path / "out") + said.out.encode() + said.err.encode()
    assert TRACES.findall(written) == []
    assert json.loads(said.out)["refused"] == {"not-deidentifiable": 1}
    (copy,) = (tmp_path / "out").rglob("*.dcm")
    assert copy.read_bytes()[:128] == bytes(128)
    read = pydicom.dcmread(copy)
    assert np.array_equal(read.pixel_array, ct().pixel_array)
    assert read.PatientIdentityRemoved == "YES"
    assert (read.ImagePositionPatient, read.PixelSpacing) == ([-1.5, 2, 30], [0.5, 0.75])


@pytest.mark.parametrize("option", OPTIONS)
def test_no_option_keeps_names_or_the_patients_number(option: str) -> None:
    dataset = plant_everywhere(ct(), is_deep=False)
    dataset.BurnedInAnnotation = "NO"
    with ignoring_validation():
        copy = clean(dataset, option)
        buffer = io.BytesIO()
        pydicom.dcmwrite(buffer, copy)
    assert re.findall(rb"(?i)qzxv", buffer.getvalue()) == []
    assert [code.CodeValue for code in copy.DeidentificationMethodCodeSequence] == ["113100", OPTIONS[option][0]]


@contextlib.contextmanager
def ignoring_validation() -> Iterator[None]:
    before = config.settings.writing_validation_mode, config.settings.reading_validation_mode
    config.settings.writing_validation_mode = config.settings.reading_validation_mode = config.IGNORE
    try:
        yield
    finally:
        config.settings.writing_validation_mode, config.settings.reading_validation_mode = before


# one value, one text


@pytest.mark.parametrize(
    ("vr", "value"),
    [
        ("CS", "Jane"),
        ("DS", "1,5"),
        ("IS", "1.5"),
        ("DA", "2024"),
        ("UI", "1.02"),
        ("SH", "A 20240301"),
        ("LO", "Zo\u00eb"),
    ],
)
def test_a_value_that_is_not_of_its_vr_is_told(vr: str, value: str) -> None:
    assert not is_proper(vr, value)


def test_a_uid_of_more_than_64_characters_is_none() -> None:
    assert is_proper("UI", "1." + "2" * 62)
    assert not is_proper("UI", "1." + "2" * 63)


@given(st.dates(min_value=datetime.date(1900, 1, 1)), st.integers(-3650, -30))
def test_dates_keep_their_distance_when_they_are_moved(day: Any, days: int) -> None:
    moved = shifted("DA", f"{day:%Y%m%d}", days)
    assert moved is not None
    assert shifted("DA", moved, -days) == f"{day:%Y%m%d}"


@pytest.mark.parametrize("text", ["20240230", "March", "00010101"])
def test_what_is_no_day_is_not_moved(text: str) -> None:
    assert shifted("DA", text, -30) is None


def test_a_text_of_names_and_numbers_alone_leaves_nothing() -> None:
    assert cleaned_words("Doe, Jane 4/17") == ""


def test_the_tables_rows_are_complete_and_their_codes_known() -> None:
    rows = _content()["attributes"]
    assert len(rows) > 650
    assert {row["basic"] for row in rows} == {"X", "Z", "D", "U", "X/Z", "X/D", "Z/D", "X/Z/D", "X/Z/U*"}
    options = {key: value for row in rows for key, value in row.items() if key in OPTIONS}
    assert options.keys() == OPTIONS.keys() - {"retain-safe-private"}
    assert {value for row in rows for key, value in row.items() if key in OPTIONS} == {"K", "C"}


@pytest.mark.parametrize(
    ("keyword", "basic", "option", "under_it"),
    [
        ("PatientName", "Z", None, None),
        ("PatientID", "Z/D", None, None),
        ("PatientBirthDate", "Z", None, None),
        ("PatientSex", "Z", "retain-patient-characteristics", "K"),
        ("PatientAge", "X", "retain-patient-characteristics", "K"),
        ("StudyDate", "Z", "retain-dates-full", "K"),
        ("StudyTime", "Z", "retain-dates-modified", "C"),
        ("ContentDate", "Z/D", "retain-dates-modified", "C"),
        ("AccessionNumber", "Z", None, None),
        ("ReferringPhysicianName", "Z", None, None),
        ("InstitutionName", "X/Z/D", "retain-institution-identity", "K"),
        ("InstitutionAddress", "X", "retain-institution-identity", "K"),
        ("StationName", "X/Z/D", "retain-device-identity", "K"),
        ("DeviceSerialNumber", "X/Z/D", "retain-device-identity", "K"),
        ("StudyDescription", "X", "clean-descriptors", "C"),
        ("SeriesDescription", "X", "clean-descriptors", "C"),
        ("ProtocolName", "X/D", "clean-descriptors", "C"),
        ("StudyInstanceUID", "U", "retain-uids", "K"),
        ("SOPInstanceUID", "U", "retain-uids", "K"),
        ("AcquisitionContextSequence", "X/Z", "clean-structured-content", "C"),
        ("OperatorsName", "X/Z/D", None, None),
        ("ReferencedPatientSequence", "X", "retain-uids", "X"),
    ],
)
def test_rows_of_the_table_are_those_of_the_standard(
    keyword: str, basic: str, option: str | None, under_it: str | None
) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    assert DeidOptions().treatment(tag) == basic
    if option is not None:
        assert DeidOptions(frozenset({option})).treatment(tag) == under_it


def test_report_and_copies_state_both_editions_of_the_table_in_full() -> None:
    assert "basic profile 2026c, options 2024c" in edition()
    said = clean(ct()).DeidentificationMethod[2]
    assert said == "DICOM PS3.15 table E.1-1, basic profile 2026c, options 2024c"
    assert len(said) <= 64


@pytest.mark.parametrize(
    ("scheme", "code", "meaning"),
    [("SCT", "69536005", "Head"), ("SRT", "T-D1100", "Head"), ("DCM", "113076", "Segmentation"), ("SRT", "T-0", None)],
)
def test_codes_have_the_meaning_of_their_scheme(scheme: str, code: str, meaning: str | None) -> None:
    found = meaning_of(scheme, code)
    assert found is None if meaning is None else (found or "").startswith(meaning)


# what is kept, and how


def test_references_still_meet_across_files_and_everybodys_uids_stay() -> None:
    one, other = ct(), ct(SOPInstanceUID="1.2.3.40")
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CTImageStorage, "1.2.3.4"
    other.SourceImageSequence = [reference]
    one, other = clean(one), clean(other)
    assert other.SourceImageSequence[0].ReferencedSOPInstanceUID == one.SOPInstanceUID != "1.2.3.4"
    assert other.SourceImageSequence[0].ReferencedSOPClassUID == CTImageStorage
    assert one.StudyInstanceUID == other.StudyInstanceUID
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
    assert one.SOPInstanceUID.startswith("2.25.")


@given(st.lists(st.integers(0, 10**30), min_size=2, max_size=20, unique=True))
def test_different_uids_stay_different(numbers: list[int]) -> None:
    uids = [SECRET.uid(f"1.2.{number}") for number in numbers]
    assert len(set(uids)) == len(uids)
    assert all(is_proper("UI", uid) for uid in uids)


def test_dates_are_emptied_moved_or_kept() -> None:
    dataset = ct(AcquisitionDateTime="20240302101112.5+0100", ContentDate="20240304", SeriesDate="no date")
    dataset.ExpiryDate = "20240306"  # the table does not list it
    plain = clean(dataset)
    assert (plain.StudyDate, plain.ContentDate, plain.AcquisitionDateTime) == ("", "", "")
    assert "ExpiryDate" not in plain
    assert plain.LongitudinalTemporalInformationModified == "REMOVED"
    moved = clean(dataset, "retain-dates-modified")
    days = SECRET.days("987654321")
    assert -3650 <= days <= -30
    assert moved.StudyDate == shifted("DA", "20240301", days)
    assert moved.ExpiryDate == shifted("DA", "20240306", days)
    assert moved.AcquisitionDateTime[8:] == "101112.5+0100"
    assert moved.StudyTime == "031459"
    assert "SeriesDate" not in moved
    assert moved.LongitudinalTemporalInformationModified == "MODIFIED"
    kept = clean(dataset, "retain-dates-full")
    assert (kept.StudyDate, kept.ContentDate, kept.PatientBirthDate) == ("20240301", "20240304", "")
    assert kept.LongitudinalTemporalInformationModified == "UNMODIFIED"


def test_characteristics_devices_institutions_uids_are_kept_on_request() -> None:
    dataset = ct(PatientSex="F", PatientAge="063Y", PatientWeight=61, Allergies="contrast, Jane says")
    dataset.InstitutionName, dataset.StationName = "Saint Elsewhere", "CT01"
    assert (clean(dataset).PatientSex, clean(dataset).InstitutionName) == ("", "REMOVED")
    person = clean(dataset, "retain-patient-characteristics")
    assert (person.PatientSex, person.PatientAge, person.PatientWeight, person.Allergies) == (
        "F",
        "063Y",
        61,
        "contrast",
    )
    assert clean(dataset, "retain-institution-identity").InstitutionName == "Saint Elsewhere"
    assert clean(dataset, "retain-device-identity").StationName == "CT01"
    dataset.StationAETitle = "CT01"
    assert clean(dataset, "retain-device-identity").get("StationAETitle") is None  # nothing would be left
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = "1.2.3.8"
    dataset.ReferencedImageSequence = dataset.ReferencedPatientSequence = [reference]
    kept = clean(dataset, "retain-uids")
    assert (kept.StudyInstanceUID, kept.ReferencedImageSequence[0].ReferencedSOPInstanceUID) == ("1.2.3.5", "1.2.3.8")
    assert "ReferencedPatientSequence" not in kept


def test_a_person_who_is_named_elsewhere_in_the_file_is_not_kept_by_an_option() -> None:
    dataset = ct(InstitutionName="Qzxvname Memorial", Manufacturer="QzxvnameScans", BodyPartExamined="QZXVNAME")
    dataset.ExposureTime = 987654321
    dataset.RescaleType, dataset.SequenceName = "HU", "*tfl3d1"
    copy = clean(dataset, "retain-institution-identity")
    gone = ("InstitutionName", "Manufacturer", "BodyPartExamined", "ExposureTime")
    assert [keyword for keyword in gone if keyword in copy] == []
    assert (copy.RescaleType, copy.SequenceName) == ("HU", "*tfl3d1")


def test_words_of_imaging_in_a_name_identify_nobody() -> None:
    assert identity_words(ct(PatientName="Head^Phantom", PatientID="12")) == frozenset()


def test_descriptions_keep_their_terms_on_request() -> None:
    dataset = ct(StudyDescription="CT CHEST for Jane Roe", SeriesDescription="Roe")
    assert "StudyDescription" not in clean(dataset)
    copy = clean(dataset, "clean-descriptors")
    assert (copy.StudyDescription, copy.SeriesDescription) == ("CT CHEST for", "")


def test_codes_keep_the_meaning_that_their_scheme_gives_them() -> None:
    def coded(value: str, scheme: str, meaning: str, version: str = "") -> Dataset:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        item.CodingSchemeVersion = version
        return item

    dataset = ct(AnatomicRegionSequence=[coded("69536005", "SCT", "Jane", "2024A"), coded("X1", "LOCAL", "Jane")])
    dataset.PurposeOfReferenceCodeSequence = [coded("X1", "LOCAL", "Jane")]
    copy = clean(dataset)
    (region,) = copy.AnatomicRegionSequence
    assert region.CodeMeaning.startswith("Head")
    assert region.CodingSchemeVersion == "2024A"
    assert "PurposeOfReferenceCodeSequence" not in copy


def test_structured_content_is_cleaned_on_request() -> None:
    item = Dataset()
    item.ValueType, item.TextValue = "TEXT", "Jane"
    dataset = ct(AcquisitionContextSequence=[item])
    assert "AcquisitionContextSequence" not in clean(dataset)
    (kept,) = clean(dataset, "clean-structured-content").AcquisitionContextSequence
    assert (kept.ValueType, "TextValue" in kept) == ("TEXT", False)


def test_private_numbers_are_kept_on_request_and_private_texts_are_not() -> None:
    dataset = ct()
    siemens = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    siemens.add_new(0x0C, "IS", "1000")
    siemens.add_new(0x0E, "FD", [0.0, 0.6, 0.8])
    siemens.add_new(0x0D, "CS", "Jane")
    siemens.add_new(0x0F, "SH", "Jane")
    dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", b"Jane")
    assert not any(element.tag.is_private for element in clean(dataset))
    copy = clean(dataset, "retain-safe-private")
    assert copy.get_private_item(0x0019, 0x0C, "SIEMENS MR HEADER").value == 1000
    assert sorted(element.tag.element & 0xFF for element in copy if element.tag.is_private) == [0x0C, 0x0E, 0x10]


def test_numbers_whose_sign_depends_on_another_element_survive_an_implicit_vr() -> None:
    dataset = ct(PixelPaddingValue=-2000, SmallestImagePixelValue=-1000)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    buffer.seek(0)
    copy = clean(pydicom.dcmread(buffer))
    assert (copy.PixelPaddingValue, copy.SmallestImagePixelValue) == (-2000, -1000)


def test_coded_strings_lose_the_values_that_are_none() -> None:
    dataset = ct(ImageType=["ORIGINAL", "Jane Doe", "AXIAL"], ScanOptions="20240301")
    copy = clean(dataset)
    assert list(copy.ImageType) == ["ORIGINAL", "", "AXIAL"]
    assert "ScanOptions" not in copy


def test_elements_that_cannot_be_decoded_are_left_out() -> None:
    dataset = ct()
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    for tag, vr in ((0x00280106, "US"), (0x0019100E, "FD"), (0x0019100C, "LO")):
        dataset._dict[Tag(tag)] = RawDataElement(Tag(tag), vr, 3, b"abc", 0, False, True)
    copy = clean(dataset, "retain-safe-private")
    assert "SmallestImagePixelValue" not in copy
    assert not any(element.tag.is_private for element in copy)


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"SOPClassUID": EncapsulatedPDFStorage}, "not-deidentifiable"),
        ({"SOPClassUID": "1.2.3.4.5"}, "not-deidentifiable"),
        ({"SOPClassUID": ""}, "bad-header"),
        ({"SOPInstanceUID": ""}, "bad-header"),
    ],
)
def test_what_is_no_image_is_refused(tags: dict[str, str], code: str) -> None:
    assert refusal(ct(**tags)) == code


STORAGE = "1.2.840.10008.5.1.4.1.1."


def test_every_kind_of_image_that_is_read_is_deidentified_too() -> None:
    assert len(IMAGES) > 40
    for sop_class in IMAGES:
        check_object(ct(SOPClassUID=sop_class))


@pytest.mark.parametrize("kind", ["3", "5", "6", "12.3", "30", "481.2"])
def test_retired_images_maps_and_doses_become_copies(kind: str) -> None:
    dataset = ct(SOPClassUID=STORAGE + kind, DoseComment="Qzxvname", DoseGridScaling="0.001", BurnedInAnnotation="NO")
    copy = clean(dataset)
    assert (copy.SOPClassUID, "DoseComment" in copy) == (STORAGE + kind, False)
    assert np.array_equal(copy.pixel_array, dataset.pixel_array)
    del dataset.BurnedInAnnotation
    if kind in ("3", "6", "12.3"):
        assert refusal(dataset) == "burned-in-suspected"


def test_a_kind_that_is_not_deidentified_is_named_truly() -> None:
    with pytest.raises(InputError, match="not de-identified here: Segmentation Storage"):
        clean(ct(SOPClassUID=STORAGE + "66.4"))
    floats = ct(SOPClassUID=STORAGE + "30")
    del floats.PixelData
    floats.FloatPixelData = bytes(64 * 48 * 4)
    assert refusal(floats) == "not-deidentifiable"


def test_an_image_without_pixels_or_a_known_syntax_is_refused() -> None:
    empty = ct()
    del empty.PixelData
    assert refusal(empty) == "no-image"
    unknown = ct()
    unknown.file_meta.TransferSyntaxUID = "1.2.3"
    assert refusal(unknown) == "bad-header"


def test_the_patient_is_the_id_else_name_and_birth_else_the_study() -> None:
    assert patient_key(ct()) == "987654321"
    assert patient_key(ct(IssuerOfPatientID="North")) == "987654321\0issuer North"
    assert patient_key(ct(PatientID="")) == "Qzxvname^Jane\x0019610417"
    assert patient_key(ct(PatientID="", PatientName="")) == "\0study 1.2.3.5"


@pytest.mark.parametrize(
    "settings",
    [
        {"profile": frozenset({"retain-everything"})},
        {"profile": frozenset({"retain-dates-full", "retain-dates-modified"})},
        {"blank_detected": True, "accept_burned_in": True},
    ],
)
def test_options_that_contradict_each_other_are_wrong_usage(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        DeidOptions(**settings)


# the key


def test_a_key_is_its_owners_alone_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "deid.key"
    SECRET.write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Secret.read(path) == SECRET
    with pytest.raises(OutputError):
        SECRET.write(path)


def test_what_is_no_key_is_refused_without_being_quoted(tmp_path: Path) -> None:
    path = tmp_path / "key"
    for content in ("something else", "medvision deid key 1\nabcd", "medvision deid key 1\nqzxv"):
        path.write_text(content)
        with pytest.raises(InputError, match="no key of medvision") as caught:
            Secret.read(path)
        assert content[-4:] not in str(caught.value)
    with pytest.raises(InputError, match="cannot be read"):
        Secret.read(tmp_path)
