"""A file within a zip archive reads as one on disk; an archive that is out of the ordinary is refused as a whole."""

from __future__ import annotations

import os
import stat
import struct
import threading
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision import archives
from medvision.errors import InputError
from medvision.files import sha256_of
from medvision.study import Source

CONTENT = bytes(range(256)) * 40


def zipped(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def named(path: Path, name: str, **changes: int) -> Path:
    """Write an archive of one entry whose name is kept as it is."""
    info = zipfile.ZipInfo("x")
    info.filename = name
    for key, value in changes.items():
        setattr(info, key, value)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, b"content")
    return path


def patched(path: Path, signature: bytes, offset: int, value: bytes) -> Path:
    """Overwrite bytes of the first record of that signature."""
    content = bytearray(path.read_bytes())
    start = content.index(signature) + offset
    content[start : start + len(value)] = value
    path.write_bytes(content)
    return path


def code_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        archives.members(path)
    assert caught.value.path == path
    assert caught.value.finding.cure
    return caught.value.code


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_file_in_an_archive_reads_as_one_on_disk(tmp_path: Path, method: int) -> None:
    inside = zipped(tmp_path / "a.zip", {"in/x.dcm": CONTENT, "y": b""}, method) / "in" / "x.dcm"
    outside = tmp_path / "x.dcm"
    outside.write_bytes(CONTENT)
    for path in (inside, outside):
        with archives.opened(path) as file:
            file.seek(300)
            assert file.read(5) == CONTENT[300:305]
        assert archives.read_bytes(path) == CONTENT
        assert archives.read_bytes(path, 10) == CONTENT[:10]
        assert archives.read_bytes(path, 10, 255) == CONTENT[255:265]
        assert archives.read_bytes(path, start=len(CONTENT) - 3) == CONTENT[-3:]
        assert archives.size_of(path) == archives.stamp_of(path)[0] == len(CONTENT)
        assert archives.exists(path)
        assert not archives.is_folder(path)
    assert archives.read_bytes(tmp_path / "a.zip" / "y") == b""
    assert archives.archive_of(inside) == (tmp_path / "a.zip", "in/x.dcm")
    assert archives.archive_of(outside) is None


def test_a_file_has_one_hash_on_disk_and_in_an_archive(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"x": CONTENT})
    (tmp_path / "x").write_bytes(CONTENT)
    assert sha256_of(archive / "x") == sha256_of(tmp_path / "x")
    inside, outside = (Source("npz", (path,), ("images", 3)) for path in (archive / "x", tmp_path / "x"))
    assert inside.digest() == outside.digest()


@settings(max_examples=30, deadline=None)
@given(content=st.binary(max_size=3000), limit=st.integers(0, 4000), start=st.integers(0, 4000))
def test_any_part_of_a_packed_file_is_that_part_of_its_content(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, limit: int, start: int
) -> None:
    archive = zipped(tmp_path_factory.mktemp("z") / "a.zip", {"x": content * 9})
    assert archives.read_bytes(archive / "x", limit, start) == (content * 9)[start : start + limit]


def test_folders_within_an_archive_exist_and_files_are_listed_in_order(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"b/2": b"x", "b/": b"", "__MACOSX/b/._2": b"x", "a": b"x", "b/c/./3": b"x"})
    assert archives.members(archive) == (archive / "a", archive / "b" / "2", archive / "b" / "c" / "3")
    assert archives.members(archive / "b") == (archive / "b" / "2", archive / "b" / "c" / "3")
    assert archives.members(archive / "a") == archives.members(archive / "none") == ()
    assert archives.is_folder(tmp_path)
    assert archives.is_folder(archive)
    assert archives.is_folder(archive / "b" / "c")
    assert archives.exists(archive / "b")
    assert not archives.is_folder(archive / "a")
    assert not archives.exists(archive / "none")
    assert not archives.is_folder(archive / "none")
    assert not archives.is_folder(tmp_path / "none")
    assert archives.read_bytes(archive / "b" / "c" / "3") == b"x"


def test_names_of_old_windows_tools_are_read_with_their_folders(tmp_path: Path) -> None:
    archive = named(tmp_path / "a.zip", "in\\x.dcm")
    assert archives.members(archive) == (archive / "in" / "x.dcm",)
    assert archives.read_bytes(archive / "in" / "x.dcm") == b"content"


def test_an_archive_that_changes_is_listed_anew(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"one": b"1"})
    assert len(archives.members(archive)) == 1
    zipped(archive, {"one": b"1", "two": b"22"})
    assert archives.read_bytes(archive / "two") == b"22"


