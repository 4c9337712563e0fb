"""A quick look at one file's top-level elements: what lies in which tag, and where the pixels start.

pydicom needs about half a millisecond a header, which is most of the time that a folder of ten thousand files takes.
This reads the encodings that nearly all files have (explicit and implicit VR, little endian; PS3.5, 7.1) in a tenth
of that. Whatever is unusual (big endian, tags out of order, unknown VR letters) is left to pydicom.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import BinaryIO

from medvision.errors import InputError

PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
"""Float, Double Float and (integer) Pixel Data."""

_UNDEFINED = 0xFFFFFFFF
_ITEM, _SEQUENCE_END, _DELIMITERS = 0xFFFEE000, 0xFFFEE0DD, 0xFFFE
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_SHORT = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split(),
)
_EXPLICIT = b"1.2.840.10008.1.2.1"
_IMPLICIT = b"1.2.840.10008.1.2"
_UNCOMPRESSED_ODD = (b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99")  # big endian, deflated
_EXPLICIT_HEAD = struct.Struct("<HH2sH").unpack_from
_LENGTH = struct.Struct("<I").unpack_from
_SHORTEST_HEAD, _LONGEST_HEAD = 8, 12  # bytes
_FIRST_PIXELS = min(PIXELS)
_HIGHEST_START = 0x03  # of the upper byte of a data set's first group
_CHUNK = 1 << 13
_LONGEST = 1 << 16  # of a value that is asked for


@dataclass(frozen=True)
class Elements:
    """Top-level elements before the pixels.

    Parameters
    ----------
    raw
        The bytes of each wanted tag that is there; empty for a sequence, of which only its presence is told.
    transfer_syntax
        As the file meta information states it; None where it does not.
    is_explicit
        Whether VRs are written out.
    pixels
        Tag, offset in the file and length of the pixel data; None where there are none. The length of encapsulated
        ones is None.
    """

    raw: dict[int, bytes]
    transfer_syntax: str | None
    is_explicit: bool
    pixels: tuple[int, int, int | None] | None


class _OddError(Exception):
    """The file is not one that is read here."""


class _EndError(_OddError):
    """The file ends before what is asked for."""


def quick_elements(content: BinaryIO, wanted: Mapping[int, Set[bytes]]) -> Elements | None:
    """Return the wanted elements of a DICOM file, or None where pydicom has to look.

    Parameters
    ----------
    content
        The file, at its start.
    wanted
        Tags as group << 16 | element, each with the VRs that it can have; pydicom has to look where it has another.

    Raises
    ------
    InputError
        ``bad-header``: a wanted element stands there twice, so that it has two values.
    """
    try:
        return _elements(_Window(content), wanted)
    except _OddError:
        return None


class _Window:
    """Bytes of a file by their offset, read in pieces; what is skipped is not read."""

    def __init__(self, content: BinaryIO) -> None:
        self._content = content
        self.start = 0
        self.bytes = content.read(_CHUNK)

    def move(self, offset: int, size: int = 0) -> None:
        """Let the bytes start at `offset`, with `size` of them at least where the file has so many."""
        self._content.seek(offset)
        self.bytes = self._content.read(max(_CHUNK, size))
        self.start = offset

    def piece(self, offset: int, size: int) -> tuple[bytes, int]:
        """Return a buffer and the place of `offset` in it; `size` bytes from there are in the buffer."""
        at = offset - self.start
        if at < 0 or at + size > len(self.bytes):
            self.move(offset, size)
            at = 0
            if len(self.bytes) < size:
                raise _EndError
        return self.bytes, at


def _elements(window: _Window, wanted: Mapping[int, Set[bytes]]) -> Elements:
    offset, syntax = _meta(window)
    buffer, at = window.piece(offset, 8)
    if buffer[at + 1] > _HIGHEST_START:  # a first group that is none: the bytes may stand the other way round
        raise _OddError
    is_explicit = buffer[at + 4 : at + 6] in _SHORT or buffer[at + 4 : at + 6] in _LONG
    if (
        syntax in _UNCOMPRESSED_ODD
        or not (syntax or b"").isascii()
        or ((syntax == _IMPLICIT) == is_explicit and syntax is not None)
    ):
        raise _OddError
    raw, pixels = _walk(window, offset, wanted, is_explicit=is_explicit)
    return Elements(raw, syntax.decode("ascii") if syntax is not None else None, is_explicit, pixels)


def _meta(window: _Window) -> tuple[int, bytes | None]:
    """Return where the data set starts, and the Transfer Syntax; a file without preamble may have neither."""
    try:
        buffer, at = window.piece(128, 4)
        offset = 132 if buffer[at : at + 4] == b"DICM" else 0
    except _EndError:
        offset = 0
    syntax = None
    while True:
        buffer, at = window.piece(offset, 8)
        if buffer[at : at + 2] != b"\x02\0":
            return offset, syntax
        vr = buffer[at + 4 : at + 6]
        if vr in _SHORT:
            size, head = int.from_bytes(buffer[at + 6 : at + 8], "little"), 8
        elif vr in _LONG:
            buffer, at = window.piece(offset, 12)
            size, head = int.from_bytes(buffer[at + 8 : at + 12], "little"), 12
        else:
            raise _OddError
        if buffer[at + 2 : at + 4] == b"\x10\0":
            buffer, at = window.piece(offset + head, min(size, 64))
            syntax = buffer[at : at + size].rstrip(b" \0")
        offset += head + size


def _walk(
    window: _Window, offset: int, wanted: Mapping[int, Set[bytes]], *, is_explicit: bool
) -> tuple[dict[int, bytes], tuple[int, int, int | None] | None]:
    """Step from element to element at the top level; this is what a scan of many files spends its time in."""
    raw: dict[int, bytes] = {}
    last = 0
    while True:
        try:
            tag, vr, size, offset = _head(window, offset, is_explicit=is_explicit)
        except _EndError:
            return raw, None  # the file ends between two elements, or its last bytes are none
        if tag <= last:
            if tag == last and tag in wanted:
                raise InputError("bad-header", f"the element ({tag >> 16:04X},{tag & 0xFFFF:04X}) stands there twice")
            raise _OddError
        last = tag
        if tag >= _FIRST_PIXELS and tag in PIXELS:
            return raw, (tag, offset, size if size != _UNDEFINED else None)
        if size == _UNDEFINED or vr == b"SQ":
            if tag in wanted:
                raw[tag] = b""
            offset = _after_sequence(window, offset, is_explicit=is_explicit) if size == _UNDEFINED else offset + size
            continue
        if tag in wanted:
            if size > _LONGEST or (is_explicit and vr not in wanted[tag]):
                raise _OddError
            buffer, at = window.piece(offset, size)
            raw[tag] = buffer[at : at + size]
        offset += size


def _head(window: _Window, offset: int, *, is_explicit: bool) -> tuple[int, bytes, int, int]:
    """Return an element's tag, VR (empty where implicit), length, and where its value starts."""
    at = offset - window.start
    if at < 0 or at + _LONGEST_HEAD > len(window.bytes):
        window.move(offset)
        at = 0
        if len(window.bytes) < _SHORTEST_HEAD:
            raise _EndError
    group, element, vr, short = _EXPLICIT_HEAD(window.bytes, at)
    if is_explicit and group != _DELIMITERS:
        if vr in _SHORT:
            return group << 16 | element, vr, short, offset + 8
        if vr not in _LONG:
            raise _OddError
        if at + _LONGEST_HEAD > len(window.bytes):
            raise _EndError
        return group << 16 | element, vr, _LENGTH(window.bytes, at + 8)[0], offset + 12
    return group << 16 | element, b"", _LENGTH(window.bytes, at + 4)[0], offset + 8


def _after_sequence(window: _Window, offset: int, *, is_explicit: bool) -> int:
    """Return the offset behind a sequence of undefined length, however deep sequences lie in it."""
    depth = 1
    while depth:
        tag, vr, size, offset = _head(window, offset, is_explicit=is_explicit)
        if tag == _SEQUENCE_END:
            depth -= 1
        elif size != _UNDEFINED:
            offset += size
        elif vr == b"UN":  # its content is implicit VR (PS3.5, 6.2.2)
            raise _OddError
        elif tag != _ITEM:
            depth += 1
    return offset
