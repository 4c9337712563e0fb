"""From stored to real values: the rule that each frame states (PS3.3, C.11.1, C.7.6.16.2.9, C.7.6.16.2.11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import Finding, InputError
from medvision.io.dicom.frame import Frame
from medvision.io.dicom.objects import image_kind
from medvision.io.dicom.parsed import header_of
from medvision.io.dicom.suv import suv_factor
from medvision.io.dicom.tags import DatasetTags
from medvision.io.located import decoding, located

_SAME_FACTOR = 1.0001
_MAPPED = ("RealWorldValue", "DoubleFloatRealWorldValue")
_RESCALE_UNITS = {"US": None, "": None}  # unspecified
_UNKNOWN_WITHOUT = {"CT": "HU are not known", "PT": "the stored values are counts of no unit"}
_CURE_OF_DOSE = "Look up in the planning system what the values are."


@dataclass(frozen=True)
class Linear:
    """Real value = stored value x slope + intercept.

    Parameters
    ----------
    slope, intercept
        The line.
    stated_for
        The least and the greatest stored value for which it is stated; None for all.
    """

    slope: float
    intercept: float
    stated_for: tuple[float, float] | None = None

    @property
    def keeps_integers(self) -> bool:
        """Whether whole numbers stay whole."""
        return self.slope == 1 and self.intercept == int(self.intercept)


@dataclass(frozen=True, eq=False)
class Table:
    """Real value = entries[stored value - first], and the end's entry beyond the ends."""

    first: int
    entries: NDArray[Any]


Mapping = Linear | Table


@dataclass(frozen=True)
class RealValues:
    """How the stored values of a volume become real ones.

    Parameters
    ----------
    mappings
        One a frame.
    unit
        The unit of the real values; None where they have none or it is not known.
    findings
        What was noticed.
    """

    mappings: tuple[Mapping, ...]
    unit: str | None
    findings: tuple[Finding, ...] = ()


def real_values(frames: Sequence[Frame], path: Path, *, suv: bool) -> RealValues:
    """Return how the stored values of the frames of one volume become real ones.

    Parameters
    ----------
    frames
        In order.
    path
        What findings are about.
    suv
        Whether PET becomes SUVbw where its header allows it.

    Raises
    ------
    InputError
        ``bad-rescale``: a slope of zero, NaN, several values, or missing where others or the modality need one; a table
        that is none; ``unsupported``: a dose that is neither physical nor effective.
    """
    first = frames[0]
    if any(frame.has_modality_lut for frame in frames):
        return _by_table(frames)
    if first.modality != "CT" and all(f.slope is None and f.has_real_world_map for f in frames):
        return _by_real_world_map(frames, path)
    _check_maps(frames)
    mappings = tuple(_rescale(frame, frames) for frame in frames)
    kind = image_kind(first.sop_class)
    if kind is not None and kind.form == "dose":
        return _of_dose(mappings, first, path)
    if suv and first.modality == "PT" and first.position is not None:
        return _in_suv(mappings, frames, path)
    return RealValues(mappings, _unit(first))


def _check_maps(frames: Sequence[Frame]) -> None:
    """Refuse frames without any rule beside others that have a Real World Value Mapping."""
    if frames[0].modality == "CT" or not any(frame.slope is None and frame.has_real_world_map for frame in frames):
        return
    bare = next((frame for frame in frames if frame.slope is None and not frame.has_real_world_map), None)
    if bare is not None:
        text = "other slices have a Real World Value Mapping, this one has none"
        raise InputError("bad-rescale", text, path=bare.file)


