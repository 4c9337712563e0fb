from __future__ import annotations

import io

import numpy as np
import pytest
from dicom_frames import frame
from PIL import Image
from pydicom.encaps import encapsulate

from medvision.errors import InputError
from medvision.io.dicom.codestream import check_codestreams, stated_size

JPEG, JPEG_2000, JPEG_LS = (f"1.2.840.10008.1.2.4.{number}" for number in (50, 90, 80))


def compressed(kind: str, rows: int = 6, columns: int = 5) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.zeros((rows, columns), np.uint8)).save(out, kind, **({"no_jp2": True} if kind == "J2K" else {}))
    return out.getvalue()


def jpeg_ls(rows: int = 6, columns: int = 5) -> bytes:
    import jpeg_ls as library

    return bytes(library.encode_array(np.zeros((rows, columns), np.uint8)))


def refusal_of(picture: bytes, syntax: str) -> str:
    with pytest.raises(InputError) as caught:
        check_codestreams(encapsulate([picture]), frame(transfer_syntax=syntax))
    return caught.value.code


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_a_picture_states_its_rows_and_columns(kind: str) -> None:
    assert stated_size(compressed(kind)) == (6, 5)
    assert stated_size(compressed(kind, 300, 70)) == (300, 70)


def test_a_jpeg_2000_codestream_states_its_size_with_its_offset() -> None:
    boxed = compressed("JPEG2000")
    bare = bytearray(boxed[boxed.index(b"\xff\x4f\xff\x51") :])
    assert stated_size(bytes(bare)) == (6, 5)
    bare[8:12], bare[16:20] = (9).to_bytes(4, "big"), (4).to_bytes(4, "big")
    assert stated_size(bytes(bare)) == (6, 5)


def test_segments_and_fill_bytes_before_the_size_are_passed_over() -> None:
    start = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xff\xc0\x00\x0b\x08\x00\x03\x00\x04\x01\x01\x11\x00"
    assert stated_size(start) == (3, 4)


@pytest.mark.parametrize(
    "content",
    [
        b"no picture",
        b"",
        b"\xff\xd8",
        b"\xff\xd8 not a marker",
        b"\xff\xd8\xff\xda\x00\x0b\x08\x00\x03\x00\x04\x01\x01\x11\x00",
        b"\xff\xd8\xff\xe0\xff\xff" + bytes(20),
        b"\x00\x00\x00\x0cjP  without a codestream",
    ],
    ids=["no picture", "nothing", "a start alone", "no marker", "a scan first", "a segment beyond the end", "boxes"],
)
def test_what_states_no_size_is_left_to_the_decoder(content: bytes) -> None:
    assert stated_size(content) is None


@pytest.mark.parametrize(("kind", "syntax"), [("JPEG", JPEG), ("JPEG2000", JPEG_2000)])
def test_a_picture_of_the_stated_size_passes_and_another_is_refused(kind: str, syntax: str) -> None:
    check_codestreams(encapsulate([compressed(kind)]), frame(transfer_syntax=syntax))
    assert refusal_of(compressed(kind, 7, 5), syntax) == "bad-header"
    assert refusal_of(compressed(kind, 5, 6), syntax) == "bad-header"


def test_a_cut_jpeg_ls_picture_is_refused_and_one_that_is_filled_up_passes() -> None:
    check_codestreams(encapsulate([jpeg_ls()]), frame(transfer_syntax=JPEG_LS))
    check_codestreams(encapsulate([jpeg_ls() + bytes(3)]), frame(transfer_syntax=JPEG_LS))
    assert refusal_of(jpeg_ls()[:-2], JPEG_LS) == "truncated"


def test_every_picture_of_several_is_looked_at() -> None:
    several = frame(transfer_syntax=JPEG, frames=2)
    check_codestreams(encapsulate([compressed("JPEG")] * 2), several)
    with pytest.raises(InputError, match="rows and columns"):
        check_codestreams(encapsulate([compressed("JPEG"), compressed("JPEG", 4, 4)]), several)


def test_fragments_that_cannot_be_understood_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        check_codestreams(b"no fragments at all", frame(transfer_syntax=JPEG))
    assert caught.value.code == "bad-header"
