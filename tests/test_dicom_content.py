from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import pytest
from phantoms import positional, slice_of

from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.io.dicom import content
from medvision.io.dicom.content import opened

GRID = Geometry.from_spacing((1, 1, 1), (4, 5, 1))
DEFLATED = "1.2.840.10008.1.2.1.99"


def deflated(folder: Path) -> Path:
    dataset = slice_of(positional(GRID)[:, :, 0], GRID, 0)
    dataset.file_meta.TransferSyntaxUID = DEFLATED
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.save_as(folder / "deflated.dcm", enforce_file_format=True)
    return folder / "deflated.dcm"


def split(file: Path) -> tuple[bytes, bytes]:
    """Return the file meta information with what stands before it, and the packed data set."""
    whole = file.read_bytes()
    end = 132 + 12 + int.from_bytes(whole[140:144], "little")
    return whole[:end], whole[end:]


def packed(content: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(content) + deflate.flush()


def refusal_of(file: Path) -> str:
    with pytest.raises(InputError) as caught:
        opened(file)
    return caught.value.code


def test_a_plain_file_is_given_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"anything at all")
    with opened(tmp_path / "a.dcm") as file:
        assert file.read() == b"anything at all"


@pytest.mark.parametrize("preamble", [True, False])
def test_a_deflated_file_is_given_as_if_stored_plainly(tmp_path: Path, preamble: bool) -> None:
    file = deflated(tmp_path)
    meta, data = split(file)
    if not preamble:
        meta = meta[132:]
        file.write_bytes(meta + data)
    with opened(file) as given:
        found = given.read()
    assert found[len(meta) :] == zlib.decompress(data, -zlib.MAX_WBITS)
    assert DEFLATED.encode() not in found
    assert len(found[: len(meta)]) == len(meta)


def test_a_deflated_file_in_an_archive_is_given_too(tmp_path: Path) -> None:
    file = deflated(tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(file, "in/deflated.dcm")
    with opened(tmp_path / "a.zip" / "in" / "deflated.dcm") as inner, opened(file) as plain:
        assert inner.read() == plain.read()


def test_a_file_meta_information_beyond_the_first_kilobyte_is_found(tmp_path: Path) -> None:
    file = deflated(tmp_path)
    meta, data = split(file)
    extra = b"\x02\0\x02\x01OB\0\0" + (3000).to_bytes(4, "little") + bytes(3000)
    length = len(meta) - 144 + len(extra)
    file.write_bytes(meta[:140] + length.to_bytes(4, "little") + meta[144:] + extra + data)
    with opened(file) as given:
        assert given.read()[len(meta) + len(extra) :] == zlib.decompress(data, -zlib.MAX_WBITS)


@pytest.mark.parametrize("length", [None, 1 << 30])
def test_a_deflated_file_whose_meta_information_has_no_possible_length_is_refused(
    tmp_path: Path, length: int | None
) -> None:
    file = deflated(tmp_path)
    meta, data = split(file)
    start = meta[144:] if length is None else meta[132:140] + length.to_bytes(4, "little") + meta[144:]
    file.write_bytes(meta[:132] + start + data)
    assert refusal_of(file) == "bad-header"


def test_deflated_content_that_is_damaged_is_refused(tmp_path: Path) -> None:
    file = deflated(tmp_path)
    file.write_bytes(split(file)[0] + b"\xff" * 50)
    assert refusal_of(file) == "damaged"


def test_deflated_content_that_is_cut_is_refused(tmp_path: Path) -> None:
    file = deflated(tmp_path)
    file.write_bytes(file.read_bytes()[:-20])
    assert refusal_of(file) == "truncated"


def test_content_that_unpacks_to_far_more_than_its_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = deflated(tmp_path)
    file.write_bytes(split(file)[0] + packed(bytes(3 << 20)))
    with opened(file) as given:  # below the least cap, any ratio will do
        assert len(given.read()) > 3 << 20
    monkeypatch.setattr(content, "_LEAST_CAP", 1 << 20)
    assert refusal_of(file) == "too-large"
