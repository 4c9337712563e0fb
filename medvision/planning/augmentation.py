"""How training images are varied: no variation that cannot occur, and more of it where there are few cases."""

from __future__ import annotations

import itertools

from medvision.fingerprint import Fingerprint
from medvision.planning.decision import Decision, Request
from medvision.planning.grid import ANISOTROPIC, Grid
from medvision.planning.values import is_two_valued
from medvision.sides import sided

STRENGTHS = ((100, 1.5), (1000, 1.0), (None, 0.7))
"""Strength by the number of cases: few cases are learnt by heart, many show most variation themselves."""

ROTATION_DEGREES = 15.0
THICK_ROTATION_DEGREES = 5.0
"""Largest rotation: patients lie some 15 degrees apart. Voxels are turned as if they were cubes, and where
they are long along one axis, that is a shear, which is kept small."""

SCALE = 0.15
SHIFT = 0.1
"""Largest shift of a whole image, as a share of its side; patches are shifted by where they are drawn."""

NOISE = 0.1
BRIGHTNESS = 0.1
CONTRAST = 0.2
GAMMA = 0.3


def augmentation_of(data: Fingerprint, grid: Grid, request: Request, *, whole: bool) -> tuple[Decision, ...]:
    """Return how samples are varied.

    Parameters
    ----------
    whole
        Whether samples are whole images.
    """
    strength = next(factor for most, factor in STRENGTHS if most is None or data.cases < most)
    many = f"{data.cases} cases: strength {strength:g}"
    return (
        _rotation(grid, strength, many),
        _variation("scale", SCALE * strength, f"{many} of {SCALE:g}."),
        _variation("shift", SHIFT * strength if whole else 0.0, _shift_reason(many, whole=whole)),
        _mirroring(data, grid, request),
        *_intensities(data, strength, many),
    )


def _rotation(grid: Grid, strength: float, many: str) -> Decision:
    if grid.anisotropic:
        why = f"Voxels are over {ANISOTROPIC:g} times as long along one axis: turned through it, they are sheared."
        return _variation("rotation_degrees", THICK_ROTATION_DEGREES, why)
    return _variation("rotation_degrees", ROTATION_DEGREES * strength, f"{many} of {ROTATION_DEGREES:g} degrees.")


def _shift_reason(many: str, *, whole: bool) -> str:
    return f"{many} of {SHIFT:g} of the side." if whole else "Patches lie elsewhere each time as it is."


def _mirroring(data: Fingerprint, grid: Grid, request: Request) -> Decision:
    """Mirror left and right alone, and only where nothing says which side is which."""
    reason = sides_of(data)
    if reason is not None:
        return _variation("mirror_axes", [], f"{reason}: mirrored, one would be called the other.")
    if request.sides:
        return _variation("mirror_axes", [], "Right ones are mirrored to be left ones (contract.side), and only so.")
    if data.task == "segmentation" and data.physical and len(grid.shape) == 3:
        why = "No label has a side, and bodies are alike left and right; along the other axes they are not."
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
        return f"{len(names)} label(s) are left or right by name ({', '.join(map(repr, names[:2]))})"
    if data.lateral:
        left, right = data.lateral[0]
        return f"{left!r} lies to the left of {right!r} in nearly all cases, beside it and as large"
    return None


def _intensities(data: Fingerprint, strength: float, many: str) -> list[Decision]:
    amounts = {"noise": NOISE, "brightness": BRIGHTNESS, "contrast": CONTRAST, "gamma": GAMMA}
    if all(is_two_valued(channel) for channel in data.channels):
        why = "Images of two values, as masks: no other values occur."
        return [_variation(name, 0.0, why) for name in amounts]
    return [_variation(name, most * strength, f"{many} of {most:g}.") for name, most in amounts.items()]


def _variation(name: str, value: float | list[int], reason: str) -> Decision:
    rounded = float(f"{value:.3g}") if isinstance(value, float) else value
    return Decision(f"train.augmentation.{name}", rounded, reason)
