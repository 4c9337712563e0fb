"""Plan a training: measure labelled data, and write the pipeline that the rules give for them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from medvision import io
from medvision.answers import Task
from medvision.errors import Finding, UsageError
from medvision.files import write_text
from medvision.fingerprint import CaseFigures, Fingerprint, Target, doubts, summarise
from medvision.pipeline import FINGERPRINT, NAME
from medvision.planning import MEMORY_GB, Plan, Request, pipeline_toml
from medvision.planning import plan as planned
from medvision.planning.training import FEW_PATIENTS
from medvision.progress import Progress, silent
from medvision.report.wording import many
from medvision.study import Case
from medvision.training import Split
from medvision.volume import UNNAMED, Volume
from medvision.workflows.cases.targets import stated_of
from medvision.workflows.training_data.cross_checks import CaseHashes, cross_check, target_digest
from medvision.workflows.training_data.fingerprint import measured
from medvision.workflows.training_data.label_doubts import empty_label
from medvision.workflows.training_data.labelled import labelled_cases
from medvision.workflows.training_data.noticed import cases_of, counted
from medvision.workflows.training_data.taught import names_of, numbers_of, task_of

IMBALANCED = 10.0
"""Cases of the most frequent class for each of the rarest, above which it is told."""

TASKS: tuple[Task, ...] = get_args(Task)
"""The tasks by their names in a ``pipeline.toml``."""

_HEAD = (
    "Planned by `medvision plan`: the words above a setting say why it is so. Change what you know better, before the\n"
    "training. What is not said here has its default: see docs/reference/pipeline-toml.md."
)


@dataclass(frozen=True)
class PlanResult:
    """What a plan came to.

    Parameters
    ----------
    folder
        The new pipeline folder; None where nothing was written.
    plan
        The settings, and each decision with its reason.
    fingerprint
        What the data are like.
    findings
        What was noticed about the data.
    named
        The ids of the cases that findings are about, by code; see
        :class:`medvision.workflows.training_data.noticed.Noticed`.
    left_out
        How many cases were not looked at, because the data set keeps them for a test.
    held_out
        How many cases were read, and not measured for the fingerprint, because the data set keeps them for validation.
    """

    folder: Path | None
    plan: Plan
    fingerprint: Fingerprint
    findings: tuple[Finding, ...]
    named: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    left_out: int = 0
    held_out: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "schema": "medvision.plan/1",
            "folder": None if self.folder is None else str(self.folder),
            "findings": [finding.unplaced().to_json() for finding in self.findings],
            "named": {code: list(ids) for code, ids in self.named.items()},
            "left_out": self.left_out,
            "held_out": self.held_out,
            **self.plan.to_json(),
            "fingerprint": self.fingerprint.to_json(),
        }


def plan(
    data: Sequence[Path],
    out: Path,
    *,
    task: str | None = None,
    name: str | None = None,
    memory_gb: float = MEMORY_GB,
    dry_run: bool = False,
    progress: Progress = silent,
) -> PlanResult:
    """Measure labelled data, choose all settings by written rules, and leave a pipeline folder that `train` takes.

    Parameters
    ----------
    data
        Data sets with labels; see :func:`medvision.io.scan`. Cases of a split ``"test"`` are not looked at; those of a
        split ``"val"`` are read, so that what cannot be used is told now, and have no say in any setting. Where the
        data set fixes no split, nobody is held out yet, and all cases are measured: a training measures its own side
        again for the ``fingerprint.json`` that it leaves.
    out
        The new pipeline folder: ``pipeline.toml`` and ``fingerprint.json``.
    task
        ``"segmentation"``, ``"classification"``, ``"multilabel"`` or ``"regression"``; None tells it by the labels.
    name
        The pipeline's name; None takes that of the folder.
    memory_gb
        Memory of the device that will train, in 10^9 bytes: patch and batch are sized for it.
    dry_run
        Whether nothing is written.
    progress
        Told of every case that is measured.

    Raises
    ------
    InputError
        A case cannot be read, or lacks a label that fits the task.
    PipelineError
        No pipeline can be made of these data.
    UsageError
        There is no such task, or no memory; the name is none; `out` holds a pipeline already.
    OutputError
        `out` cannot be written.
    """
    _check(out, task, name, memory_gb, dry_run=dry_run)
    every = labelled_cases(data)
    cases = [case for case in every if case.split != "test"]
    left_out = len(every) - len(cases)
    kind = next((known for known in TASKS if known == task), None) or task_of(cases)
    names = names_of(cases, kind)
    figures, noticed, hashes = list[CaseFigures](), list[tuple[str, Finding]](), list[CaseHashes]()
    for number, case in enumerate(cases):
        volume = io.read_volume(case)
        target = _target_of(case, kind, names, volume)
        figures.append(measured(case, volume, target))
        hashes.append(CaseHashes(case.id, volume.digest(), target_digest(target), figures[-1].modality))
        noticed.extend((case.id, finding) for finding in (*volume.findings, *empty_label(figures[-1])))
        progress(number + 1, len(cases), "cases measured")
    known = {n: names.get(n, f"label {n}") for n in numbers_of(figures, names, kind, path=data[0])}
    learned = [entry for entry, case in zip(figures, cases, strict=True) if case.split != "val"]
    fingerprint = summarise(learned, task=kind, names=known, channels=_channels(figures))
    sides = {case.side for case in cases}
    request = Request(
        name=name if name is not None else _name_of(out),
        named=name is not None,
        unnamed=not any(case.label_names for case in cases),
        memory_gb=memory_gb,
        sides=sides == {"left", "right"},
        fixed_split=any(case.split == "val" for case in cases),
    )
    found = planned(fingerprint, request)
    beside, named = cross_check(_stated_split(cases), hashes, any_modality=True)
    findings = (*beside, *counted(noticed), *doubts(figures), *_doubts_of(fingerprint))
    named = {**named, **cases_of(noticed)}
    held_out = len(figures) - len(learned)
    if not dry_run:
        fingerprint.save(out / FINGERPRINT)
        write_text(out / "pipeline.toml", pipeline_toml(found.settings, found.decisions, head=_HEAD))
    return PlanResult(None if dry_run else out, found, fingerprint, findings, named, left_out, held_out)


def _check(out: Path, task: str | None, name: str | None, memory_gb: float, *, dry_run: bool) -> None:
    if task is not None and task not in TASKS:
        raise UsageError("usage", f"a task is one of {', '.join(TASKS)}, got {task!r}")
    if name is not None and re.fullmatch(NAME, name) is None:
        text = f"the name of a pipeline has lower-case letters, digits and hyphens alone, got {name!r}"
        raise UsageError("usage", text, cure="Give another --name; without it, the name is made of the folder's.")
    if not 0 < memory_gb < float("inf"):
        raise UsageError("usage", f"memory is a number above 0, in GB, got {memory_gb:g}")
    path = out / "pipeline.toml"
    if not dry_run and path.exists():
        raise UsageError("output-exists", "there is a pipeline already", path=path, cure="Choose another --out.")


def _target_of(case: Case, task: Task, names: Mapping[int, str], volume: Volume) -> Target:
    """Return what is to be learned of a case, as a fingerprint takes it."""
    if task == "segmentation":
        return io.read_labels(case, names or UNNAMED, volume.geometry)
    return stated_of(case, task, names)


def _stated_split(cases: Sequence[Case]) -> Split:
    """Return the sides that the data set fixes; where it fixes none, all cases are to train on."""
    return Split(
        tuple(case for case in cases if case.split != "val"), tuple(case for case in cases if case.split == "val")
    )


def _channels(figures: Sequence[CaseFigures]) -> list[str]:
    count = len(figures[0].whole)
    return ["image"] if count == 1 else [f"channel {n}" for n in range(1, count + 1)]


def _name_of(out: Path) -> str:
    """Return a pipeline's name made of that of its folder.

    >>> _name_of(Path("My_Liver CT"))
    'my-liver-ct'
    """
    return re.sub("[^a-z0-9]+", "-", out.resolve().name.lower()).strip("-") or "planned"


def _doubts_of(data: Fingerprint) -> Iterator[Finding]:
    if data.patients < FEW_PATIENTS:
        text = f"{many(data.patients, 'patient')} to train on: intervals will be wide"
        yield Finding("too-few-cases", "warning", text)
    if data.slabs:
        text = f"slices of one value beside full ones: in {data.slabs} of {many(data.cases, 'case')}"
        yield Finding("slab-constant", "warning", text)
    if data.imbalance is not None and data.imbalance > IMBALANCED:
        text = f"there are {data.imbalance:.3g} cases of the most frequent class for each of the rarest"
        yield Finding("classes-imbalanced", "warning", text)
    empty = [entry.name for entry in data.labels if entry.cases == 0]
    empty += [entry.name for entry in data.classes if entry.cases == 0]
    if empty:
        yield Finding("label-absent", "warning", f"no case to train on has {', '.join(map(repr, empty))}")
    seen = [data.spacing_mm[axis] for axis in data.plane] if data.spacing_mm else []
    spread = max((float(np.ptp([axis.least, axis.greatest])) for axis in seen), default=0.0)
    if data.dimensions == 2 and spread > 0:
        text = f"pixels differ in size by up to {spread:.3g} mm, and flat images are not resampled"
        yield Finding("spacing-differs", "note", text)
