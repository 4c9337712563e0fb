"""The grids of pictures: radiographs, whose directions and spacing are named, and frames without a place."""

from __future__ import annotations

import numpy as np

from medvision.errors import Finding, GeometryError
from medvision.geometry import Geometry
from medvision.io.dicom.frame import Frame, Numbers

_LETTERS = {  # PS3.3, C.7.6.1.1.1: where rows and columns point to, as RAS+
    "R": (1, 0, 0),
    "L": (-1, 0, 0),
    "A": (0, 1, 0),
    "P": (0, -1, 0),
    "H": (0, 0, 1),
    "F": (0, 0, -1),
}
_AS_SHOWN = ("L", "F")  # how radiographs are hung: the patient's left at the right, feet below


def projection_grid(frame: Frame) -> tuple[Geometry, tuple[Finding, ...]]:
    """Return a radiograph's grid: directions from Patient Orientation, no position, and a depth of 1 mm.

    Raises
    ------
    GeometryError
        ``bad-geometry``: directions or a spacing that are impossible.
    """
    size = (frame.columns or 0, frame.rows or 0, 1)
    spacing, findings = _spacing(frame)
    if spacing is None:
        return Geometry.of_picture(size[0], size[1]), findings
    letters, doubt = _directions(frame)
    along_row, along_column = (np.array(_LETTERS[letter], dtype=np.float64) for letter in letters)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = along_row * spacing[1], along_column * spacing[0]
    affine[:3, 2] = np.cross(along_row, along_column)
    note = Finding("one-slice", "note", "a projection: its depth of 1 mm stands for none", frame.file)
    return Geometry(affine, size), (*findings, *doubt, note)


def picture_grid(frame: Frame) -> tuple[Geometry, tuple[Finding, ...]]:
    """Return the grid of a frame without a place in the patient: its axes count pixels."""
    text = "a picture without a place in the patient: its axes count pixels"
    return Geometry.of_picture(frame.columns or 0, frame.rows or 0), (Finding("no-place", "note", text, frame.file),)


def _spacing(frame: Frame) -> tuple[Numbers | None, tuple[Finding, ...]]:
    """Return the distances between rows and between columns in mm, and by which attribute they are known."""
    for spacing in (frame.pixel_spacing, frame.imager_spacing):
        if spacing is not None and min(spacing) <= 0:
            raise GeometryError("bad-geometry", "Pixel Spacing is not above zero", path=frame.file)
    if frame.pixel_spacing is not None:
        text = "the spacing is that of Pixel Spacing (0028,0030)"
        return frame.pixel_spacing, (Finding("spacing-source", "note", text, frame.file),)
    if frame.imager_spacing is not None:
        text = "the spacing is that of Imager Pixel Spacing (0018,1164): at the detector, not in the patient"
        return frame.imager_spacing, (Finding("spacing-source", "warning", text, frame.file),)
    text = "neither Pixel Spacing nor Imager Pixel Spacing is stated: its axes count pixels"
    return None, (Finding("spacing-source", "warning", text, frame.file),)


def _directions(frame: Frame) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """Return where rows and columns point to, one letter each."""
    letters = tuple(direction[:1] for direction in frame.patient_orientation)
    if not any(letters):
        text = "Patient Orientation is missing: taken as hung, the patient's left at the right, feet below"
        return _AS_SHOWN, (Finding("orientation-assumed", "warning", text, frame.file),)
    if len(letters) != 2 or not all(letter in _LETTERS for letter in letters):
        raise GeometryError("bad-geometry", "Patient Orientation is impossible", path=frame.file)
    one, other = (_LETTERS[letter] for letter in letters)
    if not any(np.cross(one, other)):
        raise GeometryError("bad-geometry", "Patient Orientation gives rows and columns one direction", path=frame.file)
    return letters, ()
