"""PNG and JPEG pictures: decoded whole or refused, never reduced in depth or colour without a word."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.archives import opened, read_bytes
from medvision.errors import Finding, InputError
from medvision.geometry import Geometry
from medvision.io.located import decoding, located
from medvision.volume import Volume

_ORIENTATION = 0x0112  # Exif
_GREY = ("1", "L", "I;16", "I;16B", "I")


def read_picture(path: Path) -> Volume:
    """Return a picture as (1 or 3, columns, rows, 1), first column left, first row on top.

    Grey of 1, 8 and 16 bits and RGB of 8 bits are read; a palette is expanded to RGB, an alpha channel that hides
    nothing is dropped, both with a note.

    Raises
    ------
    InputError
        ``truncated``, ``bad-header``, ``too-large`` (above 178 million pixels), ``unsupported``: colours of 16 bits,
        transparency, other colour spaces, more than one frame, pictures to be shown turned (Exif).
    """
    with located(path):
        image = _decoded(path)
        findings: tuple[Finding, ...] = ()
        if image.mode == "P":
            image = image.convert("RGB")
            findings = (Finding("converted", "note", "the palette was expanded to RGB", path),)
        elif image.mode in ("RGBA", "LA"):
            image = _opaque(image)
            findings = (Finding("converted", "note", "an alpha channel that hides nothing was dropped", path),)
        if image.mode != "RGB" and image.mode not in _GREY:
            raise InputError("unsupported", f"pictures of mode {image.mode} are not read")
        if image.format == "JPEG":
            findings += (Finding("lossy-compressed", "note", "JPEG pictures are compressed with loss", path),)
        pixels = _numbers(image)
        columns, rows = image.size
        voxels = pixels.reshape(rows, columns, -1).transpose(2, 1, 0)[..., None]
        return Volume(voxels, Geometry.of_picture(columns, rows), findings=findings)


def header_of_picture(path: Path) -> tuple[int, int, int, int]:
    """Return columns, rows, channels and bytes of a value of a picture, from its header alone.

    Raises
    ------
    InputError
        As :func:`read_picture`, for what headers show.
    """
    from PIL import Image, UnidentifiedImageError

    with decoding("the picture"):
        try:
            with opened(path) as file, Image.open(file, formats=("PNG", "JPEG")) as image:
                columns, rows = image.size
                colours = image.mode not in (*_GREY, "LA")
                return columns, rows, 3 if colours else 1, 2 if image.mode.startswith("I") else 1
        except UnidentifiedImageError:
            raise InputError("bad-header", "the header cannot be understood") from None


def read_indices(path: Path) -> NDArray[Any]:
    """Return the (columns, rows, 1) whole numbers of a label picture: grey values, or a palette's indices.

    Raises
    ------
    InputError
        As :func:`read_picture`; ``bad-labels`` for a picture in colour.
    """
    with located(path):
        image = _decoded(path)
        if image.mode not in (*_GREY, "P"):
            raise InputError("bad-labels", f"labels are grey values or a palette's indices, the mode is {image.mode}")
        return np.asarray(_numbers(image).T[..., None])


def _decoded(path: Path) -> Any:
    """Return a Pillow image with all its pixels."""
    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings(), decoding("the picture"):
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with opened(path) as file, Image.open(file, formats=("PNG", "JPEG")) as image:
                image.verify()  # checksums of PNG; a verified image has to be opened again
            with opened(path) as file, Image.open(file, formats=("PNG", "JPEG")) as image:
                _check(image, path)
                image.load()
                return image
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise InputError("too-large", "the picture claims more pixels than are accepted") from None
        except UnidentifiedImageError:
            raise InputError("bad-header", "the header cannot be understood") from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise InputError("truncated", "the picture's data end early or are damaged") from None


def _check(image: Any, path: Path) -> None:
    if getattr(image, "n_frames", 1) > 1:
        raise InputError("not-3d", f"the picture has {image.n_frames} frames")
    if image.getexif().get(_ORIENTATION, 1) != 1:
        raise InputError("unsupported", "the picture is to be shown turned (Exif)", cure="Save it upright.")
    if "transparency" in image.info:
        raise InputError("unsupported", "the picture has a transparent colour", cure="Save it without transparency.")
    if image.format == "PNG":
        depth, colour = read_bytes(path, 26)[24:26]  # IHDR (PNG specification, 11.2.1)
        if depth == 16 and colour != 0:  # Pillow would cut them to 8 bits
            raise InputError("unsupported", "colours of 16 bits are not read")


def _opaque(image: Any) -> Any:
    if image.getchannel("A").getextrema() != (255, 255):
        raise InputError("unsupported", "the picture is transparent in places", cure="Save it without transparency.")
    return image.convert(image.mode[:-1])


def _numbers(image: Any) -> NDArray[Any]:
    """Return (rows, columns) or (rows, columns, 3) unsigned integers."""
    pixels = np.asarray(image)
    if pixels.dtype.itemsize <= 1:
        return pixels.astype(np.uint8)
    return pixels.astype(np.uint16)  # "I" is what Pillow makes of grey PNG of 16 bits
