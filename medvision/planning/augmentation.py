"""How training images are varied: no variation that cannot occur, and more of it where there are few cases."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from medvision.fingerprint import Fingerprint
from medvision.planning.decision import Decision, Request
from medvision.planning.grid import ANISOTROPIC, Grid
from medvision.planning.values import is_two_valued
from medvision.report.wording import many
from medvision.sides import sided

STRENGTHS = ((100, 1.5), (1000, 1.0), (None, 0.7))
"""Strength by the number of cases: few cases are learnt by heart, many show most variation themselves."""

ROTATION_DEGREES = 15.0
"""Largest rotation at strength 1: patients lie some 15 degrees apart."""

SCALE = 0.15
"""Largest change of size at strength 1; as with rotation, half of nnU-Net's, whose trainings are ten times as long."""

SHIFT = 0.1
"""Largest shift of a whole image, as a share of its side; patches are shifted by where they are drawn."""

NOISE = 0.1
BRIGHTNESS = 0.1
CONTRAST = 0.2
GAMMA = 0.3
BLUR = 1.0
LOW_RESOLUTION = 0.5


def augmentation_of(data: Fingerprint, grid: Grid, request: Request, *, whole: bool) -> tuple[Decision, ...]:
    """Return how samples are varied.

    Parameters
    ----------
    whole
        Whether samples are whole images.
    """
    strength = next(factor for most, factor in STRENGTHS if most is None or data.cases < most)
    why = f"{many(data.cases, 'case')}: the fewer, the more is varied. It is a factor on all amounts below."
    placed = "Images are seen whole: where things lie in them varies, too." if whole else "Patches are drawn anywhere."
    return (
        _variation("strength", strength, why),
        *_rotation(grid),
        _variation("scale", SCALE, "Bodies differ in size; half of nnU-Net's, as trainings are shorter."),
        _variation("shift", SHIFT if whole else 0.0, placed),
        _mirroring(data, grid, request),
        *_intensities(data),
    )


def _rotation(grid: Grid) -> tuple[Decision, ...]:
    """Turn about all axes, or where slices are thick about their normal alone: voxels are turned as if they were cubes.

    nnU-Net does the same, and calls it a dummy 2D augmentation.
    """
    if not grid.anisotropic:
        why = f"Patients lie some {ROTATION_DEGREES:g} degrees apart."
        return (_variation("rotation_degrees", ROTATION_DEGREES, why),)
    thick = f"Voxels are over {ANISOTROPIC:g} times as long along one axis"
    if len(grid.spacing_mm) < 3:
        return (_variation("rotation_degrees", 0.0, f"{thick}: turned, they are sheared."),)
    why = f"{thick}: turned about any axis but their normal, they are sheared."
    return (
        _variation("rotation_degrees", ROTATION_DEGREES, why),
        _variation("rotation_axes", [_normal(grid.spacing_mm)], why),
    )


def _normal(spacing_mm: Sequence[float]) -> int:
    """Return the axis across which voxels are nearest to squares.

    >>> _normal((0.8, 0.8, 5.0)), _normal((0.5, 2.0, 2.0))
    (2, 0)
    """
    sides = [sorted(spacing_mm[other] for other in range(3) if other != axis) for axis in range(3)]
    return min(range(3), key=lambda axis: sides[axis][1] / sides[axis][0])


def _mirroring(data: Fingerprint, grid: Grid, request: Request) -> Decision:
    """Mirror left and right alone, and only where nothing says which side is which."""
    reason = sides_of(data)
    if reason is not None:
        return _variation("mirror_axes", [], f"{reason}: mirrored, one would be called the other.")
    if request.sides:
        return _variation("mirror_axes", [], "Right ones are mirrored to be left ones (contract.side), and only so.")
    if data.task == "segmentation" and data.physical and len(grid.shape) == 3:
        why = "No label has a side, and a mirrored body could be another patient's; along the other axes it could not."
        return _variation("mirror_axes", [0], why)
    if data.physical and len(grid.shape) == 3:
        why = "Whether a mirrored image is of the same class, the data do not say."
    else:
        why = "The images do not state where left is: whether a mirrored one can occur, the data do not say."
    return _variation("mirror_axes", [], why)


def sides_of(data: Fingerprint) -> str | None:
    """Return why labels have sides: by their names, or by where they lie; None where nothing says so."""
    names = sided(entry.name for entry in data.labels or data.classes) or tuple(itertools.chain(*data.sided))
    if names:
        return f"{many(len(names), 'label')} named left or right ({', '.join(map(repr, names[:2]))})"
    if data.lateral:
        left, right = data.lateral[0]
        return f"{left!r} lies to the left of {right!r} in nearly all cases, beside it and as large"
    return None


def _intensities(data: Fingerprint) -> list[Decision]:
    amounts = {"noise": NOISE, "brightness": BRIGHTNESS, "contrast": CONTRAST, "gamma": GAMMA}
    amounts |= {"blur": BLUR, "low_resolution": LOW_RESOLUTION}
    if all(is_two_valued(channel) for channel in data.channels):
        why = "Images of two values, as masks: no other values occur."
        return [_variation(name, 0.0, why) for name in amounts]
    why = (
        "Scanners differ in noise, brightness, contrast and sharpness; at strength 1, no more of each than nnU-Net has."
    )
    return [_variation(name, most, why) for name, most in amounts.items()]


def _variation(name: str, value: float | list[int], reason: str) -> Decision:
    return Decision(f"train.augmentation.{name}", value, reason)
