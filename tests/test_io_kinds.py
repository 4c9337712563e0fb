"""A file is what its first bytes say, and is held to what its name promises."""

from __future__ import annotations

import gzip
import os
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.errors import InputError
from medvision.io.kinds import claimed_kind, content_of, kind_of, stem_of

FIRST = {"0005": b"ISO_IR 100", "0016": b"1.2.840.10008.5.1.4.1.1.2\0", "0018": b"1.2.3\0"}


def bare(order: str = "<", *, explicit: bool = True) -> bytes:
    """Return the start of an object without preamble: elements of group 0008."""
    content = b""
    for element, value in FIRST.items():
        content += struct.pack(f"{order}HH", 8, int(element, 16))
        content += b"UI" + struct.pack(f"{order}H", len(value)) if explicit else struct.pack("<I", len(value))
        content += value
    return content + bytes(100)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "name", ["IM000001", "1.2.840.113619.2.5", "0001.IMA", "a.ima", "scan.dicom", "x.dcm", "a.001"]
)
@pytest.mark.parametrize("content", [bare(), bare(explicit=False), bare(">"), bytes(128) + b"DICM", b"DICM" + bare()])
def test_dicom_is_known_with_and_without_preamble_under_any_name(tmp_path: Path, name: str, content: bytes) -> None:
    assert content_of(written(tmp_path / name, content)) == kind_of(tmp_path / name) == "dicom"


def test_file_meta_information_without_preamble_is_dicom(tmp_path: Path) -> None:
    meta = b"\2\0\0\0UL\4\0\x90\0\0\0" + b"\2\0\1\0OB\0\0\2\0\0\0\0\1" + b"\2\0\2\0UI\2\0" + b"1\0"
    assert kind_of(written(tmp_path / "x", meta)) == "dicom"


@pytest.mark.parametrize(
    "content",
    [
        b"\x08\x00",
        b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100",  # one element alone
        b"\x08\x00\x05\x00CS\x0b\x00ISO_IR 1000" + bare(),  # an odd length
        b"\x08\x00\x16\x00UI\x02\x001\0" + bare(),  # tags that do not ascend
        b"\x08\x00\x05\x00\xf0\xff\xff\xff" + bare(),  # a length that leads nowhere
        b"\x00\x08\x00\x05\x00\x00\x00\x0aISO_IR 100" + bare(">"),  # implicit big-endian does not exist
        struct.pack("<8H", 8, 0, 4, 0, 1, 2, 3, 4) * 9,  # small numbers
        b"<html>" * 99,
        b"%PDF-1.7" * 99,
        b"text\n" * 99,
    ],
)
def test_what_only_looks_like_elements_is_no_image(tmp_path: Path, content: bytes) -> None:
    assert kind_of(written(tmp_path / "IM1", content)) is None


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=600))
def test_any_content_has_a_kind_or_is_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("k")
    assert kind_of(written(folder / "x", content)) in (None, "dicom", "nifti", "picture")
    if not content.startswith((b"\x08", b"\x02", b"\x00", b"DICM")):
        with pytest.raises(InputError):
            kind_of(written(folder / "x.dcm", content[:128]))


@pytest.mark.parametrize("name", ["Thumbs.db", ".DS_Store", "report.pdf", "index.html", "notes.txt", "AUTORUN.INF"])
def test_other_files_of_a_medium_are_no_images(tmp_path: Path, name: str) -> None:
    assert content_of(written(tmp_path / name, b"%PDF or <html> or anything" * 9)) is None
    assert content_of(written(tmp_path / name, b"")) is None


@pytest.mark.parametrize("name", ["x.dcm", "x.IMA", "x.zip", "x.nii.gz"])
def test_a_document_under_the_name_of_an_image_is_refused(tmp_path: Path, name: str) -> None:
    for content, code in ((b"%PDF-1.7" * 99, "not-an-image"), (b"", "truncated")):
        with pytest.raises(InputError) as caught:
            content_of(written(tmp_path / name, content))
        assert (caught.value.code, caught.value.path) == (code, tmp_path / name)


@pytest.mark.parametrize("name", ["a.tar.gz", "a.7z", "a.RAR", "a.mha", "a.hdr", "a.nrrd"])
def test_images_and_archives_of_other_formats_are_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        content_of(written(tmp_path / name, b"anything"))
    assert caught.value.code == "unsupported"


def test_dicom_in_gzip_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gunzip") as caught:
        content_of(written(tmp_path / "x.gz", gzip.compress(bytes(128) + b"DICM" + bytes(400))))
    assert caught.value.code == "unsupported"
    assert content_of(written(tmp_path / "y.gz", gzip.compress(b"text" * 200))) is None


def test_an_archive_a_document_and_an_npz_file_are_told_apart(tmp_path: Path) -> None:
    for name in ("a.zip", "scans", "a.docx", "a.npz"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("x", b"x")
    assert [content_of(tmp_path / name) for name in ("a.zip", "scans", "a.docx", "a.npz")] == [
        "archive",
        "archive",
        None,
        "npz",
    ]
    assert kind_of(tmp_path / "a.zip") is None


def test_a_dicomdir_is_told_from_an_image_under_any_name(tmp_path: Path) -> None:
    from pydicom.data import get_testdata_file

    content = Path(str(get_testdata_file("DICOMDIR"))).read_bytes()
    assert (
        content_of(written(tmp_path / "x.dcm", content)) == content_of(written(tmp_path / "y", content)) == "directory"
    )
    assert kind_of(tmp_path / "y") == "dicom"


def test_a_file_in_an_archive_has_the_kind_of_its_content(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in/IM1", bare())
        archive.writestr("in/x.dcm", b"text")
        archive.writestr("in/empty.dcm", b"")
    inside = tmp_path / "a.zip" / "in"
    assert kind_of(inside / "IM1") == "dicom"
    for name, code in (("x.dcm", "not-an-image"), ("empty.dcm", "truncated"), ("none", "not-found")):
        with pytest.raises(InputError) as caught:
            kind_of(inside / name)
        assert (caught.value.code, caught.value.path) == (code, inside / name)


@pytest.mark.parametrize("name", ["n" * 300 + ".dcm", "d/" * 2500 + "x"])
def test_a_path_that_is_too_long_is_unreadable(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        kind_of(tmp_path / name)
    assert caught.value.code == "unreadable"


def test_folders_pipes_and_devices_are_refused_unopened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(InputError) as caught:
            content_of(path)
        assert caught.value.code == "not-an-image"


def test_names_are_cut_at_the_suffix_of_an_image_alone() -> None:
    assert [stem_of(Path(name)) for name in ("1.2.840.113", "a.IMA", "x.nii.gz")] == ["1.2.840.113", "a", "x"]
    assert [claimed_kind(Path(name)) for name in ("a.IMA", "1.2.840.113", "a.zip")] == ["dicom", None, None]
