"""The map of one method for one image, of a single network or of an ensemble."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from medvision.explain import ExplainedMap, Method, Region
from medvision.networks import members_of
from medvision.predict import mirrors, padded_to


def explained_by(
    method: Method,
    network: Any,
    image: Any,
    target: Any,
    *,
    spacing_mm: Sequence[float] | None,
    mirror_axes: Sequence[int] = (),
    divisor: int | Sequence[int] = 1,
) -> ExplainedMap:
    """Return the map of a method; of an ensemble, and of mirrored images, the mean over all that answer together.

    A layer speaks for its own member alone, so that each member is explained by itself, and so is each mirrored image;
    its map is mirrored back. What the method chose (layer, size of a cell) is the same for all, since they are built
    alike; ``score`` is the mean of theirs, ``members`` the number of networks and ``mirrored`` that of images.

    Parameters
    ----------
    image
        (1, C, I, J[, K]), on the network's device.
    target
        What is explained, as the method wants it; a region of `image`.
    spacing_mm
        Of the voxels of `image`; None for a picture.
    mirror_axes
        Along which the image is mirrored for the answer; see :class:`medvision.predict.Prediction`.
    divisor
        The multiple that every side of the network's input must be, or one for each axis: each mirrored image is padded
        to it at its own far ends, as for the answer, and the map is cropped to `image`.

    Raises
    ------
    UsageError
        The method does not fit the network.
    """
    members, mirrored = members_of(network), mirrors(mirror_axes)
    maps = [
        _mirrored(method, member, image, target, spacing_mm, axes, divisor)
        for member, axes in itertools.product(members, mirrored)
    ]
    if len(maps) == 1:
        return maps[0]
    score = float(np.mean([each.parameters["score"] for each in maps]))
    counts = {"members": len(members), "mirrored": len(mirrored)}
    counted = {name: count for name, count in counts.items() if count > 1}
    parameters = {**maps[0].parameters, "score": score, **counted}
    return replace(maps[0], values=np.mean([each.values for each in maps], axis=0), parameters=parameters)


def _mirrored(
    method: Method,
    network: Any,
    image: Any,
    target: Any,
    spacing_mm: Sequence[float] | None,
    axes: tuple[int, ...],
    divisor: int | Sequence[int],
) -> ExplainedMap:
    """Return the map of a mirrored image, mirrored back; the image is padded after it was mirrored, as for answers."""
    padded = padded_to(image.flip([axis + 2 for axis in axes]) if axes else image, divisor)
    inside = tuple(slice(size) for size in image.shape[2:])
    if isinstance(target, Region):
        mask = np.zeros(tuple(padded.shape[2:]), dtype=bool)
        mask[inside] = np.flip(target.mask, axes)
        target = replace(target, mask=mask)
    found = method(network, padded, target, spacing_mm=spacing_mm)
    return replace(found, values=np.flip(found.values[inside], axes))
