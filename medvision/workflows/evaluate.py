"""Compare the results of a run with the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvision import io
from medvision.batch import Ledger
from medvision.errors import Finding, InputError, MedvisionError, UsageError
from medvision.evaluate import Estimate, dice, hausdorff95
from medvision.files import write_json, write_text
from medvision.frameworks import versions
from medvision.pipeline import SEEN, PipelineFolder
from medvision.progress import Progress, silent
from medvision.results import Record
from medvision.study import AS_IT_STANDS, Case, Collection, Reading, Source
from medvision.workflows.report import require_results, verified_record
from medvision.workflows.scoring.scores import Scored, estimates, left_out, scored_answer, scores_csv, undefined
from medvision.workflows.starting.seen import Seen, evaluation_note
from medvision.workflows.training_data.label_names import named_otherwise

_NAMED = 3  # names that a message shows of many


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
        figure with many of them is too good.
    problems
        Cases that could not be compared, with the reason; among them those that cannot be read.
    manifest
        What was compared: pipeline, weights, split, seed and versions.
    notes
        Which labels or values have no figure, or not all, and why, and whether the weights have seen the images; a
        sentence each.
    seen
        How many of the images the weights have seen, by how (``trained``, ``chosen``, ``unlabelled``); None where that
        is not known.
    """

    estimates: dict[str, Estimate]
    cases: int
    undefined: dict[str, int]
    problems: tuple[Finding, ...]
    manifest: dict[str, Any]
    notes: tuple[str, ...] = ()
    seen: dict[str, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as JSON values."""
        return {
            "schema": "medvision.evaluation/1",
            "cases": self.cases,
            "estimates": {name: estimate.to_json() for name, estimate in self.estimates.items()},
            "undefined": self.undefined,
            "notes": list(self.notes),
            "seen": self.seen,
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
        No run has been in `out`; or no case could be compared: no label is stated, no labelled case has the name of a
        result, or each has another reason, of which the most frequent is told.
    UsageError
        No labelled case is of that split.
    """
    require_results(out)
    scored: list[Scored] = []
    left: list[Finding] = []
    digests: list[str] = []
    sha256 = pipeline.require_weights().sha256
    seen = Seen.read(pipeline.folder / SEEN, weights_sha256=sha256)
    with Ledger(out) as ledger, ledger.run(f"medvision evaluate {out}", versions()):
        found = io.scan(data, _reading_of(ledger))
        wanted = _labelled(found, data, split)
        _require_common_name(wanted, ledger)
        for number, case in enumerate(wanted):
            progress(number, len(wanted), case.id)
            try:
                compared = _compared(case, ledger, pipeline)
                digests += [io.read_volume(case).digest()] if seen is not None else []
                scored.append(compared)
            except MedvisionError as error:
                left.append(error.finding)
    if not scored:
        raise _none_compared(left, out)
    manifest = {
        "pipeline": pipeline.name,
        "weights_sha256": sha256,
        "split": split,
        "seed": seed,
        "versions": dict(versions()),
    }
    result = Evaluation(
        estimates(scored, seed=seed),
        len(scored),
        undefined(scored),
        (*found.rejected, *left),
        manifest,
        (*left_out(scored), *_other_names(wanted, pipeline), evaluation_note(seen, digests)),
        None if seen is None or not seen.complete else seen.among(digests),
    )
    write_text(out / "evaluation.csv", scores_csv(scored))
    write_json(out / "evaluation.json", result.to_json())
    progress(len(wanted), len(wanted), "done")
    return result


def _labelled(found: Collection, data: Sequence[Path], split: str | None) -> list[Case]:
    """Return the cases of the split that have a label.

    Raises
    ------
    InputError
        None has one.
    UsageError
        None of them is of the split.
    """
    labelled = [case for case in found.cases if case.label is not None]
    if not labelled:
        refused = found.rejected[0] if found.rejected else None
        if refused is not None and not found.cases:
            text = f"no case can be read from the data; the first reason of {len(found.rejected)}: {refused.message}"
            raise InputError(refused.code, text, path=refused.path, cure=refused.cure)
        cure = "Give what states labels: a list with the column `label`, a dataset.json, or an .npz; a folder does not."
        raise InputError("label-missing", f"none of {len(found.cases)} cases has a label", path=data[0], cure=cure)
    wanted = [case for case in labelled if split in (None, case.split)]
    if not wanted:
        known = ", ".join(sorted({case.split or "none" for case in labelled}))
        raise UsageError("usage", f"no labelled case is of the split {split!r}; there are {known}")
    return wanted


def _require_common_name(wanted: Sequence[Case], ledger: Ledger) -> None:
    """Raise InputError where results and labelled cases have no name in common."""
    results = [entry.id for entry in ledger.entries().values() if "/" not in entry.id]  # else it is a path
    names = [case.id for case in wanted]
    if set(results).isdisjoint(names):
        text = f"no result has the name of a labelled case: results are {_few(results)}, labelled cases {_few(names)}"
        raise InputError("case-unmatched", text, path=ledger.folder)


def _few(names: Sequence[str]) -> str:
    """Return the first names, and how many there are.

    >>> _few(["a", "b", "c", "d", "e"]), _few([])
    ('a, b, c, ... (5)', 'none')
    """
    more = [f"... ({len(names)})"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more]) or "none"


def _none_compared(left: Sequence[Finding], out: Path) -> InputError:
    """Return the most frequent reason why cases could not be compared, with its cure."""
    counts = Counter(finding.code for finding in left)
    code, count = counts.most_common(1)[0]
    first = next(finding for finding in left if finding.code == code)
    others = f"; others: {', '.join(sorted(set(counts) - {code}))}" if len(counts) > 1 else ""
    text = f"none of {len(left)} labelled cases could be compared; {count} times as here: {first.message}{others}"
    return InputError(code, text, path=first.path or out, cure=first.cure)


def _other_names(cases: Sequence[Case], pipeline: PipelineFolder) -> tuple[str, ...]:
    """Return a sentence where the data set calls labels otherwise: whether the same is meant, a person must say."""
    ours = pipeline.settings.labels
    told = ", ".join(f"{number} {name!r} ({ours[number]!r} here)" for number, name in named_otherwise(cases, ours))
    return (f"Labels were compared by number; the data set calls {told}",) if told else ()


def _reading_of(ledger: Ledger) -> Reading:
    """Return how the run read its images; where that differs, images as they stand can be compared."""
    done = [entry for entry in ledger.entries().values() if entry.state == "done"]
    readings = {image.reading for entry in done for image in entry.images}
    return readings.pop() if len(readings) == 1 else AS_IT_STANDS


def _compared(case: Case, ledger: Ledger, pipeline: PipelineFolder) -> Scored:
    entry = ledger.entries(case.id).get(case.id)
    if entry is None:
        text = f"case {case.id} has no result: the run did not see it"
        raise InputError("case-unmatched", text, path=case.path)
    if entry.state != "done":
        problem = entry.problem or Finding("internal", "error", "it failed")
        text = f"case {case.id} has no result: {problem.message}"
        raise InputError(problem.code, text, path=case.path, cure=problem.cure)
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
