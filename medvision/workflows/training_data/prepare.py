"""Prepare cases for a training: read, check, take through the steps, and keep on disk what came of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from medvision import io
from medvision.errors import Finding, InputError
from medvision.files import sha256_of_text
from medvision.fingerprint import CaseFigures
from medvision.fingerprint import Target as FigureTarget
from medvision.frameworks import versions
from medvision.io.located import located
from medvision.pipeline import PipelineFolder, Settings
from medvision.progress import Progress, silent
from medvision.steps import apply_to_labels
from medvision.study import Case, Source
from medvision.training import Prepared, Sample, Store, StoredSample, at_hand
from medvision.volume import Volume
from medvision.workers import cores, in_processes
from medvision.workflows.cases.targets import stated_of, target_of
from medvision.workflows.training_data.cross_checks import target_digest
from medvision.workflows.training_data.fingerprint import measured
from medvision.workflows.training_data.network_input import as_network_input, flattened

_MOST_BYTES = 2 << 30  # of prepared cases that are held in memory; more stay on disk, and are read patch by patch
_FORMAT = "4"  # of the stored cases
_FEW_CORES, _FEW_CASES, _MOST_WORKERS = 4, 32, 8


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """A case as the network sees it, and what is known of it.

    Parameters
    ----------
    case
        The case.
    sample
        Its voxels and its target after the steps.
    digest
        The hash of the image's own voxels.
    grid_digest
        That of where they lie.
    target_digest
        That of what is to be learned of it, as stored.
    figures
        What was measured of it before the steps, for the fingerprint.
    findings
        What was noticed about it.
    """

    case: Case
    sample: Prepared
    digest: str
    grid_digest: str
    target_digest: str
    figures: CaseFigures
    findings: tuple[Finding, ...]


def prepare(
    cases: Sequence[Case],
    pipeline: PipelineFolder,
    store: Store,
    *,
    workers: int | None = 0,
    progress: Progress = silent,
) -> dict[str, PreparedCase]:
    """Return the prepared cases by id, in their order.

    What lies in `store`, made from the same files by the same steps and versions, is used again. Cases are in memory
    where all together are small, else they stay on disk.

    Parameters
    ----------
    workers
        Processes that prepare cases, each one at a time; 0: this one does; None: as :func:`usual_workers` says. What is
        prepared is the same, byte by byte.

    Raises
    ------
    InputError
        A case cannot be read, does not fit the pipeline, or lacks a label that the pipeline knows; the first such case
        is named, and what was prepared is kept in the store.
    WorkerError
        The process that worked on a case was lost, or ran out of memory.
    """
    count = usual_workers(len(cases), cores()) if workers is None else workers
    stored = []
    for found in _kept_by(count, cases, pipeline, store):
        stored.append(found)
        progress(len(stored), len(cases), "cases prepared")
    samples = at_hand(stored, most_bytes=_MOST_BYTES)
    return {
        case.id: PreparedCase(
            case,
            sample,
            kept.facts["digest"],
            kept.facts["grid"],
            kept.facts["target_digest"],
            _figures(kept, case),
            _findings(kept),
        )
        for case, sample, kept in zip(cases, samples, stored, strict=True)
    }


def usual_workers(cases: int, cores: int) -> int:
    """Return how many processes prepare so many cases: one for each core but one, and none where it is not worth it.

    A process takes a second to start, and holds a case several times in memory.

    >>> usual_workers(31, 16), usual_workers(200, 3), usual_workers(200, 4), usual_workers(200, 64)
    (0, 0, 3, 8)
    """
    return 0 if cores < _FEW_CORES or cases < _FEW_CASES else min(cores - 1, _MOST_WORKERS)


def _kept_by(count: int, cases: Sequence[Case], pipeline: PipelineFolder, store: Store) -> Iterator[StoredSample]:
    keep = partial(_kept, pipeline=pipeline, store=store)
    if not count:
        yield from map(keep, cases)
        return
    with contextlib.closing(in_processes(keep, cases, count, named=lambda case: f"case {case.id}")) as done:
        for each in done:
            yield each.result()


def _kept(case: Case, pipeline: PipelineFolder, store: Store) -> StoredSample:
    """Return the stored case, as it was found or is made now."""
    return store.get_or_put(_key(case, pipeline), partial(_made, case, pipeline))


def _key(case: Case, pipeline: PipelineFolder) -> str:
    """Return the hash of everything that the prepared case depends on."""
    settings = pipeline.settings
    meaning = {key: value for key, value in settings.meaning().items() if key != "network"}
    parts = [_FORMAT, case.id, case.digest(), case.label_digest(), json.dumps(meaning, sort_keys=True)]
    return sha256_of_text([*parts, repr(settings.contract), json.dumps(dict(versions()), sort_keys=True)])


def _made(case: Case, pipeline: PipelineFolder) -> tuple[Sample, Mapping[str, str]]:
    volume = io.read_volume(case)
    noticed = [*volume.findings, *pipeline.settings.contract.check(volume, case), *_assumed(case, pipeline)]
    findings = [entry.unplaced().to_json() for entry in noticed]
    with located(case.path):  # what refuses a label does not know whose it is
        sample, target = _sample(case, volume, pipeline.settings)
    facts = {
        "digest": volume.digest(),
        "grid": volume.geometry.digest(),
        "target_digest": target_digest(target),
        "findings": json.dumps(findings),
    }
    return sample, {**facts, "figures": measured(case, volume, target).to_text()}


def _figures(stored: StoredSample, case: Case) -> CaseFigures:
    return CaseFigures.from_text(stored.facts["figures"], patient=case.patient)


def _findings(stored: StoredSample) -> tuple[Finding, ...]:
    return tuple(map(Finding.from_json, json.loads(stored.facts["findings"])))


def _assumed(case: Case, pipeline: PipelineFolder) -> list[Finding]:
    """Return what is taken for granted about a case: the side it looks like, where none is stated."""
    if pipeline.settings.contract.side is None or case.side is not None:
        return []
    message = f"no side is stated: taken to look like a {pipeline.settings.contract.side} one"
    return [Finding("side-assumed", "note", message)]


def _sample(case: Case, volume: Volume, settings: Settings) -> tuple[Sample, FigureTarget]:
    """Return a case and its labels as the network sees them, and its target as stored."""
    seen = as_network_input(case, volume, settings)
    if settings.task != "segmentation":
        return Sample(case.id, seen.image, target_of(case, settings)), stated_of(case, settings.task, settings.labels)
    if not isinstance(case.label, Source):
        raise InputError("label-missing", f"case {case.id} has no label image", path=case.path)
    stored = io.read_labels(case, settings.labels, volume.geometry)
    moved = apply_to_labels(settings.steps, replace(stored, geometry=seen.before), seen.after)
    return Sample(case.id, seen.image, flattened(moved.voxels, settings)), stored
