"""The bytes of a NIfTI file, plain or inflated from gzip, none of them more than are asked for.

A gzip file (RFC 1952) may consist of several members, whose contents follow each other. Each member's checksum and
length are compared as soon as its end is reached. Zero bytes behind the last one are padding, as for gzip itself.
"""

from __future__ import annotations

import os
from typing import BinaryIO, Protocol

from medvision.errors import InputError

_GZIP = b"\x1f\x8b"
MOST_INFLATED = 1032
"""Times the size: the most that the deflate format (RFC 1951) can express."""
_PACKED_CHUNK = 1 << 17
_CHUNK = 1 << 18


class Content(Protocol):
    """A file's content, read from its start to its end.

    Attributes
    ----------
    is_packed
        Whether it was inflated from gzip.
    """

    is_packed: bool

    def most_left(self) -> int:
        """Return how many bytes can follow at most; known before one of them is read."""

    def fill(self, target: memoryview) -> int:
        """Put bytes into `target` until it is full or the content ends; return their number."""

    def skip(self, count: int) -> int:
        """Pass over up to `count` bytes; return how many there were."""

    def behind(self) -> bytes:
        """Return what follows the last member of a gzip file (padding left out, 4096 bytes at most): garbage."""


def content_of(raw: BinaryIO) -> Content:
    """Return the content of an open file that can be sought; its first bytes say whether it is gzip."""
    is_packed = raw.read(2) == _GZIP
    size = raw.seek(0, os.SEEK_END)
    raw.seek(0)
    return _Inflated(raw, size) if is_packed else _Plain(raw, size)


def read(content: Content, count: int) -> bytes:
    """Return `count` bytes; few, as they are set aside before the content is known to have them.

    Raises
    ------
    InputError
        ``truncated``: there are fewer.
    """
    require(content, count)
    target = bytearray(count)
    check_count(content.fill(memoryview(target)), count)
    return bytes(target)


def require(content: Content, count: int) -> None:
    """Refuse a claim that the file is too small for, before memory is taken for it."""
    check_count(min(content.most_left(), count), count)


def check_count(found: int, wanted: int) -> None:
    """Refuse fewer bytes than wanted."""
    if found < wanted:
        raise InputError("truncated", f"{found:,} of {wanted:,} bytes are there")


class _Plain:
    is_packed = False

    def __init__(self, raw: BinaryIO, size: int) -> None:
        self._raw, self._size = raw, size

    def most_left(self) -> int:
        return self._size - self._raw.tell()

    def fill(self, target: memoryview) -> int:
        filled = 0
        while filled < len(target):
            count: int = self._raw.readinto(target[filled:])  # type: ignore[attr-defined]  # typeshed's BinaryIO
            if not count:
                break
            filled += count
        return filled

    def skip(self, count: int) -> int:
        count = min(count, self.most_left())
        self._raw.seek(count, os.SEEK_CUR)
        return count

    def behind(self) -> bytes:
        return b""


class _Inflated:
    is_packed = True

    def __init__(self, raw: BinaryIO, size: int) -> None:
        self._raw = raw
        self._most = size * MOST_INFLATED
        self._packed = b""
        self._garbage = b""
        self._start()

    def most_left(self) -> int:
        return self._most

    def fill(self, target: memoryview) -> int:
        filled = 0
        while filled < len(target):
            piece = self._next(min(len(target) - filled, _CHUNK))
            if not piece:
                break
            target[filled : filled + len(piece)] = piece
            filled += len(piece)
        return filled

    def skip(self, count: int) -> int:
        skipped = 0
        while skipped < count:
            piece = self._next(min(count - skipped, _CHUNK))
            if not piece:
                break
            skipped += len(piece)
        return skipped

    def behind(self) -> bytes:
        return self._garbage

    def _start(self) -> None:
        from isal import isal_zlib

        self._member = isal_zlib.decompressobj(31)  # 31: gzip, with its checksum compared

    def _next(self, most: int) -> bytes:
        """Return the next bytes, 1 to `most`; none at the end of the last member."""
        from isal import isal_zlib

        piece = b""
        while not piece and not (self._member.eof and not self._has_member()):
            self._packed = self._packed or self._raw.read(_PACKED_CHUNK)
            is_end = not self._packed
            try:
                piece = self._member.decompress(self._packed, most)
            except isal_zlib.IsalError:  # type: ignore[misc]  # the stub calls it an instance
                text = "the compressed file is damaged: its checksum or structure is wrong"
                raise InputError("damaged", text) from None
            self._packed = self._member.unconsumed_tail
            if is_end and not piece and not self._member.eof:
                raise InputError("truncated", "the compressed file ends before its data and their checksum do")
        return piece

    def _has_member(self) -> bool:
        """Whether another member follows, which is then begun; else what is there is padding, or kept as garbage."""
        if self._garbage:
            return False
        left = self._member.unused_data.lstrip(b"\0")
        while not left and (chunk := self._raw.read(_PACKED_CHUNK)):
            left = chunk.lstrip(b"\0")
        if len(left) < len(_GZIP):
            left += self._raw.read(len(_GZIP))
        if not left.startswith(_GZIP):
            self._garbage = left[:4096]
            return False
        self._start()
        self._packed = left
        return True
