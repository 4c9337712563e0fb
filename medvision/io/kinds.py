"""What a file is, by its first bytes; its name only says what was meant."""

from __future__ import annotations

import stat
from pathlib import Path

from medvision.errors import InputError
from medvision.io.located import located
from medvision.study import SourceKind, safe_id

LIST_SUFFIXES = (".csv", ".tsv", ".jsonl")
"""What the name of a list of cases ends in."""

_CLAIMS: dict[str, SourceKind] = {
    ".nii.gz": "nifti",
    ".nii": "nifti",
    ".dcm": "dicom",
    ".png": "picture",
    ".jpg": "picture",
    ".jpeg": "picture",
    ".npz": "npz",
}
_OTHER_FORMATS = (".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".mgh", ".mnc", ".bmp", ".gif", ".tif", ".tiff", ".jp2")
_HEAD = 4096
_GZIP = b"\x1f\x8b"


def kind_of(path: Path) -> SourceKind | None:
    """Return the kind of image that the file's content is; None for a file that is none and does not claim to be.

    Raises
    ------
    InputError
        ``truncated`` or ``not-an-image``: the name promises an image and the content is empty or something else;
        ``unsupported``: an image format that is not read; ``unreadable``, ``not-found``.
    """
    claim = claimed_kind(path)
    with located(path):
        head = _head_of(path)
        if not head:
            if claim:
                raise InputError("truncated", "the file is empty (0 bytes)")
            return None
        content = _content(head, path)
        if claim and content != claim:
            raise InputError("not-an-image", f"the name promises {claim}, the content is {content or 'none of them'}")
        if content is None and path.suffix.lower() in _OTHER_FORMATS:
            raise InputError("unsupported", f"{path.suffix} files are not read")
    return content


def claimed_kind(path: Path) -> SourceKind | None:
    """Return the kind of image that the file's name promises."""
    name = path.name.lower()
    return next((kind for suffix, kind in _CLAIMS.items() if name.endswith(suffix)), None)


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


def _head_of(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError("not-found", "there is no such file") from None
    if not stat.S_ISREG(mode):  # opening a named pipe would wait for ever
        raise InputError("not-an-image", "this is no regular file")
    with path.open("rb") as file:
        return file.read(_HEAD)


def _content(head: bytes, path: Path) -> SourceKind | None:
    if head.startswith(_GZIP):
        return _content_of_gzip(head, path)
    if _is_nifti(head):
        return "nifti"
    if head[128:132] == b"DICM" or _is_bare_dicom(head, path):
        return "dicom"
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return "picture"
    if head.startswith(b"PK\x03\x04") and path.suffix.lower() == ".npz":
        return "npz"
    return None


def _content_of_gzip(head: bytes, path: Path) -> SourceKind | None:
    from isal import isal_zlib

    try:
        start = isal_zlib.decompressobj(31).decompress(head, _HEAD)
    except isal_zlib.IsalError:  # type: ignore[misc]  # the stub calls it an instance
        return None
    if len(start) < 348 and claimed_kind(path) == "nifti":
        raise InputError("truncated", f"{len(start)} bytes could be unpacked, a NIfTI header has 348")
    return "nifti" if _is_nifti(start) else None


def _is_nifti(head: bytes) -> bool:
    one = head[344:348] in (b"n+1\0", b"ni1\0") and head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c")
    two = head[4:12] == b"n+2\0\r\n\x1a\n" and head[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
    return one or two


def _is_bare_dicom(head: bytes, path: Path) -> bool:
    """Whether a file without preamble starts with DICOM elements; only asked of names that do not say otherwise."""
    if path.suffix.lower() not in ("", ".dcm", ".ima"):
        return False
    return head.startswith(b"\x02\0\0\0UL") or (path.suffix.lower() == ".dcm" and head.startswith(b"\x08\0"))
