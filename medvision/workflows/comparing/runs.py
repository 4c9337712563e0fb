"""One of several trainings that are compared: run once, kept with what it says of every case, and read again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from medvision.errors import PipelineError, UsageError
from medvision.files import sha256_of_text, write_json
from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, silent
from medvision.training import Split, split
from medvision.workflows.cases.targets import with_scaling
from medvision.workflows.fitting.budget import Budget
from medvision.workflows.fitting.fit import Terms, fit
from medvision.workflows.fitting.machine import Machine
from medvision.workflows.fitting.seeds import seeded
from medvision.workflows.fitting.workbench import Workbench
from medvision.workflows.scoring.scored import Scored
from medvision.workflows.starting.seen import notes_of_starts
from medvision.workflows.starting.source import digest_of_source as digest_of_source
from medvision.workflows.starting.start import Start
from medvision.workflows.training_data.labelled import labelled_cases
from medvision.workflows.training_folder.claim import read_state
from medvision.workflows.training_folder.finished import identity_of, seconds_of

_RUN = "run.json"
_SHARED = "shared.json"
_STARTS = "starts.json"
_SHORT = 12  # hex digits of a source's hash that are shown


@dataclass(frozen=True)
class Way:
    """A way to train.

    Parameters
    ----------
    name
        How it is called in tables.
    start
        What it starts from; None starts from scratch.
    """

    name: str
    start: Start | None = None

    def digest(self) -> str:
        """Return the hash of where it starts and of what is tuned."""
        start = self.start or Start("")
        source = digest_of_source(self.start.source if self.start else None)
        return sha256_of_text([source, start.tune, str(start.partial)])

    def to_json(self) -> dict[str, Any]:
        """Return the way as JSON values; a source is shown by its name, without its folder, and its hash."""
        source = shown_source(self.start.source) if self.start else None
        return {"name": self.name, "source": source, "tune": self.start.tune if self.start else "full"}


def ways_of(sources: Sequence[str], tune: str = "full") -> tuple[Way, ...]:
    """Return the ways to train that start from the weights named; ``scratch`` is none.

    Raises
    ------
    UsageError
        A name is empty.

    Examples
    --------
    >>> [(way.name, way.start and way.start.source) for way in ways_of(["scratch", "a.pt"], "head")]
    [('scratch', None), ('a.pt', 'a.pt')]
    """
    names = [source.strip() for source in sources]
    if not all(names):
        raise UsageError("usage", f"the name of a start is missing: {','.join(names)!r}")
    short = [_short(name) for name in names]
    told = [_short(name, parts=2) if short.count(last) > 1 else last for name, last in zip(names, short, strict=True)]
    pairs = zip(told, names, strict=True)
    return tuple(Way(last) if name == "scratch" else Way(last, Start(name, tune)) for last, name in pairs)


def pinned(ways: Sequence[Way], out: Path) -> tuple[Way, ...]:
    """Return the ways as all trainings in `out` take them: from the hub, from what it had when the first of them began.

    Raises
    ------
    PipelineError
        The hub cannot be reached.
    """
    path = out / _STARTS
    kept = read_state(path) if path.is_file() else {}
    starts = [None if way.start is None else _pinned_start(way.start, kept) for way in ways]
    return tuple(replace(way, start=start) for way, start in zip(ways, starts, strict=True))


def keep_pinned(asked: Sequence[Way], taken: Sequence[Way], out: Path) -> None:
    """Keep what :func:`pinned` found: the comparison may go on when the hub has something newer, or is not there."""
    pairs = [(way.start, other.start) for way, other in zip(asked, taken, strict=True)]
    kept = {one.source: other.source for one, other in pairs if one and other and one.source != other.source}
    if kept:
        write_json(out / _STARTS, kept)


def _pinned_start(start: Start, kept: Mapping[str, str]) -> Start:
    return replace(start, source=kept[start.source]) if start.source in kept else start.pinned()


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
        return identity_of(self.pipeline, self.parts, self.way.digest(), self.minutes)


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
        :func:`medvision.workflows.starting.seen.notes_of_starts`.
    """

    seconds: float = 0.0
    notes: tuple[str, ...] = ()


class Trainer(Protocol):
    """Does a run: leaves a pipeline folder, and says what it came to."""

    def __call__(self, run: Run, *, budget: Budget | None, progress: Progress) -> Outcome:
        """Train, within a time where one is given."""
        ...


def trainer_at(work: Workbench, machine: Machine) -> Trainer:
    """Return what trains runs on the cases of a workbench."""
    return partial(_fit_run, work, machine)


def _fit_run(work: Workbench, machine: Machine, run: Run, *, budget: Budget | None, progress: Progress) -> Outcome:
    before, began = seconds_of(run.folder), time.monotonic()
    terms = Terms(run.way.start, budget, machine, progress=progress)
    trained = fit(work, run.parts, run.pipeline, run.folder, terms)
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


def shared(runs: Sequence[Run], work: Workbench, out: Path, *, log: str) -> Shared:
    """Prepare what all runs share, so that none pays for it alone, and compare what their starts have seen.

    Where all runs are done, nothing is prepared, and what was found before is returned.

    Parameters
    ----------
    runs
        All runs, with the same cases held out.
    out
        Keeps what was found.
    log
        The words of ``--log``.

    Raises
    ------
    UsageError, PipelineError, ExtraMissingError
        What :func:`medvision.workflows.starting.start.refuse_options` refuses, before any case is prepared.
    InputError
        A run starts from weights that were trained on held-out cases.
    """
    path = out / _SHARED
    before = Shared()
    if path.is_file():
        kept = read_state(path)
        before = Shared(float(kept["seconds"]), tuple(kept["notes"]))
    if all(is_done(run) for run in runs):
        return before
    began = time.monotonic()
    for run in {run.way: run for run in reversed(runs) if not is_done(run)}.values():
        work.refuse_options(run.pipeline, run.folder, run.way.start, log, timed=run.minutes is not None)
    sources = {run.way.name: run.way.start.source if run.way.start else None for run in runs}
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


def shown_source(source: str) -> str:
    """Return a source as results may hold it: its name without the folder, and the start of its hash."""
    if not Path(source).exists():
        return source
    return f"{_short(source)} (SHA-256 {digest_of_source(source)[:_SHORT]})"


def _short(source: str, parts: int = 1) -> str:
    """Return the last parts of the path of a source; of what is no path here, all of it."""
    return "/".join(Path(source).resolve().parts[-parts:]) if Path(source).exists() else source


def _kept(run: Run) -> Outcome | None:
    path = run.folder / _RUN
    if not path.is_file():
        return None
    content = read_state(path)
    if content["identity"] != run.identity():
        message = "a training of other settings, other data or another start lies here"
        raise PipelineError("weights-mismatch", message, path=run.folder, cure="Choose another --out.")
    return _outcome(run, content)


def _outcome(run: Run, content: Mapping[str, Any]) -> Outcome:
    patients = {case.id: case.patient_key for case in run.parts.val}
    scored = tuple(Scored(patient=patients[entry["case"]], **entry) for entry in content["cases"])
    return Outcome(scored, content["seconds"], content["steps"])
