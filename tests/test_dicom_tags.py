from __future__ import annotations

import datetime
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from medvision.errors import GeometryError, InputError
from medvision.io.dicom.tags import TAGS, DatasetTags, RawTags, seconds_of


def raw(**stated: bytes) -> RawTags:
    return RawTags({TAGS[name]: content for name, content in stated.items()})


def of_vr(name: str, vr: str, value: object) -> DatasetTags:
    dataset = Dataset()
    dataset.add(DataElement(TAGS[name], vr, value))
    return DatasetTags(dataset)


def test_texts_lose_their_padding_and_are_parted() -> None:
    tags = raw(ImageType=b"ORIGINAL\\ PRIMARY \\\\M \0", Modality=b"MR", PatientID=b"", SeriesDescription=b"  ")
    assert tags.texts("ImageType") == ("ORIGINAL", "PRIMARY", "", "M")
    assert tags.text("Modality") == "MR"
    assert (tags.text("PatientID"), tags.text("SeriesDescription"), tags.text("Units")) == (None, None, None)
    assert tags.has("PatientID")
    assert not tags.has("Units")


def test_an_empty_first_value_is_none() -> None:
    assert raw(ImageType=b"\\PRIMARY").text("ImageType") is None
    assert raw(SliceThickness=b"\\2").number("SliceThickness") is None
    assert raw(EchoTime=b"\\2").hint("EchoTime") is None


def test_binary_numbers_are_little_endian_and_of_their_width() -> None:
    tags = raw(
        Rows=b"\x01\x02",
        TemporalPositionIndex=b"\1\0\1\0",
        DiffusionGradientOrientation=struct.pack("<3d", 0.5, -1, 2),
        DiffusionBValue=b"\0\0\0\0",
    )
    assert tags.whole("Rows") == 513
    assert tags.whole("TemporalPositionIndex") == 65537
    assert tags.numbers("DiffusionGradientOrientation", 3) == (0.5, -1, 2)
    assert tags.number("DiffusionBValue") is None


@pytest.mark.parametrize("text", [b"1_0", b"abc", b"1,5", b"0x10", b"1 2"])
def test_what_is_no_number_is_refused_and_never_guessed(text: bytes) -> None:
    tags = raw(RescaleSlope=text, ImagePositionPatient=text + b"\\1\\2")
    with pytest.raises(InputError, match="RescaleSlope") as caught:
        tags.number("RescaleSlope")
    assert caught.value.code == "bad-header"
    assert text.decode() not in str(caught.value)
    with pytest.raises(InputError):
        tags.numbers("ImagePositionPatient", 3)
    assert tags.hint("RescaleSlope") is None


def test_a_number_that_is_not_finite_is_no_hint_and_no_position() -> None:
    tags = raw(EchoTime=b"inf", ImagePositionPatient=b"1\\2\\nan", SliceThickness=b"NaN")
    assert (tags.hint("EchoTime"), tags.hint("SliceThickness")) == (None, None)
    with pytest.raises(GeometryError) as caught:
        tags.numbers("ImagePositionPatient", 3)
    assert caught.value.code == "bad-geometry"


def test_another_count_of_numbers_is_refused() -> None:
    with pytest.raises(GeometryError, match="3 finite numbers, 2 are there"):
        raw(ImagePositionPatient=b"1\\2").numbers("ImagePositionPatient", 3)
    assert raw(ImagePositionPatient=b"").numbers("ImagePositionPatient", 3) is None
    assert of_vr("ImagePositionPatient", "DS", "").numbers("ImagePositionPatient", 3) is None


@pytest.mark.parametrize("text", [b"1.5", b"inf", b"nan"])
def test_a_number_with_a_fraction_is_no_whole_one(text: bytes) -> None:
    with pytest.raises(InputError, match="no whole number"):
        raw(NumberOfFrames=text).whole("NumberOfFrames")


def test_a_data_set_gives_what_raw_elements_give() -> None:
    dataset = Dataset()
    dataset.ImageType, dataset.Rows, dataset.SliceThickness = ["ORIGINAL", "PRIMARY "], 5, "2.5"
    dataset.PatientID, dataset.Modality = "", None
    tags = DatasetTags(dataset)
    assert tags.texts("ImageType") == ("ORIGINAL", "PRIMARY")
    assert (tags.whole("Rows"), tags.number("SliceThickness")) == (5, 2.5)
    assert (tags.text("PatientID"), tags.text("Modality"), tags.text("Units")) == (None, None, None)
    assert tags.has("PatientID")
    assert not tags.has("Units")


def test_elements_of_unknown_vr_are_read_as_text() -> None:
    assert of_vr("ImageType", "OB", b"ORIGINAL\\PRIMARY \0").texts("ImageType") == ("ORIGINAL", "PRIMARY")
    assert of_vr("ImageType", "OB", b" \0").texts("ImageType") == ()


def test_items_of_sequences_are_data_sets_and_what_is_none_has_none() -> None:
    dataset, item = Dataset(), Dataset()
    item.RescaleSlope = "2"
    dataset.ModalityLUTSequence = [item, item]
    dataset.RealWorldValueMappingSequence = []
    tags = DatasetTags(dataset)
    inner = tags.item("ModalityLUTSequence")
    assert inner is not None
    assert inner.number("RescaleSlope") == 2
    assert len(tags.items("ModalityLUTSequence")) == 2
    assert tags.item("RealWorldValueMappingSequence") is None
    assert tags.item("SharedFunctionalGroupsSequence") is None


def test_a_sequence_that_is_none_is_refused_by_its_name() -> None:
    with pytest.raises(InputError, match="ModalityLUTSequence") as caught:
        of_vr("ModalityLUTSequence", "US", 5).item("ModalityLUTSequence")
    assert caught.value.code == "bad-header"


@given(st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)), st.integers(0, 10**6))
def test_a_second_is_a_second_over_every_midnight(moment: datetime.datetime, seconds: int) -> None:
    moment = moment.replace(microsecond=0)
    later = moment + datetime.timedelta(seconds=seconds)
    ends = [seconds_of(f"{one:%Y%m%d%H%M%S}".zfill(14)) for one in (moment, later)]
    assert ends[0] is not None
    assert ends[1] is not None
    assert ends[1] - ends[0] == seconds


def test_times_alone_count_from_midnight_and_fractions_count() -> None:
    assert seconds_of("000001.25") == 1.25
    assert seconds_of("235959") == 86399


@pytest.mark.parametrize("text", [None, "", "soon", "1015", "20260102", "20260231101500", "00000000101500", "10:15:00"])
def test_what_is_no_time_is_none(text: str | None) -> None:
    assert seconds_of(text) is None


def test_a_sequence_where_a_value_belongs_is_refused_and_not_quoted() -> None:
    dataset, item = Dataset(), Dataset()
    item.PatientName = "Doe^Jane"
    dataset.add_new(0x30040002, "SQ", [item])
    with pytest.raises(InputError, match="DoseUnits is a sequence") as caught:
        DatasetTags(dataset).text("DoseUnits")
    assert "Doe" not in str(caught.value)
