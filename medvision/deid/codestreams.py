"""Compressed frames (JPEG, JPEG-LS, JPEG 2000): comments and application data in them can hold text.

What a marker segment says is overwritten with zeros in its place, so that no length changes and no pixel is touched.
"""

from __future__ import annotations

import re

from medvision.errors import InputError

_KEPT = {0xE0: b"JFIF\0", 0xE8: b"mrfx", 0xEE: b"Adobe"}  # application segments that a decoder needs, cut to 14 bytes
_COMMENT, _SCAN, _END = 0xFE, 0xDA, 0xD9
_NEXT = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")  # a marker within entropy-coded data, restarts apart


def scrubbed(frame: bytes) -> bytes:
    """Return a frame of the same length and pixels, without comments, application data and bytes after its end.

    Raises
    ------
    InputError
        ``bad-header``: it is no such codestream, or its segments do not follow each other.

    Examples
    --------
    >>> scrubbed(bytes.fromhex("ffd8 fffe 0006 4a616e65 ffd9") + b"Jane").hex(" ", 2)
    'ffd8 fffe 0006 0000 0000 ffd9 0000 0000'
    """
    content = bytearray(frame)
    try:
        if content[:4] == b"\xff\x4f\xff\x51":
            end = _scrub_jpeg2000(content)
        elif content[:2] == b"\xff\xd8":
            end = _scrub_jpeg(content)
        else:
            raise InputError("bad-header", "a frame is no JPEG, JPEG-LS or JPEG 2000 codestream")
    except IndexError:
        raise InputError("bad-header", "a frame's codestream ends before its end marker") from None
    content[end:] = bytes(len(content) - end)
    return bytes(content)


def _scrub_jpeg(content: bytearray) -> int:
    """Clean the segments (ITU-T T.81, annex B) in place; return where the codestream ends."""
    at = 2
    while True:
        while content[at] == 0xFF and content[at + 1] == 0xFF:  # fill bytes
            at += 1
        marker = _marker(content, at)
        if marker == _END:
            return at + 2
        end = at + 2 + _length(content, at + 2)
        if marker == _COMMENT or (0xE0 <= marker <= 0xEF):
            starts = _KEPT.get(marker)
            keep = 14 if starts and content.startswith(starts, at + 4) else 0
            _zero(content, at + 4 + keep, end)
        at = end
        if marker == _SCAN:
            found = _NEXT.search(content, at)
            if found is None:
                return len(content)  # no end marker: the data go on to the end
            at = found.start()


def _scrub_jpeg2000(content: bytearray) -> int:
    """Clean the main header and those of the tile-parts (ITU-T T.800, annex A); return where the stream ends."""
    at = 2
    tile_end = 0
    while True:
        if at == len(content) and tile_end == at:
            return at  # the last tile-part reaches to the end
        marker = _marker(content, at)
        if marker == _END:
            return at + 2
        if marker == 0x93:  # start of data: on to the next tile-part
            at = tile_end
            continue
        end = at + 2 + _length(content, at + 2)
        if marker == 0x90:
            length = int.from_bytes(content[at + 6 : at + 10], "big")
            tile_end = at + length if length else _end_of_last(content)
            if not end < tile_end <= len(content):
                raise IndexError
        elif marker == 0x64:
            _zero(content, at + 6, end)
        at = end


def _end_of_last(content: bytearray) -> int:
    """Return where the last tile-part ends, if it does not state its length: at the end marker."""
    found = content.rfind(b"\xff\xd9")
    return found if found > 0 else len(content)


def _marker(content: bytearray, at: int) -> int:
    if content[at] != 0xFF:
        raise InputError("bad-header", "a frame's codestream is damaged: no marker where one has to be")
    return content[at + 1]


def _length(content: bytearray, at: int) -> int:
    length = content[at] << 8 | content[at + 1]
    if length < 2:
        raise InputError("bad-header", "a frame's codestream is damaged: a segment has no length")
    return length


def _zero(content: bytearray, start: int, end: int) -> None:
    if end > len(content):
        raise IndexError
    content[start:end] = bytes(max(end - start, 0))
