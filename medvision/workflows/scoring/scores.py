"""What was found beside the truth, case by case, and the figures made of it; a training and an evaluation share it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medvision.evaluate import Estimate, auc, multiclass_auc
from medvision.pipeline import Settings
from medvision.report.wording import many
from medvision.results import MultiLabel, Regression
from medvision.study import Case
from medvision.workflows.cases.classify import Answer
from medvision.workflows.cases.targets import class_of, marks_of, values_of
from medvision.workflows.scoring.figures import (
    Ranking,
    Statistic,
    estimate,
    of_labels,
    of_values,
    rankings_of_labels,
    title_of,
)
from medvision.workflows.scoring.scored import Scored as Scored


def scored_answer(case: Case, answer: Answer, settings: Settings) -> Scored:
    """Return what was said of an image as a whole beside the truth that its case states.

    Raises
    ------
    InputError
        The case has no label or value of this pipeline.
    """
    names = [settings.labels[number] for number in sorted(settings.labels)]
    if isinstance(answer, Regression):
        truths = dict(zip(names, values_of(case, settings.labels), strict=True))
        values = {value.name: value.value for value in answer.values}
        units = {value.name: value.unit for value in answer.values}
        return Scored(case.id, case.patient_key, values=values, truths=truths, units=units)
    if isinstance(answer, MultiLabel):
        marks = dict(zip(names, marks_of(case, settings.labels), strict=True))
        return Scored(
            case.id, case.patient_key, probabilities=answer.probabilities, thresholds=answer.thresholds, marks=marks
        )
    truth = settings.labels[class_of(case, settings.labels)]
    return Scored(case.id, case.patient_key, probabilities=answer.probabilities, truth=truth)


def deciding(figures: Mapping[str, float], settings: Settings) -> float | None:
    """Return the one figure by which trainings are compared, the greater the better; None where it is not defined.

    Mean Dice; AUC, of several labels its mean over them; of a regression the mean absolute error in standard deviations
    of the training cases, averaged over the values and taken negative, so that -1 is far off and 0 perfect.
    """
    if settings.task != "regression":
        return figures.get("mean Dice" if settings.task == "segmentation" else "AUC")
    pairs = zip((settings.labels[number] for number in sorted(settings.labels)), settings.regression, strict=True)
    errors = [figures.get(title_of("MAE", name, each.unit), math.nan) / (each.sd or 1.0) for name, each in pairs]
    defined = [error for error in errors if not math.isnan(error)]
    return -float(np.mean(defined)) if defined else None


def estimates(scored: Sequence[Scored], *, seed: int | None) -> dict[str, Estimate]:
    """Return every figure by name, with its bootstrap interval over patients; without a seed, without intervals.

    For a segmentation: mean Dice over cases (each the mean over labels that are defined), then Dice and 95 % Hausdorff
    distance of each label. For a classification: AUC (one class against the rest, averaged, for more than two) and
    accuracy. For several labels at once: AUC, accuracy and F1 as means over labels, then of each label, over the cases
    of which it is known; see :func:`left_out`. For a regression, of each value: mean absolute error, root mean square
    error, bias and limits of agreement in its unit, and Pearson's correlation. What is undefined in every case is left
    out.
    """
    if scored[0].values:
        return of_values(scored, seed)
    if scored[0].marks:
        return of_labels(scored, seed)
    if scored[0].probabilities is not None:
        return _of_classes(scored, seed)
    columns = _columns(scored)
    found = {}
    for title, values in columns.items():
        defined = [(value, entry.patient) for value, entry in zip(values, scored, strict=True) if value is not None]
        if defined:
            numbers, patients = zip(*defined, strict=True)
            found[title] = estimate((np.array(numbers, dtype=np.float64),), patients, np.mean, seed)
    return found


def rankings(scored: Sequence[Scored]) -> dict[str, Ranking]:
    """Return each AUC of :func:`estimates` as a function, and what it is made of; nothing but for classes and labels.

    Returns
    -------
    By name, the function's columns, the places in `scored` of the cases that their rows are, and the function.
    """
    if scored[0].marks:
        return rankings_of_labels(scored)
    if scored[0].probabilities is None:
        return {}
    chances, truth = _classes(scored)
    return {"AUC": ((chances, truth), list(range(len(scored))), _auc_of(chances.shape[1]))}


def undefined(scored: Sequence[Scored]) -> dict[str, int]:
    """Return in how many cases each figure of a segmentation is not defined, where in any."""
    counts = {title: sum(value is None for value in values) for title, values in _columns(scored).items()}
    return {title: count for title, count in counts.items() if count}


def case_figures(scored: Sequence[Scored]) -> list[dict[str, float | None]]:
    """Return what can be told of each single case, by the names of :func:`estimates`.

    Dice and its like of a segmentation, absolute errors of a regression; nothing of what is only defined over cases.
    """
    if scored[0].values:
        return [
            {title_of("MAE", name, entry.units[name]): _error(entry, name) for name in entry.values} for entry in scored
        ]
    columns = _columns(scored)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)] or [{} for _ in scored]


def left_out(scored: Sequence[Scored]) -> tuple[str, ...]:
    """Return a sentence for each figure that no line tells: one that is not defined in any case, and why.

    The AUC of a label needs cases that have it and cases that do not; the Dice of a structure needs one that has it in
    the answer or in the truth, a distance one that has it in both.
    """
    told = [_without_case(title, len(scored)) for title, count in undefined(scored).items() if count == len(scored)]
    for name in scored[0].marks:
        known = [entry.marks[name] for entry in scored if entry.marks[name] is not None]
        if len(set(known)) < 2:
            stated = (
                f"present in {'all' if known and known[0] else 'none'} of {len(known)} cases" if known else "unknown"
            )
            told.append(f"No AUC of {name}: it is {stated}; the means are over the other labels")
    for name in scored[0].truths:
        if all(entry.truths[name] is None for entry in scored):
            told.append(f"No figure of {name}: its true value is known of no case")
    return tuple(told)


def counts(scored: Sequence[Scored]) -> dict[str, int]:
    """Return over how many cases each figure is, by name, where it is not over all of them."""
    found = {title: len(scored) - count for title, count in undefined(scored).items()}
    for name in scored[0].marks:
        known = sum(entry.marks[name] is not None for entry in scored)
        found |= {f"{title} {name}": known for title in ("AUC", "accuracy", "F1")}
    for name in scored[0].values:
        known = sum(entry.truths[name] is not None for entry in scored)
        alone = [replace(entry, values={name: entry.values[name]}) for entry in scored]
        found |= dict.fromkeys(of_values(alone, None), known)
    return {title: count for title, count in found.items() if count < len(scored)}


def sentences(
    figures: Mapping[str, Estimate],
    *,
    held_out: int,
    over: Mapping[str, int] | None = None,
    notes: Sequence[str] = (),
    counted: str = "n counts patients",
) -> tuple[str, ...]:
    """Return the figures as sentences for a card, and behind them what :func:`left_out` says.

    Parameters
    ----------
    figures
        By name.
    held_out
        How many cases were held out.
    over
        What :func:`counts` says of them.
    notes
        Further sentences.
    counted
        What :func:`counted_by` says of them.
    """
    told, fewer, cases = [], over or {}, many(held_out, "held-out case")
    for name, found in figures.items():
        count = fewer.get(name)
        told.append(f"{name} {found}; {cases if count is None else f'{count} of {cases}'}, {counted}")
    return (*told, *notes)


def counted_by(scored: Sequence[Scored]) -> str:
    """Return what the n of an interval counts: patients, or cases where the data name no patient."""
    named = sum(entry.names_patient for entry in scored)
    if not named:
        return "n counts cases (no patient is named)"
    if named < len(scored):
        return "n counts patients (a case that names none as one)"
    return "n counts patients"


def scores_csv(scored: Sequence[Scored]) -> str:
    """Return a table with a row a case."""
    first, measured = scored[0], _measured(scored)
    titles = [f"dice_{name}" for name in first.dice] + [f"hd95_mm_{name}" for name in measured]
    titles += [f"p_{name}" for name in first.probabilities or {}] + (["truth"] if first.truth is not None else [])
    titles += [f"truth_{name}" for name in first.marks]
    titles += [f"{kind}{name}" for kind in ("", "truth_") for name in first.values]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", *titles])
    for entry in scored:
        distances = [entry.hausdorff95_mm.get(name) for name in measured]
        numbers = [*entry.dice.values(), *distances, *(entry.probabilities or {}).values()]
        cells = ["" if number is None else f"{number:.6f}" for number in numbers]
        cells += [entry.truth] if entry.truth is not None else []
        cells += ["" if mark is None else str(int(mark)) for mark in entry.marks.values()]
        # Values have any size, so that a number of decimals would cut small ones off.
        values = [*entry.values.values(), *(entry.truths[name] for name in entry.values)]
        cells += ["" if value is None else f"{value:.10g}" for value in values]
        writer.writerow([entry.case, *cells])
    return text.getvalue()


def _columns(scored: Sequence[Scored]) -> dict[str, list[float | None]]:
    """Return each figure of a segmentation, a value a case."""
    if not scored[0].dice:
        return {}
    columns = {"mean Dice": [_mean(entry.dice.values()) for entry in scored]}
    for name in scored[0].dice:
        columns[f"Dice {name}"] = [entry.dice[name] for entry in scored]
    for name in _measured(scored):
        columns[f"HD95 {name} (mm)"] = [entry.hausdorff95_mm.get(name) for entry in scored]
    return columns


def _measured(scored: Sequence[Scored]) -> tuple[str, ...]:
    """Return the labels whose distances are told, if any case has a physical size."""
    return next((tuple(entry.hausdorff95_mm) for entry in scored if entry.hausdorff95_mm), ())


def _without_case(title: str, cases: int) -> str:
    where = "the answer, the truth or both" if title.startswith("HD95") else "the answer and the truth"
    return f"No {title}: in all of {cases} cases what it compares is absent from {where}"


def _error(entry: Scored, name: str) -> float | None:
    truth = entry.truths[name]
    return None if truth is None else abs(entry.values[name] - truth)


def _of_classes(scored: Sequence[Scored], seed: int | None) -> dict[str, Estimate]:
    chances, truth = _classes(scored)
    patients = [entry.patient for entry in scored]
    right = (chances.argmax(1) == truth).astype(np.float64)
    return {
        "AUC": estimate((chances, truth), patients, _auc_of(chances.shape[1]), seed),
        "accuracy": estimate((right,), patients, np.mean, seed),
    }


def _classes(scored: Sequence[Scored]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return (N, K) the probability of each class, and (N,) the number of the true one."""
    names = list(scored[0].probabilities or {})
    chances = np.array([[(entry.probabilities or {})[name] for name in names] for entry in scored])
    return chances, np.array([names.index(entry.truth or "") for entry in scored])


def _auc_of(classes: int) -> Statistic:
    return _two_class_auc if classes == 2 else multiclass_auc


def _two_class_auc(chances: NDArray[np.float64], truth: NDArray[np.intp]) -> float | None:
    return auc(chances[:, 1], truth == 1)


def _mean(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
