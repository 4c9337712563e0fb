"""A body of ellipsoids with known labels, as CT: where no real image is large enough (needs NumPy alone)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

AIR_HU, BODY_HU, NOISE_HU = -1000.0, -40.0, 12.0
STEP_HU = 45.0
"""Between the organs: organ n has ``(n - 1) * STEP_HU``."""


def body(
    shape: Sequence[int], spacing_mm: Sequence[float], *, classes: int, seed: int
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return the voxels in HU and the labels, both (I, J, K).

    The body is an ellipse of 0.45 of the field of view through all K; organs are ellipsoids, some over others.

    Parameters
    ----------
    shape, spacing_mm
        Of the image, in the order of its axes.
    classes
        Number of labels, background (air and the body between organs) among them.
    seed
        Of the organs' places and of the noise.
    """
    draw = np.random.default_rng(seed)
    size = np.array([n * mm for n, mm in zip(shape, spacing_mm, strict=True)])
    centres = draw.uniform(0.25, 0.75, (classes - 1, 3)) * size
    radii = draw.uniform(0.08, 0.2, (classes - 1, 3)) * size
    voxels, labels = np.empty(shape, np.int16), np.zeros(shape, np.uint8)
    grid = np.meshgrid(
        *[(np.arange(n) + 0.5) * mm for n, mm in zip(shape[:2], spacing_mm[:2], strict=True)], indexing="ij"
    )
    inside = sum(((axis / length - 0.5) / 0.45) ** 2 for axis, length in zip(grid, size[:2], strict=True)) < 1
    for k in range(shape[2]):  # a slice at a time: the volume may be large
        z_mm = (k + 0.5) * spacing_mm[2]
        values = np.where(inside, BODY_HU, AIR_HU)
        for number, (centre, radius) in enumerate(zip(centres, radii, strict=True), start=1):
            left = 1 - ((z_mm - centre[2]) / radius[2]) ** 2
            if left <= 0:
                continue
            organ = (
                sum(((axis - at) / of) ** 2 for axis, at, of in zip(grid, centre[:2], radius[:2], strict=True)) < left
            )
            values[organ], labels[organ, k] = (number - 1) * STEP_HU, number
        voxels[..., k] = np.rint(values + draw.normal(0, NOISE_HU, values.shape))
    return voxels, labels
