"""Files on disk, or within zip archives: one way to open both.

A file within an archive is named by a path that leads through it, as in ``scans/ct.zip/series/0001.dcm``. Nothing is
unpacked to disk. An archive is data from outside: its list is checked as a whole before a file in it is opened
(APPNOTE.TXT of PKWARE, 4.3 to 4.5, is the format), and what is unpacked is held to what the list states.
"""

from __future__ import annotations

import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from medvision.errors import InputError

MAX_MEMBERS = 1_000_000
"""The files that an archive may list."""
MAX_RATIO = 200
"""How many times its packed size a file of more than 10 MB may have; small images of nothing go to 1000."""
MAX_MEMBER_BYTES = 8_000_000_000
"""What one file may unpack to."""
MAX_TOTAL_BYTES = 64_000_000_000
"""What all files of an archive together may unpack to."""

_RATIO_FROM = 10_000_000  # bytes
_MAX_LIST_BYTES = 1 << 28
_STARTS = (b"PK\x03\x04", b"PK\x05\x06")  # a file; the end of an empty list
_ENTRY = b"PK\x01\x02"
_LOCAL_HEADER = 30
_CHUNK = 1 << 26
_SPARE = 64  # what packing may add to a few thousand bytes that it cannot make smaller
_STORED, _DEFLATED = 0, 8
# Documents, programs and weights that are zip archives inside: what they hold is not meant as files.
_DOCUMENT = re.compile(
    r"\.(npz|pt|pth|ckpt|keras|mlx|slx|jar|war|apk|ipa|whl|xpi|nupkg|kmz|3mf|cbz|epub|key|numbers|pages"
    r"|do[ct][xm]|xl[st][xm]|pp[st][xm]|pot[xm]|vsdx|od[tspgf]|ott)$",
    re.IGNORECASE,
)
_FIRST_IN_DOCUMENTS = (b"[Content_Types].xml", b"mimetypeapplication")
_UNPACK = "Unpack it, if you trust its source, and name the folder."


@dataclass(frozen=True, slots=True)
class _Member:
    """One file of an archive: where it starts, its sizes in bytes packed and unpacked, how it is packed, its CRC-32."""

    offset: int
    packed: int
    size: int
    method: int
    crc: int


def opened(path: Path) -> BinaryIO:
    """Return a file on disk opened for reading, or a file within an archive unpacked into memory; both can be sought.

    Raises
    ------
    OSError
        As :func:`open`.
    InputError
        ``not-found``, ``too-large``, ``truncated``, ``damaged``, ``unsupported``; of the archive as :func:`members`.
    """
    try:
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        place = archive_of(path)
        if place is None:
            raise
    return io.BytesIO(_unpacked(*place))


def read_bytes(path: Path, limit: int | None = None, start: int = 0) -> bytes:
    """Return a file's bytes from `start`, at most `limit` of them; of an archive, no more than these is unpacked.

    Raises
    ------
    OSError, InputError
        As :func:`opened`. A checksum is compared only where the file is read to its end.
    """
    try:
        with path.open("rb", buffering=0) as file:
            if start:
                file.seek(start)
            return file.read() if limit is None else file.read(limit)
    except (FileNotFoundError, NotADirectoryError):
        place = archive_of(path)
        if place is None:
            raise
    return _unpacked(*place, None if limit is None else start + limit)[start:]


def size_of(path: Path) -> int:
    """Return the size of a file in bytes, unpacked.

    Raises
    ------
    OSError, InputError
        As :func:`opened`.
    """
    return stamp_of(path)[0]


