from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from dicom_frames import frame
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from medvision.errors import InputError
from medvision.io.dicom.codestream import check_codestreams, keep_all_bits, stated

JPEG, JPEG_2000, JPEG_LS = (f"1.2.840.10008.1.2.4.{number}" for number in (50, 90, 80))


def compressed(kind: str, rows: int = 6, columns: int = 5, **options: Any) -> bytes:
    out = io.BytesIO()
    if kind == "J2K":
        kind, options = "JPEG2000", {"no_jp2": True, **options}
    Image.fromarray(np.zeros((rows, columns), np.uint8)).save(out, kind, **options)
    return out.getvalue()


def jpeg_ls(rows: int = 6, columns: int = 5, **options: int) -> bytes:
    import jpeg_ls as library

    return bytes(library.encode_array(np.zeros((rows, columns), np.uint8), **options))


def size_of(picture: bytes) -> tuple[int, int]:
    found = stated(picture)
    assert found is not None
    return found.rows, found.columns


def refusal_of(picture: bytes, syntax: str) -> str:
    with pytest.raises(InputError) as caught:
        check_codestreams(encapsulate([picture]), frame(transfer_syntax=syntax))
    return caught.value.code


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_a_picture_states_its_rows_and_columns(kind: str) -> None:
    assert size_of(compressed(kind)) == (6, 5)
    assert size_of(compressed(kind, 300, 70)) == (300, 70)


def test_a_jpeg_2000_codestream_states_its_size_with_its_offset() -> None:
    boxed = compressed("JPEG2000")
    bare = bytearray(boxed[boxed.index(b"\xff\x4f\xff\x51") :])
    assert size_of(bytes(bare)) == (6, 5)
    bare[8:12], bare[16:20] = (9).to_bytes(4, "big"), (4).to_bytes(4, "big")
    assert size_of(bytes(bare)) == (6, 5)


def test_segments_and_fill_bytes_before_the_size_are_passed_over() -> None:
    start = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xff\xc0\x00\x0b\x08\x00\x03\x00\x04\x01\x01\x11\x00"
    assert size_of(start) == (3, 4)


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
    assert stated(content) is None


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


def sized(bits: int, *, signed: bool = False, components: int = 1) -> bytes:
    """Return a JPEG 2000 picture of one byte a sample that states another depth, sign or number of components."""
    bare = bytearray(compressed("J2K"))
    bare[42] = bits - 1 + 128 * signed
    bare[40:42] = components.to_bytes(2, "big")
    return bytes(bare)


@pytest.mark.parametrize(
    ("picture", "header", "words"),
    [
        (sized(8, components=3), {}, "samples a pixel"),
        (sized(8), {"samples": 3}, "samples a pixel"),
        (sized(17), {}, "Bits Allocated"),
        (sized(16, signed=True), {}, "signed values"),
        (sized(8), {"pixel_representation": 1}, "unsigned values"),
    ],
)
def test_a_picture_that_contradicts_its_header_is_refused(picture: bytes, header: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        check_codestreams(encapsulate([picture]), frame(transfer_syntax=JPEG_2000, **header))
    assert caught.value.code == "bad-header"


def test_unsigned_pictures_of_the_depth_of_signed_pixels_pass() -> None:
    check_codestreams(encapsulate([sized(16)]), frame(transfer_syntax=JPEG_2000, pixel_representation=1))
    check_codestreams(encapsulate([sized(16, signed=True)]), frame(transfer_syntax=JPEG_2000, pixel_representation=1))


def test_jpeg_2000_without_its_last_tile_is_refused() -> None:
    out = io.BytesIO()
    Image.fromarray(np.zeros((6, 5), np.uint8)).save(out, "JPEG2000", tile_size=(4, 4), no_jp2=True)
    whole = out.getvalue()
    check_codestreams(encapsulate([whole]), frame(transfer_syntax=JPEG_2000))
    check_codestreams(encapsulate([whole[:-2]]), frame(transfer_syntax=JPEG_2000))  # its end marker may be left out
    assert refusal_of(whole[: whole.rindex(b"\xff\x90")] + b"\xff\xd9", JPEG_2000) == "truncated"
    assert refusal_of(whole[:-8] + b"\xff\xd9", JPEG_2000) == "truncated"
    check_codestreams(encapsulate([last_without_length(whole)]), frame(transfer_syntax=JPEG_2000))


def last_without_length(picture: bytes) -> bytes:
    at = picture.rindex(b"\xff\x90")
    return picture[: at + 6] + bytes(4) + picture[at + 10 :]


@pytest.mark.parametrize(
    ("picture", "is_lossy"),
    [
        (compressed("JPEG"), True),
        (compressed("JPEG2000"), False),
        (compressed("J2K", irreversible=True), True),
        (jpeg_ls(), False),
        (jpeg_ls(lossy_error=3), True),
        (bytes.fromhex("ffd8 ffc3 000b 08 0003 0004 01 01 11 00 ffda 0008 01 01 00 01 00 00"), False),
        (bytes.fromhex("ffd8 ffc3 000b 08 0003 0004 01 01 11 00 ffda 0008 01 01 00 01 00 02"), True),
    ],
    ids=["JPEG", "JPEG 2000", "irreversible", "JPEG-LS", "near", "lossless JPEG", "dropped bits"],
)
def test_a_picture_states_whether_its_coding_loses_something(picture: bytes, *, is_lossy: bool) -> None:
    found = stated(picture)
    assert found is not None
    assert found.is_lossy is is_lossy


def test_loss_is_refused_where_the_syntax_excludes_it() -> None:
    assert refusal_of(compressed("J2K", irreversible=True), JPEG_2000) == "bad-header"
    assert refusal_of(jpeg_ls(lossy_error=3), JPEG_LS) == "bad-header"
    check_codestreams(encapsulate([compressed("J2K", irreversible=True)]), frame(transfer_syntax=JPEG_2000[:-1] + "1"))
    check_codestreams(encapsulate([jpeg_ls(lossy_error=3)]), frame(transfer_syntax=JPEG_LS[:-1] + "1"))


def test_jpeg_2000_without_components_states_nothing() -> None:
    assert stated(sized(8, components=0)) is None
    assert stated(b"\xff\x4f\xff\x51" + bytes(8)) is None
    assert stated(compressed("J2K")[:60]) is not None  # it ends before its coding style: not known to be lossy


def lossless(bits: int, syntax: str = "1.2.840.10008.1.2.4.70") -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SamplesPerPixel, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 16, 12, 11
    head = bytes.fromhex(f"ffd8 ffc3 000b {bits:02x} 0003 0004 01 01 11 00")
    dataset.PixelData = encapsulate([head])
    return dataset


@pytest.mark.parametrize(("bits", "kept"), [(16, 16), (14, 14), (12, 12), (8, 12), (17, 12)])
def test_bits_that_lossless_jpeg_has_above_bits_stored_are_kept(bits: int, kept: int) -> None:
    dataset = lossless(bits)
    keep_all_bits(dataset)
    assert (dataset.BitsStored, dataset.HighBit) == (kept, kept - 1)


def test_other_syntaxes_keep_their_bits_stored() -> None:
    dataset = lossless(16, JPEG_LS)
    keep_all_bits(dataset)
    assert dataset.BitsStored == 12
