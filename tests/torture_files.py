"""Torture: whole series among other things: names, folders, archives, junk, odd headers, cut files."""

from __future__ import annotations

import gzip
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from torture import Expect, add, lattice, refused, right, torture
from torture_dicom import ROOT, ds, every, patch, save, slices, write

AXIAL = lattice()


def _beside(folder: Path, name: str, content: bytes, *, named: bool = True) -> Expect:
    write(folder, slices(AXIAL))
    (folder / name).write_bytes(content)
    return right(AXIAL, warning="free", named=(name,) if named else ())


_JUNK = {
    "Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    ".DS_Store": b"\0\0\0\1Bud1" + bytes(600),
    "._000.dcm": b"\0\x05\x16\7" + bytes(300),
    "readme.txt": b"Exported on a Friday.\n",
    "report.pdf": b"%PDF-1.4\n" + b"x" * 3000,
    "autorun.inf": b"[autorun]\r\nopen=viewer.exe\r\n",
    "viewer.exe": b"MZ" + bytes(2000),
    "index.html": b"<!DOCTYPE html><html></html>",
    "noname": b"some text without a suffix",
    "binary": bytes(range(256)) * 20,
}
for _name, _content in _JUNK.items():
    add(f"beside_{_name.replace('.', '_')}", partial(_beside, name=_name, content=_content))
for _name, _content in {"pdf": b"%PDF-1.4\n" + b"x" * 3000, "text": b"no image at all", "zeros": bytes(5000)}.items():
    add(f"beside_{_name}_called_dcm", partial(_beside, name="report.dcm", content=_content))
add("zero_length_file_among_slices", partial(_beside, name="020.dcm", content=b""))
add("zero_length_file_without_suffix", partial(_beside, name="IM20", content=b""))


@torture
def dicomdir_of_the_files(folder: Path) -> Expect:
    files = FileSet()
    for dataset in slices(AXIAL):
        files.add(dataset_with_meta(dataset))
    files.write(folder)
    files._stage["t"].cleanup()  # pydicom leaves it to the garbage collector, which warns in another test
    return right(AXIAL)


def dataset_with_meta(dataset: Dataset) -> Dataset:
    """Return the data set as a file set wants it."""
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyID = "1"
    return dataset


@torture
def dicomdir_named_as_the_input(folder: Path) -> Expect:
    dicomdir_of_the_files(folder)
    return right(AXIAL, entry=folder / "DICOMDIR")


def _climbing(folder: Path, reference: list[str], *, named: bool) -> Expect:
    """A DICOMDIR whose reference leads out of its folder, to a file that must not be read."""
    inside = folder / "disc"
    inside.mkdir()
    dicomdir_of_the_files(inside)
    outside = slices(AXIAL, offset=500, series=9)[0]
    save(folder / "OUT", outside)
    directory = dcmread(inside / "DICOMDIR")
    for record in directory.DirectoryRecordSequence:
        if "ReferencedFileID" in record:
            record.ReferencedFileID = [part.replace("ROOT", str(folder)) for part in reference]
    directory.save_as(inside / "DICOMDIR")
    expect = right(AXIAL, warning="free", entry=inside, named=("DICOMDIR",))
    alone = refused("bad-header", "unsupported", "not-found", "unsafe-path", "no-image", entry=inside / "DICOMDIR")
    return alone if named else expect.or_refused("bad-header", "unsupported")


add("dicomdir_that_climbs_out", partial(_climbing, reference=["..", "OUT"], named=False))
add("dicomdir_that_climbs_out_named", partial(_climbing, reference=["..", "OUT"], named=True))
add("dicomdir_with_an_absolute_path_named", partial(_climbing, reference=["ROOT", "OUT"], named=True))


def _charset(folder: Path, charset: Any, name: bytes) -> Expect:
    datasets = every(slices(AXIAL), PatientName="PLACEHOLDER^NAME", SpecificCharacterSet=charset)
    for file in write(folder, datasets):
        patch(file, b"PLACEHOLDER^NAME", name.ljust(16)[:16])
    return right(AXIAL)


