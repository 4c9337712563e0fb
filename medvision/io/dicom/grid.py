"""From the headers of one series to one grid: the slices belong together, in the order of their positions, evenly.

All is computed from each slice's own Image Position and Image Orientation (DICOM PS3.3, C.7.6.2.1.1), never from
Instance Number, file names, Slice Thickness or Spacing Between Slices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medvision.errors import Finding, GeometryError, InputError
from medvision.geometry import FloatArray, Geometry
from medvision.io.dicom.header import Header, check_kind
from medvision.io.located import located

_EXACT = {  # what all slices of a series share, and its name in DICOM
    "study": "Study Instance UID",
    "series": "Series Instance UID",
    "patient": "Patient ID",
    "frame_of_reference": "Frame of Reference UID",
    "sop_class": "SOP Class UID",
    "rows": "Rows",
    "columns": "Columns",
    "photometric": "Photometric Interpretation",
    "bits_allocated": "Bits Allocated",
    "bits_stored": "Bits Stored",
    "pixel_representation": "Pixel Representation",
    "rescale_type": "Rescale Type",
    "units": "Units",
}
_CLOSE = {"orientation": "Image Orientation", "pixel_spacing": "Pixel Spacing"}
_CLOSE_WITHIN = 1e-4  # of a direction cosine, or mm
_ORTHONORMAL_WITHIN = 1e-3
_GAPS_WITHIN = 0.01  # of the spacing
_ROUNDING_MM = 0.01  # positions are decimal strings of 16 characters, often rounded
_DRIFT_MM = 0.1
_TILT_DEGREES = 0.5
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
_LETTERS = {  # PS3.3, C.7.6.1.1.1: where rows and columns point to, as RAS+
    "R": (1, 0, 0),
    "L": (-1, 0, 0),
    "A": (0, 1, 0),
    "P": (0, -1, 0),
    "H": (0, 0, 1),
    "F": (0, 0, -1),
}


@dataclass(frozen=True, eq=False)
class Stack:
    """The slices of one volume in the order of their positions, and its grid (i columns, j rows, k slices)."""

    headers: tuple[Header, ...]
    geometry: Geometry
    findings: tuple[Finding, ...] = ()


def stacked(headers: Sequence[Header]) -> Stack:
    """Return the slices as one volume, or refuse.

    Raises
    ------
    InputError
        ``series-mixed``: a slice differs in patient, study, matrix, orientation, ...; what
        :func:`medvision.io.dicom.header.check_kind` refuses; ``slices-duplicate``; ``slices-missing``: distances differ
        by more than 1 %; ``unsupported``: slices drift sideways (tilted gantry) by over 0.1 mm or 0.5 degrees.
    GeometryError
        ``bad-geometry``: position, orientation or spacing is missing or impossible.
    """
    with located(headers[0].file.parent if len(headers) > 1 else headers[0].file):
        for header in headers:
            check_kind(header)
        check_together(headers)
        return _projection(headers) if headers[0].is_projection else _volume(headers)


def check_together(headers: Sequence[Header]) -> None:
    """Refuse a series with a slice that is not like most of the others.

    Raises
    ------
    InputError
        ``series-mixed``, naming the file and what differs, not the values: they can identify a patient.
    """
    usual = Counter(_key(header) for header in headers).most_common(1)[0][0]
    reference = next(header for header in headers if _key(header) == usual)
    for header in headers:
        differing = [
            name for name, value in zip(_EXACT, _key(header), strict=True) if value != getattr(reference, name)
        ]
        differing += [name for name in _CLOSE if not _are_close(getattr(header, name), getattr(reference, name))]
        if differing:
            names = ", ".join({**_EXACT, **_CLOSE}[name] for name in differing)
            raise InputError(
                "series-mixed", f"this slice differs from the others of its series in {names}", path=header.file
            )


def _volume(headers: Sequence[Header]) -> Stack:
    """Return the grid that fits the slices' positions best, in mm and RAS+."""
    normal, axes = _axes(headers)
    positions = np.array([_position(header) for header in headers])
    order = np.argsort(positions @ normal, kind="stable")
    ordered = tuple(headers[n] for n in order)
    step, findings = _step(ordered, positions[order], normal)
    first = positions.mean(axis=0) - step * (len(ordered) - 1) / 2
    affine = np.eye(4)
    affine[:3, :2] = _LPS_TO_RAS @ axes
    affine[:3, 2] = _LPS_TO_RAS @ step
    affine[:3, 3] = _LPS_TO_RAS @ first
    shape = (ordered[0].columns or 0, ordered[0].rows or 0, len(ordered))
    return Stack(ordered, Geometry(affine, shape), findings)


def _key(header: Header) -> tuple[Any, ...]:
    return tuple(getattr(header, name) for name in _EXACT)


def _are_close(one: tuple[float, ...] | None, other: tuple[float, ...] | None) -> bool:
    if one is None or other is None:
        return one is other
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= _CLOSE_WITHIN


def _spacing(header: Header) -> tuple[float, float]:
    """Return the distances between rows and between columns in mm, in this order, as the tag has them."""
    if header.pixel_spacing is None or min(header.pixel_spacing) <= 0:
        raise GeometryError("bad-geometry", "Pixel Spacing is missing or not above zero", path=header.file)
    return (header.pixel_spacing[0], header.pixel_spacing[1])


