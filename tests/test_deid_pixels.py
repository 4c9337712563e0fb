"""Lettering is found, blanked or refused; nothing travels beside the pixels, and the pixels stay what they are."""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    MPEG2MPML,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
)
from scipy import ndimage
from test_deid import clean, ct, lettered, refusal, smooth

from medvision.deid import Box, find_lettering
from medvision.deid import pixels as deid_pixels
from medvision.deid.codestreams import scrubbed
from medvision.deid.pixels import plane_is_clear
from medvision.errors import InputError
from medvision.io.located import quiet


@pytest.fixture(autouse=True)
def _no_warnings_from_pydicom() -> Iterator[None]:
    with quiet():
        yield


# finding


@pytest.mark.parametrize("size", [9, 14, 24, 48])
@pytest.mark.parametrize("level", [2000, 0])
def test_printed_text_is_found_where_it_stands_bright_or_dark(size: int, level: float) -> None:
    picture = smooth((512, 640))
    drawn = lettered(picture, size=size, level=level)
    rows, columns = np.nonzero(drawn != picture)
    found = find_lettering(drawn)
    assert found
    covered = np.zeros(picture.shape, dtype=bool)
    for box in found:
        box = box.grown(2)
        covered[box.y : box.y + box.height, box.x : box.x + box.width] = True
    assert covered[rows, columns].mean() > 0.97
    assert covered.mean() < 0.25


def test_text_in_colour_is_found() -> None:
    picture = np.full((128, 256, 3), 40, dtype=np.uint8)
    picture[..., 1] = lettered(picture[..., 1], level=230)
    assert find_lettering(picture)


@pytest.mark.parametrize("shape", [(2, 3), (4, 300), (64, 64)])
def test_a_picture_of_nothing_has_no_lettering(shape: tuple[int, int]) -> None:
    assert find_lettering(np.zeros(shape)) == ()


def test_a_ruler_a_grid_and_noise_are_no_lettering() -> None:
    ruler = smooth()
    ruler[20:32, 20:200:8] = 3000
    grid = smooth()
    grid[::16, :] = 3000
    noise = np.random.default_rng(0).normal(size=(256, 256))
    assert [find_lettering(picture) for picture in (ruler, grid, noise)] == [(), (), ()]


def speckle(size: int) -> Any:
    """Return what ultrasound shows of tissue: the magnitude of smoothed noise."""
    noise = np.random.default_rng(0).normal(size=(2, size, size))
    real, imaginary = (ndimage.gaussian_filter(part, 1.5) for part in noise)
    return np.hypot(real, imaginary)


def test_speckle_of_a_large_frame_is_looked_through_in_seconds() -> None:
    picture = speckle(1024)
    started = time.process_time()
    find_lettering(picture)
    assert time.process_time() - started < 12  # it was a minute, and is one second


def test_a_frame_of_too_many_shapes_is_not_judged_but_suspected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medvision.deid.lettering._MOST_GLYPHS", 100)
    picture = (1000 * speckle(256)).astype(np.int16)
    assert refusal(ct(picture)) == "burned-in-suspected"
    assert refusal(ct(picture), blank_detected=True) == "burned-in-suspected"
    assert clean(ct(picture), accept_burned_in=True).PatientIdentityRemoved == "YES"
    dataset = overlaid(None)
    monkeypatch.setattr("medvision.deid.lettering._MOST_GLYPHS", 3)
    dataset[0x60003000].value = overlaid("DOE JANE")[0x60003000].value
    assert not plane_is_clear(dataset, 0x6000)


@pytest.mark.parametrize("size", [(0, 3), (3, -1)])
def test_a_box_without_pixels_is_no_box(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="holds nothing"):
        Box(0, 0, *size)


# refusing, blanking, accepting


def test_text_in_pixels_is_refused_with_its_place() -> None:
    with pytest.raises(InputError, match=r"x,y,width,height \d+,\d+,\d+,\d+ \[burned-in-suspected\]"):
        clean(ct(lettered(smooth())))