add("name_in_utf8", partial(_charset, charset="ISO_IR 192", name="Ünïcödé^Ж".encode()))
add("name_in_iso_2022", partial(_charset, charset=["", "ISO 2022 IR 87"], name=b"A^B=\x1b$B;3ED\x1b(B"))
add("name_in_an_unknown_charset", partial(_charset, charset="ISO_IR 999", name=b"\xff\xfe\x80^\xe4"))
add("name_in_bytes_of_no_charset", partial(_charset, charset="ISO_IR 192", name=b"\xff\xfe\xfd^\xc3"))


def _named(folder: Path, name: str) -> Expect:
    write(folder / name, slices(AXIAL), prefix=name[:40].lstrip("."))
    return right(AXIAL).or_refused("no-image") if name.startswith(".") else right(AXIAL)


for _name, _folder in {
    "unicode": "Müller Ж 患者 🩻",
    "spaces_quotes_and_brackets": "a b'c\"d [1] {2} (3) & ; $x `y` %s",
    "a_leading_dash": "-rf --help",
    "a_newline": "line one\nline two",
    "bytes_that_are_no_utf8": os.fsdecode(b"caf\xe9\xff"),
    "255_letters": "n" * 250,
    "a_dot_dcm_folder": "scan.dcm",
    "a_hidden_look": "..scan",
}.items():
    add(f"folder_with_{_name}", partial(_named, name=_folder))


@torture
def path_of_3500_characters(folder: Path) -> Expect:
    deep = folder
    while len(str(deep)) < 3400:
        deep = deep / ("d" * 100)
    write(deep, slices(AXIAL))
    return right(AXIAL, warning="free").or_refused("unreadable", "not-found")


@torture
def files_without_suffix(folder: Path) -> Expect:
    write(folder, slices(AXIAL), prefix="IM-0001-", suffix="")
    return right(AXIAL)


@torture
def files_with_suffixes_of_all_kinds(folder: Path) -> Expect:
    for k, (dataset, suffix) in enumerate(
        zip(slices(AXIAL), (".IMA", ".dcm", "", ".1", ".img", ".DCM", ".dicom", ".txt"), strict=True)
    ):
        save(folder / f"s{k}{suffix}", dataset)
    return right(AXIAL)


@torture
def nested_ten_deep(folder: Path) -> Expect:
    for k, dataset in enumerate(slices(AXIAL)):
        inner = folder.joinpath(*"abcdefghij"[: k + 2])
        inner.mkdir(parents=True, exist_ok=True)
        save(inner / "image", dataset)
    return right(AXIAL)


@torture
def link_that_loops(folder: Path) -> Expect:
    write(folder / "a", slices(AXIAL))
    (folder / "a" / "loop").symlink_to(folder, target_is_directory=True)
    return right(AXIAL)


@torture
def links_to_the_same_files(folder: Path) -> Expect:
    for n, file in enumerate(write(folder / "a", slices(AXIAL))):
        (folder / f"link{n}.dcm").symlink_to(file)
    return right(AXIAL, warning="free")


@torture
def named_pipe_among_slices(folder: Path) -> Expect:
    write(folder, slices(AXIAL))
    os.mkfifo(folder / "pipe.dcm")
    return right(AXIAL, warning="free", named=("pipe.dcm",))


@torture
def empty_folder(folder: Path) -> Expect:
    return refused("empty-folder", "no-image")


@torture
def folder_of_junk_alone(folder: Path) -> Expect:
    (folder / "notes.txt").write_text("nothing here")
    return refused("no-image")


@torture
def path_that_does_not_exist(folder: Path) -> Expect:
    return refused("not-found", entry=folder / "nowhere")


