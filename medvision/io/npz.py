"""Archives in the manner of MedMNIST: ``{train,val,test}_images`` and ``_labels`` in one .npz file."""

from __future__ import annotations

import functools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.io.located import decoding, located
from medvision.io.stated import labels_in_rows
from medvision.study import Case, Label, Source
from medvision.volume import Volume

_SPLITS = ("train", "val", "test")
_CHANNELS = (1, 3)  # a last axis of these sizes: grey and RGB
_MAX_BYTES = 8_000_000_000


def cases_in_npz(path: Path, prefix: str = "", *, labels: bool = True) -> tuple[Case, ...]:
    """Return the cases of an archive, from its headers and labels; no picture is unpacked.

    Ids are the split and the place in it, e.g. ``train_00012``, behind `prefix`. Without `labels`, those
    are passed over.

    Raises
    ------
    InputError
        ``unsupported``: no such arrays, or of a form that is not read; ``bad-labels``: labels that are none of what
        :func:`medvision.io.stated.labels_in_rows` knows; ``bad-header``, ``too-large``.
    """
    with located(path):
        cases: list[Case] = []
        shapes = _shapes(path)
        for split in _SPLITS:
            if f"{split}_images" in shapes:
                count = _checked(shapes[f"{split}_images"])[0]
                known = labels and f"{split}_labels" in shapes
                stated = _labels(path, split, count) if known else [None] * count
                cases += [
                    Case(
                        f"{prefix}{split}_{n:05d}",
                        (Source("npz", (path,), (f"{split}_images", n)),),
                        label=label,
                        split=split,
                    )
                    for n, label in enumerate(stated)
                ]
        if not cases:
            raise InputError(
                "unsupported", f"it has {len(shapes)} arrays, and none is train_images, val_images or test_images"
            )
        return tuple(cases)


def read_member(path: Path, member: tuple[str, int]) -> Volume:
    """Return one picture of an archive.

    (rows, columns) and (rows, columns, 1) become (1, columns, rows, 1), (rows, columns, 3) three such channels; a
    picture in 3D keeps its axes. None has a physical size. The arrays last used stay in memory.

    Raises
    ------
    InputError
        ``bad-header``: there is no such picture; what is raised on damage.
    """
    name, index = member
    with located(path):
        status = path.stat()
        pictures = _array(path, name, (status.st_mtime_ns, status.st_size))
        if not 0 <= index < len(pictures):
            raise InputError("bad-header", f"{name} holds {len(pictures)} pictures, number {index} is asked for")
        picture = pictures[index]
        if picture.ndim == 3 and picture.shape[-1] not in _CHANNELS:
            return Volume(picture[None], Geometry(np.eye(4), picture.shape, physical=False))
        rows, columns = picture.shape[:2]
        voxels = picture.reshape(rows, columns, -1).transpose(2, 1, 0)[..., None]
        return Volume(voxels, Geometry.of_picture(columns, rows))


def header_of_member(path: Path, name: str) -> tuple[Geometry, int, int]:
    """Return grid, channels and bytes of a value of one picture of an array, from the array's header alone.

    Raises
    ------
    InputError
        ``bad-header``: there is no such array; ``unsupported``, ``too-large``.
    """
    shape, kind = _shapes(path).get(name, ((), np.dtype(np.uint8)))
    _, *sizes = _checked((shape, kind))
    if len(sizes) == 3 and sizes[-1] not in _CHANNELS:
        i, j, k = sizes
        return Geometry(np.eye(4), (i, j, k), physical=False), 1, kind.itemsize
    return Geometry.of_picture(sizes[1], sizes[0]), sizes[2] if len(sizes) == 3 else 1, kind.itemsize


def _shapes(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Return shape and type of each array, from its header alone."""
    found = {}
    with decoding("the archive"), zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".npy"):
                with archive.open(name) as file:
                    version = np.lib.format.read_magic(file)
                    header = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    shape, _, kind = header(file)
                    found[name.removesuffix(".npy")] = (shape, kind)
    return found


def _checked(array: tuple[tuple[int, ...], np.dtype[Any]]) -> tuple[int, ...]:
    shape, kind = array
    if len(shape) not in (3, 4) or min(shape) < 1 or kind.kind not in "iuf":
        raise InputError(
            "unsupported", f"images of shape {shape} and type {kind} are not read; numbers in 3 or 4 axes are"
        )
    size = int(np.prod(shape, dtype=object)) * kind.itemsize
    if size > _MAX_BYTES:
        raise InputError("too-large", f"it claims {size:,} bytes of images, {_MAX_BYTES:,} are accepted")
    return shape


def _labels(path: Path, split: str, count: int) -> list[Label]:
    with decoding("the labels"), np.load(path, allow_pickle=False) as archive:
        table = archive[f"{split}_labels"]
    labels = labels_in_rows(table, count)
    if labels is None:
        wanted = "a class, a row of 0 and 1 (-1: not known), or real values (NaN: not known)"
        text = f"{split}_labels {table.shape} of type {table.dtype} is not {wanted} for each of {count} cases"
        raise InputError("bad-labels", text)
    return labels


@functools.lru_cache(maxsize=2)
def _array(path: Path, name: str, version: tuple[int, int]) -> NDArray[Any]:
    """Return an unpacked array; `version` (time of change, size) tells a changed file from the one in memory."""
    _checked(_shapes(path).get(name, ((), np.dtype(np.uint8))))
    with decoding("the archive"), np.load(path, allow_pickle=False) as archive:
        pictures: NDArray[Any] = archive[name]
    pictures.flags.writeable = False
    return pictures
