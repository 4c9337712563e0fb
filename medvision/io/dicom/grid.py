"""From the frames of one volume to one grid: they belong together, in the order of their positions, evenly.

All is computed from each frame's own Image Position and Image Orientation (DICOM PS3.3, C.7.6.2.1.1), never from
Instance Number, file names, Slice Thickness or Spacing Between Slices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medvision.errors import Finding, GeometryError, InputError
from medvision.geometry import FloatArray, Geometry
from medvision.io.dicom.admission import check_kind
from medvision.io.dicom.frame import Frame, rounded
from medvision.io.dicom.objects import image_kind
from medvision.io.dicom.projection import picture_grid, projection_grid
from medvision.io.located import located
from medvision.study import AS_IT_STANDS, Reading

_EXACT = {  # what all frames of a volume share, and its name in DICOM
    "study": "Study Instance UID",
    "series": "Series Instance UID",
    "patient": "Patient ID",
    "person": "Patient's Name, Birth Date or Sex",
    "frame_of_reference": "Frame of Reference UID",
    "sop_class": "SOP Class UID",
    "modality": "Modality",
    "rows": "Rows",
    "columns": "Columns",
    "photometric": "Photometric Interpretation",
    "bits_allocated": "Bits Allocated",
    "bits_stored": "Bits Stored",
    "pixel_representation": "Pixel Representation",
    "rescale_type": "Rescale Type",
    "units": "Units",
}
_OF_ONE_KIND = ("echo number", "echo time", "component", "b-value")
"""What the images of a volume share where they state it: others would be other images in other places."""
_CLOSE = {"orientation": "Image Orientation", "pixel_spacing": "Pixel Spacing"}
_CLOSE_WITHIN = 1e-4  # of a direction cosine, or mm
_ORTHONORMAL_WITHIN = 1e-3
WARN_FROM, REFUSE_FROM = 0.01, 0.05
"""Of the spacing: how far a slice may lie from its place on an even grid before that is told, and refused."""
_ROUNDING_MM = 0.01  # positions are decimal strings of 16 characters, often rounded
_SIDEWAYS_MM = 0.1
_MOST_FILLED = 10
"""Slices on the even grid for each that was measured."""
_TILT_DEGREES = 0.5
_MOST_TILT_DEGREES = 45.0
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Stack:
    """The frames of one volume in the order of their positions, and its grid (i columns, j rows, k slices).

    Parameters
    ----------
    frames
        In order.
    geometry
        The grid.
    findings
        What was noticed.
    taken_at
        Where each slice of the grid lies among the frames, as fractions of their numbers; None where they are the same.
    """

    frames: tuple[Frame, ...]
    geometry: Geometry
    findings: tuple[Finding, ...] = ()
    taken_at: FloatArray | None = None


def stacked(frames: Sequence[Frame], reading: Reading = AS_IT_STANDS) -> Stack:
    """Return the frames as one volume, or refuse.

    Raises
    ------
    InputError
        ``series-mixed``: a frame differs in patient, study, matrix, orientation, ...; what
        :func:`medvision.io.dicom.admission.check_kind` refuses; ``slices-duplicate``; ``slices-missing``,
        ``slices-uneven``: a distance or a place is off by more than 5 % of the spacing, and gaps are not allowed.
    GeometryError
        ``bad-geometry``: position, orientation or spacing is missing or impossible; the slices do not lie on a line.
    """
    with located(_place(frames)):
        for frame in frames:
            check_kind(frame)
        check_together(frames, ignoring=("series",) if reading.merge_series else ())
        kind = image_kind(frames[0].sop_class)
        form = kind.form if kind is not None else "slices"
        if form in ("projection", "frames"):
            grid, findings = (projection_grid if form == "projection" else picture_grid)(frames[0])
            return Stack((frames[0],), grid, findings)
        lacking = (*_lacking(frames), *_techniques(frames))
        stack = _volume(frames, reading)
        return replace(stack, findings=(*stack.findings, *lacking))


def check_together(
    frames: Sequence[Frame], *, only: Sequence[str] = tuple(_EXACT), ignoring: Sequence[str] = ()
) -> None:
    """Refuse a series with a frame that is not like most of the others, in all or in some attributes.

    Raises
    ------
    InputError
        ``series-mixed``, naming the file and what differs, not the values: they can identify a patient.
    """
    names = [name for name in only if name not in ignoring]
    close = _CLOSE if set(only) == set(_EXACT) else {}
    keys = [tuple(getattr(frame, name) for name in names) for frame in frames]
    usual = Counter(keys).most_common(1)[0][0]
    reference = frames[keys.index(usual)]
    if close:
        _check_kinds(frames)
    for frame, key in zip(frames, keys, strict=True):
        differing = [name for name, one, other in zip(names, key, usual, strict=True) if one != other]
        differing += [name for name in close if not _are_close(getattr(frame, name), getattr(reference, name))]
        if differing:
            words = ", ".join({**_EXACT, **_CLOSE}[name] for name in differing)
            raise InputError(
                "series-mixed", f"this slice differs from the others of its series in {words}", path=frame.file
            )


def _check_kinds(frames: Sequence[Frame]) -> None:
    """Refuse a frame of another echo, b-value or component than most, or of another type of MR image."""
    for name in (*_OF_ONE_KIND, "image type"):
        if name == "image type" and frames[0].modality != "MR":
            continue  # CT marks single slices in it, e.g. ADD
        stated = [(rounded(frame, name), frame) for frame in frames if frame.ordered_by(name) is not None]
        counts = Counter(value for value, _ in stated)
        if len(counts) > 1:
            usual = counts.most_common(1)[0][0]
            other = next(frame for value, frame in stated if value != usual)
            text = f"this slice differs from the others of its series in {name}"
            raise InputError("series-mixed", text, path=other.file)


def _techniques(frames: Sequence[Frame]) -> tuple[Finding, ...]:
    """Return a warning where slices were taken or reconstructed in several ways: their values differ by that."""
    ways = len({frame.technique for frame in frames})
    if ways == 1:
        return ()
    text = f"slices were taken in {ways} ways: tube voltage, kernel or flip angle differ"
    return (Finding("technique-differs", "warning", text, _place(frames)),)


def _lacking(frames: Sequence[Frame]) -> tuple[Finding, ...]:
    """Return a warning, or refuse, where the header states more slices than are there.

    Raises
    ------
    InputError
        ``slices-missing``: parts of a concatenation, or slices of a PET volume, are not there.
    """
    first, count = frames[0], len(frames)
    parts = {frame.concatenation for frame in frames if frame.concatenation is not None}
    for uid, _, total in parts:
        there = len({part for other, part, _ in parts if other == uid})
        if there < total:
            raise InputError("slices-missing", f"{there} of {total} files of a concatenation are there")
    if first.modality == "PT" and first.slices_stated is not None and count < first.slices_stated:
        raise InputError("slices-missing", f"{count} of {first.slices_stated} slices are there, by Number of Slices")
    # MR counts the images of all planes, echoes and times of an acquisition, and not those of one volume.
    if first.modality == "CT" and first.images_stated is not None and 1 < count < first.images_stated:
        acquired = {frame.ordered_by("acquisition number") for frame in frames}
        if len(acquired) == 1:
            text = f"{count} slices are there, Images in Acquisition states {first.images_stated}"
            return (Finding("slices-missing", "warning", text, _place(frames)),)
    return ()


def _place(frames: Sequence[Frame]) -> Path:
    """Return what a message about all frames names: their file, or the folder of the first."""
    first = frames[0].file
    return first if all(frame.file == first for frame in frames) else first.parent


def _are_close(one: tuple[float, ...] | None, other: tuple[float, ...] | None) -> bool:
    if one is None or other is None:
        return one is other
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= _CLOSE_WITHIN


def _volume(frames: Sequence[Frame], reading: Reading) -> Stack:
    """Return the grid that fits the frames' positions best, in mm and RAS+."""
    normal, axes = _axes(frames)
    positions = np.array([_position(frame) for frame in frames])
    order = np.argsort(positions @ normal, kind="stable")
    ordered, positions = tuple(frames[n] for n in order), positions[order]
    if len(ordered) == 1:
        step, findings = _lone_step(ordered[0], normal)
        return Stack(ordered, _grid(axes, step, positions[0], ordered[0], 1), findings)
    along = (positions - positions[0]) @ normal
    _check_repeats(ordered, along)
    direction, findings = _direction(ordered, positions, along, normal)
    uneven = _uneven(ordered, along)
    if uneven is None:
        return _even(ordered, positions, axes, findings)
    if uneven.grade == "error" and not reading.allow_gaps:
        raise InputError(uneven.code, uneven.message, path=uneven.path, cure=uneven.cure)
    if uneven.grade == "warning":
        return _even(ordered, positions, axes, (*findings, uneven))
    start = positions.mean(axis=0) - direction * along.mean()
    return _evened(ordered, along, axes, start, direction, (*findings, _as_warning(uneven)))


