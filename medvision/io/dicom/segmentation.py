"""DICOM SEG objects as masks: each frame is placed by its own position, never by its number.

Read are Segmentation Storage and Label Map Segmentation Storage in the patient's coordinate system (PS3.3, A.51 and
C.8.20). What no frame covers belongs to no segment, as the standard has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import GeometryError, InputError
from medvision.geometry import Geometry
from medvision.io.dicom.content import opened
from medvision.io.dicom.frame import Frame
from medvision.io.dicom.header import read_dataset
from medvision.io.dicom.objects import SEGMENTATIONS
from medvision.io.dicom.placing import Planes, placed_on, placed_together
from medvision.io.dicom.segments import Kind, Segments
from medvision.io.dicom.tags import DatasetTags
from medvision.io.located import decoding, known_uid, located, quiet
from medvision.volume import Labels

_BITS: Mapping[str, tuple[int, ...]] = {"BINARY": (1,), "FRACTIONAL": (8,), "LABELMAP": (8, 16)}
_MAX_PIXELS = 2_000_000_000
_MAX_NUMBER = 65535
_SAME_WITHIN = 1e-4  # of a direction cosine, or mm
_ORTHONORMAL_WITHIN = 1e-3
_BACKGROUND = "125040"  # of DCM
_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def is_segmentation(path: Path) -> bool:
    """Whether a DICOM file is a segmentation, by its SOP class.

    Raises
    ------
    InputError
        ``bad-header``: the file cannot be parsed; ``unreadable``, ``too-large``.
    """
    with quiet(), located(path), opened(path) as content:
        return read_dataset(content, with_pixels=False).get("SOPClassUID") in SEGMENTATIONS


def read_segmentation(path: Path, geometry: Geometry | None = None) -> Segments:
    """Return the segments of a DICOM SEG file.

    Parameters
    ----------
    path
        The file.
    geometry
        The grid to place them on, that of the image; None makes the smallest grid that holds all frames.

    Raises
    ------
    InputError
        ``unsupported``: another object, or a segmentation of a whole slide image; ``bad-header``; ``truncated``;
        ``too-large``; ``codec-missing``; ``slices-missing``: distances of frames are no multiples of one spacing;
        ``slices-duplicate``: two frames of one segment lie at one place.
    GeometryError
        ``bad-geometry``: position, orientation or spacing is missing or impossible; ``grid-differs``: the frames do not
        lie on the voxels of `geometry` (within a thousandth of a voxel), or a segment reaches beyond it.
    """
    from pydicom import dcmread
    from pydicom.errors import BytesLengthException

    with quiet(), located(path):
        try:
            with decoding("the segmentation"), np.errstate(all="ignore"), opened(path) as content:
                return _segments(dcmread(content, force=True), geometry)
        except (BytesLengthException, StopIteration) as error:
            text = f"the segmentation cannot be understood ({type(error).__name__})"
            raise InputError("bad-header", text) from None


def labels_from(
    path: Path,
    names: Mapping[int, str] | None = None,
    geometry: Geometry | None = None,
    images: Sequence[Frame] = (),
) -> Labels:
    """Return a DICOM SEG file as labels: the number of a voxel is its Segment Number.

    Parameters
    ----------
    path
        The file.
    names
        The name of each number where that is known; None takes the file's Segment Labels.
    geometry
        As for :func:`read_segmentation`.
    images
        A frame of each DICOM image that they may belong to, as for :meth:`Segments.check_of`.

    Raises
    ------
    InputError
        As :func:`read_segmentation`, :meth:`Segments.check_of` and :meth:`Segments.labels`; ``bad-labels``: a segment
        has no name in `names`, or the file calls it as `names` calls another number.
    GeometryError
        As :func:`read_segmentation`.
    """
    segments = read_segmentation(path, geometry)
    with located(path):
        segments.check_of(images)
        labels = segments.labels()
        if names is None:
            return labels
        known = {name.casefold(): number for number, name in names.items()}
        for number, name in segments.names.items():
            meant = known.get(name.casefold(), number)
            if meant != number:
                text = f"segment {number} is called {names[meant]!r}, which is label {meant} here"
                raise InputError("bad-labels", text, cure="Renumber the segments, or the `labels` of the pipeline.")
        return Labels(labels.voxels, labels.geometry, names)


@dataclass(frozen=True, eq=False)
class _Groups:
    """The functional groups of a file: a frame's own come before the shared ones (PS3.3, C.7.6.16)."""

    shared: Any
    of_frames: Sequence[Any]

    def value(self, frame: int, sequence: str, keyword: str) -> Any:
        for group in (self.of_frames[frame], self.shared):
            items = group.get(sequence) if group is not None else None
            if items:
                return items[0].get(keyword)
        return None

    def numbers(self, frame: int, sequence: str, keyword: str, count: int) -> tuple[float, ...]:
        value = self.value(frame, sequence, keyword)
        numbers = () if value is None else tuple(float(part) for part in value)
        if len(numbers) != count or not np.isfinite(numbers).all():
            text = f"{keyword} of frame {frame + 1} is {count} finite numbers, {len(numbers)} are there"
            raise GeometryError("bad-geometry", text)
        return numbers


