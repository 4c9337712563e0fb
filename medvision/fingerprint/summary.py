"""From the figures of every case to the fingerprint of them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.answers import Task
from medvision.errors import Finding, InputError
from medvision.fingerprint.case import CaseFigures, Values
from medvision.fingerprint.laterality import lateral_pairs
from medvision.fingerprint.value import (
    UNKNOWN,
    Axes,
    Channel,
    ClassFigures,
    Fingerprint,
    LabelFigures,
    PerCase,
    Pooled,
    Spread,
    TargetFigures,
)
from medvision.sides import sided_pairs


def summarise(
    cases: Iterable[CaseFigures], *, task: Task, names: Mapping[int, str], channels: Sequence[str] | None = None
) -> Fingerprint:
    """Return the fingerprint of training data.

    Parameters
    ----------
    cases
        What :func:`~medvision.fingerprint.case.measure_case` gave of each, with its target.
    task
        What is to be learned of them.
    names
        The names of the labels (from 1), of the classes (from 0) or of the targets of a regression (from 0).
    channels
        The names of the channels; numbers from 1 where not given.

    Raises
    ------
    InputError
        There is no case, a case lacks a target that fits the task and `names`, or cases differ in their number of
        channels.
    """
    figures = list(cases)
    _require(figures, task, names)
    physical = all(case.physical for case in figures)
    count = len(figures[0].whole)
    sided = sided_pairs(names.values()) if task != "regression" else ()
    return Fingerprint(
        task=task,
        dimensions=2 if all(case.flat for case in figures) else 3,
        cases=len(figures),
        patients=len({case.patient for case in figures} - {None}) + sum(case.patient is None for case in figures),
        modalities=_counts(case.modality for case in figures),
        units=_counts(case.unit for case in figures),
        orientations=_counts(case.orientation for case in figures) if physical else {},
        absolute=is_absolute(figures),
        physical=physical,
        shape=_axes(case.shape for case in figures),
        spacing_mm=_axes(case.spacing_mm for case in figures) if physical else None,
        extent_mm=_axes(case.extent_mm for case in figures) if physical else None,
        aspect=Spread.of([_aspect(case) for case in figures]),
        anisotropy=Spread.of([_anisotropy(case) for case in figures]) if physical else None,
        channels=tuple(
            _channel(figures, number, channels[number] if channels else str(number + 1)) for number in range(count)
        ),
        slabs=sum(bool(case.slabs) for case in figures),
        sided=sided,
        lateral=lateral_pairs(figures, names) if task == "segmentation" and physical else (),
        **_targets(figures, task, names, physical=physical),
    )


def is_absolute(cases: Sequence[CaseFigures]) -> bool:
    """Whether values mean the same in all cases.

    They do in CT (HU), where all images state the same unit, and where all are whole numbers of 0 to 255; never in MR,
    whose values depend on receiver and scaling.
    """
    modalities, units = {case.modality for case in cases}, {case.unit for case in cases}
    if "MR" in modalities:
        return False
    one_unit = len(units) == 1 and None not in units
    return modalities == {"CT"} or one_unit or all(case.eight_bits for case in cases)


def doubts(cases: Iterable[CaseFigures]) -> tuple[Finding, ...]:
    """Return what speaks against the labels of training data: left ones that lie to the right of the right ones.

    World x runs to the patient's right, so the centre of a right label lies at the greater x. A pair is told where it
    is the other way round in more than half of the cases that have both.
    """
    seen: dict[tuple[str, str], list[bool]] = {}
    for case in cases:
        for pair in sided_pairs(case.names.values()):
            left, right = (_centre(case, name) for name in pair)
            if left is not None and right is not None:
                seen.setdefault(pair, []).append(left > right)
    return tuple(
        Finding(
            "sides-swapped",
            "warning",
            f"{left!r} lies to the right of {right!r} in {sum(swapped)} of {len(swapped)} cases that have both",
        )
        for (left, right), swapped in seen.items()
        if sum(swapped) * 2 > len(swapped)
    )


def _require(figures: Sequence[CaseFigures], task: Task, names: Mapping[int, str]) -> None:
    if not figures:
        raise InputError("too-few-cases", "a fingerprint needs a case or more, got none")
    if len({len(case.whole) for case in figures}) > 1:
        counts = sorted({len(case.whole) for case in figures})
        raise InputError("channels-differ", f"all cases have as many channels as the others, got {counts}")
    unfit = sum(not _fits(case, task, names) for case in figures)
    if unfit:
        raise InputError("label-missing", f"{unfit} of {len(figures)} cases have no target of a {task} of these names")
    if task == "regression":
        for place, number in enumerate(sorted(names)):
            if all(case.target is None or case.target[place] is None for case in figures):
                raise InputError("label-missing", f"no case states the target {names[number]!r}")


def _fits(case: CaseFigures, task: Task, names: Mapping[int, str]) -> bool:
    if task == "segmentation":
        return case.labels is not None and set(case.labels) <= set(names)
    if case.target is None:
        return False
    if task == "classification":
        return len(case.target) == 1 and case.target[0] in names
    return len(case.target) == len(names) and (task == "regression" or set(case.target) <= {0.0, 1.0, None})


def _counts(words: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(UNKNOWN if word is None else word for word in words).items()))


def _axes(rows: Iterable[Sequence[float] | None]) -> Axes:
    x, y, z = (Spread.of(column) for column in zip(*(row for row in rows if row is not None), strict=True))
    return (x, y, z)


def _aspect(case: CaseFigures) -> float:
    sides, (first, second, *_) = case.extent_mm or case.shape, case.plane
    return sides[first] / sides[second]


def _anisotropy(case: CaseFigures) -> float:
    spacing = case.spacing_mm or (1.0, 1.0, 1.0)
    inside = [spacing[axis] for axis in case.plane]
    return max(inside) / min(inside)


def _channel(figures: Sequence[CaseFigures], number: int, name: str) -> Channel:
    whole = [case.whole[number] for case in figures]
    foreground = [case.foreground[number] for case in figures if case.foreground]
    if not foreground:
        return Channel(name, _pooled(whole), _per_case(whole))
    return Channel(name, _pooled(whole), _per_case(whole), _pooled(foreground), _per_case(foreground))


def _pooled(values: Sequence[Values]) -> Pooled:
    """Put the values of all cases together; each case counts alike, however many voxels it has."""
    means = np.array([entry.intensity.mean for entry in values])
    sds = np.array([entry.intensity.sd for entry in values])
    weights = np.concatenate([np.full(len(entry.drawn), 1 / len(entry.drawn)) for entry in values])
    low, median, high = _weighted(np.concatenate([entry.drawn for entry in values]), weights, (0.005, 0.5, 0.995))
    least = min(entry.intensity.least for entry in values)
    greatest = max(entry.intensity.greatest for entry in values)
    sd = float(np.sqrt(np.square(sds).mean() + means.var()))
    # The sample is of 32 bits, and may lie the last digit beyond the extremes.
    low, median, high = np.clip((low, median, high), least, greatest).tolist()
    return Pooled(float(means.mean()), sd, low, median, high, least, greatest)


def _weighted(values: NDArray[Any], weights: NDArray[np.float64], shares: Sequence[float]) -> list[float]:
    order = np.argsort(values, kind="stable")
    places = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    return [float(value) for value in np.interp(shares, places, values[order].astype(np.float64))]


def _per_case(values: Sequence[Values]) -> PerCase:
    of = {
        name: Spread.of([getattr(entry.intensity, name) for entry in values])
        for name in ("mean", "sd", "low", "median", "high", "least", "greatest", "share_least")
    }
    for name in ("low", "median", "high"):
        of[f"{name}_z"] = Spread.of([entry.z(getattr(entry.intensity, name)) for entry in values])
    of["edge_z"] = Spread.of([entry.edge_z for entry in values])
    return PerCase(**of, share_zero=Spread.of([entry.share_zero for entry in values]))


def _targets(figures: Sequence[CaseFigures], task: Task, names: Mapping[int, str], *, physical: bool) -> dict[str, Any]:
    """Return the fields of a fingerprint that depend on the task."""
    if task == "segmentation":
        filled = [case.all_labels for case in figures if case.all_labels is not None]
        shares = [(case.all_labels.voxels if case.all_labels else 0) / _size(case) for case in figures]
        return {
            "labels": tuple(_label(figures, number, names[number], physical=physical) for number in sorted(names)),
            "foreground_share": Spread.of(shares),
            "foreground_box": _axes(entry.box for entry in filled) if filled else None,
            "foreground_box_mm": _axes(entry.box_mm for entry in filled) if filled and physical else None,
        }
    targets = np.array([case.target for case in figures], dtype=np.float64)  # what is not known becomes NaN
    if task == "regression":
        known = [column[~np.isnan(column)] for column in targets.T]
        return {
            "targets": tuple(
                TargetFigures(names[number], float(column.mean()), float(column.std()), Spread.of(column))
                for number, column in zip(sorted(names), known, strict=True)
            )
        }
    numbers = sorted(names)
    members = [targets[:, 0] == n for n in numbers] if task == "classification" else [c == 1 for c in targets.T]
    counts = [int(column.sum()) for column in members]
    classes = [ClassFigures(n, names[n], c, c / len(figures)) for n, c in zip(numbers, counts, strict=True)]
    some = [count for count in counts if count]
    return {"classes": tuple(classes), "imbalance": max(some) / min(some) if some else None}


def _label(figures: Sequence[CaseFigures], number: int, name: str, *, physical: bool) -> LabelFigures:
    found = [case.labels[number] for case in figures if case.labels and number in case.labels]
    share = sum(entry.voxels for entry in found) / sum(_size(case) for case in figures)
    if not found:
        return LabelFigures(number, name, 0, 0.0, None, None, None, None, None)
    return LabelFigures(
        number,
        name,
        len(found),
        share,
        voxels=Spread.of([entry.voxels for entry in found]),
        volume_ml=Spread.of([entry.volume_ml or 0.0 for entry in found]) if physical else None,
        parts=Spread.of([entry.parts for entry in found]),
        box=_axes(entry.box for entry in found),
        box_mm=_axes(entry.box_mm for entry in found) if physical else None,
    )


def _size(case: CaseFigures) -> int:
    return int(np.prod(case.shape, dtype=np.int64))


def _centre(case: CaseFigures, name: str) -> float | None:
    """Return the x of a label's centre of mass, in mm."""
    for number, measure in (case.labels or {}).items():
        if case.names[number] == name and measure.centroid_ras_mm is not None:
            return measure.centroid_ras_mm[0]
    return None
