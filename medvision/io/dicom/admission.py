"""Whether a frame is one that can be read right: what is not known is refused, never guessed at."""

from __future__ import annotations

from medvision import archives
from medvision.errors import InputError
from medvision.io.dicom.content import opened
from medvision.io.dicom.decode import INSTALL, has_decoder
from medvision.io.dicom.frame import Frame
from medvision.io.dicom.objects import Kind, image_kind, name_of
from medvision.io.located import known_uid, located

MAX_BYTES = 8_000_000_000
"""What the pixels of one volume may take."""
_GREY = ("MONOCHROME1", "MONOCHROME2")
_PALETTE = "PALETTE COLOR"
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_KNOWN = (*_COLOURS, "HSV", "ARGB", "CMYK", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "XYB")  # PS3.3, C.7.6.3.1.2
_RLE, _RLE_RATIO = "1.2.840.10008.1.2.5", 64  # two bytes stand for 128 at most (PS3.5, G.3.1)
_MOST_RATIO, _SMALL = 1000, 256 << 20
_FLOAT_BITS = (32, 64)
_VOLUME_MODALITIES = {"CT": "CT image", "MR": "MR image", "PT": "PET image"}


def check_kind(frame: Frame) -> None:
    """Refuse what is not read.

    Raises
    ------
    InputError
        ``unsupported``, ``codec-missing``, ``bad-header``, ``truncated``, ``too-large``, each naming tag and file.
    """
    with located(frame.file):
        _check_object(frame)
        _check_pixels(frame)
        if not has_decoder(frame.transfer_syntax):
            text = f"its Transfer Syntax {known_uid(frame.transfer_syntax)} has no decoder here"
            raise InputError("codec-missing", text, cure=INSTALL)
        _check_size(frame)


def is_unknown_volume(frame: Frame) -> bool:
    """Whether the SOP class is not known, and all else says that this is a slice of CT, MR or PET."""
    return (
        image_kind(frame.sop_class) is None
        and not frame.sop_class.startswith("1.2.840.10008.")
        and frame.modality in _VOLUME_MODALITIES
        and None not in (frame.position, frame.orientation, frame.pixel_spacing)
    )


def _check_object(frame: Frame) -> None:
    kind = image_kind(frame.sop_class)
    if kind is None:
        if is_unknown_volume(frame):
            return
        raise InputError(
            "unsupported", f"{name_of(frame.sop_class)}: objects of SOP class {known_uid(frame.sop_class)} are not read"
        )
    if kind.modalities and frame.modality not in kind.modalities:
        text = f"Modality does not belong to the SOP class, {' or '.join(kind.modalities)} does"
        raise InputError("bad-header", text)
    _check_tiles(frame, kind)


def _check_tiles(frame: Frame, kind: Kind) -> None:
    if "MOSAIC" in frame.image_type and frame.tile is None:
        raise InputError("unsupported", "it is a mosaic: a volume tiled into one picture")
    if frame.modality == "CT" and "LOCALIZER" in frame.image_type and kind.form == "slices":
        raise InputError("unsupported", "it is a localizer: a projection, not a slice")


def _check_pixels(frame: Frame) -> None:
    if not frame.rows or not frame.columns or frame.rows < 0 or frame.columns < 0:
        raise InputError("bad-header", "Rows or Columns is missing or zero")
    if frame.has_float_pixels:
        if frame.bits_allocated not in _FLOAT_BITS:
            raise InputError("bad-header", f"Bits Allocated {frame.bits_allocated} of floating-point pixels")
        return
    if frame.photometric in (*_GREY, _PALETTE):
        if frame.samples not in (1, None):
            raise InputError("bad-header", f"{frame.photometric} with {frame.samples} samples a pixel")
        if frame.photometric == _PALETTE:
            _check_form(frame)
    elif frame.photometric in _COLOURS:
        _check_colour(frame)
    else:
        raise InputError("unsupported", f"Photometric Interpretation {_coded(frame.photometric)} is not read")
    allocated, stored = frame.bits_allocated, frame.bits_stored
    if allocated not in (1, 8, 16, 32) or not stored or not 1 <= stored <= allocated or frame.high_bit != stored - 1:
        raise InputError(
            "bad-header",
            f"Bits Allocated {allocated}, Bits Stored {stored}, High Bit {frame.high_bit} do not go together",
        )
    if frame.pixel_representation not in (0, 1):
        raise InputError("bad-header", "Pixel Representation is missing or neither 0 nor 1")


def _check_colour(frame: Frame) -> None:
    if frame.samples != 3 or frame.pixel_representation:
        raise InputError("bad-header", f"{frame.photometric} with {frame.samples} samples a pixel, or signed ones")
    _check_form(frame)


def _check_form(frame: Frame) -> None:
    """Refuse colours where grey values are measurements: a rescale or a unit would be meant for other numbers."""
    kind = image_kind(frame.sop_class)
    if kind is None or kind.form != "frames":
        raise InputError("unsupported", f"it is in colour: Photometric Interpretation is {frame.photometric}")


def _coded(text: str | None) -> str:
    """Return a coded value as it may stand in a message: only one that the standard knows."""
    return text if text in _KNOWN else "(unknown)"


def _check_size(frame: Frame) -> None:
    """Compare the file's size with what its header claims, before memory is taken for it."""
    from pydicom.uid import UID

    pixels = frame.tile[2] * frame.tile[3] if frame.tile else (frame.rows or 0) * (frame.columns or 0)
    samples = 2 if frame.photometric == "YBR_FULL_422" else frame.samples or 1
    claimed = pixels * samples * frame.frames * (frame.bits_allocated or 0) // 8
    decoded = claimed if frame.photometric in _GREY else max(claimed, claimed // samples * 3)  # red, green and blue
    if decoded > MAX_BYTES:
        raise InputError("too-large", f"the header claims {decoded:,} bytes of pixels, {MAX_BYTES:,} are accepted")
    there = archives.size_of(frame.file)
    if not UID(frame.transfer_syntax).is_encapsulated:
        if there < claimed and (there := _unpacked_size(frame)) < claimed:
            raise InputError("truncated", f"the file has {there:,} bytes, its pixels alone need {claimed:,}")
    elif claimed > _SMALL and claimed > there * _MOST_RATIO:
        text = f"the file has {there:,} bytes and claims {claimed:,} bytes of pixels, which no compression reaches"
        raise InputError("too-large", text)
    elif frame.transfer_syntax == _RLE and claimed > there * _RLE_RATIO:
        raise InputError("truncated", f"the file has {there:,} bytes, too few for {claimed:,} bytes of pixels in RLE")


def _unpacked_size(frame: Frame) -> int:
    """Return the size of the file; of a deflated one, what it unpacks to, which is capped."""
    with opened(frame.file) as content:
        return content.seek(0, 2)
