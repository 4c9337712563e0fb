"""Cases with their voxels: what is read, and what is refused with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import Finding, GeometryError, InputError, MedvisionError
from medvision.geometry import Geometry
from medvision.io.collect import scan
from medvision.io.dicom.frame import Frame
from medvision.io.dicom.header import read_frames
from medvision.io.dicom.read import read_dicom
from medvision.io.dicom.segmentation import labels_from, read_segmentation
from medvision.io.located import located, quiet
from medvision.io.nifti import open_nifti, read_nifti
from medvision.io.npz import read_member
from medvision.io.pictures import read_indices, read_picture
from medvision.study import AS_IT_STANDS, Case, Reading, Source
from medvision.volume import Labels, Volume

_SAME_GRID = 1e-3  # of a voxel
_MERGED = 1 << 24  # the digits of float32


@dataclass(frozen=True)
class Loaded:
    """What :func:`load` read.

    Parameters
    ----------
    volumes
        The volume of each case, by its id.
    rejected
        What was meant as an image and cannot be used, and why.
    skipped
        What was passed over because it is no image.
    """

    volumes: Mapping[str, Volume]
    rejected: tuple[Finding, ...]
    skipped: tuple[Finding, ...]


def load(*paths: str | Path, reading: Reading = AS_IT_STANDS) -> Loaded:
    """Read every image in files, folders, archives, data sets and manifests; a bad one keeps no other from being read.

    All volumes stay in memory together. Where they do not fit, take :func:`medvision.io.scan` and
    :func:`medvision.io.read_volume`, one case at a time.

    Parameters
    ----------
    paths
        What :func:`medvision.io.scan` takes.
    reading
        What was decided about how to read them.

    Raises
    ------
    UsageError
        ``name-clash``, as :func:`medvision.io.scan`.
    """
    found = scan([Path(path) for path in paths], reading)
    volumes, rejected = {}, list(found.rejected)
    for case in found.cases:
        try:
            volumes[case.id] = read_volume(case)
        except MedvisionError as error:
            rejected.append(error.finding)
    return Loaded(volumes, tuple(rejected), found.skipped)


def read_volume(case: Case) -> Volume:
    """Return a case's image (C, I, J, K), its channels on one grid.

    Raises
    ------
    GeometryError
        ``grid-differs``: a channel lies on another grid than the first; ``bad-geometry``.
    InputError
        The image is refused, for the reason that its code gives; ``modality-differs``: the list of cases states
        another modality than the file.
    """
    channels = [_read(source) for source in case.images]
    first = channels[0]
    for source, channel in zip(case.images, channels, strict=True):
        _check_grid(channel.geometry, first.geometry, source.path)
    modalities = {channel.modality for channel in channels if channel.modality}
    if case.modality and modalities - {case.modality}:
        text = f"the file says {', '.join(sorted(modalities))}, another modality is stated for the case"
        raise InputError("modality-differs", text, path=case.path, cure="Mend the list of cases.")
    units = {channel.unit for channel in channels}
    return Volume(
        first.voxels if len(channels) == 1 else np.concatenate([channel.voxels for channel in channels]),
        first.geometry,
        case.modality or (modalities.pop() if len(modalities) == 1 else None),
        units.pop() if len(units) == 1 else None,
        (*case.findings, *(f for channel in channels for f in channel.findings), *_constant(channels, case.path)),
    )


def _constant(channels: Sequence[Volume], path: Path) -> tuple[Finding, ...]:
    """Return a warning where a channel holds one value alone: an export may have lost the image."""
    flat = sum(bool(channel.voxels.min() == channel.voxels.max()) for channel in channels)
    return (Finding("constant-image", "warning", "all voxels have one value", path),) if flat else ()


def read_labels(case: Case, names: Mapping[int, str], geometry: Geometry) -> Labels:
    """Return a case's labels, which lie on the grid of its image.

    Parameters
    ----------
    case
        A case with a label: NIfTI, a picture, or one DICOM SEG file, whose frames are placed on the image's grid, and
        which belongs to an image of the case, as far as both state it.
    names
        The name of each number above 0.
    geometry
        The grid of the case's image.

    Raises
    ------
    InputError
        ``label-missing``; ``bad-labels``: values that are not whole, or have no name, or a data set that gives a name
        another number; ``label-of-another``: a DICOM SEG of another frame of reference, or series, than the image;
        ``unsupported``, e.g. a DICOM image that is no segmentation; what readers refuse.
    GeometryError
        ``grid-differs``: a corner lies more than a thousandth of a voxel away from the image's.
    """
    source = case.label
    if not isinstance(source, Source):
        raise InputError("label-missing", f"case {case.id} names no label image", path=case.path)
    with located(source.path):
        check_names(case, names)
        if _is_one_dicom_file(source):
            return labels_from(source.path, names, geometry, _dicom_frames(case))
        values, grid = _read_label(source)
        _check_grid(grid, geometry, source.path)
        return Labels(_whole(values), geometry, names)


def label_grid(source: Source) -> Geometry:
    """Return the grid of a label image, whatever its values are; of a DICOM SEG the smallest that holds its frames.

    Raises
    ------
    InputError, GeometryError
        What the reader refuses.
    """
    with located(source.path):
        return read_segmentation(source.path).geometry if _is_one_dicom_file(source) else _read_label(source)[1]


def _dicom_frames(case: Case) -> list[Frame]:
    """Return a frame of each DICOM image of a case: the slices of one series state the same of what they are of."""
    with quiet():
        return [read_frames(image.files[0])[0] for image in case.images if image.kind == "dicom"]


def _is_one_dicom_file(source: Source) -> bool:
    return source.kind == "dicom" and len(source.files) == 1


def check_names(case: Case, names: Mapping[int, str]) -> None:
    """Refuse labels or classes whose data set counts the same names differently: they would be taken for each other.

    Parameters
    ----------
    case
        With the names that its data set states, if any.
    names
        The names that are meant here, by number.

    Raises
    ------
    InputError
        ``bad-labels``: a name stands for another number.
    """
    wanted = {name.casefold(): number for number, name in names.items()}
    for number, name in (case.label_names or {}).items():
        if wanted.get(name.casefold(), number) != number:
            text = f"the data set calls label {number} {name!r}, which is {wanted[name.casefold()]} here"
            cure = "Renumber the labels, or the `labels` of the pipeline."
            raise InputError("bad-labels", text, path=case.path, cure=cure)


def _read(source: Source) -> Volume:
    if source.kind == "dicom":
        return read_dicom(source.files, source.part, source.reading)
    if source.kind == "nifti":
        return read_nifti(source.files[0], source.part, source.reading)
    if source.kind == "picture":
        return read_picture(source.files[0])
    if source.member is None:
        raise InputError("unsupported", "an archive holds many pictures, and none is named", path=source.path)
    return read_member(source.files[0], source.member)


def _read_label(source: Source) -> tuple[NDArray[Any], Geometry]:
    if source.kind == "nifti":
        image = open_nifti(source.files[0], source.part, source.reading)
        if image.scaling is None:
            return image.stored, image.geometry
        slope, intercept = image.scaling  # of float32 in NIfTI-1: a slope of 0.1 gives whole numbers only as such
        with np.errstate(over="ignore"):
            return (image.stored * np.float64(slope) + intercept).astype(np.float32), image.geometry
    if source.kind == "picture":
        indices = read_indices(source.files[0])
        return indices, Geometry.of_picture(*indices.shape[:2])
    raise InputError("unsupported", "labels are read from NIfTI, a picture or one DICOM SEG file")


def _whole(values: NDArray[Any]) -> NDArray[Any]:
    """Return labels in the smallest unsigned type that holds them."""
    if values.dtype.kind == "f":
        _check_whole(values)
    least, most = values.min(), values.max()
    if least < 0 or most > np.iinfo(np.int32).max:
        raise InputError("bad-labels", f"labels are 0 to {np.iinfo(np.int32).max}, there are {least:g} to {most:g}")
    return values.astype(np.min_scalar_type(int(most)))


def _check_whole(values: NDArray[Any]) -> None:
    """Refuse labels stored as floats that are not whole, or so large that float32 holds no odd number beside them."""
    is_other = ~(np.isfinite(values) & (values == np.round(values)))
    if is_other.any():
        text = f"{int(is_other.sum()):,} of {values.size:,} values are not whole numbers, e.g. {values[is_other][0]:g}"
        raise InputError("bad-labels", text)
    if values.dtype == np.float32 and np.abs(values).max() >= _MERGED:
        text = f"labels go up to {values.max():.0f}: from {_MERGED:,} on, float32 merges neighbouring numbers"
        raise InputError("bad-labels", text, cure="Store the labels as integers.")


def _check_grid(grid: Geometry, wanted: Geometry, path: Path) -> None:
    if grid.shape != wanted.shape:
        text = f"the sizes are {'x'.join(map(str, grid.shape))}, the image's {'x'.join(map(str, wanted.shape))}"
        raise GeometryError("grid-differs", text, path=path)
    if not grid.matches(wanted, tolerance_mm=_SAME_GRID * max(wanted.spacing)):
        apart = float(np.linalg.norm(grid.corners - wanted.corners, axis=1).max())
        raise GeometryError("grid-differs", f"corners lie up to {apart:.3f} mm from the image's", path=path)