def _of_dose(mappings: tuple[Linear, ...], frame: Frame, path: Path) -> RealValues:
    """Return a dose in Gy where it is stated to be that (PS3.3, C.8.8.3.1)."""
    units, kind = frame.dose
    if kind not in ("PHYSICAL", "EFFECTIVE", None):
        raise InputError("unsupported", "Dose Type is neither PHYSICAL nor EFFECTIVE: it is no dose", path=frame.file)
    if units == "GY" and kind is not None:
        return RealValues(mappings, "GY")
    if units == "GY":
        text, unit = "Dose Type is missing: it is not known whether the values are doses or differences", "GY"
    else:
        how = "RELATIVE" if units == "RELATIVE" else "missing" if units is None else "neither GY nor RELATIVE"
        text, unit = f"Dose Units is {how}: the values have no known unit", None
    return RealValues(mappings, unit, (Finding("bad-header", "warning", text, path, _CURE_OF_DOSE),))


def _rescale(frame: Frame, frames: Sequence[Frame]) -> Linear:
    kind = image_kind(frame.sop_class)
    if not frame.has_one_rescale:
        text = "Rescale Slope, Rescale Intercept or Dose Grid Scaling has several values"
        raise InputError("bad-rescale", text, path=frame.file)
    if kind is not None and kind.form == "dose":
        if frame.scaling is None or not np.isfinite(frame.scaling) or frame.scaling <= 0:
            raise InputError("bad-rescale", "Dose Grid Scaling is missing or not above zero", path=frame.file)
        return Linear(frame.scaling, 0.0)
    slope, intercept = frame.slope, frame.intercept
    if slope is None and intercept is None:
        if frame.modality in _UNKNOWN_WITHOUT and (kind is None or kind.form == "slices"):
            text = f"Rescale Slope and Intercept are missing: {_UNKNOWN_WITHOUT[frame.modality]}"
            raise InputError("bad-rescale", text, path=frame.file)
        if any(other.slope is not None for other in frames):
            raise InputError("bad-rescale", "other slices have a Rescale Slope, this one has none", path=frame.file)
        return Linear(1.0, 0.0)
    if slope is None or intercept is None or not np.isfinite([slope, intercept]).all() or slope == 0:
        raise InputError("bad-rescale", f"Rescale Slope {slope} and Intercept {intercept}", path=frame.file)
    return Linear(slope, intercept)


def _unit(frame: Frame) -> str | None:
    if frame.modality == "PT":
        return frame.units
    if frame.rescale_type is not None:
        return _RESCALE_UNITS.get(frame.rescale_type, frame.rescale_type)
    kind = image_kind(frame.sop_class)
    is_ct = frame.modality == "CT" and (kind is None or kind.form == "slices")
    return "HU" if is_ct else None


def _in_suv(mappings: tuple[Linear, ...], frames: Sequence[Frame], path: Path) -> RealValues:
    units = frames[0].units
    try:
        factor = _common_factor(frames)
    except InputError as error:
        text = f"no SUV: {error.finding.message}; values are in {units or 'unknown units'}"
        return RealValues(mappings, units, (Finding("suv-unknown", "warning", text, path),))
    if factor == 1:
        return RealValues(mappings, "SUVbw")
    scaled = tuple(Linear(one.slope * factor, one.intercept * factor) for one in mappings)
    note = Finding("suv", "note", f"Bq/ml became SUVbw by a factor of {factor:.6g} ml/Bq", path)
    return RealValues(scaled, "SUVbw", (note,))


def _common_factor(frames: Sequence[Frame]) -> float:
    """Return the factor to SUVbw that all files of a volume state."""
    factors = {}
    for frame in frames:
        if frame.file not in factors:
            with located(frame.file):
                factors[frame.file] = suv_factor(header_of(frame.file))
    values = list(factors.values())
    if max(values) > min(values) * _SAME_FACTOR:
        raise InputError("suv-unknown", "slices state different weights, doses or times")
    return values[0]


def _by_table(frames: Sequence[Frame]) -> RealValues:
    tables, units = [], set()
    for frame in frames:
        with located(frame.file):
            if not frame.has_modality_lut:
                raise InputError("bad-rescale", "other slices have a Modality LUT, this one has none")
            item = DatasetTags(header_of(frame.file)).item("ModalityLUTSequence")
            if item is None:
                raise InputError("bad-rescale", "the Modality LUT Sequence is empty")
            tables.append(_table(item, is_signed=bool(frame.pixel_representation)))
            units.add(item.text("ModalityLUTType"))
    unit = units.pop() if len(units) == 1 else None
    return RealValues(tuple(tables), _RESCALE_UNITS.get(unit or "", unit))


