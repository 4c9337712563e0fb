"""Fingerprints whose figures are stated, for tests of the rules that read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from medvision.fingerprint import (
    Channel,
    ClassFigures,
    Fingerprint,
    LabelFigures,
    PerCase,
    Pooled,
    Spread,
    TargetFigures,
)
from medvision.planning import Decision, Plan


def alike(value: float) -> Spread:
    return Spread.of([value])


def axes(*values: float | Sequence[float]) -> tuple[Spread, Spread, Spread]:
    x, y, z = (Spread.of(value if isinstance(value, Sequence) else [value]) for value in values)
    return (x, y, z)


def channel(
    *,
    least: float = 0,
    greatest: float = 1000,
    mean: float = 300,
    sd: float = 100,
    low: float = 10,
    high: float = 900,
    zeros: float = 0,
    labelled: bool = True,
) -> Channel:
    pooled = Pooled(mean, sd, low, (low + high) / 2, high, least, greatest)
    figures = {each.name: alike(0.0) for each in fields(PerCase)}
    per_case = PerCase(**figures | {"share_zero": alike(zeros)})
    foreground = (pooled, per_case) if labelled else (None, None)
    return Channel("image", pooled, per_case, *foreground)


def label(number: int, name: str) -> LabelFigures:
    return LabelFigures(number, name, 10, 0.01, alike(100), None, alike(1), None, None)


def segmentation(
    *,
    spacing: Sequence[float | Sequence[float]] | None = (1, 1, 1),
    shape: Sequence[float | Sequence[float]] = (36, 50, 35),
    dimensions: int = 3,
    modality: str | None = "MR",
    cases: int = 200,
    **others: Any,
) -> Fingerprint:
    own: dict[str, Any] = {
        "labels": (label(1, "front"), label(2, "back")),
        "foreground_share": alike(0.05),
        "channels": (channel(),),
    }
    return _fingerprint("segmentation", spacing, shape, dimensions, modality, cases, own | others)


def classification(
    *,
    shape: Sequence[float | Sequence[float]] = (28, 28, 1),
    spacing: Sequence[float | Sequence[float]] | None = None,
    dimensions: int = 2,
    modality: str | None = None,
    cases: int = 5000,
    imbalance: float = 1.0,
    **others: Any,
) -> Fingerprint:
    own: dict[str, Any] = {
        "classes": tuple(ClassFigures(n, name, cases // 2, 0.5) for n, name in enumerate(("no", "yes"))),
        "imbalance": imbalance,
        "channels": (channel(greatest=255, high=250, sd=50, labelled=False),),
        "absolute": True,
    }
    task = others.pop("task", "classification")
    return _fingerprint(task, spacing, shape, dimensions, modality, cases, own | others)


def regression(**others: Any) -> Fingerprint:
    targets = (TargetFigures("age", 60.0, 10.0, alike(60.0)),)
    return classification(task="regression", classes=(), imbalance=None, targets=targets, **others)


def chosen(plan: Plan | Sequence[Decision]) -> dict[str, Any]:
    """Return the value of each setting."""
    return {each.setting: each.value for each in (plan.decisions if isinstance(plan, Plan) else plan)}


def _fingerprint(
    task: str,
    spacing: Sequence[float | Sequence[float]] | None,
    shape: Sequence[float | Sequence[float]],
    dimensions: int,
    modality: str | None,
    cases: int,
    own: Mapping[str, Any],
) -> Fingerprint:
    known = spacing is not None
    middle = [_median(size) for size in shape]
    extent = [size * _median(step) for size, step in zip(middle, spacing or (), strict=known)] if known else None
    return Fingerprint(
        **{
            "task": task,
            "dimensions": dimensions,
            "cases": cases,
            "patients": cases,
            "modalities": {modality or "unknown": cases},
            "units": {"HU" if modality == "CT" else "unknown": cases},
            "orientations": {"LPS": cases} if known else {},
            "absolute": modality == "CT",
            "physical": known,
            "shape": axes(*shape),
            "spacing_mm": axes(*spacing) if spacing is not None else None,
            "extent_mm": axes(*extent) if extent is not None else None,
            "anisotropy": alike(1.0) if known else None,
            "aspect": alike(1.0),
            **own,
        }
    )


def _median(values: float | Sequence[float]) -> float:
    return Spread.of(values if isinstance(values, Sequence) else [values]).p50