@pytest.mark.parametrize(
    "tags",
    [
        {"BurnedInAnnotation": "YES"},
        {"SOPClassUID": SecondaryCaptureImageStorage},
        {"SOPClassUID": UltrasoundImageStorage, "Modality": "US"},
        {"Modality": "XA"},
        {"ConversionType": "WSD"},
        {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
    ],
)
def test_images_that_often_carry_text_are_refused_until_somebody_looks(tags: dict[str, Any]) -> None:
    dataset = ct(smooth(), **tags)
    assert refusal(dataset) == "burned-in-suspected"
    assert clean(dataset, accept_burned_in=True).PatientIdentityRemoved == "YES"
    copy = clean(dataset, blank=(Box(0, 0, 9, 9),))
    assert said_of_pixels(copy) == (True, tags.get("BurnedInAnnotation", "NO"))
    if "BurnedInAnnotation" in tags:  # where the header says there is text, the detector must have found it
        assert refusal(dataset, blank_detected=True) == "burned-in-suspected"
    else:
        assert np.array_equal(clean(dataset, blank_detected=True).pixel_array, smooth())
    dataset.BurnedInAnnotation = "NO"
    assert "BurnedInAnnotation" in clean(dataset)


def said_of_pixels(copy: pydicom.Dataset) -> tuple[bool, str | None]:
    """Return whether a copy states the Clean Pixel Data Option, and its Burned In Annotation."""
    codes = [code.CodeValue for code in copy.DeidentificationMethodCodeSequence]
    return "113101" in codes, copy.get("BurnedInAnnotation")


STATED = {"BurnedInAnnotation": "YES"}
TOP, CORNER = Box(0, 0, 256, 40), Box(200, 100, 20, 20)


def test_a_box_outside_the_image_is_refused_even_where_text_is_accepted() -> None:
    far = (TOP, Box(5000, 5000, 10, 10))
    for tags in ({}, STATED):
        assert refusal(ct(smooth(), **tags), blank=far) == "blank-outside"
        assert refusal(ct(smooth(), **tags), blank=far, accept_burned_in=True) == "blank-outside"
    for box in (Box(256, 0, 1, 1), Box(0, 128, 1, 1)):
        assert refusal(ct(smooth()), blank=(box,)) == "blank-outside"
    assert said_of_pixels(clean(ct(smooth()), blank=(Box(255, 127, 9, 9), TOP))) == (True, "NO")


def test_stated_text_is_said_to_be_gone_only_where_it_was_seen_and_is_seen_no_more() -> None:
    text = ct(lettered(smooth()), **STATED)
    assert said_of_pixels(clean(text, blank=(TOP,))) == (True, "NO")
    assert said_of_pixels(clean(text, blank_detected=True)) == (True, "NO")
    assert refusal(text, blank=(CORNER,)) == "burned-in-suspected"
    assert said_of_pixels(clean(text, blank=(CORNER,), accept_burned_in=True)) == (True, "YES")
    assert said_of_pixels(clean(text, accept_burned_in=True)) == (False, "YES")
    unseen = ct(smooth(), **STATED)
    assert said_of_pixels(clean(unseen, blank=(TOP,))) == (True, "YES")


def test_a_box_that_was_blank_before_answers_no_stated_text_and_is_not_counted() -> None:
    picture = smooth()
    picture[100:120, 200:220] = picture.min()
    assert refusal(ct(picture, **STATED), blank=(CORNER,)) == "burned-in-suspected"
    assert said_of_pixels(clean(ct(picture), blank=(CORNER,))) == (False, None)
    assert clean(ct(picture, Modality="XA"), blank=(CORNER,)).PatientIdentityRemoved == "YES"


def test_an_image_that_does_not_state_its_type_is_looked_at_like_others() -> None:
    dataset = ct(smooth())
    del dataset.ImageType
    assert clean(dataset).PatientIdentityRemoved == "YES"


def test_a_header_that_says_no_is_not_believed_where_pixels_say_yes() -> None:
    assert refusal(ct(lettered(smooth()), BurnedInAnnotation="NO")) == "burned-in-suspected"


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_detected_text_is_blanked_in_every_frame_and_all_else_left(photometric: str) -> None:
    picture = smooth()
    frames = np.stack([picture, lettered(picture), lettered(picture, "MRN 7731942")])
    dataset = ct(picture, PhotometricInterpretation=photometric, NumberOfFrames=3)
    dataset.PixelData = frames.tobytes()
    copy = clean(dataset, blank_detected=True)
    assert [find_lettering(frame) for frame in copy.pixel_array] == [(), (), ()]
    changed = np.nonzero((copy.pixel_array != frames).any(axis=0))
    assert max(changed[0]) < 40
    dark = picture.max() if photometric == "MONOCHROME1" else picture.min()
    assert dark in copy.pixel_array[1][8:22, 6:150]
    codes = [code.CodeValue for code in copy.DeidentificationMethodCodeSequence]
    assert (codes, copy.BurnedInAnnotation) == (["113100", "113101"], "NO")
    assert copy.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_text_beside_the_boxes_is_still_refused() -> None:
    dataset = ct(lettered(smooth()))
    assert refusal(dataset, blank=(Box(0, 100, 20, 20),)) == "burned-in-suspected"
    assert not find_lettering(clean(dataset, blank=(Box(0, 0, 256, 40),)).pixel_array)


def test_text_that_stays_after_blanking_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medvision.deid.pixels.blanked", lambda dataset, boxes, decode: 0)
    assert refusal(ct(lettered(smooth())), blank_detected=True) == "burned-in-suspected"


def test_the_source_is_left_as_it_was() -> None:
    dataset = ct(lettered(smooth()))
    dataset.PixelData += b"more"
    before = dataset.to_json()
    clean(dataset, "retain-dates-modified", blank_detected=True)
    assert dataset.to_json() == before


def test_boxes_reach_past_the_edge_without_harm_in_colour_by_plane() -> None:
    picture = np.full((64, 48, 3), 90, dtype=np.uint8)
    dataset = ct(picture, PlanarConfiguration=1, SOPClassUID=SecondaryCaptureImageStorage)
    picture[:, :, 2] = 200
    dataset.PixelData = np.moveaxis(picture, 2, 0).tobytes()
    picture[60:, 40:] = picture[0, 0]
    assert np.array_equal(clean(dataset, blank=(Box(40, 60, 100, 100),)).pixel_array, picture)


def test_pixels_that_cannot_be_blanked_are_refused() -> None:
    box = (Box(0, 0, 5, 5),)
    colour = ct(np.full((64, 48, 3), 90, dtype=np.uint8), PhotometricInterpretation="YBR_FULL")
    assert refusal(colour, blank=box) == "unsupported"
    big = ct()
    big.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    assert refusal(big, blank=box) == "unsupported"
    assert refusal(ct(BitsStored=20), blank=box) == "bad-header"


def test_palettes_are_looked_at_in_their_colours() -> None:
    dataset = with_palette(ct(lettered(np.zeros((128, 256), dtype=np.uint8), level=7)))
    assert refusal(dataset) == "burned-in-suspected"


def with_palette(dataset: pydicom.Dataset) -> pydicom.Dataset:
    """Let a picture show its value 7 white, and all others black."""
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        table = np.where(np.arange(256) == 7, 65535, 0).astype("<u2")
        setattr(dataset, f"{colour}PaletteColorLookupTableData", table.tobytes())
    return dataset


# overlays


def overlaid(words: str | None) -> pydicom.Dataset:
    plane = np.zeros((128, 256), dtype=np.uint8)
    plane[60:90, 100:140] = 1
    if words:
        plane = lettered(plane, words)
    dataset = ct(smooth())
    for element, vr, value in ((0x10, "US", 128), (0x11, "US", 256), (0x40, "CS", "G"), (0x50, "SS", [1, 1])):
        dataset.add_new(0x60000000 + element, vr, value)
    for element, value in ((0x100, 1), (0x102, 0)):
        dataset.add_new(0x60000000 + element, "US", value)
    dataset.add_new(0x60000022, "LO", "Jane")
    dataset.add_new(0x60000045, "US", 1)  # a Subtype is a text
    dataset.add_new(0x60003000, "OW", np.packbits(plane, bitorder="little").tobytes())
    return dataset


def test_graphics_go_and_stay_under_their_option_where_no_text_is_in_them() -> None:
    assert 0x60003000 not in clean(overlaid(None))
    kept = clean(overlaid(None), "clean-graphics")
    assert kept.overlay_array(0x6000).sum() == 30 * 40
    assert 0x60000022 not in kept
    assert 0x60003000 not in clean(overlaid("DOE JANE"), "clean-graphics")


def test_graphics_that_cannot_be_looked_at_count_as_text() -> None:
    dataset = overlaid(None)
    del dataset[0x60000010]
    assert not plane_is_clear(dataset, 0x6000)


# beside the pixels


def compressed(kind: str, picture: Any, syntax: Any, text: bytes = b"Jane Doe") -> pydicom.Dataset:
    buffer = io.BytesIO()
    options: dict[str, Any] = (
        {"no_jp2": True, "comment": text} if kind == "JPEG2000" else {"comment": text, "quality": 95}
    )
    Image.fromarray(picture).save(buffer, kind, **options)
    dataset = ct(picture)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([buffer.getvalue() + text * 2])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    return dataset


@pytest.mark.parametrize(("kind", "syntax"), [("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000Lossless)])
def test_comments_in_compressed_frames_go_and_their_pixels_stay(kind: str, syntax: Any) -> None:
    dataset = compressed(kind, (smooth() // 8).astype(np.uint8), syntax)
    assert dataset.PixelData.count(b"Jane Doe") >= 3
    copy = clean(dataset)
    assert b"Jane" not in copy.PixelData
    assert copy.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(copy.pixel_array, dataset.pixel_array)


def test_text_in_compressed_pixels_is_found_and_blanked() -> None:
    dataset = compressed("JPEG", lettered((smooth() // 8).astype(np.uint8), level=255), JPEGBaseline8Bit)
    assert refusal(dataset) == "burned-in-suspected"
    copy = clean(dataset, blank_detected=True)
    assert copy.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert not find_lettering(copy.pixel_array)


def test_a_compressed_palette_is_blanked_in_its_colours() -> None:
    picture = lettered(np.zeros((128, 256), dtype=np.uint8), level=7)
    picture[80:100, 40:60] = 7
    dataset = with_palette(compressed("JPEG2000", picture, JPEG2000Lossless))
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    copy = clean(dataset, blank=(TOP,))
    assert (copy.PhotometricInterpretation, copy.SamplesPerPixel, copy.BitsStored) == ("RGB", 3, 8)
    assert "RedPaletteColorLookupTableData" not in copy
    white = np.zeros((128, 256, 3), dtype=np.uint8)
    white[80:100, 40:60] = 255
    assert np.array_equal(copy.pixel_array, white)


def test_no_decoder_that_can_end_the_process_runs_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    real = pydicom.pixels.iter_pixels

    def noted(*arguments: Any, **settings: Any) -> Any:
        used.append(settings.get("decoding_plugin"))
        return real(*arguments, **settings)

    monkeypatch.setattr("pydicom.pixels.iter_pixels", noted)
    clean(compressed("JPEG2000", (smooth() // 8).astype(np.uint8), JPEG2000Lossless))
    assert used
    assert set(used) <= {"pyjpegls", "pylibjpeg", "pillow", "pydicom"}


def test_what_a_header_claims_is_compared_with_what_is_there_before_it_is_decoded() -> None:
    dataset = compressed("JPEG", (smooth() // 8).astype(np.uint8), JPEGBaseline8Bit)
    assert refusal(ct(NumberOfFrames=2_000_000)) == "too-large"
    dataset.Rows = dataset.Columns = 20_000
    assert refusal(dataset) == "too-large"
    dataset.Rows, dataset.Columns = 127, 256
    assert refusal(dataset) == "bad-header"


def test_a_decoder_that_gives_other_frames_than_the_header_states_is_not_believed() -> None:
    dataset = compressed("JPEG", (smooth() // 8).astype(np.uint8), JPEGBaseline8Bit)
    frame = dataset.pixel_array
    for frames in ([], [frame, frame], [frame[1:]]):
        with pytest.raises(InputError) as caught:
            deid_pixels.lettering(dataset, lambda frames=frames: frames)
        assert caught.value.code == "bad-header"
    assert deid_pixels.lettering(dataset, lambda: [frame]) == ()


def test_run_lengths_are_unpacked() -> None:
    dataset = ct(smooth())
    dataset.compress(RLELossless, generate_instance_uid=False)
    copy = clean(dataset)
    assert copy.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(copy.pixel_array, smooth())


def test_a_jpeg_keeps_what_its_decoder_needs() -> None:
    buffer = io.BytesIO()
    picture = Image.fromarray((smooth() // 8).astype(np.uint8)).convert("CMYK")
    picture.save(buffer, "JPEG", exif=b"Exif\0\0Jane")
    frame = scrubbed(buffer.getvalue())
    assert b"Adobe" in frame
    assert b"Jane" not in frame
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(frame))), np.asarray(Image.open(io.BytesIO(buffer.getvalue())))
    )


def test_comments_in_the_header_of_a_tile_go_too() -> None:
    picture = compressed("JPEG2000", (smooth() // 8).astype(np.uint8), JPEG2000Lossless).PixelData
    frame = next(iter(generate_frames(picture, number_of_frames=1)))
    start = frame.index(b"\xff\x90")
    length = int.from_bytes(frame[start + 6 : start + 10], "big")
    comment = b"\xff\x64\0\x08\0\x01Jane"
    tile = frame[start : start + 6] + (length + len(comment)).to_bytes(4, "big") + frame[start + 10 : start + 12]
    changed = frame[:start] + tile + comment + frame[start + 12 :]
    assert b"Jane" not in scrubbed(changed)
    unstated = frame[: start + 6] + bytes(4) + frame[start + 10 :]
    assert scrubbed(unstated).startswith(scrubbed(frame)[: start + 6])
    stream = frame[: frame.rindex(b"\xff\xd9")]  # the end marker is missing
    assert scrubbed(stream) == scrubbed(frame)[: len(stream)]


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "ffd8",
        "ffd8 00",
        "ffd8 0000",
        "ffd8 fffe 0001",
        "ffd8 fffe 0fff 4a",
        "ff4fff51 0004 0000",
        "ff4fff51 0004 0000 ff90 000a 0000 00000004 0001",
        "4749 4638",
    ],
)
def test_a_damaged_codestream_is_refused(frame: str) -> None:
    with pytest.raises(InputError, match="codestream"):
        scrubbed(bytes.fromhex(frame))


def test_a_jpeg_without_an_end_ends_with_its_data() -> None:
    assert scrubbed(bytes.fromhex("ffd8 ffff da 0002 1234")) == bytes.fromhex("ffd8 ffff da 0002 1234")


# what is refused


def test_pixels_that_do_not_fit_their_header_are_refused() -> None:
    cut = ct()
    cut.PixelData = cut.PixelData[:-2]
    assert refusal(cut) == "truncated"
    assert refusal(ct(Rows=0)) == "bad-header"
    assert refusal(ct(Rows=65535, Columns=65535)) == "too-large"
    nothing = ct()
    del nothing.Rows
    assert refusal(nothing) == "bad-header"


def test_frames_that_cannot_be_told_apart_or_decoded_are_refused() -> None:
    picture = (smooth() // 8).astype(np.uint8)
    more = compressed("JPEG", picture, JPEGBaseline8Bit)
    more.NumberOfFrames = 3
    assert refusal(more) == "bad-header"
    empty = compressed("JPEG", picture, JPEGBaseline8Bit)
    empty.PixelData = encapsulate([bytes.fromhex("ffd8 ffd9")])
    assert refusal(empty) == "bad-header"
    empty.PixelData = encapsulate([b"GIF8"])
    assert refusal(empty) == "bad-header"
    runs = ct()
    runs.file_meta.TransferSyntaxUID = RLELossless
    runs.PixelData = encapsulate([bytes(2000)])
    assert refusal(runs) == "bad-header"
    runs.PixelData = encapsulate([bytes(8)])
    assert refusal(runs) == "truncated"


def test_a_missing_decoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medvision.io.dicom.decode._has_gdcm", lambda: False)
    empty = compressed("JPEG", (smooth() // 8).astype(np.uint8), JPEGBaseline8Bit)
    empty.PixelData = encapsulate([bytes.fromhex("ffd8 ffd9")])
    assert refusal(empty) == "codec-missing"


def test_an_odd_number_of_big_endian_bytes_keeps_its_last() -> None:
    picture = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    dataset = ct(picture, BurnedInAnnotation="NO")
    dataset.PixelData = np.frombuffer(picture.tobytes() + b"\0", "<u2").byteswap().tobytes()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    assert np.array_equal(clean(dataset).pixel_array, picture)


def test_videos_are_refused() -> None:
    video = compressed("JPEG", (smooth() // 8).astype(np.uint8), MPEG2MPML)
    assert refusal(video) == "unsupported"


# real data


def test_the_identities_burned_into_real_images_are_found_and_gone(shared_data: Path) -> None:
    folder = shared_data / "dicom_phi"
    boxes = json.loads((folder / "burned_in_boxes.json").read_text())["2_ORIGINAL.dcm"]
    dataset = pydicom.dcmread(folder / "2_ORIGINAL.dcm")
    assert refusal(dataset) == "burned-in-suspected"
    assert refusal(pydicom.dcmread(folder / "RGB_ORIGINAL.dcm")) == "burned-in-suspected"  # by its SOP class
    found = find_lettering(dataset.pixel_array)
    assert len(boxes) == 5
    for word in boxes:  # the boxes are measured in a picture with a margin of 25 pixels
        x, y = word["left"] - 25, word["top"] - 25
        assert any(
            box.x <= x + 2
            and box.y <= y + 2
            and x + word["width"] <= box.x + box.width + 4
            and y + word["height"] <= box.y + box.height + 4
            for box in found
        ), word["label"]
    copy = clean(dataset, blank_detected=True)
    assert copy.pixel_array[:28, :232].max() < 100 < dataset.pixel_array[:28, :232].max()
    assert np.array_equal(copy.pixel_array[32:], dataset.pixel_array[32:])


def clean_slices(folder: Path) -> list[Any]:
    """Return the slices of CT, MR and PET that carry no text."""
    slices: list[Any] = []
    for file in sorted(folder.rglob("*.dcm")):
        dataset = pydicom.dcmread(file, force=True)
        if dataset.get("Modality") in ("CT", "MR", "PT") and "PixelData" in dataset:
            slices += list(dataset.pixel_array if dataset.get("NumberOfFrames", 1) > 1 else dataset.pixel_array[None])
    for archive in sorted(folder.parent.rglob("dicom_series/*.zip")):
        with zipfile.ZipFile(archive) as content:
            for name in content.namelist():
                dataset = pydicom.dcmread(io.BytesIO(content.read(name)), force=True)
                if "PixelData" in dataset:
                    slices += list(dataset.pixel_array if dataset.pixel_array.ndim == 3 else dataset.pixel_array[None])
    return [np.squeeze(pixels) for pixels in slices]


@pytest.mark.slow
def test_the_figures_of_the_how_to_are_those_that_are_measured(shared_data: Path, docs: Path) -> None:
    slices = clean_slices(shared_data / "dicom_objects")
    false = sum(bool(find_lettering(pixels)) for pixels in slices)
    random = np.random.default_rng(0)
    large = [pixels for pixels in slices if min(pixels.shape) >= 128][::6]
    drawn = 0
    seen = 0
    for pixels in large:
        for size in (9, 12, 18, 32):
            drawn += 1
            seen += bool(find_lettering(lettered(pixels, "Doe Jane 1961-04-17", size, top=int(random.integers(0, 80)))))
    page = (docs / "how-to" / "de-identify.md").read_text(encoding="utf-8")
    stated = re.search(r"\*\*(\d+) of (\d+)\*\* clean slices .*?\*\*(\d+) of (\d+)\*\*", page, re.DOTALL)
    assert stated
    assert (false, len(slices), drawn) == (int(stated[1]), int(stated[2]), int(stated[4]))
    assert abs(seen - int(stated[3])) <= 1, seen  # fonts differ a little from version to version
