"""The page of a cross-validation: each fold, every case while it was held out, and the figures over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from medvision.errors import Finding, UsageError
from medvision.report.charts import fold_plot
from medvision.report.facts import CaseFigures, Figure, FoldFacts
from medvision.report.pages import render
from medvision.report.wording import figure

_LOWEST = 10


@dataclass(frozen=True)
class CrossvalidationValues:
    """What the page of a cross-validation shows; every text as it stands.

    Parameters
    ----------
    name, description
        Of the pipeline.
    folds
        All of them, done or not.
    cases
        Every case of the folds that are done, as it was held out.
    figures
        Over all held-out cases, by name; the first is the one that matters most. Names of `cases` come back here.
    settings, data
        Names and values.
    outcome
        What was left, as names and sentences: the ensemble, the single model, and why.
    results
        Sentences with intervals.
    findings
        What was noticed.
    seconds_used, seconds_budget
        Of all folds; None where not measured, or for no budget.

    Raises
    ------
    UsageError
        A case names a fold that is not there.
    """

    name: str
    description: str
    folds: tuple[FoldFacts, ...]
    cases: tuple[CaseFigures, ...]
    figures: Mapping[str, Figure]
    settings: tuple[tuple[str, str], ...] = ()
    data: tuple[tuple[str, str], ...] = ()
    outcome: tuple[tuple[str, str], ...] = ()
    results: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    seconds_used: float | None = None
    seconds_budget: float | None = None

    def __post_init__(self) -> None:
        odd = {case.fold for case in self.cases} - {fold.number for fold in self.folds}
        if odd:
            raise UsageError("usage", f"cases name {len(odd)} folds that are none of the cross-validation")


def crossvalidation_page(values: CrossvalidationValues) -> str:
    """Return the page of a cross-validation: one HTML file without scripts or outside resources."""
    measured = [values.figures, *(fold.figures for fold in values.folds)]
    names = list(dict.fromkeys(name for figures in measured for name in figures))
    names = names or list(dict.fromkeys(name for case in values.cases for name in case.values))
    plots = [fold_plot(name, values.folds, values.cases, values.figures) for name in names]
    return render(
        "crossvalidation.html",
        {
            "values": values,
            "done": sum(fold.state == "done" for fold in values.folds),
            "names": names,
            "plots": [plot for plot in plots if plot is not None],
            "lowest": _lowest(values, names),
            "findings": sorted(values.findings, key=lambda one: ("error", "warning", "note").index(one.grade)),
        },
    )


@dataclass(frozen=True)
class _Lowest:
    """The cases with the lowest values of the first figure; `names` are the columns of `rows`."""

    names: list[str]
    rows: list[tuple[CaseFigures, list[str]]]


def _lowest(values: CrossvalidationValues, names: list[str]) -> _Lowest | None:
    shown = [name for name in names if any(case.values.get(name) is not None for case in values.cases)]
    if not shown:
        return None
    known = [(value, case) for case in values.cases if (value := case.values.get(shown[0])) is not None]
    known.sort(key=lambda pair: (pair[0], pair[1].case))
    rows = [(case, [figure(case.values.get(name)) for name in shown]) for _, case in known[:_LOWEST]]
    return _Lowest(shown, rows)
