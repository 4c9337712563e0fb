from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_frames import CT, US
from phantoms import slice_of
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from torture_dicom import transcoded

from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.io.dicom import decode, parsed, pixels
from medvision.io.dicom.decode import has_decoder
from medvision.io.dicom.frame import Frame
from medvision.io.dicom.header import read_frames
from medvision.io.dicom.pixels import same_pixels, stored_pixels
from medvision.io.dicom.read import read_dicom
from medvision.io.located import quiet

GRID = Geometry.from_spacing((1, 1, 1), (4, 5, 1))
VALUES = np.arange(20, dtype=np.uint16).reshape(4, 5)
JPEG, EXTENDED, RLE = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.5"


def dataset_of(**tags: Any) -> Dataset:
    dataset = slice_of(VALUES, GRID, 0)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def saved(file: Path, dataset: Dataset) -> Path:
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.save_as(file, enforce_file_format=True)
    return file


def read(file: Path) -> list[np.ndarray]:
    with quiet():
        return [found for _, found in stored_pixels(read_frames(file))]


def code_of(file: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(file)
    assert caught.value.path == file
    return caught.value.code


@pytest.mark.parametrize(
    ("signed", "stored", "clean", "count"),
    [
        (False, [0, 4095, 7], [0, 4095, 7], 0),
        (False, [4096 + 5, 4095, 0x8007], [5, 4095, 7], 2),
        (True, [-1, 2047, -2048], [-1, 2047, -2048], 0),
        (True, [0x0FFF, 0x0800, 7], [-1, -2048, 7], 0),
        (True, [0x1FFF, 0x7007, -1], [-1, 7, -1], 2),
    ],
    ids=["unsigned", "unsigned and junk", "signed", "signs not extended", "signed and junk"],
)
def test_bits_above_bits_stored_are_cleared_and_counted(
    tmp_path: Path, signed: bool, stored: list[int], clean: list[int], count: int
) -> None:
    content = np.resize(np.array([*stored, 0, 0], "i2" if signed else "u4").astype("<i2" if signed else "<u2"), 20)
    tags = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": int(signed), "PixelData": content.tobytes()}
    cleared: dict[int, int] = {}
    with quiet():
        ((_, found),) = stored_pixels(read_frames(saved(tmp_path / "a.dcm", dataset_of(**tags))), cleared)
    assert found.ravel()[:3].tolist() == clean
    assert cleared == ({0: 4 * count} if count else {})


def clip(**tags: Any) -> Dataset:
    """Return three frames of 8 bits; the frame's number is in all its pixels."""
    content = np.repeat(np.arange(3, dtype=np.uint8), 20).tobytes()
    stated = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "NumberOfFrames": 3, "PixelData": content}
    return dataset_of(**{**stated, "SOPClassUID": US, "Modality": "US", **tags})


def test_pixels_are_rows_and_columns_as_stored(tmp_path: Path) -> None:
    (found,) = read(saved(tmp_path / "a", dataset_of()))
    assert np.array_equal(found, VALUES.T)


@pytest.mark.parametrize("signed", [False, True])
def test_bits_above_those_stored_are_cleared_or_filled_with_the_sign(tmp_path: Path, signed: bool) -> None:
    stored = np.array([0xF000, 0x5FFF, 0x0800, 0x07FF] * 5, "<u2")
    tags = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": int(signed), "PixelData": stored.tobytes()}
    wanted = [0, -1, -2048, 2047] if signed else [0, 4095, 2048, 2047]
    for syntax in ("1.2.840.10008.1.2.1", RLE):
        dataset = dataset_of(**tags)
        if syntax == RLE:
            dataset.compress(RLE, encoding_plugin="pydicom")
        (found,) = read(saved(tmp_path / syntax, dataset))
        assert found[0].tolist() == wanted


def test_frames_are_given_in_the_order_that_is_asked_for_and_files_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, packed = clip(), clip()
    packed.compress(RLE, encoding_plugin="pydicom")
    frames: list[Frame] = []
    for name, dataset in (("plain", plain), ("packed", packed)):
        frames += read_frames(saved(tmp_path / name, dataset))
    opened: list[Path] = []
    real = decode.opened
    for module in (decode, parsed, pixels):
        monkeypatch.setattr(module, "opened", lambda path: opened.append(path) or real(path))
    asked = [frames[n] for n in (5, 2, 3, 0, 4)]
    found = {place: int(one.max()) for place, one in stored_pixels(asked)}
    assert found == {0: 2, 1: 2, 2: 0, 3: 0, 4: 1}
    assert sorted(path.name for path in opened) == ["packed", "plain"]


