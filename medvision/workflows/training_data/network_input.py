"""An image as the network sees it: of the side that it knows, after the steps, flat where it is, and finite."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.io.located import located
from medvision.pipeline import Settings
from medvision.steps import apply
from medvision.study import Case
from medvision.volume import Volume
from medvision.workflows.cases.segment import AS_STORED, TURNS, stated_turn


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """What the network sees of a case, and where it lies.

    Parameters
    ----------
    image
        Shape (C, I, J, K), of flat images (C, I, J).
    before, after
        The grid on which the steps find the image, and the one on which they leave it: labels go the same way.
    """

    image: NDArray[np.float32]
    before: Geometry
    after: Geometry


def as_network_input(case: Case, volume: Volume, settings: Settings) -> NetworkInput:
    """Return a case's image as the network sees it.

    Parameters
    ----------
    volume
        The image as stored.

    Raises
    ------
    InputError
        A step refuses the image; or ``not-finite``: a value is too great for float32.
    """
    turned = volume.geometry.turned(TURNS[stated_turn(case, settings) or AS_STORED])
    with located(case.path):  # a step does not know whose image it refuses
        prepared = apply(settings.steps, replace(volume, geometry=turned))
    with np.errstate(over="ignore"):  # it is told below
        image = flattened(prepared.voxels, settings).astype(np.float32, copy=False)
    if not np.isfinite(image).all():
        raise InputError("not-finite", f"case {case.id} is not finite after the steps", path=case.path)
    return NetworkInput(image, turned, prepared.geometry)


def flattened(voxels: NDArray[np.generic], settings: Settings) -> NDArray[np.generic]:
    """Return voxels without the last axis where the network sees flat images, and not volumes or their slices."""
    flat = settings.contract.dimensions == 2 and not settings.contract.slices
    return voxels[..., 0] if flat else voxels
