"""The bytes of one DICOM file: on disk, in a zip archive, or deflated as a whole."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import BinaryIO

from medvision import archives
from medvision.errors import InputError

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_EXPLICIT = b"1.2.840.10008.1.2.1\0\0\0"  # as long: the file meta information keeps its length
_HEAD, _LONGEST_META = 1 << 10, 1 << 16
_LEAST_CAP, _RATIO = 64 << 20, 200
_CHUNK = 1 << 20


def opened(path: Path) -> BinaryIO:
    """Return a DICOM file, at its start; a deflated one (PS3.5, A.5) is given as if it had been stored plainly.

    Raises
    ------
    InputError
        ``too-large``: it unpacks to more than 64 MB and 200 times its size; ``truncated``; ``damaged``;
        ``bad-header``: its meta information states no possible length.
    """
    content = archives.opened(path)
    head = content.read(_HEAD)
    start = _end_of_meta(head)
    if start is None or start > len(head):
        head += content.read(_LONGEST_META)
    content.seek(0)
    if _DEFLATED not in head[:start]:
        return content
    if start is None or start > len(head):  # never handed to a library, which would unpack it without a limit
        content.close()
        raise InputError("bad-header", "it is deflated, and its file meta information states no length that can be")
    with content:
        packed = content.read()
    return io.BytesIO(head[:start].replace(_DEFLATED, _EXPLICIT) + _inflated(packed[start:]))


def _end_of_meta(head: bytes) -> int | None:
    """Return where the file meta information ends, by its group length (0002,0000); None where it has none."""
    start = 132 if head[128:132] == b"DICM" else 0
    if head[start : start + 8] != b"\x02\0\0\0UL\x04\0":
        return None
    return start + 12 + int.from_bytes(head[start + 8 : start + 12], "little")


def _inflated(packed: bytes) -> bytes:
    cap = max(_LEAST_CAP, _RATIO * len(packed))
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    parts, size = [], 0
    while not inflate.eof:
        try:
            part = inflate.decompress(packed, _CHUNK)
        except zlib.error:
            raise InputError("damaged", "the deflated content is no deflated stream") from None
        packed = inflate.unconsumed_tail
        size += len(part)
        if size > cap:
            raise InputError("too-large", f"the deflated content unpacks to more than {cap:,} bytes")
        if not part and not inflate.eof:
            raise InputError("truncated", f"the deflated content ends early; {size:,} bytes came out")
        parts.append(part)
    return b"".join(parts)
