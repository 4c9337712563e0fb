from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phantoms import slice_of
from pydicom import config, dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.io.dicom.elements import Elements, quick_elements
from medvision.io.dicom.tags import TAGS, WANTED, DatasetTags, RawTags, Tags

SEQUENCES = [name for name in TAGS if name.endswith("Sequence")]
BINARY = [
    "SamplesPerPixel",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "TemporalPositionIndex",
    "InConcatenationNumber",
    "InConcatenationTotalNumber",
    "NumberOfSlices",
]
PADDING = ["PixelPaddingValue", "PixelPaddingRangeLimit"]
DECIMALS = {
    "SliceThickness": 1,
    "EchoTime": 1,
    "InversionTime": 1,
    "SpacingBetweenSlices": 1,
    "TriggerTime": 1,
    "ImagerPixelSpacing": 2,
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "PixelSpacing": 2,
    "RescaleIntercept": 1,
    "RescaleSlope": 1,
    "DoseGridScaling": 1,
    "KVP": 1,
    "FlipAngle": 1,
    "GridFrameOffsetVector": 4,
}
DOUBLES = {"DiffusionBValue": 1, "DiffusionGradientOrientation": 3}
WHOLE = [
    "EchoNumbers",
    "SeriesNumber",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "NumberOfFrames",
    "ImagesInAcquisition",
]
UIDS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"]
LISTS = ["ImageType", "PatientOrientation"]
TIMES = {
    "PatientBirthDate": "19700101",
    "AcquisitionDate": "20260102",
    "AcquisitionDateTime": "20260102101500.25",
    "AcquisitionTime": "101500.5",
}
TEXTS = [
    name
    for name in TAGS
    if name not in {*SEQUENCES, *BINARY, *PADDING, *DECIMALS, *DOUBLES, *WHOLE, *UIDS, *LISTS, *TIMES}
]

words = st.text("ABCXYZ019 _", max_size=14)
numbers = st.one_of(st.integers(-99999, 99999).map(str), st.floats(-1e6, 1e6).map(lambda x: f"{x:.7g}"))


def stated(name: str) -> st.SearchStrategy[Any]:
    """Return values for a tag that its VR allows, and none."""
    if name in PADDING:
        return st.integers(0, 65535)
    if name in BINARY:
        return st.integers(0, 65535)
    if name in DOUBLES:
        return st.lists(st.floats(-1e3, 1e3), min_size=DOUBLES[name], max_size=DOUBLES[name])
    if name in DECIMALS:
        return st.lists(numbers, min_size=DECIMALS[name], max_size=DECIMALS[name]) | st.just("")
    if name in WHOLE:
        return st.integers(-9999, 9999).map(str) | st.just("")
    if name in UIDS:
        return st.lists(st.integers(0, 99999), min_size=2, max_size=6).map(lambda x: ".".join(map(str, [1, *x])))
    if name in LISTS:
        return st.lists(words, max_size=4)
    return st.just(TIMES[name]) if name in TIMES else words


plain = st.fixed_dictionaries({}, optional={name: stated(name) for name in TAGS if name not in SEQUENCES})


@st.composite
def nested(draw: st.DrawFn, depth: int = 3) -> Dataset:
    """Return an item with texts, private elements and sequences, of which some state their length and some do not."""
    item = Dataset()
    item.CodeValue = draw(words)
    item.Rows = draw(st.integers(0, 65535))  # a wanted tag, which must not be taken for the file's own
    if draw(st.booleans()):
        item.add_new(0x00091001, "UN", draw(st.binary(max_size=6)).ljust(8, b"\0"))
    if depth and draw(st.booleans()):
        item.add_new(0x00081140, "SQ", draw(sequences(depth - 1)))
    item.is_undefined_length_sequence_item = draw(st.booleans())
    return item


def sequences(depth: int = 3) -> st.SearchStrategy[Sequence]:
    return st.lists(nested(depth), max_size=3).map(Sequence)


@st.composite
def data_sets(draw: st.DrawFn) -> Dataset:
    """Return a data set of any of the wanted tags, others beside them, and pixels or none."""
    dataset = Dataset()
    for name, value in draw(plain).items():
        setattr(dataset, name, value)
    for name in PADDING:
        if name in dataset:
            dataset[name].VR = "US"
    for tag in draw(st.sets(st.sampled_from([*(TAGS[name] for name in SEQUENCES), 0x00081110, 0x00400555]))):
        dataset.add_new(tag, "SQ", draw(sequences()))
        dataset[tag].is_undefined_length = draw(st.booleans())
    if draw(st.booleans()):
        dataset.add_new(0x00091010, "OB", draw(st.binary(max_size=20)) * draw(st.sampled_from([2, 2000])))
    if draw(st.booleans()):
        dataset.PixelData = draw(st.binary(max_size=20)) * 2
        dataset["PixelData"].VR = "OW"
    return dataset