def _grid(axes: FloatArray, step: FloatArray, first: FloatArray, frame: Frame, count: int) -> Geometry:
    affine = np.eye(4)
    affine[:3, :2] = _LPS_TO_RAS @ axes
    affine[:3, 2] = _LPS_TO_RAS @ step
    affine[:3, 3] = _LPS_TO_RAS @ first
    return Geometry(affine, (frame.columns or 0, frame.rows or 0, count))


def _even(frames: tuple[Frame, ...], positions: FloatArray, axes: FloatArray, findings: tuple[Finding, ...]) -> Stack:
    """Return the grid by least squares over all positions."""
    count = len(frames)
    centred = np.arange(count) - (count - 1) / 2
    step = centred @ positions / (centred @ centred)
    first = positions.mean(axis=0) - step * (count - 1) / 2
    findings += _stated(frames, float(step @ step) ** 0.5)
    return Stack(frames, _grid(axes, step, first, frames[0], count), findings)


def _evened(
    frames: tuple[Frame, ...],
    along: FloatArray,
    axes: FloatArray,
    start: FloatArray,
    direction: FloatArray,
    findings: tuple[Finding, ...],
) -> Stack:
    """Return an even grid of the least distance that there is, from the first slice to the last."""
    count = int(np.ceil(along[-1] / np.diff(along).min() - _ROUNDING_MM)) + 1
    if count > _MOST_FILLED * len(frames):
        text = f"even spacing would make {count:,} slices of {len(frames)}: most of them nobody measured"
        raise InputError("slices-uneven", text, path=_place(frames))
    spacing = along[-1] / (count - 1)
    taken_at = np.interp(np.arange(count) * spacing, along, np.arange(len(frames)))
    return Stack(frames, _grid(axes, direction * spacing, start, frames[0], count), findings, taken_at)


