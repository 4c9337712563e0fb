"""One of several trainings that are compared: run once, kept with what it says of every case, and read again."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from medvision.errors import PipelineError, UsageError
from medvision.files import sha256_of_text, write_json
from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, silent
from medvision.study import Case
from medvision.training import Split, Store, split
from medvision.workflows.fitting.budget import Budget
from medvision.workflows.fitting.finished import seconds_of
from medvision.workflows.fitting.job import Job
from medvision.workflows.fitting.prepare import PreparedCase, prepare
from medvision.workflows.fitting.seen import notes_of_starts
from medvision.workflows.fitting.targets import with_scaling
from medvision.workflows.scoring.scored import Scored
from medvision.workflows.train import Machine, Start, alone, labelled_cases, seeded, train_on
from medvision.workflows.train import with_seed as with_seed
from medvision.workflows.weights import digest_of_source as digest_of_source
from medvision.workflows.weights import pinned

_RUN = "run.json"
_SHARED = "shared.json"
_SHORT = 12  # hex digits of a source's hash that are shown


@dataclass(frozen=True)
class Way:
    """A way to train.

    Parameters
    ----------
    name
        How it is called in tables.
    source
        The weights that it starts from, as for ``--from``; None starts from scratch.
    tune
        What of them is trained, as for ``--tune``.
    partial
        Whether weights may be taken that match less than most of the encoder.
    """

    name: str
    source: str | None = None
    tune: str = "full"
    partial: bool = False

    @property
    def start(self) -> Start | None:
        """What a training in this way starts from."""
        return Start(self.source, self.tune, self.partial) if self.source is not None else None

    def pinned(self) -> Way:
        """Return the same way, that starts in all trainings from what the hub has now, where it starts from there."""
        return self if self.source is None else replace(self, source=pinned(self.source))

    def digest(self) -> str:
        """Return the hash of where it starts and of what is tuned."""
        return sha256_of_text([digest_of_source(self.source), self.tune, str(self.partial)])


def ways_of(words: str, tune: str = "full") -> tuple[Way, ...]:
    """Return the ways to train that start from the weights named, with commas between; ``scratch`` is none.

    Raises
    ------
    UsageError
        A name is empty.

    Examples
    --------
    >>> [(way.name, way.source, way.tune) for way in ways_of("scratch,a.pt", "head")]
    [('scratch', None, 'full'), ('a.pt', 'a.pt', 'head')]
    """
    names = [part.strip() for part in words.split(",")]
    if not all(names):
        raise UsageError("usage", f"the name of a start is missing: {words!r}")
    return tuple(Way("scratch") if name == "scratch" else Way(_short(name), name, tune) for name in names)


@dataclass(frozen=True, eq=False)
class Run:
    """A training that is asked for.

    Parameters
    ----------
    way
        How it is trained.
    parts
        Who trains and who is held out.
    pipeline
        With the seed of this run.
    folder
        Where it goes.
    minutes
        The time that was asked for, for this run or for all together; None takes the time that the settings need.
    """

    way: Way
    parts: Split
    pipeline: PipelineFolder
    folder: Path
    minutes: float | None = None

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return self.pipeline.settings.train.seed

    def identity(self) -> str:
        """Return the hash of all that its result depends on, besides versions and the machine."""
        sides = [f"{side}:{_digest_of(case)}" for side in ("train", "val") for case in getattr(self.parts, side)]
        return sha256_of_text([self.pipeline.settings_sha256, self.way.digest(), str(self.minutes), *sides])


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run came to.

    Parameters
    ----------
    scored
        What it says of each held-out case, beside the truth, in the order of the split.
    seconds
        The time that the training took: from prepared cases to the folder that it left, interruptions left out.
    steps
        Steps of the optimiser.
    """

    scored: tuple[Scored, ...]
    seconds: float
    steps: int


@dataclass(frozen=True)
class Shared:
    """What several runs have in common.

    Parameters
    ----------
    seconds
        The time that went, once for all, into preparing cases and into what is set up once.
    notes
        What must be said of comparing the ways of training, a sentence each; see
        :func:`medvision.workflows.fitting.seen.notes_of_starts`.
    """

    seconds: float = 0.0
    notes: tuple[str, ...] = ()


class Trainer(Protocol):
    """Does a run: leaves a pipeline folder, and says what it came to."""

    def __call__(self, run: Run, *, budget: Budget | None, progress: Progress) -> Outcome:
        """Train, within a time where one is given."""
        ...


