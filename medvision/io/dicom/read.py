"""The voxels of one DICOM volume, in real values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import Finding, InputError
from medvision.geometry import Geometry
from medvision.io.dicom import parsed
from medvision.io.dicom.admission import MAX_BYTES, is_unknown_volume
from medvision.io.dicom.decode import is_coded_with_loss
from medvision.io.dicom.frame import Frame
from medvision.io.dicom.grid import Stack, stacked
from medvision.io.dicom.header import read_frames
from medvision.io.dicom.mapping import real_values
from medvision.io.dicom.pixels import stored_pixels
from medvision.io.dicom.values import Values
from medvision.io.dicom.volumes import Frames, groups_of
from medvision.io.kept import Kept
from medvision.io.located import located, quiet
from medvision.study import AS_IT_STANDS, Reading
from medvision.volume import Volume

_MOST_SORTED = 200_000_000  # bytes
_SIZE_OF_FRAME = 2_000  # bytes, about, of what a frame states
_LOSSY = (
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
)


def read_dicom(files: Sequence[Path], part: int | None = None, reading: Reading = AS_IT_STANDS) -> Volume:
    """Return one volume of the files of one series.

    Values are rescaled frame by frame, or go through the Modality LUT (PS3.3, C.11.1); CT is in HU, PET in SUVbw where
    its header allows it. Integers stay integers where every slope is 1. Padding is set to the least of the other
    values. Colours are three channels. Radiographs that are stored bright to dark (MONOCHROME1) are inverted.

    Parameters
    ----------
    files
        Files of one series.
    part
        Which of the volumes that the files hold, from 0; None where they hold one.
    reading
        What was decided about how to read them.

    Raises
    ------
    InputError, GeometryError
        As :func:`medvision.io.dicom.grid.stacked`; also ``truncated``, ``bad-rescale``, ``too-large``, ``not-3d``: the
        files hold several volumes, and none is named.
    """
    place = _place(files)
    with quiet():
        volumes, stack = _volumes_and_stack(files, part, reading)
        with located(place):
            volume = _read(stack, place, reading)
            if part is None or part == len(volumes) - 1:
                _let_go(files)
            return _at_right_angles(volume, place) if reading.orthogonal and volume.geometry.is_sheared else volume


def stack_of(files: Sequence[Path], part: int | None = None, reading: Reading = AS_IT_STANDS) -> Stack:
    """Return the frames of one volume in their order, and its grid, from headers alone; as :func:`read_dicom`."""
    with quiet():
        return _volumes_and_stack(files, part, reading)[1]


def _volumes_and_stack(files: Sequence[Path], part: int | None, reading: Reading) -> tuple[list[Frames], Stack]:
    place = _place(files)
    with located(place):
        volumes = _SORTED.of(tuple(files)) if part is not None else _sorted(files)[0]
    return volumes, stacked(_volume_of(volumes, part, place), reading)


def _place(files: Sequence[Path]) -> Path:
    return files[0] if len(files) == 1 else files[0].parent


def _sorted(files: Sequence[Path]) -> tuple[list[Frames], int]:
    """Return the volumes of files, and about how many bytes knowing them takes."""
    frames = [frame for file in files for frame in read_frames(file)]
    volumes = [volume for group in groups_of(frames) for volume in group.volumes]
    return volumes, len(frames) * _SIZE_OF_FRAME


_SORTED = Kept(_sorted, most_bytes=_MOST_SORTED)


def _let_go(files: Sequence[Path]) -> None:
    """Keep nothing large of files whose last volume was read."""
    _SORTED.forget(tuple(files))
    for file in files:
        parsed.forget(file)


def _volume_of(volumes: Sequence[Frames], part: int | None, place: Path) -> Frames:
    if part is None and len(volumes) != 1:
        text = f"{len(volumes)} volumes lie in its {sum(map(len, volumes))} frames, one image is meant"
        raise InputError("not-3d", text, path=place)
    if part is not None and not 0 <= part < len(volumes):
        raise InputError("not-3d", f"volume {part} of {len(volumes)} is asked for, from 0", path=place)
    return volumes[part or 0]


def _read(stack: Stack, place: Path, reading: Reading) -> Volume:
    first = stack.frames[0]
    size = int(np.prod([*stack.geometry.shape, first.samples or 1], dtype=object)) * (first.bits_allocated or 0) // 8
    if size > MAX_BYTES:
        raise InputError("too-large", f"the headers claim {size:,} bytes, {MAX_BYTES:,} are accepted")
    real = real_values(stack.frames, place, suv=reading.suv)
    values = Values(stack.frames, real.mappings)
    cleared: dict[int, int] = {}
    for number, pixels in stored_pixels(stack.frames, cleared):
        values.put(number, pixels)
    voxels, findings = values.finished(place)
    if cleared:
        text = f"bits above Bits Stored were set in {sum(cleared.values())} voxels, and cleared: they are no image"
        findings += (Finding("converted", "note", text, place),)
    voxels = _between(voxels, stack.taken_at)
    found = (*stack.findings, *real.findings, *_remarks(stack, place), *findings)
    channels = voxels.transpose(3, 2, 1, 0) if voxels.ndim == 4 else voxels.transpose(2, 1, 0)[None]
    return Volume(channels, stack.geometry, first.modality, real.unit, found)


def _between(voxels: NDArray[Any], taken_at: NDArray[np.float64] | None) -> NDArray[Any]:
    """Return slices interpolated linearly at fractions of their numbers, where the stack was made even."""
    if taken_at is None:
        return voxels
    below = np.clip(np.floor(taken_at).astype(int), 0, len(voxels) - 2)
    out = np.empty((len(taken_at), *voxels.shape[1:]), dtype=np.float32)
    for number, (lower, place) in enumerate(zip(below, taken_at, strict=True)):
        weight = place - lower
        out[number] = voxels[lower] * (1 - weight) + voxels[lower + 1] * weight
    return out


def _at_right_angles(volume: Volume, place: Path) -> Volume:
    """Return a sheared volume on the smallest grid with axes at right angles that holds it."""
    source = volume.geometry
    axes = source.directions.copy()
    normal = np.cross(axes[:, 0], axes[:, 1])
    axes[:, 1] = np.cross(normal, axes[:, 0])
    axes[:, 2] = normal * np.sign(normal @ axes[:, 2])
    axes /= np.linalg.norm(axes, axis=0)
    steps = np.array([*source.spacing[:2], abs(float(axes[:, 2] @ source.affine[:3, 2]))])
    inside = (source.corners @ axes) / steps
    low = np.floor(inside.min(axis=0) + 1e-6)
    sizes = (np.ceil(inside.max(axis=0) - 1e-6) - low + 1).astype(int)
    # Slices stay where they are: the grid starts at the first one.
    low[2] = inside[:, 2].min()
    affine = np.eye(4)
    affine[:3, :3] = axes * steps
    affine[:3, 3] = axes @ (low * steps)
    sizes[2] = source.shape[2]
    grid = Geometry(affine, (int(sizes[0]), int(sizes[1]), int(sizes[2])))
    least = float(volume.voxels.min())
    text = "the sheared volume was resampled to axes at right angles, as asked; beyond its edges stands its least value"
    found = (*volume.findings, Finding("resampled", "warning", text, place))
    moved = volume.onto(grid, order=1, fill=least)
    return Volume(moved.voxels, grid, volume.modality, volume.unit, found)


def _remarks(stack: Stack, path: Path) -> tuple[Finding, ...]:
    frames, found = stack.frames, []
    series = len({frame.series for frame in frames})
    if series > 1:
        text = f"slices of {series} series were taken for one volume, as allowed"
        found.append(Finding("series-mixed", "warning", text, path, "Look whether they belong together."))
    one_of_each = {frame.file: frame for frame in frames}
    coded = {file for file, frame in one_of_each.items() if is_coded_with_loss(frame)}
    lossy = sum(frame.is_lossy or frame.transfer_syntax in _LOSSY or frame.file in coded for frame in frames)
    if lossy:
        text = f"{lossy} of {len(frames)} slices were compressed with loss"
        found.append(Finding("lossy-compressed", "warning", text, path))
    behind = sum(_has_more(frame) for frame in frames)
    if behind:
        text = f"{behind} of {len(frames)} slices have more Pixel Data than Rows and Columns make, all zero"
        found.append(Finding("trailing-bytes", "warning", text, path))
    if len({(frame.sop_instance, frame.number) for frame in frames}) < len(frames):
        text = "slices share one SOP Instance UID; their positions differ, and all are used"
        found.append(Finding("bad-header", "warning", text, path))
    if any(frame.is_assumed for frame in frames):
        text = "no Transfer Syntax is stated; it was told from the first elements"
        found.append(Finding("converted", "note", text, path))
    if is_unknown_volume(frames[0]):
        text = f"the SOP class is not known; taken for {frames[0].modality} by its Modality and geometry"
        found.append(Finding("object-unknown", "warning", text, path))
    if frames[0].photometric not in ("MONOCHROME1", "MONOCHROME2"):
        found.append(Finding("converted", "note", "colours are given as red, green and blue", path))
    return tuple(found)


def _has_more(frame: Frame) -> bool:
    wanted = (frame.rows or 0) * (frame.columns or 0) * (frame.bits_allocated or 0) // 8 * (frame.samples or 1)
    length = frame.pixels[2] if frame.pixels is not None else None
    return frame.frames == 1 and length is not None and length > wanted + 1
