"""What compressed pictures state of themselves: a decoder is not handed one that its header does not describe.

Decoders take memory for what the picture states, and some of them end the process when that fails.
"""

from __future__ import annotations

from medvision.errors import InputError
from medvision.io.dicom.frame import Frame
from medvision.io.located import decoding

_JPEG, _JPEG_2000, _JP2 = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP"
_FRAMES = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7))
_JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
_SCAN, _END = 0xDA, b"\xff\xd9"


def check_codestreams(content: bytes, frame: Frame) -> None:
    """Refuse pictures whose own size is not Rows and Columns.

    Parameters
    ----------
    content
        Encapsulated Pixel Data (PS3.5, A.4).
    frame
        What the file states.

    Raises
    ------
    InputError
        ``bad-header``: another size, or fragments that cannot be understood; ``truncated``: JPEG-LS without its end.
    """
    from pydicom.encaps import generate_frames

    with decoding("the fragments of Pixel Data"):
        for picture in generate_frames(content, number_of_frames=frame.frames):
            size = stated_size(picture)
            # Its decoder takes seconds over a picture that is cut; other writers leave bytes behind the end, or it out.
            if frame.transfer_syntax in _JPEG_LS and not picture.rstrip(b"\0").endswith(_END):
                raise InputError("truncated", "a compressed picture ends before its end marker")
            if size is not None and size != (frame.rows, frame.columns):
                text = f"the compressed picture has {size} rows and columns, the header {frame.rows, frame.columns}"
                raise InputError("bad-header", text)


def stated_size(picture: bytes) -> tuple[int, int] | None:
    """Return rows and columns of a JPEG, JPEG-LS (ITU-T T.81, B.2.2) or JPEG 2000 (T.800, A.5.1) picture.

    None where they are not found; the decoder then refuses it or knows better.

    >>> stated_size(bytes.fromhex("ffd8 fff7 000b 08 0003 0004 01 01 11 00"))
    (3, 4)
    """
    if picture.startswith(_JP2):  # JPEG 2000 in a file of boxes: the codestream lies in it
        picture = picture[max(picture.find(_JPEG_2000), 0) :]
    if picture.startswith(_JPEG_2000):
        right, bottom, left, top = (int.from_bytes(picture[at : at + 4], "big") for at in (8, 12, 16, 20))
        return bottom - top, right - left
    if not picture.startswith(_JPEG):
        return None
    at = 2
    while at + 9 <= len(picture) and picture[at] == 0xFF:
        marker = picture[at + 1]
        if marker in _FRAMES:
            return int.from_bytes(picture[at + 5 : at + 7], "big"), int.from_bytes(picture[at + 7 : at + 9], "big")
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker == _SCAN:
            return None
        else:
            at += 2 + int.from_bytes(picture[at + 2 : at + 4], "big")
    return None
