"""Files of many frames: each frame as if it were a file of its own (PS3.3, C.7.6.16; C.8.8.3.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from medvision.errors import GeometryError, InputError
from medvision.io.dicom.csa import b_value
from medvision.io.dicom.frame import Frame, Numbers
from medvision.io.dicom.mosaic import tiles_of
from medvision.io.dicom.objects import image_kind
from medvision.io.dicom.tags import DatasetTags, seconds_of
from medvision.io.located import decoding

_SHARED, _PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_MOST_FRAMES = 1_000_000
_IN_ONE_PLACE = (
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
)
_FLOAT_PADDING = (
    ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    ("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
)
_Order = tuple[tuple[str, float | str | Numbers], ...]


def frames_of(first: Frame, dataset: Any) -> tuple[Frame, ...]:
    """Return the frames of a file.

    Parameters
    ----------
    first
        What the file states at its top level.
    dataset
        pydicom's data set of the file; without pixels will do.

    Raises
    ------
    InputError
        ``bad-header``: functional groups or offsets that do not fit the Number of Frames, or groups that stand both
        with all frames and with one; ``too-large``: above a million frames; what
        :func:`medvision.io.dicom.mosaic.tiles_of` refuses.
    GeometryError
        ``bad-geometry``: a position, an orientation or a spacing that is none.
    """
    if first.frames < 1:
        raise InputError("bad-header", f"Number of Frames is {first.frames}")
    if first.frames > _MOST_FRAMES:
        raise InputError("too-large", f"the header claims {first.frames:,} frames, {_MOST_FRAMES:,} are accepted")
    if "MOSAIC" in first.image_type:
        return _of_mosaic(first, dataset)
    kind = image_kind(first.sop_class)
    if kind is not None and kind.form == "dose":
        return _of_dose(first, dataset)
    if _PER_FRAME in dataset:
        return tuple(_of_groups(first, dataset))
    return tuple(dataclasses.replace(first, number=number) for number in range(first.frames))


def _of_mosaic(first: Frame, dataset: Any) -> tuple[Frame, ...]:
    mosaic = tiles_of(dataset)
    if mosaic is None:
        raise InputError("unsupported", "it is a mosaic: a volume tiled into one picture, and its tiles are not stated")
    diffusion = b_value(dataset)  # scanners of that age state it in private elements alone
    order = first.order if diffusion is None else _merged(first.order, (("b-value", diffusion),))
    return tuple(
        dataclasses.replace(
            first,
            number=number,
            order=order,
            position=tuple(float(x) for x in mosaic.positions[number]),
            rows=mosaic.rows,
            columns=mosaic.columns,
            tile=(*divmod(number, mosaic.across), first.rows or 0, first.columns or 0),
        )
        for number in range(mosaic.count)
    )


def _of_dose(first: Frame, dataset: Any) -> tuple[Frame, ...]:
    """Return the planes of a dose; their offsets are relative to the first, or positions along the normal."""
    if first.frames == 1:
        return (first,)
    offsets = DatasetTags(dataset).numbers("GridFrameOffsetVector", first.frames)
    if offsets is None or first.position is None or first.orientation is None:
        raise GeometryError("bad-geometry", "GridFrameOffsetVector, Image Position or Image Orientation is missing")
    normal = np.cross(first.orientation[:3], first.orientation[3:])
    start = np.array(first.position)
    if offsets[0] != 0:
        if abs(abs(normal[2]) - 1) > 1e-4 or abs(offsets[0] - first.position[2]) > 1e-2:
            raise GeometryError("bad-geometry", "GridFrameOffsetVector starts neither at 0 nor at the first position")
        normal, start = np.array((0.0, 0.0, 1.0)), np.array((*first.position[:2], 0.0))
    return tuple(
        dataclasses.replace(first, number=number, position=tuple((start + offset * normal).tolist()))
        for number, offset in enumerate(offsets)
    )


def _of_groups(first: Frame, dataset: Any) -> Iterator[Frame]:
    with decoding("the functional groups"):
        shared = DatasetTags(dataset[_SHARED][0]) if dataset.get(_SHARED) else None
        groups = dataset[_PER_FRAME].value
        count = len(groups)
    if count != first.frames:
        raise InputError("bad-header", f"{count} functional groups for {first.frames} frames")
    own = [DatasetTags(group) for group in groups]
    _check_places(shared, own)
    first = dataclasses.replace(first, float_padding=_float_padding(DatasetTags(dataset)))
    for number, group in enumerate(own):
        yield _of_group(first, number, _Groups(group, shared))


def _check_places(shared: DatasetTags | None, own: Sequence[DatasetTags]) -> None:
    """Refuse groups that all frames share beside some frames' own: which goes for the others is not certain."""
    for name in _IN_ONE_PLACE:
        if shared is not None and shared.has(name) and any(group.has(name) for group in own):
            text = f"{name} stands both in the shared functional groups and in those of a frame"
            raise InputError("bad-header", text)


