"""What compressed pictures state of themselves: a decoder is not handed one that its header does not describe.

Decoders take memory for what the picture states, and some of them end the process when that fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medvision.errors import InputError
from medvision.io.dicom.frame import Frame
from medvision.io.located import decoding

_JPEG, _JPEG_2000, _JP2 = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP"
_FRAMES = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7))
_LOSSLESS, _JPEG_LS_FRAME = (0xC3, 0xC7, 0xCB, 0xCF), 0xF7
_LOSSLESS_JPEG = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
_WITHOUT_LOSS = (*_LOSSLESS_JPEG, "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90")
_JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
_JPEG_2000_SYNTAXES = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 92, 93, 201, 202, 203))
_SCAN, _END = 0xDA, b"\xff\xd9"
_TILE_PART, _CODING_STYLE = b"\xff\x90", b"\xff\x52"
_LEAST_TILE_PART = 14  # bytes: its header and the marker of its data


@dataclass(frozen=True)
class Picture:
    """What a compressed picture states of itself.

    Parameters
    ----------
    rows, columns, components
        Its size, and how many samples a pixel has.
    bits
        Of a sample; the most where the components differ.
    is_signed
        Whether samples can be negative; JPEG and JPEG-LS cannot state it.
    is_lossy
        Whether its coding loses something. Of wavelets without loss, parts may have been left out: that is not told.
    """

    rows: int
    columns: int
    components: int
    bits: int
    is_signed: bool
    is_lossy: bool


def check_codestreams(content: bytes, frame: Frame) -> None:
    """Refuse pictures that are not what the header describes, or that end early.

    Parameters
    ----------
    content
        Encapsulated Pixel Data (PS3.5, A.4).
    frame
        What the file states.

    Raises
    ------
    InputError
        ``bad-header``: another size, number of samples, depth or sign, loss where there may be none, or fragments that
        cannot be understood;
        ``truncated``: JPEG-LS without its end, JPEG 2000 without all its tiles.
    """
    from pydicom.encaps import generate_frames

    with decoding("the fragments of Pixel Data"):
        for content_of_one in generate_frames(content, number_of_frames=frame.frames):
            # Its decoder takes seconds over a picture that is cut; other writers leave bytes behind the end, or it out.
            if frame.transfer_syntax in _JPEG_LS and not content_of_one.rstrip(b"\0").endswith(_END):
                raise InputError("truncated", "a compressed picture ends before its end marker")
            picture = stated(content_of_one)
            if picture is not None:
                _check_picture(picture, frame)
                _check_tile_parts(_codestream(content_of_one))


def keep_all_bits(dataset: Any) -> None:
    """Set Bits Stored of lossless JPEG to what its first picture states, if that is more: decoders cut what is above.

    The values can then be compared with what the header stated.
    """
    from pydicom.encaps import generate_frames

    if dataset.file_meta.TransferSyntaxUID not in _LOSSLESS_JPEG or dataset.SamplesPerPixel != 1:
        return
    frames = int(dataset.get("NumberOfFrames") or 1)
    picture = stated(next(generate_frames(dataset.PixelData, number_of_frames=frames)))
    if picture is not None and dataset.BitsStored < picture.bits <= dataset.BitsAllocated:
        dataset.BitsStored, dataset.HighBit = picture.bits, picture.bits - 1


def stated(content: bytes) -> Picture | None:
    """Return what a JPEG, JPEG-LS (ITU-T T.81, B.2.2) or JPEG 2000 (T.800, A.5.1) picture states.

    None where it is not found; the decoder then refuses it or knows better.

    >>> stated(bytes.fromhex("ffd8 fff7 000b 08 0003 0004 01 01 11 00"))
    Picture(rows=3, columns=4, components=1, bits=8, is_signed=False, is_lossy=False)
    """
    content = _codestream(content)
    if content.startswith(_JPEG_2000):
        return _of_jpeg_2000(content)
    return _of_jpeg(content) if content.startswith(_JPEG) else None


def _codestream(content: bytes) -> bytes:
    """Return the codestream of JPEG 2000 in a file of boxes; anything else as it is."""
    return content[max(content.find(_JPEG_2000), 0) :] if content.startswith(_JP2) else content


def _of_jpeg_2000(content: bytes) -> Picture | None:
    count = _whole(content, 40, 2)
    depths = content[42 : 42 + 3 * count : 3]
    if count == 0 or len(depths) < count:
        return None
    right, bottom, left, top = (_whole(content, at, 4) for at in (8, 12, 16, 20))
    bits = max(depth & 0x7F for depth in depths) + 1
    is_signed = any(depth & 0x80 for depth in depths)
    return Picture(bottom - top, right - left, count, bits, is_signed, is_lossy=_has_lossy_wavelet(content))


def _has_lossy_wavelet(content: bytes) -> bool:
    """Whether the wavelet is the 9-7 irreversible one (T.800, A.6.1)."""
    at = 2
    while content[at : at + 1] == b"\xff" and content[at : at + 2] != _TILE_PART:
        if content[at : at + 2] == _CODING_STYLE:
            return content[at + 13 : at + 14] == b"\0"
        at += 2 + _whole(content, at + 2, 2)
    return False


def _of_jpeg(content: bytes) -> Picture | None:
    at, picture, kind = 2, None, 0
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == _SCAN:
            is_lossy = picture is not None and (picture.is_lossy or _loses(content, at, kind))
            return picture and Picture(picture.rows, picture.columns, picture.components, picture.bits, False, is_lossy)
        if marker in _FRAMES and picture is None:
            kind, is_lossy = marker, marker not in (*_LOSSLESS, _JPEG_LS_FRAME)
            rows, columns = _whole(content, at + 5, 2), _whole(content, at + 7, 2)
            components = _whole(content, at + 9, 1)
            picture = Picture(rows, columns, components, content[at + 4], is_signed=False, is_lossy=is_lossy)
        at += 2 + _whole(content, at + 2, 2)
    return picture


def _loses(content: bytes, at: int, kind: int) -> bool:
    """Whether a scan of lossless JPEG drops bits (T.81, B.2.3: Al), or one of JPEG-LS lets values differ (NEAR)."""
    behind = at + 5 + 2 * _whole(content, at + 4, 1)
    return bool(_whole(content, behind + 2, 1) & 0x0F) or (kind == _JPEG_LS_FRAME and _whole(content, behind, 1) > 0)


def _check_picture(picture: Picture, frame: Frame) -> None:
    if (picture.rows, picture.columns) != (frame.rows, frame.columns):
        size = (picture.rows, picture.columns)
        text = f"the compressed picture has {size} rows and columns, the header {frame.rows, frame.columns}"
        raise InputError("bad-header", text)
    if picture.components != (frame.samples or 1):
        text = f"the compressed picture has {picture.components} samples a pixel, the header {frame.samples or 1}"
        raise InputError("bad-header", text)
    if frame.bits_allocated is not None and picture.bits > frame.bits_allocated:
        text = f"the compressed picture has samples of {picture.bits} bits, Bits Allocated is {frame.bits_allocated}"
        raise InputError("bad-header", text)
    if picture.is_lossy and frame.transfer_syntax in _WITHOUT_LOSS:
        raise InputError("bad-header", "the compressed picture lost something, its Transfer Syntax is one without loss")
    if picture.is_signed and frame.pixel_representation == 0:
        raise InputError("bad-header", "the compressed picture has signed values, the header unsigned ones")
    if frame.pixel_representation == 1 and _is_sign_unclear(picture, frame):
        text = f"the compressed picture has unsigned values of {picture.bits} bits, the header signed ones of more"
        raise InputError("bad-header", text)


def _is_sign_unclear(picture: Picture, frame: Frame) -> bool:
    """Whether JPEG 2000, which can state a sign, states none, and its highest bit is not where the header's sign is."""
    return (
        frame.transfer_syntax in _JPEG_2000_SYNTAXES
        and not picture.is_signed
        and picture.bits < (frame.bits_stored or 0)
    )


def _check_tile_parts(content: bytes) -> None:
    """Refuse JPEG 2000 of which a tile is not there, or a part of one not whole (T.800, A.4.2)."""
    if not content.startswith(_JPEG_2000):
        return
    right, bottom, _, _, width, height, left, top = (_whole(content, at, 4) for at in range(8, 40, 4))
    at, tiles = 2, set()
    while content[at : at + 1] == b"\xff" and content[at : at + 2] not in (_TILE_PART, _END):
        at += 2 + _whole(content, at + 2, 2)
    while content[at : at + 2] == _TILE_PART:
        tiles.add(_whole(content, at + 4, 2))
        length = _whole(content, at + 6, 4) or len(content) - at  # the last one need not state its length
        at += max(length, _LEAST_TILE_PART)
    count = -(-(right - left) // max(width, 1)) * -(-(bottom - top) // max(height, 1))
    if at > len(content) or len(tiles) < count:
        raise InputError("truncated", "a compressed picture ends before its last tile")


def _whole(content: bytes, at: int, size: int) -> int:
    """Return a big-endian number; bytes that are not there count as none."""
    return int.from_bytes(content[at : at + size], "big")