def _as_warning(finding: Finding) -> Finding:
    text = f"{finding.message}; slices were interpolated to even spacing, as allowed"
    return Finding(finding.code, "warning", text, finding.path, "Look at the slices in the gaps: nobody measured them.")


def _spacing(frame: Frame) -> tuple[float, float]:
    """Return the distances between rows and between columns in mm, in this order, as the tag has them."""
    if frame.pixel_spacing is None or min(frame.pixel_spacing) <= 0:
        raise GeometryError("bad-geometry", "Pixel Spacing is missing or not above zero", path=frame.file)
    return (frame.pixel_spacing[0], frame.pixel_spacing[1])


def _position(frame: Frame) -> tuple[float, ...]:
    if frame.position is None:
        raise GeometryError("bad-geometry", "Image Position (Patient) is missing", path=frame.file)
    return frame.position


def _axes(frames: Sequence[Frame]) -> tuple[FloatArray, FloatArray]:
    """Return the unit normal, and (3, 2) the steps from column to column and from row to row; LPS, in mm."""
    stated = [frame.orientation for frame in frames if frame.orientation is not None]
    if not stated:
        raise GeometryError("bad-geometry", "Image Orientation (Patient) is missing", path=frames[0].file)
    cosines = np.mean(stated, axis=0).reshape(2, 3)
    if np.abs(cosines @ cosines.T - np.eye(2)).max() > _ORTHONORMAL_WITHIN:
        text = "Image Orientation is not two unit vectors at right angles"
        raise GeometryError("bad-geometry", text, path=frames[0].file)
    between_rows, between_columns = np.mean([_spacing(frame) for frame in frames], axis=0)
    normal = np.cross(cosines[0], cosines[1])
    return normal / np.linalg.norm(normal), np.stack([cosines[0] * between_columns, cosines[1] * between_rows], axis=1)