def written(dataset: Dataset, syntax: str = ExplicitVRLittleEndian, *, meta: bool = True) -> bytes:
    out = io.BytesIO()
    before = config.settings.writing_validation_mode
    config.settings.writing_validation_mode = config.IGNORE
    try:
        if meta:
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = syntax
            dataset.file_meta.MediaStorageSOPClassUID = "1.2"
            dataset.file_meta.MediaStorageSOPInstanceUID = "1.3"
            dataset.save_as(out, enforce_file_format=True)
        else:
            implicit = syntax == ImplicitVRLittleEndian
            dataset.save_as(out, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    finally:
        config.settings.writing_validation_mode = before
    return out.getvalue()


def found(content: bytes) -> Elements | None:
    return quick_elements(io.BytesIO(content), WANTED)


def asked(tags: Tags, name: str) -> Any:
    """Return a tag's value as the reader asks for it."""
    if name in LISTS:
        return [text for text in tags.texts(name) if text]
    if name in DECIMALS or name in DOUBLES:
        return tags.numbers(name, {**DECIMALS, **DOUBLES}[name])
    if name in BINARY or name in PADDING or name in WHOLE:
        return tags.whole(name)
    return tags.text(name)


@settings(max_examples=60, deadline=None)
@given(data_sets(), st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian]), st.booleans())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_wanted_tag_has_the_value_that_pydicom_gives(dataset: Dataset, syntax: str, meta: bool) -> None:
    if not meta and not any(element.tag.group == 8 for element in dataset):
        dataset.SOPClassUID = "1.2.3"
    content = written(dataset, syntax, meta=meta)
    quick = found(content)
    if quick is None:
        # Nothing but a file without any element of the lower groups is left to pydicom.
        assert not any(element.tag.group < 0x0400 for element in dataset)
        return
    other = DatasetTags(dcmread(io.BytesIO(content), force=True))
    raw = RawTags(quick.raw)
    for name in TAGS:
        assert raw.has(name) == other.has(name), name
        if name in PADDING:  # signed or not by Pixel Representation; values are compared with pixels as either
            if "PixelRepresentation" in dataset and name in dataset:
                assert asked(raw, name) % 65536 == asked(other, name) % 65536
        elif name not in SEQUENCES:
            assert asked(raw, name) == asked(other, name), name
    assert quick.transfer_syntax == (syntax if meta else None)
    if "PixelData" in dataset:
        assert quick.pixels is not None
        tag, offset, length = quick.pixels
        assert tag == 0x7FE00010
        assert length is not None
        assert content[offset : offset + length] == dataset.PixelData
    else:
        assert quick.pixels is None


@settings(max_examples=60, deadline=None)
@given(data_sets(), st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian]), st.data())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_of_a_cut_file_what_is_given_is_what_the_whole_file_states(
    dataset: Dataset, syntax: str, data: st.DataObject
) -> None:
    content = written(dataset, syntax)
    whole = found(content)
    cut = found(content[: data.draw(st.integers(0, len(content)))])
    if whole is not None and cut is not None:
        assert cut.raw.items() <= whole.raw.items()
        assert cut.pixels in (whole.pixels, None)


def header(*elements: bytes, syntax: bytes = b"1.2.840.10008.1.2.1\0") -> bytes:
    return bytes(128) + b"DICM" + short(0x00020010, b"UI", syntax) + b"".join(elements)


