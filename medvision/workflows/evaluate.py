"""Compare the results of a run with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvision import io
from medvision.batch import Ledger
from medvision.errors import Finding, InputError, MedvisionError
from medvision.evaluate import Estimate, dice, hausdorff95
from medvision.files import write_json, write_text
from medvision.frameworks import versions
from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, silent
from medvision.results import Record
from medvision.study import AS_IT_STANDS, Case, Reading, Source
from medvision.workflows.report import require_results, verified_record
from medvision.workflows.scoring.scores import Scored, estimates, left_out, scored_answer, scores_csv, undefined


@dataclass(frozen=True)
class Evaluation:
    """How good the results of a run are.

    Parameters
    ----------
    estimates
        Every figure with its interval over patients.
    cases
        How many cases were compared.
    undefined
        In how many cases a figure is not defined and left out, e.g. the distance to a structure that was missed; a
        figure with many of them flatters.
    problems
        Cases that could not be compared, with the reason; among them those that cannot be read.
    manifest
        What was compared: pipeline, weights, split, seed and versions.
    notes
        Which labels or values have no figure, or not all, and why; a sentence each.
    """

    estimates: dict[str, Estimate]
    cases: int
    undefined: dict[str, int]
    problems: tuple[Finding, ...]
    manifest: dict[str, Any]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as JSON values."""
        return {
            "schema": "medvision.evaluation/1",
            "cases": self.cases,
            "estimates": {name: estimate.to_json() for name, estimate in self.estimates.items()},
            "undefined": self.undefined,
            "notes": list(self.notes),
            "manifest": self.manifest,
            "problems": [problem.unplaced().to_json() for problem in self.problems],
        }


def evaluate(
    out: Path,
    pipeline: PipelineFolder,
    data: Sequence[Path],
    *,
    split: str | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Evaluation:
    """Compare what a run left in `out` with the labels in `data`, case by case, by the cases' ids.

    Writes ``evaluation.csv`` (a row a case) and ``evaluation.json`` (every figure with its interval) to `out`.

    Parameters
    ----------
    out
        The output folder of a run of `pipeline`.
    data
        The labelled data set; see :func:`medvision.io.scan`.
    split
        Only the cases of this split.
    seed
        Of the bootstrap.

    Raises
    ------
    InputError
        No run has been in `out`, or no case could be compared.
    """
    require_results(out)
    scored: list[Scored] = []
    with Ledger(out) as ledger, ledger.run(f"medvision evaluate {out}", versions()):
        found = io.scan(data, _reading_of(ledger))
        wanted = [case for case in found.cases if case.label is not None and split in (None, case.split)]
        problems = list(found.rejected)
        for number, case in enumerate(wanted):
            progress(number, len(wanted), case.id)
            try:
                scored.append(_compared(case, ledger, pipeline))
            except MedvisionError as error:
                problems.append(error.finding)
    if not scored:
        raise InputError("label-missing", f"none of {len(wanted)} labelled cases has a result to compare", path=out)
    manifest = {
        "pipeline": pipeline.name,
        "weights_sha256": pipeline.require_weights().sha256,
        "split": split,
        "seed": seed,
        "versions": dict(versions()),
    }
    result = Evaluation(
        estimates(scored, seed=seed), len(scored), undefined(scored), tuple(problems), manifest, left_out(scored)
    )
    write_text(out / "evaluation.csv", scores_csv(scored))
    write_json(out / "evaluation.json", result.to_json())
    progress(len(wanted), len(wanted), "done")
    return result


def _reading_of(ledger: Ledger) -> Reading:
    """Return how the run read its images; where that differs, images as they stand can be compared."""
    done = [entry for entry in ledger.entries().values() if entry.state == "done"]
    readings = {image.reading for entry in done for image in entry.images}
    return readings.pop() if len(readings) == 1 else AS_IT_STANDS


def _compared(case: Case, ledger: Ledger, pipeline: PipelineFolder) -> Scored:
    entry = ledger.entries(case.id).get(case.id)
    if entry is None or entry.state != "done":
        reason = entry.problem.message if entry and entry.problem else "the run did not see it"
        raise InputError("no-image", f"case {case.id} has no result: {reason}", path=case.path)
    record = verified_record(entry, ledger, pipeline)
    if record.manifest.input_sha256 != case.images_digest():
        text = f"the result of case {case.id} belongs to another image, or another reading of it"
        raise InputError("input-changed", text, path=case.path)
    answer = record.answer
    if answer is not None:
        return scored_answer(case, answer, pipeline.settings)
    return _compared_masks(case, record, ledger.folder / "cases" / case.id, dict(pipeline.settings.labels))


def _compared_masks(case: Case, record: Record, folder: Path, labels: dict[int, str]) -> Scored:
    mask = Source("nifti", (folder / record.files["mask"],))
    found = io.read_labels(Case(case.id, case.images, label=mask), labels, record.geometry)
    truth = io.read_labels(case, labels, record.geometry)
    distances = hausdorff95(found, truth) if record.geometry.physical else {}
    return Scored(case.id, case.patient_key, dice=dice(found, truth), hausdorff95_mm=distances)