@pytest.mark.parametrize("lacking", [1, 39, 40])
def test_pixels_that_are_not_whole_are_refused(tmp_path: Path, lacking: int) -> None:
    file = saved(tmp_path / "cut", dataset_of())
    file.write_bytes(file.read_bytes()[:-lacking])
    assert code_of(file) == "truncated"
    assert code_of(saved(tmp_path / "short", dataset_of(Rows=6))) == "truncated"
    assert code_of(saved(tmp_path / "clip", clip(NumberOfFrames=4))) == "truncated"
    assert code_of(saved(tmp_path / "none", clip(PixelData=b""))) == "truncated"


@pytest.mark.parametrize("make", [dataset_of, clip])
def test_zeros_that_fill_up_a_block_are_let_pass_and_other_surplus_is_not(tmp_path: Path, make: Any) -> None:
    for name, more, code in (
        ("a", bytes(1000), None),
        ("b", bytes(9) + b"\1", "bad-header"),
        ("c", bytes(1026), "bad-header"),
    ):
        dataset = make()
        dataset.PixelData += more
        file = saved(tmp_path / name, dataset)
        if code is None:
            read(file)
        else:
            assert code_of(file) == code


def test_colours_come_as_red_green_and_blue(tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(0, 255, (5, 4, 3), np.uint8)
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "NumberOfFrames": 1}
    for planar in (0, 1):
        content = rgb if planar == 0 else rgb.transpose(2, 0, 1)
        dataset = clip(**tags, PlanarConfiguration=planar, PixelData=np.ascontiguousarray(content).tobytes())
        (found,) = read(saved(tmp_path / str(planar), dataset))
        assert np.array_equal(found, rgb)


def palette(entries: list[int], stored: np.ndarray) -> Dataset:
    dataset = clip(PhotometricInterpretation="PALETTE COLOR", NumberOfFrames=1, PixelData=stored.astype("u1").tobytes())
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [len(entries), 0, 16])
        setattr(dataset, f"{colour}PaletteColorLookupTableData", np.array(entries, "<u2").tobytes())
    return dataset


@pytest.mark.parametrize(
    ("entries", "kind", "wanted"),
    [
        ([0, 257 * 7, 257 * 255], np.uint8, [0, 7, 255]),
        ([0, 256 * 7, 256 * 255], np.uint8, [0, 7, 255]),
        ([0, 7, 65535], np.uint16, [0, 7, 65535]),
    ],
)
def test_a_palette_is_expanded_to_the_depth_that_its_colours_have(
    tmp_path: Path, entries: list[int], kind: Any, wanted: list[int]
) -> None:
    (found,) = read(saved(tmp_path / "all", palette(entries, np.arange(20) % 3)))
    assert found.dtype == kind
    assert found[0, :3, 0].tolist() == wanted
    # A picture that shows one entry has the depth of the whole palette too.
    assert read(saved(tmp_path / "one", palette(entries, np.zeros(20))))[0].dtype == kind


def test_a_palette_that_is_not_there_is_refused(tmp_path: Path) -> None:
    dataset = clip(PhotometricInterpretation="PALETTE COLOR", NumberOfFrames=1, PixelData=bytes(20))
    assert code_of(saved(tmp_path / "a", dataset)) == "bad-header"


def packed(syntax: str, picture: bytes, **tags: Any) -> Dataset:
    dataset = clip(NumberOfFrames=1, **tags)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([picture])
    dataset["PixelData"].is_undefined_length = True
    return dataset


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((5, 4), 80, np.uint8)).save(out, "JPEG")
    return out.getvalue()


def test_a_compressed_picture_is_decoded_and_a_damaged_one_refused(tmp_path: Path) -> None:
    (found,) = read(saved(tmp_path / "a", packed(JPEG, jpeg())))
    assert np.abs(found.astype(int) - 80).max() <= 1
    assert code_of(saved(tmp_path / "b", packed(JPEG, jpeg()[:200]))) == "bad-header"
    assert code_of(saved(tmp_path / "c", packed(JPEG, b"no picture"))) == "bad-header"


def test_runs_that_are_too_short_are_refused_where_pydicom_warns(tmp_path: Path) -> None:
    dataset = clip(NumberOfFrames=1)
    dataset.PixelData = bytes(range(20))
    dataset.compress(RLE, encoding_plugin="pydicom")
    header = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56)
    for name, runs in (("short", b"\x05123456"), ("long", b"\x13" + bytes(20) + b"\x0f" + bytes(16))):
        dataset.PixelData = encapsulate([header + runs])
        dataset["PixelData"].is_undefined_length = True
        assert code_of(saved(tmp_path / name, dataset)) == "bad-header"


def test_jpeg_of_twelve_bits_says_that_nothing_decodes_it(tmp_path: Path) -> None:
    dataset = packed(EXTENDED, b"no picture", BitsAllocated=16, BitsStored=12, HighBit=11)
    assert code_of(saved(tmp_path / "a", dataset)) == "codec-missing"
    assert code_of(saved(tmp_path / "b", packed(EXTENDED, b"no picture"))) == "bad-header"


