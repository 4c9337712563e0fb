"""Arrays in one file that tells whether it is whole: safetensors with a SHA-256 of its own content."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import OutputError
from medvision.files import replacing

MARK = "medvision"
"""The entry in the header of each of our own files, by which they are told from those of other programs."""
_SEAL = "sha256"
_SEALED = "sealed 1"


class SealBrokenError(ValueError):
    """The file is missing, cut short, altered, or no sealed file."""


def save(path: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, str], *, synced: bool = True) -> None:
    """Write `arrays` and `facts`, whole or not at all.

    Parameters
    ----------
    arrays
        By name; any shape, of a type that safetensors knows.
    facts
        Texts that belong to them.
    synced
        Whether to wait until the disk holds them; not needed for what can be made again.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from safetensors.numpy import save_file

    content = {name: np.require(array, requirements="C") for name, array in arrays.items()}
    with replacing_arrays(path, synced=synced) as temporary:
        save_file(content, temporary, {**facts, _SEAL: _digest(content, facts), MARK: _SEALED})


@contextlib.contextmanager
def replacing_arrays(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """Do as :func:`medvision.files.replacing` for a block that writes safetensors, whose library has its own error.

    Raises
    ------
    OutputError
        The folder cannot be written, or the disk is full; the old file is intact.
    """
    from safetensors import SafetensorError

    try:
        with replacing(path, synced=synced) as temporary:
            yield temporary
    except SafetensorError as error:
        if "os error" not in str(error):  # arrays that cannot be stored, whatever the disk
            raise
        raise OutputError("output-unwritable", f"writing failed: {error}", path=path) from error


def load(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return what :func:`save` wrote.

    Raises
    ------
    SealBrokenError
        It is not what was written.
    """
    with _opened(path) as file:
        facts = dict(file.metadata() or {})
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    facts.pop(MARK, None)
    if facts.pop(_SEAL, None) != _digest(arrays, facts):
        raise SealBrokenError("the file is not what was written (SHA-256)")
    return arrays, facts


def part(path: Path, name: str, where: tuple[slice, ...]) -> NDArray[Any]:
    """Return a part of one array; no more than that is read. The seal is not checked.

    Raises
    ------
    SealBrokenError
        The file is missing or cut short.
    """
    with _opened(path) as file:
        return np.asarray(file.get_slice(name)[where])


def facts_of(path: Path) -> dict[str, str]:
    """Return the facts alone; nothing else is read. The seal is not checked.

    Raises
    ------
    SealBrokenError
        The file is missing or cut short.
    """
    with _opened(path) as file:
        facts = dict(file.metadata() or {})
    for own in (_SEAL, MARK):
        facts.pop(own, None)
    return facts


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file for the block to read from; SealBrokenError where that fails."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise SealBrokenError("the file is missing or cut short") from error


def _digest(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, str]) -> str:
    total = hashlib.sha256(repr(sorted(facts.items())).encode())
    for name in sorted(arrays):
        array = arrays[name]
        total.update(f"{name} {array.dtype.str} {array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()