def _segments(dataset: Any, geometry: Geometry | None) -> Segments:
    kind = _kind(dataset)
    shape = _shape(dataset, kind)
    groups = _groups(dataset, shape[0])
    names = _names(dataset, kind)
    numbers = _numbers(groups, kind, names)
    planes = _planes(groups, shape)
    placement = placed_together(planes) if geometry is None else placed_on(planes, geometry)
    seen = {(number, *place) for number, place in zip(numbers, placement.places.tolist(), strict=True)}
    if len(seen) < len(numbers):
        text = f"{len(numbers) - len(seen)} frames lie where another frame of their segment does"
        raise InputError("slices-duplicate", text, cure="Export one segmentation a time point.")
    segments = Segments(kind, names, _pixels(dataset, kind, shape), numbers, placement, *_belongs(dataset))
    _check_contents(segments)
    return segments


def _kind(dataset: Any) -> Kind:
    sop_class = dataset.get("SOPClassUID")
    if not sop_class:
        raise InputError("bad-header", "it states no SOP Class UID (0008,0016)")
    if sop_class not in SEGMENTATIONS:
        raise InputError("unsupported", "it is no segmentation of voxels: its SOP class is another")
    if "TotalPixelMatrixRows" in dataset or "ImageOrientationSlide" in dataset:
        raise InputError("unsupported", "it is a segmentation of a whole slide image: no part of a volume")
    kind = dataset.get("SegmentationType")
    if kind not in _BITS:
        raise InputError("unsupported", f"Segmentation Type is none of {', '.join(_BITS)}")
    if kind == "LABELMAP" and dataset.get("PixelPaddingValue"):
        raise InputError("unsupported", "another value than 0 stands for the background (Pixel Padding Value)")
    return kind  # type: ignore[no-any-return]


def _shape(dataset: Any, kind: Kind) -> tuple[int, int, int]:
    """Return frames, rows and columns, where the header describes pixels of this kind of segmentation."""
    count, rows, columns = (
        int(dataset.get(keyword) or missing)
        for keyword, missing in (("NumberOfFrames", 1), ("Rows", 0), ("Columns", 0))
    )
    if min(count, rows, columns) < 1:
        raise InputError("bad-header", f"{count} frames of {rows} rows and {columns} columns")
    if count * rows * columns > _MAX_PIXELS:
        raise InputError("too-large", f"{count} frames of {rows}x{columns} are more than {_MAX_PIXELS:,} pixels")
    bits, samples = int(dataset.get("BitsAllocated") or 0), int(dataset.get("SamplesPerPixel") or 1)
    if bits not in _BITS[kind] or samples != 1 or dataset.get("PixelRepresentation") not in (0, None):
        text = f"{samples} samples of {bits} bits do not go with Segmentation Type {kind}, or are signed"
        raise InputError("bad-header", text)
    return count, rows, columns


def _groups(dataset: Any, count: int) -> _Groups:
    shared = dataset.get("SharedFunctionalGroupsSequence") or [None]
    of_frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if len(of_frames) != count:
        raise InputError("bad-header", f"{count} frames, and functional groups for {len(of_frames)}")
    return _Groups(shared[0], list(of_frames))


def _names(dataset: Any, kind: Kind) -> dict[int, str]:
    """Return the Segment Labels, that of the background left out."""
    names: dict[int, str] = {}
    for item in dataset.get("SegmentSequence") or []:
        number = int(item.SegmentNumber)
        if number in names or not 0 <= number <= _MAX_NUMBER:
            raise InputError("bad-header", f"Segment Number {number} is impossible, or there twice")
        if number == 0 and kind == "LABELMAP" and _is_background(item):
            continue
        if number == 0:
            raise InputError("unsupported", "segment 0 is described as more than the background")
        names[number] = str(item.get("SegmentLabel") or "").strip() or f"segment {number}"
    if not names:
        raise InputError("bad-header", "it describes no segment")
    return names


def _is_background(item: Any) -> bool:
    codes = item.get("SegmentedPropertyTypeCodeSequence") or [{}]
    return codes[0].get("CodeValue") == _BACKGROUND or str(item.get("SegmentLabel")).casefold() == "background"


def _numbers(groups: _Groups, kind: Kind, names: Mapping[int, str]) -> tuple[int, ...]:
    if kind == "LABELMAP":
        return (0,) * len(groups.of_frames)
    found = tuple(
        int(groups.value(frame, "SegmentIdentificationSequence", "ReferencedSegmentNumber") or 0)
        for frame in range(len(groups.of_frames))
    )
    unknown = sorted(set(found) - set(names))
    if unknown:
        raise InputError("bad-header", f"frames belong to segments {unknown[:5]}, which are not described")
    return found