def _lone_step(frame: Frame, normal: FloatArray) -> tuple[FloatArray, tuple[Finding, ...]]:
    thickness = frame.slice_thickness
    if thickness is None or not thickness > 0:
        raise GeometryError("bad-geometry", "a lone slice without Slice Thickness", path=frame.file)
    note = Finding("one-slice", "note", f"one slice, {thickness:g} mm thick", frame.file)
    return normal * thickness, (note,)


def _check_repeats(frames: Sequence[Frame], along: FloatArray) -> None:
    close = np.flatnonzero(np.diff(along) < _ROUNDING_MM)
    if close.size:
        n = int(close[0])
        raise InputError(
            "slices-duplicate",
            f"slices {n + 1} and {n + 2} of {len(frames)} lie at one position ({frames[n].file.name}, "
            f"{frames[n + 1].file.name}), and {close.size - 1} more pairs",
            path=frames[n + 1].file,
        )


def _direction(
    frames: Sequence[Frame], positions: FloatArray, along: FloatArray, normal: FloatArray
) -> tuple[FloatArray, tuple[Finding, ...]]:
    """Return which way the slices go for each mm along their normal (LPS), and what is to be said of a tilt."""
    centred = along - along.mean()
    direction = centred @ positions / (centred @ centred)
    line = positions.mean(axis=0) + np.outer(centred, direction)
    apart = float(np.linalg.norm(positions - line, axis=1).max())
    if apart > _SIDEWAYS_MM:
        n = int(np.linalg.norm(positions - line, axis=1).argmax())
        text = f"slices do not lie on a line: slice {n + 1} of {len(frames)} is {apart:.2f} mm beside it"
        raise GeometryError("bad-geometry", text, path=frames[n].file)
    degrees = float(np.degrees(np.arccos(min(1.0, 1 / float(np.linalg.norm(direction))))))
    sideways = float(np.linalg.norm(direction - normal)) * float(along[-1])
    if degrees > _MOST_TILT_DEGREES:
        text = f"slices move sideways more than forwards ({degrees:.0f} degrees)"
        raise GeometryError("bad-geometry", text, path=_place(frames))
    if degrees <= _TILT_DEGREES and sideways <= _SIDEWAYS_MM:
        return direction, ()
    text = f"slices move sideways by {sideways:.2f} mm ({degrees:.1f} degrees), as with a tilted gantry"
    return direction, (Finding("gantry-tilt", "warning", text, _place(frames)),)


def _uneven(frames: Sequence[Frame], along: FloatArray) -> Finding | None:
    """Return what is to be said of uneven distances: an error from 5 % of the spacing, a warning from 1 %."""
    gaps = np.diff(along)
    count, usual = len(frames), float(np.median(gaps))
    centred = np.arange(count) - (count - 1) / 2
    line = along.mean() + centred * (centred @ along / (centred @ centred))
    off = max(float(np.abs(gaps - usual).max()), float(np.abs(along - line).max()))
    if off <= max(WARN_FROM * usual, _ROUNDING_MM):
        return None
    wrong = np.flatnonzero(np.abs(gaps - usual) > max(WARN_FROM * usual, _ROUNDING_MM))
    places = ", ".join(f"{n + 1}-{n + 2}: {gaps[n]:.2f} mm" for n in wrong[:5])
    text = f"{wrong.size} of {count - 1} distances between slices are not the usual {usual:.2f} mm ({places})"
    if not wrong.size:
        text = f"slices lie up to {off:.2f} mm off an even grid of {usual:.2f} mm"
    if off <= max(REFUSE_FROM * usual, _ROUNDING_MM):
        return Finding("slices-uneven", "warning", text, _place(frames))
    times = gaps[wrong] / usual
    lacking = bool((np.round(times) > 1).any() and (np.abs(times - np.round(times)) < REFUSE_FROM).all())
    cure = "Fetch the whole series again, or allow it: --allow-gaps interpolates to even spacing, and says so."
    return Finding("slices-missing" if lacking else "slices-uneven", "error", text, _place(frames), cure)


def _stated(frames: Sequence[Frame], spacing: float) -> tuple[Finding, ...]:
    stated = frames[0].spacing_between
    if stated is None or abs(abs(stated) - spacing) <= max(WARN_FROM * spacing, _ROUNDING_MM):
        return ()
    text = f"positions are {spacing:.3f} mm apart, Spacing Between Slices is {stated:g}"
    return (Finding("spacing-differs", "note", text, _place(frames)),)