def _float_padding(tags: DatasetTags) -> tuple[float, float] | None:
    """Return the ends of what is padding among floating-point pixels (PS3.3, C.7.6.26)."""
    for name, limit in _FLOAT_PADDING:
        if (value := tags.number(name)) is not None:
            end = tags.number(limit)
            return value, value if end is None else end
    return None


class _Groups:
    """The functional groups of one frame: its own, or else those that all frames share."""

    def __init__(self, own: DatasetTags, shared: DatasetTags | None) -> None:
        self._places = (own, shared) if shared is not None else (own,)

    def find(self, name: str) -> DatasetTags | None:
        return next((item for place in self._places if (item := place.item(name)) is not None), None)

    def number(self, group: str, name: str) -> float | None:
        item = self.find(group)
        return item.hint(name) if item is not None else None


def _of_group(first: Frame, number: int, groups: _Groups) -> Frame:
    changed: dict[str, Any] = {"number": number, "order": _merged(_order(groups), first.order)}
    if (plane := groups.find("PlanePositionSequence")) is not None:
        changed["position"] = plane.numbers("ImagePositionPatient", 3)
    if (plane := groups.find("PlaneOrientationSequence")) is not None:
        changed["orientation"] = plane.numbers("ImageOrientationPatient", 6)
    if (measures := groups.find("PixelMeasuresSequence")) is not None:
        changed["pixel_spacing"] = measures.numbers("PixelSpacing", 2)
        changed["slice_thickness"] = measures.hint("SliceThickness")
        changed["spacing_between"] = measures.hint("SpacingBetweenSlices")
    if (values := groups.find("PixelValueTransformationSequence")) is not None:
        changed["has_one_rescale"] = all(len(values.values(n)) < 2 for n in ("RescaleSlope", "RescaleIntercept"))
        changed["slope"] = values.number("RescaleSlope")
        changed["intercept"] = values.number("RescaleIntercept")
        changed["rescale_type"] = values.text("RescaleType")
    if groups.find("RealWorldValueMappingSequence") is not None:
        changed["has_real_world_map"] = True
    for sequence in ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence"):
        if (kind := groups.find(sequence)) is not None and kind.has("FrameType"):
            changed["image_type"] = kind.texts("FrameType")
    return dataclasses.replace(first, **changed)


def _order(groups: _Groups) -> _Order:
    """Return what tells frames at one place from each other."""
    content, diffusion = groups.find("FrameContentSequence"), groups.find("MRDiffusionSequence")
    direction = diffusion.item("DiffusionGradientDirectionSequence") if diffusion is not None else None
    kind = groups.find("MRImageFrameTypeSequence")
    found: list[tuple[str, float | str | Numbers | None]] = [
        ("stack", content.text("StackID") if content is not None else None),
        ("echo time", groups.number("MREchoSequence", "EffectiveEchoTime")),
        ("component", kind.text("ComplexImageComponent") if kind is not None else None),
        ("time index", content.hint("TemporalPositionIndex") if content is not None else None),
        ("time", groups.number("TemporalPositionSequence", "TemporalPositionTimeOffset")),
        ("b-value", diffusion.hint("DiffusionBValue") if diffusion is not None else None),
        ("gradient direction", _direction(direction)),
        ("trigger time", groups.number("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime")),
        ("acquisition number", content.hint("FrameAcquisitionNumber") if content is not None else None),
        ("acquisition time", _time(content)),
    ]
    return tuple((name, value) for name, value in found if value is not None)


def _direction(item: DatasetTags | None) -> Numbers | None:
    return item.numbers("DiffusionGradientOrientation", 3) if item is not None else None


def _time(content: DatasetTags | None) -> float | None:
    if content is None:
        return None
    return seconds_of(content.text("FrameAcquisitionDateTime") or content.text("FrameReferenceDateTime"))


def _merged(own: _Order, shared: _Order) -> _Order:
    """Return what is stated nearest to a frame, and what is stated elsewhere beside that."""
    names = {name for name, _ in own}
    return own + tuple((name, value) for name, value in shared if name not in names)