def _planes(groups: _Groups, shape: tuple[int, int, int]) -> Planes:
    frames = range(shape[0])
    positions = [groups.numbers(n, "PlanePositionSequence", "ImagePositionPatient", 3) for n in frames]
    cosines = _one(
        "ImageOrientationPatient",
        [groups.numbers(n, "PlaneOrientationSequence", "ImageOrientationPatient", 6) for n in frames],
    ).reshape(2, 3)
    if np.abs(cosines @ cosines.T - np.eye(2)).max() > _ORTHONORMAL_WITHIN:
        raise GeometryError("bad-geometry", "Image Orientation is not two unit vectors at right angles")
    between = _one("PixelSpacing", [groups.numbers(n, "PixelMeasuresSequence", "PixelSpacing", 2) for n in frames])
    if min(between) <= 0:
        raise GeometryError("bad-geometry", "Pixel Spacing is not above zero")
    steps = np.stack([cosines[0] * between[1], cosines[1] * between[0]], axis=1)
    return Planes(
        np.array(positions) * _LPS_TO_RAS,
        steps * _LPS_TO_RAS[:, None],
        shape[1:],
        _length(groups, "SpacingBetweenSlices"),
        _length(groups, "SliceThickness"),
    )


def _one(keyword: str, found: Sequence[tuple[float, ...]]) -> NDArray[np.float64]:
    """Return what all frames share."""
    if np.ptp(found, axis=0).max() > _SAME_WITHIN:
        raise GeometryError("bad-geometry", f"{keyword} is not the same for all frames")
    return np.asarray(np.mean(found, axis=0))


def _length(groups: _Groups, keyword: str) -> float | None:
    """Return a length that the first frame states, None where it is missing or not above zero."""
    value = float(groups.value(0, "PixelMeasuresSequence", keyword) or 0)
    return value if 0 < value < np.inf else None


def _pixels(dataset: Any, kind: Kind, shape: tuple[int, int, int]) -> NDArray[Any]:
    """Return the frames as booleans, fractions or Segment Numbers."""
    from pydicom.pixels import pixel_array

    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if not syntax:
        raise InputError("bad-header", "it states no Transfer Syntax UID (0002,0010)")
    plugin = _plugin(syntax)
    wanted = (int(np.prod(shape)) * int(dataset.BitsAllocated) + 7) // 8
    there = len(dataset.get("PixelData") or b"")
    if there == 0 or (there < wanted and not syntax.is_encapsulated):
        raise InputError("truncated", f"{there:,} of {wanted:,} bytes of Pixel Data are there")
    with decoding("Pixel Data"):
        stored = pixel_array(dataset, decoding_plugin=plugin).reshape(shape)
    if kind == "BINARY":
        return np.asarray(stored.astype(bool))
    if kind == "LABELMAP":
        return np.asarray(stored)
    most = int(dataset.get("MaximumFractionalValue") or 0)
    if not 0 < most <= 255 or stored.max() > most:
        raise InputError("bad-header", "Maximum Fractional Value is missing, impossible or exceeded")
    return np.asarray(stored / np.float32(most), dtype=np.float32)


def _plugin(syntax: Any) -> str:
    """Return the name of the decoder to use. GDCM is none of them: it ends the process on some damaged files."""
    from pydicom.pixels import get_decoder

    if not syntax.is_encapsulated:
        return ""
    try:
        found = [name for name in get_decoder(syntax).available_plugins if name != "gdcm"]
    except NotImplementedError:
        raise InputError("unsupported", f"Transfer Syntax {known_uid(syntax)} is not read") from None
    if not found:
        cure = "Store the segmentation uncompressed, or pip install pyjpegls for JPEG-LS."
        raise InputError("codec-missing", f"its Transfer Syntax {known_uid(syntax)} has no decoder here", cure=cure)
    return str(found[0])


def _belongs(dataset: Any) -> tuple[str | None, frozenset[str]]:
    """Return the Frame of Reference UID, and the series that are referred to, as far as they are stated."""
    tags = DatasetTags(dataset)
    series = (item.text("SeriesInstanceUID") for item in tags.items("ReferencedSeriesSequence"))
    return tags.text("FrameOfReferenceUID"), frozenset(uid for uid in series if uid)


def _check_contents(segments: Segments) -> None:
    """Refuse values without a segment, and segments that reach beyond the grid."""
    if segments.kind == "LABELMAP":
        unknown = sorted(set(np.unique(segments.frames).tolist()) - set(segments.names) - {0})
        if unknown:
            raise InputError("bad-header", f"pixels have the values {unknown[:5]}, which no segment describes")
    for n, frame in enumerate(segments.frames):
        part = segments.placement.part(n, frame.shape)
        inside = 0 if part is None else np.count_nonzero(frame[part[1]])
        if np.count_nonzero(frame) > inside:
            raise GeometryError("grid-differs", f"the segment of frame {n + 1} reaches beyond the image")