def test_threads_read_one_archive_together(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {f"{n}": bytes([n]) * 9000 for n in range(40)})
    wrong: list[int] = []

    def read() -> None:
        wrong.extend(n for n in range(40) if archives.read_bytes(archive / f"{n}") != bytes([n]) * 9000)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("read", [archives.opened, archives.read_bytes, archives.size_of])
def test_what_is_not_there_is_not_found(tmp_path: Path, read: object) -> None:
    assert callable(read)
    archive = zipped(tmp_path / "a.zip", {"one": b"1"})
    with pytest.raises(InputError) as caught:
        read(archive / "two")
    assert (caught.value.code, caught.value.path) == ("not-found", archive / "two")
    (tmp_path / "text").write_text("text")
    for path in (tmp_path / "none", tmp_path / "text" / "one"):
        with pytest.raises(OSError, match=r"No such file|Not a directory"):
            read(path)


@pytest.mark.parametrize("name", ["n" * 300, "d/" * 2500, "zero\0byte"])
def test_a_path_that_the_system_cannot_follow_is_refused(tmp_path: Path, name: str) -> None:
    for ask in (archives.exists, archives.is_folder):
        with pytest.raises(InputError) as caught:
            ask(tmp_path / name)
        assert caught.value.code == "unreadable"


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/etc/evil", "C:/evil", "c:evil", "..\\evil", "\\\\host\\evil", "..", "a/..", "."],
)
def test_a_name_that_leads_out_of_the_archive_refuses_it(tmp_path: Path, name: str) -> None:
    assert code_of(named(tmp_path / "a.zip", name)) == "unsafe-path"


def test_a_symbolic_link_refuses_the_archive(tmp_path: Path) -> None:
    link = {"create_system": 3, "external_attr": (stat.S_IFLNK | 0o777) << 16}
    assert code_of(named(tmp_path / "a.zip", "scan.dcm", **link)) == "unsafe-path"


def test_a_locked_archive_is_refused_with_what_to_do(tmp_path: Path) -> None:
    archive = patched(zipped(tmp_path / "a.zip", {"x": b"x"}), b"PK\x01\x02", 8, b"\x01\x00")
    with pytest.raises(InputError, match="password") as caught:
        archives.members(archive)
    assert caught.value.code == "encrypted"


def test_a_name_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        zipfile_with_twins(tmp_path / "a.zip")
    assert code_of(tmp_path / "a.zip") == "damaged"


def zipfile_with_twins(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"1")
        archive.writestr("x", b"2")


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.99])
def test_an_archive_that_was_cut_is_truncated(tmp_path: Path, keep: float) -> None:
    archive = zipped(tmp_path / "a.zip", {f"{n}": os.urandom(500) for n in range(9)})
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * keep)])
    assert code_of(archive) == "truncated"


def test_a_list_that_cannot_be_parsed_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"ü": b"1"})
    assert code_of(patched(archive, b"PK\x01\x02", 46, b"\xff\xff")) == "truncated"
    archive = zipped(tmp_path / "b.zip", {"x": b"1"})
    assert code_of(patched(archive, b"PK\x01\x02", 6, b"\xff\x00")) == "unsupported"


def test_a_list_that_is_too_long_is_refused_before_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(tmp_path / "a.zip", {f"{n}": b"" for n in range(9)})
    monkeypatch.setattr(archives, "MAX_MEMBERS", 8)
    assert code_of(archive) == "too-large"
    monkeypatch.setattr(archives, "_MAX_LIST_BYTES", 100)
    assert code_of(archive) == "too-large"


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(tmp_path / "a.zip", {"x": CONTENT, "y": CONTENT})
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 2 * len(CONTENT) - 1)
    assert code_of(archive) == "too-large"


def test_a_file_that_unpacks_to_too_much_is_refused_and_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = zipped(tmp_path / "a.zip", {"x": CONTENT, "y": b"small"})
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", len(CONTENT) - 1)
    with pytest.raises(InputError) as caught:
        archives.opened(archive / "x")
    assert (caught.value.code, caught.value.path) == ("too-large", archive / "x")
    assert archives.read_bytes(archive / "y") == b"small"


def test_a_bomb_is_refused_by_its_ratio_and_an_empty_slice_is_not(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"bomb": bytes(10_000_001), "slice": bytes(512 * 512 * 2)})
    for limit in (None, 100):
        with pytest.raises(InputError, match="200 times") as caught:
            archives.read_bytes(archive / "bomb", limit)
        assert caught.value.code == "too-large"
    assert archives.read_bytes(archive / "slice") == bytes(512 * 512 * 2)


@pytest.mark.parametrize("stated", [100, 2 * len(CONTENT)])
def test_a_size_that_is_not_the_true_one_is_damage(tmp_path: Path, stated: int) -> None:
    archive = patched(zipped(tmp_path / "a.zip", {"x": CONTENT}), b"PK\x01\x02", 24, struct.pack("<I", stated))
    with pytest.raises(InputError) as caught:
        archives.read_bytes(archive / "x")
    assert caught.value.code == "damaged"