def _zipped(folder: Path, prefix: str = "scan/") -> Path:
    inner = folder.parent / f"{folder.name} before"
    with zipfile.ZipFile(folder / "series.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in write(inner, slices(AXIAL)):
            archive.write(file, prefix + file.name)
        archive.writestr("readme.txt", "as exported")
    return folder / "series.zip"


@torture
def zip_of_a_series(folder: Path) -> Expect:
    return right(AXIAL, entry=_zipped(folder))


@torture
def zip_of_a_series_in_a_folder(folder: Path) -> Expect:
    _zipped(folder)
    return right(AXIAL)


@torture
def zip_whose_names_climb_out(folder: Path) -> Expect:
    entry = _zipped(folder, "../../out/")
    return right(AXIAL, warning="free", entry=entry).or_refused(
        "bad-header", "unsafe-path", "unsupported", "bad-archive", "no-image"
    )


@torture
def zip_that_is_cut(folder: Path) -> Expect:
    entry = _zipped(folder)
    entry.write_bytes(entry.read_bytes()[:-900])
    return refused("truncated", "bad-header", "unreadable", "not-an-image", "bad-archive", "no-image", entry=entry)


@torture
def tar_and_gzip_of_a_series(folder: Path) -> Expect:
    inner = folder.parent / f"{folder.name} before"
    with tarfile.open(folder / "series.tar.gz", "w:gz") as archive:
        for file in write(inner, slices(AXIAL)):
            archive.add(file, file.name)
    return right(AXIAL).or_refused("no-image", "unsupported")


@torture
def each_file_gzipped(folder: Path) -> Expect:
    for file in write(folder, slices(AXIAL)):
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    return right(AXIAL).or_refused("no-image", "unsupported")


def _changed(folder: Path, change: Callable[[bytes], bytes], expect: Expect, *, one: bool = False) -> Expect:
    files = write(folder, slices(AXIAL))
    for file in files[4:5] if one else files:
        file.write_bytes(change(file.read_bytes()))
    return expect


def _without_meta(content: bytes) -> bytes:
    length = struct.unpack("<I", content[140:144])[0]
    return content[144 + length :]


def _without_syntax(content: bytes) -> bytes:
    at = content.index(b"\x02\0\x10\0UI")
    size = 8 + struct.unpack("<H", content[at + 6 : at + 8])[0]
    length = struct.unpack("<I", content[140:144])[0]
    return content[:140] + struct.pack("<I", length - size) + content[144:at] + content[at + size :]


_RIGHT = right(AXIAL)
_UNSURE = right(AXIAL, warning="free").or_refused(
    "bad-header", "not-an-image", "no-image", "slices-missing", "unsupported"
)
_CUT = refused("truncated", "bad-header", "slices-missing", "unreadable")
add("without_preamble", partial(_changed, change=lambda c: c[132:], expect=_UNSURE))
add("without_preamble_and_meta", partial(_changed, change=_without_meta, expect=_UNSURE))
add("without_transfer_syntax", partial(_changed, change=_without_syntax, expect=_UNSURE))
add("without_transfer_syntax_on_one", partial(_changed, change=_without_syntax, expect=_UNSURE, one=True))
add(
    "preamble_of_a_tiff",
    partial(_changed, change=lambda c: b"II*\0\x08\0\0\0".ljust(128, b"\1") + c[128:], expect=_RIGHT),
)
add("cut_in_pixels_on_one", partial(_changed, change=lambda c: c[:-100], expect=_CUT, one=True))
add("cut_in_pixels_on_all", partial(_changed, change=lambda c: c[: len(c) - 100], expect=_CUT))
add("cut_by_one_byte", partial(_changed, change=lambda c: c[:-1], expect=_CUT, one=True))
add("cut_in_header_on_one", partial(_changed, change=lambda c: c[:500], expect=_CUT, one=True))
add("cut_in_meta_on_one", partial(_changed, change=lambda c: c[:180], expect=_CUT, one=True))
add("cut_before_pixels_on_one", partial(_changed, change=lambda c: c[:-252], expect=_CUT, one=True))
add("zeros_at_the_end", partial(_changed, change=lambda c: c + bytes(64), expect=_UNSURE))
_PADDED = b"\xfc\xff\xfc\xffOB\0\0\x10\0\0\0" + bytes(16)
add("data_set_trailing_padding", partial(_changed, change=lambda c: c + _PADDED, expect=_RIGHT))
add("zeroed_from_the_middle", partial(_changed, change=lambda c: c[:600] + bytes(len(c) - 600), expect=_CUT, one=True))


def _tagged(folder: Path, change: Callable[[Dataset], Any], expect: Expect) -> Expect:
    datasets = slices(AXIAL)
    for dataset in datasets:
        change(dataset)
    write(folder, datasets)
    return expect


def _icon(dataset: Dataset) -> None:
    icon = Dataset()
    every([icon], Rows=4, Columns=4, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0, SamplesPerPixel=1)
    every([icon], PhotometricInterpretation="MONOCHROME2", PixelData=bytes(range(16)))
    dataset.IconImageSequence = [icon]


def _references(dataset: Dataset) -> None:
    item = Dataset()
    every([item], ImagePositionPatient=ds(1, 2, 3), PixelSpacing=ds(9, 9), RescaleSlope="77", PatientID="TORTURE-9")
    every([item], SeriesInstanceUID=f"{ROOT}.99", FrameOfReferenceUID=f"{ROOT}.98", Rows=3)
    every([dataset], SourceImageSequence=[item], RequestAttributesSequence=[item], ReferencedImageSequence=[item])


def _private(dataset: Dataset) -> None:
    block = dataset.private_block(0x0009, "GEMS_IDEN_01", create=True)
    block.add_new(0x01, "LO", "GE_GENESIS_FF")
    block.add_new(0xE3, "UN", os.urandom(20))
    block = dataset.private_block(0x0043, "GEMS_PARM_01", create=True)
    block.add_new(0x39, "IS", ["1000000050", "8", "0", "0"])
    block.add_new(0x50, "OB", bytes(200_000))


def _sequences_of_unknown_kind(dataset: Dataset) -> None:
    """An undefined length under UN holds implicit elements (PS3.5, 6.2.2)."""
    inner = struct.pack("<HHI", 0x0020, 0x0032, 6) + b"9\\9\\9 "
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    value = item + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    dataset.add(DataElement(Tag(0x00191000), "UN", value, is_undefined_length=True))
    dataset.add_new(0x00190010, "LO", "UNKNOWN MAKER")


def _undefined_lengths(dataset: Dataset) -> None:
    _references(dataset)
    for name in ("SourceImageSequence", "ReferencedImageSequence"):
        dataset[name].is_undefined_length = True
        for item in dataset[name].value:
            item.is_undefined_length_sequence_item = True


def _many(dataset: Dataset) -> None:
    dataset.add_new(0x00110010, "LO", "MANY")
    for n in range(1000, 2500):
        dataset.add_new(0x00110000 | n, "LO", f"value {n}")


def _group_lengths(dataset: Dataset) -> None:
    for group in (0x0008, 0x0010, 0x0020, 0x0028):
        dataset.add_new(group << 16, "UL", 12345)


def _empty_sequence(dataset: Dataset) -> None:
    every([dataset], ModalityLUTSequence=Sequence(), RealWorldValueMappingSequence=Sequence())


_TAGGED: dict[str, Callable[[Dataset], Any]] = {
    "icon_with_pixels_of_its_own": _icon,
    "references_with_other_geometry": _references,
    "private_tags_of_ge": _private,
    "sequence_of_unknown_kind": _sequences_of_unknown_kind,
    "sequences_of_undefined_length": _undefined_lengths,
    "many_private_elements": _many,
    "group_lengths_that_are_wrong": _group_lengths,
    "empty_sequences": _empty_sequence,
    "strings_too_long": lambda d: every([d], StudyID="x" * 400, AccessionNumber="y" * 300),
    "long_comment_before_the_image": lambda d: every([d], AdditionalPatientHistory="z" * 150_000),
}
for _name, _change in _TAGGED.items():
    add(
        _name, partial(_tagged, change=_change, expect=_RIGHT.or_refused("bad-rescale") if "empty" in _name else _RIGHT)
    )


_UNUSED = {
    "PatientWeight": b"heavy!  ",
    "PatientSize": b"1,75 m  ",
    "SeriesDate": b"2 Jan 26",
    "KVP": b"1.2.3.4 ",
    "Exposure": b"12.5 mAs",
}


@torture
def numbers_and_dates_not_used_are_invalid(folder: Path) -> Expect:
    marks = {keyword: f"9{n}.12345"[:8] for n, keyword in enumerate(_UNUSED)} | {
        "SeriesDate": "20260102",
        "Exposure": "98765432",
    }
    for file in write(folder, every(slices(AXIAL), **marks, StudyDate="20260103", AcquisitionDate="20260104")):
        for keyword, value in _UNUSED.items():
            patch(file, marks[keyword].encode(), value)
    return right(AXIAL)