def stamp_of(path: Path) -> tuple[int, int]:
    """Return a file's size in bytes and when it, or the archive that holds it, was changed, in nanoseconds.

    Raises
    ------
    OSError, InputError
        As :func:`opened`.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        place = archive_of(path)
        if place is None:
            raise
        return _member(*place).size, place[0].stat().st_mtime_ns
    return status.st_size, status.st_mtime_ns


def exists(path: Path) -> bool:
    """Return whether there is a file or folder of that name, on disk or within an archive.

    Raises
    ------
    InputError
        ``unreadable``: the system does not say, as for a name that is too long; what :func:`members` refuses.
    """
    if _status(path) is not None:
        return True
    place = archive_of(path)
    return place is not None and (place[1] in _listed(place[0]) or place[1] in _folders(place[0]))


def is_folder(path: Path) -> bool:
    """Return whether files can lie below `path`: a folder, an archive, or a folder within an archive.

    Raises
    ------
    InputError
        As :func:`exists`.
    """
    status = _status(path)
    if status is not None:
        return stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and is_archive(path))
    place = archive_of(path)
    return place is not None and place[1] in _folders(place[0])


def is_archive(path: Path, head: bytes | None = None) -> bool:
    r"""Return whether a file, by its first bytes, is a zip archive of files, and not a document made as one.

    Parameters
    ----------
    path
        The file; its name tells documents and :mod:`numpy` archives from others.
    head
        Its first 64 bytes or more, where they are known; they are read otherwise.

    Raises
    ------
    OSError, InputError
        As :func:`opened`.

    Examples
    --------
    >>> is_archive(Path("scans.zip"), b"PK\x03\x04"), is_archive(Path("report.docx"), b"PK\x03\x04")
    (True, False)
    """
    head = read_bytes(path, 64) if head is None else head
    is_document = _DOCUMENT.search(path.name) or head[_LOCAL_HEADER:].startswith(_FIRST_IN_DOCUMENTS)
    return head.startswith(_STARTS) and not is_document


def archive_of(path: Path) -> tuple[Path, str] | None:
    """Return the archive that a path leads through, and the name of the file in it; None for a path of its own.

    Raises
    ------
    InputError
        ``unreadable``, as :func:`exists`.
    """
    for parent in path.parents:
        status = _status(parent)
        if status is not None:
            leads = stat.S_ISREG(status.st_mode) and _is_archive(parent, status.st_size, status.st_mtime_ns)
            return (parent, path.relative_to(parent).as_posix()) if leads else None
    return None


def members(folder: Path) -> tuple[Path, ...]:
    """Return the files of an archive, or below a folder within one, sorted; what macOS adds of its own is left out.

    Raises
    ------
    InputError
        ``truncated``, ``damaged``: there is no list of files, or it contradicts itself; ``unsafe-path``: a name leads
        out of the archive, or is a link; ``encrypted``; ``too-large``: :data:`MAX_MEMBERS`, :data:`MAX_TOTAL_BYTES`.
    """
    archive, inner = archive_of(folder) or (folder, "")
    start = inner and f"{inner}/"
    names = (name for name in _listed(archive) if name.startswith(start) and not name.startswith("__MACOSX/"))
    return tuple(archive / name for name in sorted(names))


@lru_cache(maxsize=64)
def _is_archive(path: Path, size: int, changed_ns: int) -> bool:
    """Return whether a file is an archive; asked for each file in one, it is looked at once until it changes."""
    return is_archive(path)


def _status(path: Path) -> os.stat_result | None:
    """Return what the system says of a path; None where nothing has that name."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        said = (error.strerror if isinstance(error, OSError) else None) or "it is no path"
        raise InputError("unreadable", f"the path cannot be followed: {said}", path=path) from None


def _member(archive: Path, name: str) -> _Member:
    member = _listed(archive).get(name)
    if member is None:
        raise InputError("not-found", "there is no such file in the archive", path=archive / name)
    return member


def _listed(archive: Path) -> Mapping[str, _Member]:
    status = archive.stat()
    return _list_of(archive, status.st_size, status.st_mtime_ns)