def tag_of(tag: int) -> bytes:
    return (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")


def short(tag: int, vr: bytes, value: bytes) -> bytes:
    return tag_of(tag) + vr + len(value).to_bytes(2, "little") + value


def long(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    return tag_of(tag) + vr + b"\0\0" + (len(value) if length is None else length).to_bytes(4, "little") + value


ROWS = short(TAGS["Rows"], b"US", b"\x05\x00")
CLASS = short(TAGS["SOPClassUID"], b"UI", b"1.2\0")
UNDEFINED = 0xFFFFFFFF
END = b"\xfe\xff\xdd\xe0" + bytes(4)


def test_what_lies_in_a_usual_file_is_found() -> None:
    quick = found(header(CLASS, ROWS, long(0x7FE00010, b"OW", bytes(60))))
    assert quick is not None
    assert quick.raw == {TAGS["SOPClassUID"]: b"1.2\0", TAGS["Rows"]: b"\x05\x00"}
    assert (quick.transfer_syntax, quick.is_explicit) == ("1.2.840.10008.1.2.1", True)
    assert quick.pixels is not None
    assert quick.pixels[2] == 60


def test_pixels_in_fragments_have_no_length() -> None:
    quick = found(header(CLASS, long(0x7FE00010, b"OB", b"", UNDEFINED)))
    assert quick is not None
    assert quick.pixels is not None
    assert quick.pixels[2] is None


def test_a_long_value_before_the_pixels_is_skipped_without_being_read() -> None:
    class Counted(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            content = super().read(size)
            self.taken += len(content)
            return content

    content = Counted(header(CLASS, long(0x00091010, b"OB", bytes(1 << 20)), ROWS))
    quick = quick_elements(content, WANTED)
    assert quick is not None
    assert TAGS["Rows"] in quick.raw
    assert content.taken < 1 << 16


@pytest.mark.parametrize(
    "content",
    [
        b"",
        header(),
        header(ROWS, CLASS),
        header(CLASS, short(TAGS["Rows"], b"ZZ", b"\x05\x00")),
        header(CLASS, short(0x00280009, b"??", b"")),
        header(CLASS, ROWS[:-1]),
        header(CLASS, short(TAGS["PatientID"], b"LO", b"abcd")[:-2]),
        header(CLASS, long(0x00091010, b"UN", bytes(8) + END, UNDEFINED)),
        header(CLASS, long(0x00081140, b"SQ", long(0x00091010, b"UN", END, UNDEFINED) + END, UNDEFINED), ROWS)[:-20],
        header(CLASS, long(TAGS["SeriesDescription"], b"UT", bytes(70_000))),
        header(CLASS, syntax=b"1.2.840.10008.1.2.2\0"),
        header(CLASS, syntax=b"1.2.840.10008.1.2.1.99"),
        header(CLASS, syntax=b"1.2.840.10008.1.2\0"),
        header(b"\x08\0\x16\0\x04\0\0\0" + b"1.2\0"),
        bytes(128) + b"DICM" + b"\x02\0\x10\0??\x04\0abcd",
        header(CLASS)[:150],
    ],
    ids=[
        "empty",
        "no element",
        "tags out of order",
        "an unknown VR",
        "an unknown VR of a tag that is not wanted",
        "a wanted value that is cut",
        "a wanted text that is cut",
        "an unknown sequence",
        "an unknown sequence in a sequence",
        "a wanted value of 70,000 bytes",
        "big endian",
        "deflated",
        "explicit where implicit is stated",
        "implicit where explicit is stated",
        "an unknown VR in the meta information",
        "a cut meta information",
    ],
)
def test_what_is_unusual_is_left_to_pydicom(content: bytes) -> None:
    assert found(content) is None


def test_big_endian_as_pydicom_writes_it_is_left_to_it() -> None:
    dataset = Dataset()
    dataset.Rows = 5
    assert found(written(dataset, ExplicitVRBigEndian)) is None


def test_a_file_that_ends_in_a_value_that_is_not_wanted_has_no_pixels() -> None:
    quick = found(header(CLASS, long(0x00091010, b"OB", bytes(100))[:-50]))
    assert quick is not None
    assert quick.pixels is None


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("PixelPaddingValue", "IS", "100"),
        ("RescaleSlope", "US", 50),
        ("DiffusionBValue", "DS", "1000"),
        ("Rows", "UL", 4),
    ],
)
def test_a_tag_with_another_vr_than_its_own_is_left_to_pydicom(
    tmp_path: Path, keyword: str, vr: str, value: object
) -> None:
    dataset = slice_of(np.zeros((4, 4), np.int16), Geometry.from_spacing((1, 1, 1), (4, 4, 1)), 0)
    dataset.add_new(TAGS[keyword], vr, value)
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with (tmp_path / "a.dcm").open("rb") as content:
        assert quick_elements(content, WANTED) is None


def test_an_element_that_stands_there_twice_is_refused() -> None:
    grid = Geometry.from_spacing((1, 1, 1), (4, 4, 1))
    content = written(slice_of(np.zeros((4, 4), np.int16), grid, 0))
    start = content.index(b"\x28\x00\x52\x10DS")
    element = content[start : start + 8 + content[start + 6]]
    with pytest.raises(InputError, match=r"0028,1052"):
        found(content[:start] + element + content[start:])
