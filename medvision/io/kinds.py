"""What a file is, by its first bytes; its name only says what was meant."""

from __future__ import annotations

import stat
import struct
from pathlib import Path
from typing import Literal

from medvision import archives
from medvision.errors import InputError
from medvision.io.located import located
from medvision.study import SourceKind, safe_id

Container = Literal["archive", "directory"]
"""What holds or names other files: a zip archive, a DICOMDIR."""

LIST_SUFFIXES = (".csv", ".tsv", ".jsonl")
"""What the name of a list of cases ends in."""

_CLAIMS: dict[str, SourceKind] = {
    ".nii.gz": "nifti",
    ".nii": "nifti",
    ".dcm": "dicom",
    ".dicom": "dicom",
    ".ima": "dicom",
    ".png": "picture",
    ".jpg": "picture",
    ".jpeg": "picture",
    ".npz": "npz",
}
_SUFFIXES = tuple(_CLAIMS)
_NOT_READ = (
    *(".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".mgh", ".mnc", ".hdr", ".bmp", ".gif", ".tif", ".tiff", ".jp2"),
    *(".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar"),
)
_HEAD = 4096
_GZIP = b"\x1f\x8b"
_MEDIA_CLASS = b"\x02\0\x02\0UI"  # (0002,0002), always in explicit little endian (PS3.10, 7.1)
_DIRECTORY_CLASS = b"1.2.840.10008.1.3.10"
_FIRST_GROUPS = (0x0002, 0x0008)  # what every image has three elements of: file meta information, identification
_SHORT_VRS = (
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS"),
    *(b"ST", b"TM", b"UI", b"UL", b"US"),
)
_LONG_VRS = (b"OB", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT")  # two bytes are reserved, four give the length
_MAX_VALUE = 1 << 16


def kind_of(path: Path) -> SourceKind | None:
    """Return the kind of image that the file's content is; None for a file that is none and does not claim to be.

    A DICOMDIR counts as DICOM here: it is one of the objects without pixels.

    Raises
    ------
    InputError
        As :func:`content_of`.
    """
    content = content_of(path)
    if content == "directory":
        return "dicom"
    return None if content == "archive" else content


def content_of(path: Path, *, is_regular: bool = False) -> SourceKind | Container | None:
    """Return what the file's content is; None for a file that is neither an image nor holds or names any.

    Parameters
    ----------
    path
        A file, on disk or within an archive.
    is_regular
        Whether it is known to be no folder, pipe or device: thousands of files then cost one look at each less.

    Raises
    ------
    InputError
        ``truncated`` or ``not-an-image``: the name promises an image and the content is empty or something else;
        ``unsupported``: an image or an archive of a format that is not read; ``unreadable``, ``not-found``; what
        :func:`medvision.archives.read_bytes` refuses.
    """
    with located(path):
        if not is_regular:
            _check_regular(path)
        head = archives.read_bytes(path, _HEAD)
        name = path.name.lower()
        claim = _claim(name)
        if not head:
            if claim:
                raise InputError("truncated", "the file is empty (0 bytes)")
            return None
        content = _content(head, path, claim)
        if claim and claim != ("dicom" if content == "directory" else content):
            raise InputError("not-an-image", f"the name promises {claim}, the content is {content or 'none of them'}")
        if content is None and name.endswith(_NOT_READ):
            raise InputError("unsupported", f"{path.suffix} files are not read")
    return content


def claimed_kind(path: Path) -> SourceKind | None:
    """Return the kind of image that the file's name promises."""
    claim = _claim(path.name.lower())
    return None if claim == "archive" else claim


def stem_of(path: Path) -> str:
    """Return the file's name without the suffix of an image.

    >>> stem_of(Path("x/a.b.nii.gz")), stem_of(Path("IM.0001"))
    ('a.b', 'IM.0001')
    """
    suffix = next((suffix for suffix in _CLAIMS if path.name.lower().endswith(suffix)), "")
    return path.name[: len(path.name) - len(suffix)]


def case_id(*parts: str) -> str:
    """Return an id made of the parts of a path, safe as the name of an output.

    >>> case_id("patient 1", "t1"), case_id("..")
    ('patient_1_t1', 'case')
    """
    return safe_id("_".join(parts)) or "case"


def _check_regular(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if archives.archive_of(path) is None:
            raise InputError("not-found", "there is no such file") from None
        return
    if not stat.S_ISREG(mode):  # opening a named pipe would wait for ever
        raise InputError("not-an-image", "this is no regular file")


def _claim(name: str) -> SourceKind | Literal["archive"] | None:
    if not name.endswith(_SUFFIXES):  # the quick answer for most
        return "archive" if name.endswith(".zip") else None
    return next(kind for suffix, kind in _CLAIMS.items() if name.endswith(suffix))


def _content(head: bytes, path: Path, claim: str | None) -> SourceKind | Container | None:
    if head[128:132] == b"DICM":
        return "directory" if _is_directory(head) else "dicom"
    if head.startswith(_GZIP):
        return _content_of_gzip(head, claim)
    if _is_nifti(head):
        return "nifti"
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return "picture"
    if head.startswith(b"PK"):
        return "npz" if claim == "npz" else "archive" if archives.is_archive(path, head) else None
    return "dicom" if _is_bare_dicom(head) else None


def _is_directory(head: bytes) -> bool:
    start = head.find(_MEDIA_CLASS, 132) + len(_MEDIA_CLASS)
    length = int.from_bytes(head[start : start + 2], "little")
    return start > 132 and head[start + 2 : start + 2 + length].rstrip(b"\0 ") == _DIRECTORY_CLASS


def _content_of_gzip(head: bytes, claim: str | None) -> SourceKind | None:
    from isal import isal_zlib

    try:
        start = isal_zlib.decompressobj(31).decompress(head, _HEAD)
    except isal_zlib.IsalError:  # type: ignore[misc]  # the stub calls it an instance
        return None
    if len(start) < 348 and claim == "nifti":
        raise InputError("truncated", f"{len(start)} bytes could be unpacked, a NIfTI header has 348")
    if start[128:132] == b"DICM":
        raise InputError("unsupported", "it is a DICOM file in gzip", cure="Unpack it with gunzip.")
    return "nifti" if _is_nifti(start) else None


def _is_nifti(head: bytes) -> bool:
    one = head[344:348] in (b"n+1\0", b"ni1\0") and head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c")
    two = head[4:12] == b"n+2\0\r\n\x1a\n" and head[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
    return one or two


def _is_bare_dicom(head: bytes) -> bool:
    """Whether a file without preamble starts with DICOM elements, in any of the three encodings (PS3.5, 7.1)."""
    if head.startswith(b"DICM"):  # the preamble alone is missing
        return True
    little = head[0:1] in (b"\x02", b"\x08") and head[1:2] == b"\0"
    big = head[1:2] in (b"\x02", b"\x08") and head[0:1] == b"\0"
    return (little or big) and _has_elements(head, "<" if little else ">")


def _has_elements(head: bytes, order: str) -> bool:
    """Whether the first three elements, or two where the third is not in `head`, are plausible and in their order."""
    at, last = 0, (-1, -1)
    for count in range(3):
        if at + 12 > len(head):
            return count == 2
        tag = struct.unpack_from(f"{order}HH", head, at)
        if tag[0] not in _FIRST_GROUPS or tag <= last:
            return False
        vr = head[at + 4 : at + 6]
        if vr in _SHORT_VRS:
            length, start = struct.unpack_from(f"{order}H", head, at + 6)[0], at + 8
        elif vr in _LONG_VRS:
            length, start = struct.unpack_from(f"{order}I", head, at + 8)[0], at + 12
        elif order == "<":
            length, start = struct.unpack_from("<I", head, at + 4)[0], at + 8
        else:
            return False
        if length % 2 or length > _MAX_VALUE:
            return False
        at, last = start + length, tag
    return True