@dataclass(frozen=True, eq=False)
class Workbench:
    """Trains runs on the same prepared cases, which are prepared when the first run needs them.

    Parameters
    ----------
    pipeline
        Its steps prepare the cases.
    parts
        All cases that any run trains on or holds out.
    store
        Keeps the prepared cases.
    machine
        Where and how it runs.
    progress
        Told of the cases that are prepared.
    """

    pipeline: PipelineFolder
    parts: Split
    store: Store
    machine: Machine = field(default_factory=Machine)
    progress: Progress = silent

    @cached_property
    def prepared(self) -> Mapping[str, PreparedCase]:
        """The prepared cases, by id."""
        cases, workers = [*self.parts.train, *self.parts.val], self.machine.workers
        return prepare(cases, self.pipeline, self.store, workers=workers, progress=self.progress)

    def digests(self) -> Mapping[str, str]:
        """Return the hash of each case's voxels, by id."""
        return {name: entry.digest for name, entry in self.prepared.items()}

    def warm_up(self) -> None:
        """Do a step and validate a case, so that no run pays for what is imported and set up once."""
        import torch

        training, held_out = (
            [self.prepared[case.id] for case in side] for side in (self.parts.train, self.parts.val[:1])
        )
        job = Job(self.pipeline, training, held_out, alone(self.machine, self.pipeline))
        with torch.random.fork_rng(enabled=True):
            job.step()(0)
            job.validation_seconds()

    def __call__(self, run: Run, *, budget: Budget | None, progress: Progress) -> Outcome:
        """Train a run."""
        cases = [*run.parts.train, *run.parts.val]

        def prepared() -> Mapping[str, PreparedCase]:
            return {case.id: self.prepared[case.id] for case in cases}

        before, began = seconds_of(run.folder), time.monotonic()
        trained = train_on(
            run.parts,
            prepared,
            run.pipeline,
            run.folder,
            start=run.way.start,
            budget=budget,
            machine=self.machine,
            progress=progress,
        )
        steps = int(trained.pipeline.require_weights().trained_with["steps"])
        return Outcome(tuple(trained.scored), before + time.monotonic() - began, steps)


def sides_of(pipeline: PipelineFolder, data: Sequence[Path], *, seed: int | None) -> tuple[PipelineFolder, Split]:
    """Return the pipeline, with the seed and the scales of its data, and who trains and who is held out in all runs.

    The scales of a regression are those of the whole training side, so that runs on a part of it mean the same.
    """
    pipeline = seeded(pipeline, seed)
    settings = pipeline.settings
    cases, train = labelled_cases(data, settings.labels), settings.train
    parts = split(cases, validation=train.validation, seed=train.seed, task=settings.task)
    return replace(pipeline, settings=with_scaling(settings, parts.train)), parts


def shared(runs: Sequence[Run], work: Workbench, out: Path) -> Shared:
    """Prepare what all runs share, so that none pays for it alone, and compare what their starts have seen.

    Where all runs are done, nothing is prepared, and what was found before is returned.

    Parameters
    ----------
    runs
        All runs, with the same cases held out.
    out
        Keeps what was found.

    Raises
    ------
    InputError
        A run starts from weights that were trained on held-out cases.
    """
    path = out / _SHARED
    before = Shared()
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        before = Shared(float(kept["seconds"]), tuple(kept["notes"]))
    if all(is_done(run) for run in runs):
        return before
    began = time.monotonic()
    sources = {run.way.name: run.way.source for run in runs}
    notes = notes_of_starts(sources, work.parts, work.digests())
    work.warm_up()
    found = Shared(before.seconds + time.monotonic() - began, notes)
    write_json(path, {"seconds": found.seconds, "notes": list(notes)})
    return found


def once(run: Run, trainer: Trainer, *, budget: Budget | None = None, progress: Progress = silent) -> Outcome:
    """Return what a run came to: as it was kept, or by training now.

    Raises
    ------
    PipelineError
        A run of other settings, other data or another start lies in its folder.
    """
    kept = _kept(run)
    if kept is not None:
        return kept
    outcome = trainer(run, budget=budget, progress=progress)
    entries = [entry.to_json() for entry in outcome.scored]
    content = {"identity": run.identity(), "seconds": outcome.seconds, "steps": outcome.steps, "cases": entries}
    write_json(run.folder / _RUN, content)
    return _outcome(run, content)


def is_done(run: Run) -> bool:
    """Whether a run lies in its folder, finished; see :func:`once` for errors."""
    return _kept(run) is not None


def shown_source(source: str | None) -> str | None:
    """Return a source as results may hold it: its name without the folder, and the start of its hash."""
    if source is None:
        return None
    if not Path(source).exists():
        return source
    return f"{_short(source)} (SHA-256 {digest_of_source(source)[:_SHORT]})"


def _short(source: str) -> str:
    """Return a source without the folder that it lies in."""
    return Path(source).resolve().name if Path(source).exists() else source


def _kept(run: Run) -> Outcome | None:
    path = run.folder / _RUN
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["identity"] != run.identity():
        message = "a training of other settings, other data or another start lies here"
        raise PipelineError("weights-mismatch", message, path=run.folder, cure="Choose another --out.")
    return _outcome(run, content)


def _outcome(run: Run, content: Mapping[str, Any]) -> Outcome:
    patients = {case.id: case.patient_key for case in run.parts.val}
    scored = tuple(Scored(patient=patients[entry["case"]], **entry) for entry in content["cases"])
    return Outcome(scored, content["seconds"], content["steps"])


def _digest_of(case: Case) -> str:
    return f"{case.id}:{case.digest()}:{case.label_digest()}"
