"""What the page of a cross-validation shows: folds, cases and figures, as they were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medvision.errors import Finding
from medvision.evaluate import Estimate
from medvision.pipeline import Settings
from medvision.report import CaseFigures, CrossvalidationValues, Figure, FoldFacts
from medvision.workflows.fitting.fold_figures import MEAN, fold_estimates
from medvision.workflows.scoring.scores import Scored, case_figures, estimates, rankings
from medvision.workflows.training_folder.outcome import Trained


def page_values(
    settings: Settings,
    trained: Sequence[Trained],
    results: tuple[str, ...],
    findings: tuple[Finding, ...],
    *,
    minutes: float | None,
) -> CrossvalidationValues:
    """Return what the page shows of folds that are all done.

    Parameters
    ----------
    settings
        Those of the pipeline.
    trained
        The training of each fold.
    results
        Sentences with intervals.
    findings
        What was noticed in any training.
    minutes
        The time that was given; None for none.
    """
    seed = settings.train.seed
    folds = tuple(
        FoldFacts(
            number,
            "done",
            len(one.result.train),
            len(one.result.val),
            one.epochs,
            one.seconds,
            _figures({_as_mean(one.scored, name): each for name, each in estimates(one.scored, seed=seed).items()}),
        )
        for number, one in enumerate(trained, 1)
    )
    cases = tuple(
        CaseFigures(entry.case, number, values)
        for number, one in enumerate(trained, 1)
        for entry, values in zip(one.scored, case_figures(one.scored), strict=True)
    )
    train = settings.train
    return CrossvalidationValues(
        name=settings.name,
        description=settings.description,
        folds=folds,
        cases=cases,
        figures=_figures(fold_estimates([one.scored for one in trained], seed=seed)),
        settings=(("network", settings.network.use), ("batch", str(train.batch)), ("seed", str(train.seed))),
        data=(("Cases", f"{len(cases)}, each held out once"), ("Modality", settings.contract.modality or "any")),
        outcome=(
            ("This folder", "one network, trained on all cases; its figures are those of the folds"),
            ("ensemble", f"the {len(trained)} networks of the folds as one; it has seen every case"),
            ("folds", "the training of each fold, with its own page"),
        ),
        results=results,
        findings=findings,
        seconds_used=sum(one.seconds for one in trained),
        seconds_budget=None if minutes is None else 60 * minutes,
    )


def _as_mean(scored: Sequence[Scored], name: str) -> str:
    """Return the name that a fold's figure stands under beside those of all folds: a ranking is a part of its mean."""
    return name + MEAN if name in rankings(scored) else name


def _figures(found: Mapping[str, Estimate]) -> dict[str, Figure]:
    return {name: Figure(each.value, each.low, each.high) for name, each in found.items()}