def test_without_gdcm_a_failure_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "_has_gdcm", lambda: False)
    assert code_of(saved(tmp_path / "a", packed(JPEG, b"no picture"))) == "codec-missing"


def test_a_syntax_is_known_with_a_decoder_or_refused() -> None:
    assert has_decoder("1.2.840.10008.1.2.1")
    assert has_decoder(JPEG)
    with pytest.raises(InputError) as caught:
        has_decoder("1.2.3.4")
    assert caught.value.code == "unsupported"


def test_frames_have_the_same_pixels_whatever_their_encoding(tmp_path: Path) -> None:
    plain, run_length = clip(), clip()
    run_length.compress(RLE, encoding_plugin="pydicom")
    one, other = (read_frames(saved(tmp_path / name, d)) for name, d in (("a", plain), ("b", run_length)))
    assert [same_pixels(x, y) for x, y in zip(one, other, strict=True)] == [True] * 3
    assert not same_pixels(one[0], other[1])


def test_a_file_that_is_gone_is_refused_where_it_is_compared(tmp_path: Path) -> None:
    frames = [read_frames(saved(tmp_path / name, dataset_of()))[0] for name in "ab"]
    (tmp_path / "b").unlink()
    with pytest.raises(InputError) as caught:
        same_pixels(*frames)
    assert (caught.value.code, caught.value.path) == ("unreadable", tmp_path / "b")


def test_big_endian_and_floating_point_pixels_come_in_the_order_of_this_machine(tmp_path: Path) -> None:
    dataset = dataset_of(SOPClassUID="1.2.840.10008.5.1.4.1.1.30", BitsAllocated=32)
    for keyword in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, keyword)
    dataset.FloatPixelData = np.linspace(0, 1, 20, dtype="<f4").tobytes()
    (found,) = read(saved(tmp_path / "f", dataset))
    assert np.allclose(found.ravel(), np.linspace(0, 1, 20))
    assert found.dtype == np.float32
    big = dataset_of(SOPClassUID=CT)
    big.PixelData = VALUES.T.astype(">u2").tobytes()
    big.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
    (found,) = read(saved(tmp_path / "b", big))
    assert np.array_equal(found, VALUES.T)
    assert found.dtype.isnative


@pytest.mark.parametrize("syntax", ["JPEG2000Lossless", "JPEGLSLossless", "JPEGLosslessProcess14_1"])
@pytest.mark.parametrize(
    ("signed", "stored", "wanted"),
    [
        (False, [0, 4095], [0, 4095]),
        (False, [0, 4096], None),
        (True, [-2048, 2047], [-2048, 2047]),
        (True, [0, 2048], [0, -2048]),  # zero above Bits Stored: the sign is the highest bit of those stored
        (True, [-1, 2048], None),
        (True, [-2049, 0], None),
    ],
)
def test_pictures_of_more_bits_than_stored_must_fit_into_those(
    tmp_path: Path, syntax: str, stored: list[int], wanted: list[int] | None, *, signed: bool
) -> None:
    values = np.array(stored * 160, "<i2" if signed else "<u2")
    tags = {"Rows": 16, "Columns": 20, "PixelRepresentation": int(signed), "PixelData": values.tobytes()}
    dataset = transcoded(dataset_of(**tags), syntax)
    dataset.BitsStored, dataset.HighBit = 12, 11
    path = saved(tmp_path / "a", dataset)
    if wanted is None:
        assert code_of(path) == "bad-header"
    else:
        assert np.array_equal(read(path)[0].ravel(), wanted * 160)


def test_runs_that_take_as_many_bytes_as_plain_pixels_are_read(tmp_path: Path) -> None:
    header = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56)
    dataset = clip(NumberOfFrames=1, Rows=10, Columns=20)
    dataset.PixelData = encapsulate([header + b"\x81\x07\xb9\x07" + b"\x80" * 112])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = RLE
    assert len(dataset.PixelData) == 200
    assert (read(saved(tmp_path / "a", dataset))[0] == 7).all()


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize(("syntax", "irreversible"), [("91", True), ("91", False), ("90", False)])
def test_jpeg_2000_tells_whether_it_was_coded_with_loss(
    tmp_path: Path, syntax: str, frames: int, *, irreversible: bool
) -> None:
    out = io.BytesIO()
    picture = Image.fromarray(VALUES.T.astype(np.uint8))
    picture.save(out, "JPEG2000", no_jp2=True, irreversible=irreversible)
    dataset = packed("1.2.840.10008.1.2.4." + syntax, out.getvalue())
    dataset.NumberOfFrames = frames
    dataset.PixelData = encapsulate([out.getvalue()] * frames)
    found = read_frames(saved(tmp_path / "a", dataset))
    assert [decode.is_coded_with_loss(frame) for frame in found] == [irreversible] * frames
    with quiet():
        codes = [finding.code for finding in read_dicom([tmp_path / "a"], 0).findings]
    assert ("lossy-compressed" in codes) is irreversible
