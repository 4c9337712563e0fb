"""What was found beside the truth, case by case, and the figures made of it; a training and an evaluation share it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.evaluate import Estimate, auc, bootstrap_interval, multiclass_auc


@dataclass(frozen=True)
class Scored:
    """One case beside the truth.

    Parameters
    ----------
    case
        The case's id.
    patient
        What cases of one patient have in common; the case's id where no patient is named. Not written anywhere.
    dice, hausdorff95_mm
        By label name; None where a figure is not defined. Empty for a classification.
    probabilities, truth
        The probability of each class, and the true one; None for a segmentation.
    """

    case: str
    patient: str
    dice: Mapping[str, float | None] = field(default_factory=dict)
    hausdorff95_mm: Mapping[str, float | None] = field(default_factory=dict)
    probabilities: Mapping[str, float] | None = None
    truth: str | None = None


def estimates(scored: Sequence[Scored], *, seed: int | None) -> dict[str, Estimate]:
    """Return every figure by name, with its bootstrap interval over patients; without a seed, without intervals.

    For a segmentation: mean Dice over cases (each the mean over labels that are defined), then Dice and 95 % Hausdorff
    distance of each label. For a classification: AUC (one class against the rest, averaged, for more than two) and
    accuracy. What is undefined in every case is left out.
    """
    if scored[0].probabilities is not None:
        return _of_classes(scored, seed)
    columns = _columns(scored)
    found = {}
    for title, values in columns.items():
        defined = [(value, entry.patient) for value, entry in zip(values, scored, strict=True) if value is not None]
        if defined:
            numbers, patients = zip(*defined, strict=True)
            found[title] = _estimate((np.array(numbers, dtype=np.float64),), patients, np.mean, seed)
    return found


def undefined(scored: Sequence[Scored]) -> dict[str, int]:
    """Return in how many cases each figure of a segmentation is not defined, where in any."""
    counts = {title: sum(value is None for value in values) for title, values in _columns(scored).items()}
    return {title: count for title, count in counts.items() if count}


def sentences(figures: Mapping[str, Estimate], *, held_out: int) -> tuple[str, ...]:
    """Return the figures as sentences for a card."""
    return tuple(
        f"{name} {estimate}; {held_out} held-out cases, n counts patients" for name, estimate in figures.items()
    )


def scores_csv(scored: Sequence[Scored]) -> str:
    """Return a table with a row a case."""
    first = scored[0]
    titles = [f"dice_{name}" for name in first.dice] + [f"hd95_mm_{name}" for name in first.hausdorff95_mm]
    titles += [f"p_{name}" for name in first.probabilities or {}] + (["truth"] if first.truth is not None else [])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", *titles])
    for entry in scored:
        numbers = [*entry.dice.values(), *entry.hausdorff95_mm.values(), *(entry.probabilities or {}).values()]
        cells = ["" if number is None else f"{number:.6f}" for number in numbers]
        writer.writerow([entry.case, *cells, *([entry.truth] if entry.truth is not None else [])])
    return text.getvalue()


def _columns(scored: Sequence[Scored]) -> dict[str, list[float | None]]:
    """Return each figure of a segmentation, a value a case."""
    if not scored[0].dice:
        return {}
    columns = {"mean Dice": [_mean(entry.dice.values()) for entry in scored]}
    for name in scored[0].dice:
        columns[f"Dice {name}"] = [entry.dice[name] for entry in scored]
    for name in scored[0].hausdorff95_mm:
        columns[f"HD95 {name} (mm)"] = [entry.hausdorff95_mm[name] for entry in scored]
    return columns


def _of_classes(scored: Sequence[Scored], seed: int | None) -> dict[str, Estimate]:
    names = list(scored[0].probabilities or {})
    chances = np.array([[(entry.probabilities or {})[name] for name in names] for entry in scored])
    truth = np.array([names.index(entry.truth or "") for entry in scored])
    patients = [entry.patient for entry in scored]
    statistic = _two_class_auc if len(names) == 2 else multiclass_auc
    right = (chances.argmax(1) == truth).astype(np.float64)
    return {
        "AUC": _estimate((chances, truth), patients, statistic, seed),
        "accuracy": _estimate((right,), patients, np.mean, seed),
    }


def _estimate(
    values: tuple[NDArray[Any], ...],
    patients: Sequence[str],
    statistic: Callable[..., float | None],
    seed: int | None,
) -> Estimate:
    if seed is None:
        value = statistic(*values)
        return Estimate(None if value is None else float(value), None, None, len(set(patients)))
    return bootstrap_interval(values, patients, statistic, seed=seed)


def _two_class_auc(chances: NDArray[np.float64], truth: NDArray[np.intp]) -> float | None:
    return auc(chances[:, 1], truth == 1)


def _mean(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