def test_a_wrong_checksum_is_found_when_the_whole_file_is_read(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"x": CONTENT}, zipfile.ZIP_STORED)
    content = archive.read_bytes().replace(CONTENT[:5], b"12345", 1)
    archive.write_bytes(content)
    assert archives.read_bytes(archive / "x", 5) == b"12345"
    with pytest.raises(InputError, match="checksum") as caught:
        archives.opened(archive / "x")
    assert caught.value.code == "damaged"


def test_packed_data_that_end_or_break_are_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"x": os.urandom(300)})
    short = patched(archive, b"PK\x01\x02", 20, struct.pack("<I", 50))
    with pytest.raises(InputError) as caught:
        archives.read_bytes(short / "x")
    assert caught.value.code == "truncated"
    broken = patched(zipped(tmp_path / "b.zip", {"x": CONTENT}), b"PK\x03\x04", 31, b"\xff" * 9)
    with pytest.raises(InputError) as caught:
        archives.read_bytes(broken / "x")
    assert caught.value.code == "damaged"


def test_a_stored_file_that_is_longer_than_the_archive_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = zipped(tmp_path / "a.zip", {"x": CONTENT}, zipfile.ZIP_STORED)
    assert archives.members(archive)
    monkeypatch.setattr(archives, "_listed", lambda _: {"x": archives._Member(0, 10**6, 10**6, 0, 0)})
    with pytest.raises(InputError) as caught:
        archives.read_bytes(archive / "x")
    assert caught.value.code == "truncated"


def test_files_that_share_bytes_or_reach_into_the_list_are_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"x": CONTENT, "y": CONTENT}, zipfile.ZIP_STORED)
    assert code_of(patched(archive, b"PK\x01\x02", 20, struct.pack("<I", len(CONTENT) + 100))) == "damaged"
    archive = zipped(tmp_path / "b.zip", {"x": CONTENT}, zipfile.ZIP_STORED)
    assert code_of(patched(archive, b"PK\x01\x02", 20, struct.pack("<I", len(CONTENT) + 100))) == "damaged"


def test_a_file_that_does_not_start_where_the_list_says_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"x": CONTENT, "y": CONTENT})
    start = archive.read_bytes().rindex(b"PK\x03\x04")
    archive.write_bytes(archive.read_bytes()[:start] + b"KP" + archive.read_bytes()[start + 2 :])
    with pytest.raises(InputError, match="start") as caught:
        archives.read_bytes(archive / "y")
    assert caught.value.code == "damaged"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_refused_with_what_to_do(tmp_path: Path, method: int) -> None:
    archive = zipped(tmp_path / "a.zip", {"x": CONTENT}, method)
    with pytest.raises(InputError, match="Unpack it") as caught:
        archives.read_bytes(archive / "x")
    assert caught.value.code == "unsupported"


def test_archives_in_the_form_for_more_than_4_gb_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, archive.open("x", "w", force_zip64=True) as file:
        file.write(CONTENT)
    assert archives.read_bytes(tmp_path / "a.zip" / "x") == CONTENT


@pytest.mark.parametrize("name", ["a.npz", "a.docx", "a.pt", "a.whl"])
def test_documents_and_weights_are_no_archives_of_files(tmp_path: Path, name: str) -> None:
    document = zipped(tmp_path / name, {"x": b"x"})
    assert not archives.is_archive(document)
    assert not archives.is_folder(document)
    assert archives.archive_of(document / "x") is None


def test_a_document_is_known_by_its_first_file_under_any_name(tmp_path: Path) -> None:
    assert not archives.is_archive(zipped(tmp_path / "report.zip", {"[Content_Types].xml": b"<xml/>"}))
    assert not archives.is_archive(zipped(tmp_path / "text", {"mimetype": b"application/vnd.oasis"}, 0))
    assert archives.is_archive(zipped(tmp_path / "empty.zip", {}))
    assert archives.members(tmp_path / "empty.zip") == ()


def test_a_real_series_reads_in_place(shared_data: Path) -> None:
    archive = shared_data / "dicom_series" / "bits12.zip"
    files = archives.members(archive)
    with zipfile.ZipFile(archive) as oracle:
        wanted = {archive / name: oracle.read(name) for name in oracle.namelist() if not name.endswith("/")}
    assert {path: archives.read_bytes(path) for path in files} == wanted


def test_a_file_without_a_name_in_an_archive_refuses_it(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        archives._safe_name(zipfile.ZipInfo(""), tmp_path / "a.zip")
    assert caught.value.code == "unsafe-path"