def _position(header: Header) -> tuple[float, ...]:
    if header.position is None:
        raise GeometryError("bad-geometry", "Image Position (Patient) is missing", path=header.file)
    return header.position


def _axes(headers: Sequence[Header]) -> tuple[FloatArray, FloatArray]:
    """Return the unit normal, and (3, 2) the steps from column to column and from row to row; LPS, in mm."""
    stated = [header.orientation for header in headers if header.orientation is not None]
    if not stated:
        raise GeometryError("bad-geometry", "Image Orientation (Patient) is missing", path=headers[0].file)
    cosines = np.mean(stated, axis=0).reshape(2, 3)
    if np.abs(cosines @ cosines.T - np.eye(2)).max() > _ORTHONORMAL_WITHIN:
        text = "Image Orientation is not two unit vectors at right angles"
        raise GeometryError("bad-geometry", text, path=headers[0].file)
    between_rows, between_columns = np.mean([_spacing(header) for header in headers], axis=0)
    normal = np.cross(cosines[0], cosines[1])
    return normal / np.linalg.norm(normal), np.stack([cosines[0] * between_columns, cosines[1] * between_rows], axis=1)


def _step(
    headers: Sequence[Header], positions: FloatArray, normal: FloatArray
) -> tuple[FloatArray, tuple[Finding, ...]]:
    """Return the vector from slice to slice (LPS, mm), by least squares over all of them."""
    if len(headers) == 1:
        thickness = headers[0].slice_thickness
        if thickness is None or not thickness > 0 or not np.isfinite(thickness):
            raise GeometryError("bad-geometry", "a lone slice without Slice Thickness", path=headers[0].file)
        note = Finding("one-slice", "note", f"one slice, {thickness:g} mm thick", headers[0].file)
        return normal * thickness, (note,)
    _check_gaps(headers, np.diff(positions @ normal))
    _check_drift(headers, positions, normal)
    centred = np.arange(len(headers)) - (len(headers) - 1) / 2
    step = centred @ positions / (centred @ centred)
    return step, _stated(headers, float(np.linalg.norm(step)))


def _check_gaps(headers: Sequence[Header], gaps: FloatArray) -> None:
    count, usual = len(headers), float(np.median(gaps))
    close = np.flatnonzero(gaps < _ROUNDING_MM)
    if close.size:
        n = int(close[0])
        raise InputError(
            "slices-duplicate",
            f"slices {n + 1} and {n + 2} of {count} lie at one position ({headers[n].file.name}, "
            f"{headers[n + 1].file.name}), and {close.size - 1} more pairs",
            path=headers[n + 1].file,
        )
    uneven = np.flatnonzero(np.abs(gaps - usual) > max(_GAPS_WITHIN * usual, _ROUNDING_MM))
    if uneven.size:
        places = ", ".join(f"{n + 1}-{n + 2}: {gaps[n]:.2f} mm" for n in uneven[:5])
        raise InputError(
            "slices-missing",
            f"{uneven.size} of {count - 1} distances between slices are not the usual {usual:.2f} mm ({places})",
            path=headers[0].file.parent,
        )


def _check_drift(headers: Sequence[Header], positions: FloatArray, normal: FloatArray) -> None:
    offsets = positions - positions[0]
    along = offsets @ normal
    sideways = np.linalg.norm(offsets - np.outer(along, normal), axis=1)
    degrees = float(np.degrees(np.arctan2(sideways[-1], along[-1])))
    if sideways.max() > _DRIFT_MM or degrees > _TILT_DEGREES:
        raise InputError(
            "unsupported",
            f"slices move sideways by up to {sideways.max():.2f} mm ({degrees:.1f} degrees), as with a tilted gantry",
            path=headers[0].file.parent,
        )


def _stated(headers: Sequence[Header], spacing: float) -> tuple[Finding, ...]:
    stated = headers[0].spacing_between
    if stated is None or abs(abs(stated) - spacing) <= max(_GAPS_WITHIN * spacing, _ROUNDING_MM):
        return ()
    text = f"positions are {spacing:.3f} mm apart, Spacing Between Slices is {stated:g}"
    return (Finding("spacing-differs", "note", text, headers[0].file.parent),)


def _projection(headers: Sequence[Header]) -> Stack:
    """Return a radiograph's grid: directions from Patient Orientation, no position, and a depth of 1 mm."""
    header = headers[0]
    if len(headers) > 1:
        raise InputError("unsupported", f"a series of {len(headers)} radiographs is no volume", path=header.file.parent)
    between_rows, between_columns = _spacing(header)
    letters = [direction[:1] for direction in header.patient_orientation]
    if len(letters) != 2 or not all(letter in _LETTERS for letter in letters):
        raise GeometryError("bad-geometry", "Patient Orientation is missing or impossible", path=header.file)
    along_row, along_column = (np.array(_LETTERS[letter], dtype=np.float64) for letter in letters)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = along_row * between_columns, along_column * between_rows
    affine[:3, 2] = np.cross(along_row, along_column)
    note = Finding("one-slice", "note", "a projection: its depth of 1 mm stands for none", header.file)
    return Stack((header,), Geometry(affine, (header.columns or 0, header.rows or 0, 1)), (note,))
