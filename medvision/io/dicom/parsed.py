"""Data sets as pydicom parses them: each file once for all that ask, until it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medvision.io.dicom.content import opened
from medvision.io.dicom.header import read_dataset
from medvision.io.kept import Kept

_MOST_HEADERS = 32 << 20  # bytes in their files; those of a series of some hundred slices
_MOST_FILES = 2_000_000_000  # bytes


def header_of(file: Path) -> Any:
    """Return pydicom's data set of a file without its pixels; nobody may change it.

    Call it within :func:`medvision.io.located.quiet`.

    Raises
    ------
    InputError
        ``bad-header``: it cannot be parsed; what :func:`medvision.io.dicom.content.opened` refuses.
    """
    return _HEADERS.of((file,))


def dataset_of(file: Path) -> Any:
    """Return pydicom's data set of a file with its pixels, as :func:`header_of`."""
    return _FILES.of((file,))


def forget(file: Path) -> None:
    """Let go of a file's pixels, as all that is wanted of them was read."""
    _FILES.forget((file,))


def _header(files: tuple[Path]) -> tuple[Any, int]:
    with opened(files[0]) as content:
        return read_dataset(content, with_pixels=False), content.tell()


def _dataset(files: tuple[Path]) -> tuple[Any, int]:
    with opened(files[0]) as content:
        return read_dataset(content, with_pixels=True), content.tell()


_HEADERS = Kept(_header, most_bytes=_MOST_HEADERS)
_FILES = Kept(_dataset, most_bytes=_MOST_FILES)
