"""Write the pages: one a case, one for the cohort, and its table. All of it comes from the records."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from medvision import io
from medvision.batch import Entry, Ledger
from medvision.errors import Finding, InputError, MedvisionError, OutputError, PipelineError
from medvision.files import write_text
from medvision.frameworks import versions
from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, silent
from medvision.report import CohortRow, PipelineFacts, render_case, render_cohort, results_csv
from medvision.results import Record, Saliency, map_names
from medvision.study import Case, Source
from medvision.volume import Labels, Volume

PAGE = "report.html"
"""The name of a case's page in its folder."""


@dataclass(frozen=True)
class Pages:
    """What a report wrote.

    Parameters
    ----------
    written
        How many cases got their page anew.
    problems
        Cases whose page could not be written, with the reason: their old page stands.
    """

    written: int
    problems: tuple[Finding, ...]


def report(out: Path, pipeline: PipelineFolder, *, progress: Progress = silent) -> Pages:
    """Write all pages of an output folder anew from its records, masks and maps.

    Nothing is predicted again. The inputs are read where the run found them; a case whose input or result is no
    longer what the run saw or wrote is a problem, and the others are written.

    Raises
    ------
    InputError
        No run has been there.
    PipelineError
        Every result was made by another pipeline; nothing is written.
    """
    require_results(out)
    problems = []
    with Ledger(out) as ledger, ledger.run(f"medvision report {out}", versions()):
        done = [entry for entry in ledger.entries().values() if entry.state == "done"]
        for number, entry in enumerate(done):
            progress(number, len(done), entry.id)
            try:
                ledger.enter(_rewritten(entry, ledger, pipeline))
            except OutputError:
                raise
            except MedvisionError as error:
                problems.append(error.finding)
        if problems and len(problems) == len(done) and {one.code for one in problems} == {"weights-mismatch"}:
            cure = "Name the pipeline that made them."
            raise PipelineError("weights-mismatch", "all results were made by another pipeline", path=out, cure=cure)
        write_cohort(ledger, pipeline)
        progress(len(done), len(done), "pages")
    return Pages(len(done) - len(problems), tuple(problems))


def require_results(out: Path) -> None:
    """Raise InputError where no run has left its ledger."""
    if not (out / "ledger.sqlite").is_file():
        cure = "Give the folder that --out named in `medvision run`."
        raise InputError("not-found", "no results of a run lie here", path=out, cure=cure)


def verified_record(entry: Entry, ledger: Ledger, pipeline: PipelineFolder) -> Record:
    """Return the record of a case that is done, once its files and its weights have been compared.

    Raises
    ------
    InputError
        A file of the result, other than its page, is not as it was written; the result was made by other weights.
    """
    folder = ledger.folder / "cases" / entry.id
    if not ledger.holds(entry, but=PAGE):
        raise InputError("input-changed", "the result is not as it was written", path=folder, cure="Run again.")
    record = read_record(folder)
    if record.manifest.weights_sha256 != pipeline.require_weights().sha256:
        message = f"the result was made by other weights ({record.manifest.pipeline})"
        raise InputError("weights-mismatch", message, path=folder, cure="Name that pipeline, or run this one.")
    return record


def write_case_page(
    path: Path,
    record: Record,
    volume: Volume,
    *,
    labels: Labels | None,
    saliency: Sequence[Saliency],
    pipeline: PipelineFolder,
) -> None:
    """Write the page of one case."""
    facts = pipeline_facts(pipeline, notice=record.notice)
    write_text(path, render_case(record, volume, labels=labels, saliency=saliency, pipeline=facts))


def write_cohort(ledger: Ledger, pipeline: PipelineFolder, *, verified: Container[str] = ()) -> None:
    """Write ``results.csv`` and ``index.html`` for everything that the ledger holds.

    The files of cases are compared with the ledger, but for those whose ids are `verified`: they were already.
    """
    entries = ledger.entries().values()
    rows = [_row(entry, ledger, verified) for entry in entries if entry.state != "skipped"]
    left_out = [entry.problem for entry in entries if entry.state == "skipped" and entry.problem]
    notices = {row.record.notice for row in rows if row.record}
    write_text(ledger.folder / "results.csv", results_csv(rows))
    page = render_cohort(
        rows,
        title=f"{pipeline.settings.name}: {len(rows)} cases",
        pipeline=pipeline_facts(pipeline, notice=notices.pop() if len(notices) == 1 else None),
        command=f"medvision run {pipeline.settings.name} INPUT --out OUT",
        left_out=left_out,
    )
    write_text(ledger.folder / "index.html", page)


def pipeline_facts(pipeline: PipelineFolder, *, notice: str | None = None) -> PipelineFacts:
    """Return what the pages say of a pipeline."""
    settings = pipeline.settings
    return PipelineFacts(
        name=settings.name,
        version=settings.version,
        description=settings.description,
        intended_use=settings.card.intended_use,
        training_data=settings.card.training_data,
        licence=settings.card.licence,
        limits=settings.card.limits,
        results=pipeline.weights.results if pipeline.weights else (),
        notice=notice,
    )


def read_record(folder: Path) -> Record:
    """Return the record in a case's folder; InputError where there is none that can be used."""
    path = folder / "record.json"
    try:
        return Record.from_json(json.loads(path.read_text(encoding="utf-8")), path=path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("bad-header", "this is no record that can be read", path=path) from error


def _rewritten(entry: Entry, ledger: Ledger, pipeline: PipelineFolder) -> Entry:
    folder = ledger.folder / "cases" / entry.id
    record = verified_record(entry, ledger, pipeline)
    case = Case(entry.id, entry.images)
    volume = io.read_volume(case)
    if case.images_digest() != record.manifest.input_sha256:
        raise InputError("input-changed", "the input is no longer the one of the result", path=case.path)
    page = folder / PAGE
    write_case_page(
        page,
        record,
        volume,
        labels=_labels(record, folder, pipeline),
        saliency=_maps(record, folder),
        pipeline=pipeline,
    )
    return replace(entry, files={**(entry.files or {}), **ledger.hashes([page])})


def _labels(record: Record, folder: Path, pipeline: PipelineFolder) -> Labels | None:
    if "mask" not in record.files:
        return None
    return io.read_labels(_written(folder / record.files["mask"]), dict(pipeline.settings.labels), record.geometry)


def _maps(record: Record, folder: Path) -> list[Saliency]:
    names = map_names([content["method"] for content in record.saliency])
    return [_map(content, record, folder / record.files[n]) for n, content in zip(names, record.saliency, strict=True)]


def _map(content: Mapping[str, Any], record: Record, file: Path) -> Saliency:
    values = io.read_volume(_written(file)).voxels[0]
    return Saliency(
        np.asarray(values, dtype=np.float32),
        record.geometry,
        content["method"],
        content["target"],
        content["unit"],
        content["parameters"],
    )


def _written(path: Path) -> Case:
    """Return a file that a run wrote as a case that can be read, as its image and as its label."""
    source = Source("nifti", (path,))
    return Case("result", (source,), label=source)


def _row(entry: Entry, ledger: Ledger, verified: Container[str]) -> CohortRow:
    if entry.state == "refused" or entry.state == "failed":
        return CohortRow(entry.id, entry.state, reason=entry.problem)
    place = ledger.folder / "cases" / entry.id
    if entry.id not in verified and not ledger.holds(entry, but=PAGE):
        reason = Finding("input-changed", "error", "the result is not as it was written", place, "Run again.")
        return CohortRow(entry.id, "failed", reason=reason)
    return CohortRow(entry.id, "done", f"cases/{entry.id}/{PAGE}", read_record(place))