def _table(item: DatasetTags, *, is_signed: bool) -> Table:
    """Return a Modality LUT: number of entries (0 for 65,536), first stored value, bits an entry (C.11.1.1)."""
    with decoding("LUTDescriptor"):
        count, first, bits = (int(value) for value in item.values("LUTDescriptor"))
        count, bits = count & 0xFFFF or 1 << 16, bits & 0xFFFF
        first = (first + (1 << 15)) % (1 << 16) - (1 << 15) if is_signed else first & 0xFFFF
        content = item.content("LUTData")
        if content is None:
            entries = np.asarray(item.values("LUTData")).astype(np.int64) & 0xFFFF
        else:
            is_wide = len(content) >= 2 * count
            entries = np.frombuffer(content[: 2 * count if is_wide else None], dtype="<u2" if is_wide else "u1")
    if bits not in range(8, 17) or len(entries) < count:
        raise InputError("bad-rescale", f"the Modality LUT has {len(entries)} of {count} entries of {bits} bits")
    return Table(first, entries[:count].astype(np.uint16))


def _by_real_world_map(frames: Sequence[Frame], path: Path) -> RealValues:
    """Use a Real World Value Mapping where no Rescale Slope says what the values are."""
    mappings, units = [], set()
    for frame in frames:
        with located(frame.file):
            item = _map_of(header_of(frame.file), frame)
            names = ("RealWorldValueSlope", "RealWorldValueIntercept")
            slope, intercept = (item.number(name) if len(item.values(name)) == 1 else None for name in names)
            if slope is None or intercept is None or not np.isfinite([slope, intercept]).all() or slope == 0:
                raise InputError("bad-rescale", "a Real World Value Mapping that is not linear is not read")
            code = item.item("MeasurementUnitsCodeSequence")
            mappings.append(Linear(slope, intercept, _stated_for(item, frame)))
            units.add(code.text("CodeValue") if code is not None else None)
    unit = units.pop() if len(units) == 1 else None
    note = Finding("converted", "note", "values are those of the Real World Value Mapping", path)
    return RealValues(tuple(mappings), None if unit in ("1", None) else unit, (note,))


def _map_of(dataset: Any, frame: Frame) -> DatasetTags:
    places = [DatasetTags(dataset)]
    for sequence, index in (("PerFrameFunctionalGroupsSequence", frame.number), ("SharedFunctionalGroupsSequence", 0)):
        with decoding(sequence):
            if dataset.get(sequence):
                places.insert(len(places) - 1, DatasetTags(dataset[sequence].value[index]))
    for place in places:
        if items := place.items("RealWorldValueMappingSequence"):
            _check_ranges(items)
            return items[0]
    raise InputError("bad-rescale", "the Real World Value Mapping Sequence is empty")


def _stated_for(item: DatasetTags, frame: Frame) -> tuple[float, float] | None:
    """Return for which stored values a mapping is stated; of signed pixels they may be written as unsigned numbers."""
    for kind in _MAPPED:
        first, last = item.hint(f"{kind}FirstValueMapped"), item.hint(f"{kind}LastValueMapped")
        if first is None or last is None:
            continue
        if frame.pixel_representation and kind == _MAPPED[0]:
            signed = [end - (1 << 16) if end >= 1 << 15 else end for end in (first, last)]
            first, last = signed if signed[0] <= signed[1] else (first, last)
        return first, last
    return None


def _check_ranges(items: Sequence[DatasetTags]) -> None:
    """Refuse mappings of several ranges of stored values; several units of one range are several ways to say it."""
    names = ("FirstValueMapped", "LastValueMapped")
    ranges = {tuple(item.hint(f"{kind}{name}") for kind in _MAPPED for name in names) for item in items}
    if len(ranges) > 1:
        raise InputError("bad-rescale", "Real World Value Mappings of several ranges of stored values are not read")