def _folders(archive: Path) -> frozenset[str]:
    status = archive.stat()
    return _folders_of(archive, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _folders_of(archive: Path, size: int, changed_ns: int) -> frozenset[str]:
    names = _list_of(archive, size, changed_ns)
    return frozenset(name[:n] for name in names for n, letter in enumerate(name) if letter == "/")


@lru_cache(maxsize=8)
def _list_of(archive: Path, size: int, changed_ns: int) -> Mapping[str, _Member]:
    """Return the files of an archive by name; the list is kept until the archive changes."""
    entries, end = _entries(archive)
    listed: dict[str, _Member] = {}
    for entry in entries:
        name = _safe_name(entry, archive)
        if entry.flag_bits & 1:
            raise InputError("encrypted", "its files are locked with a password", path=archive)
        if name in listed:
            raise InputError("damaged", "its list names one file twice", path=archive, cure=_UNPACK)
        if not entry.is_dir():
            listed[name] = _Member(
                entry.header_offset, entry.compress_size, entry.file_size, entry.compress_type, entry.CRC
            )
    _check_sizes(listed.values(), end, archive)
    return listed


class _ListFile(io.FileIO):
    """An archive whose list of files, read as a whole, is refused where it is too long to be kept."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_LIST_BYTES:
            raise InputError("too-large", f"its list of files has {size:,} bytes, {_MAX_LIST_BYTES:,} are accepted")
        content = super().read(size) or b""
        count = content.count(_ENTRY)
        if count > MAX_MEMBERS:
            raise InputError("too-large", f"it lists {count:,} files, {MAX_MEMBERS:,} are accepted")
        return content


def _entries(archive: Path) -> tuple[list[zipfile.ZipInfo], int]:
    """Return the entries of the list as they stand, and the byte at which the list starts."""
    try:
        with _ListFile(archive) as file, zipfile.ZipFile(file) as listed:
            return listed.infolist(), listed.start_dir
    except InputError as error:
        raise InputError(error.code, error.finding.message, path=archive, cure=_UNPACK) from None
    except NotImplementedError:
        raise InputError("unsupported", "it is packed by a newer method", path=archive, cure=_UNPACK) from None
    except (zipfile.BadZipFile, ValueError, LookupError, EOFError, ArithmeticError, zlib.error):
        raise InputError("truncated", "the list of files at its end is missing or damaged", path=archive) from None


def _safe_name(entry: zipfile.ZipInfo, archive: Path) -> str:
    """Return the name with one kind of separator, or refuse it; the name itself is not quoted."""
    name = entry.filename.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    is_absolute = name.startswith("/") or name[1:2] == ":"
    if is_absolute or ".." in parts or not (parts or name.endswith("/")):
        raise InputError("unsafe-path", "the name of a file in it leads out of the archive", path=archive)
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise InputError("unsafe-path", "a file in it is a symbolic link", path=archive)
    return "/".join(parts)


def _check_sizes(listed: Iterable[_Member], end: int, archive: Path) -> None:
    """Refuse an archive that unpacks to too much, or whose files share their bytes, as those of some bombs do."""
    total, last = 0, 0
    for member in sorted(listed, key=lambda member: member.offset):
        if member.offset < last:
            raise InputError("damaged", "files in it share their bytes", path=archive)
        total, last = total + member.size, member.offset + _LOCAL_HEADER + member.packed
    if last > end:
        raise InputError("damaged", "a file in it reaches into the list of files", path=archive)
    if total > MAX_TOTAL_BYTES:
        text = f"it unpacks to {total:,} bytes, {MAX_TOTAL_BYTES:,} are accepted"
        raise InputError("too-large", text, path=archive, cure=_UNPACK)


def _unpacked(archive: Path, name: str, stop: int | None = None) -> bytes:
    """Return the first `stop` bytes of a file, or all, compared with size and checksum."""
    from isal import isal_zlib

    member, path = _member(archive, name), archive / name
    _check_member(member, path)
    with archive.open("rb") as file:
        file.seek(member.offset)
        local = file.read(_LOCAL_HEADER)
        if len(local) < _LOCAL_HEADER or not local.startswith(_STARTS[0]):
            raise InputError("damaged", "it does not start where the archive's list says", path=path)
        file.seek(int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little"), os.SEEK_CUR)
        wanted = member.size if stop is None else min(stop, member.size)
        unpack = _inflated if member.method == _DEFLATED else _copied
        content = unpack(file, member, wanted, path)
    if wanted == member.size and (len(content) != member.size or isal_zlib.crc32(content) != member.crc):
        raise InputError("damaged", "its content does not match its size or checksum", path=path)
    return content


def _check_member(member: _Member, path: Path) -> None:
    if member.method not in (_STORED, _DEFLATED):
        text = f"it is packed by method {member.method}; stored and deflated files are read"
        raise InputError("unsupported", text, path=path, cure=_UNPACK)
    if member.size > MAX_MEMBER_BYTES:
        text = f"it unpacks to {member.size:,} bytes, {MAX_MEMBER_BYTES:,} are accepted"
        raise InputError("too-large", text, path=path, cure=_UNPACK)
    if member.size > max(_RATIO_FROM, MAX_RATIO * member.packed):
        text = f"{member.packed:,} bytes unpack to {member.size:,}, more than {MAX_RATIO} times as many"
        raise InputError("too-large", text, path=path, cure=_UNPACK)


def _copied(file: BinaryIO, member: _Member, wanted: int, path: Path) -> bytes:
    content = file.read(wanted)
    if len(content) < wanted:
        raise InputError("truncated", f"{len(content):,} of its {wanted:,} bytes are in the archive", path=path)
    return content


def _inflated(file: BinaryIO, member: _Member, wanted: int, path: Path) -> bytes:
    """Return the first `wanted` bytes; one more where the file holds more than the whole size that is stated."""
    from isal import isal_zlib

    inflater = isal_zlib.decompressobj(-15)
    left = wanted + (wanted == member.size)
    packed = member.packed
    pieces: list[bytes] = []
    while left and not inflater.eof:
        chunk = file.read(min(packed, left + _SPARE, _CHUNK))
        if not chunk:
            raise InputError("truncated", "its packed data end before it does", path=path)
        try:
            pieces.append(inflater.decompress(chunk, left))
        except isal_zlib.IsalError:  # type: ignore[misc]  # the stub calls it an instance
            raise InputError("damaged", "its packed data cannot be unpacked", path=path) from None
        packed, left = packed - len(chunk), left - len(pieces[-1])
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
