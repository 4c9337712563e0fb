"""Images for :mod:`benchmarks.batch`."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.nnunet.phantom import body

SHAPES = (
    (48, 48, 48),
    (64, 96, 48),
    (96, 96, 96),
    (160, 96, 96),
    (128, 128, 128),
    (192, 160, 64),
    (256, 256, 40),
    (160, 160, 200),
    (200, 200, 200),
    (256, 256, 160),
)
"""Shapes whose time and memory are forecast; small next to the window, flat, long, and of many windows."""


def phantom(path: Path, shape: Sequence[int], spacing_mm: Sequence[float], *, classes: int, seed: int = 0) -> None:
    """Write the image of a phantom as int16 NIfTI, packed as little as gzip can."""
    import nibabel

    voxels, _ = body(shape, spacing_mm, classes=classes, seed=seed)
    image = nibabel.Nifti1Image(voxels, np.diag([*spacing_mm, 1.0]))
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(image.to_bytes())


def many(folder: Path, count: int) -> None:
    """Write images of one small shape, each of other bytes."""
    for number in range(count):
        phantom(folder / f"case{number:04d}.nii.gz", (32, 32, 32), (1.5,) * 3, classes=4, seed=number)
