"""Run a pipeline over a batch: what is missing is done, what fails is told, and nothing is lost."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medvision import io
from medvision.batch import Entry, Ledger, Log, State, require_writable
from medvision.errors import Finding, MedvisionError, UsageError, nothing_there
from medvision.frameworks import versions
from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, silent
from medvision.selection import Selection, chosen
from medvision.study import AS_IT_STANDS, Case, Collection, Reading, by_image
from medvision.workers import Terms
from medvision.workflows.batching.attempts import entries_of, threads_for, workers_for
from medvision.workflows.batching.job import Work, opened
from medvision.workflows.report import read_record, write_cohort

STALLED_MINUTES = 15.0
"""How long a case may compute nothing before it is taken for hung, where no other limit is given."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a run may take of the machine.

    Parameters
    ----------
    workers
        How many cases are analysed at once, each in a process of its own; None: as many as there are cores, one where
        a GPU may do it. 0 analyses them in this process, e.g. for a debugger: a case that crashes then ends the run.
    memory_gb
        Memory in GB of 10^9 bytes that all cases together may hold; None: no limit.
    case_minutes
        How long a case may take; None: as long as it computes.

    Raises
    ------
    UsageError
        A number is negative, or a limit 0.
    """

    workers: int | None = None
    memory_gb: float | None = None
    case_minutes: float | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 0:
            raise UsageError("usage", f"workers is {self.workers}: give 0 or more")
        self.terms(1, ())

    def terms(self, threads: int, held: tuple[int, ...]) -> Terms:
        """Return what each process is given, and what it may take."""
        stalled = STALLED_MINUTES if self.case_minutes is None else None
        return Terms(
            threads=threads, memory_gb=self.memory_gb, minutes=self.case_minutes, stalled_minutes=stalled, held=held
        )


NO_LIMITS = Limits()
"""As many workers as there are cores, and no limit."""


@dataclass(frozen=True)
class BatchResult:
    """What a run found and did.

    Parameters
    ----------
    folder
        Where the results lie.
    entries
        A line for each case and each refused input of this run, in the order of ids.
    analysed, done_before
        How many cases were analysed now, well or not, and how many were done already.
    skipped
        Files that are no images, and series that were not chosen: passed over.
    notes
        What is said once of all cases together.
    """

    folder: Path
    entries: tuple[Entry, ...]
    analysed: int
    done_before: int
    skipped: tuple[Finding, ...]
    notes: tuple[Finding, ...] = ()

    def count(self, state: str) -> int:
        """Return how many cases are ``"done"``, ``"refused"`` or ``"failed"``, or done and for ``"review"``."""
        if state == "review":
            return sum(entry.verdict == "review" for entry in self.entries)
        return sum(entry.state == state for entry in self.entries)

    def exit_code(self, *, strict: bool = False) -> int:
        """Return 0 all good, 3 no image found, 4 some and 5 all cases bad; `strict` counts those for review as bad."""
        bad = self.count("refused") + self.count("failed") + (self.count("review") if strict else 0)
        if not bad:
            return 0 if self.entries else 3
        if nothing_there(entry.problem for entry in self.entries):
            return 3
        return 5 if bad == len(self.entries) else 4

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "schema": "medvision.batch/1",
            "folder": str(self.folder),
            "cases": len(self.entries),
            "analysed_now": self.analysed,
            "done_before": self.done_before,
            **{state: self.count(state) for state in ("done", "review", "refused", "failed")},
            "skipped": [finding.to_json() for finding in self.skipped],
            "notes": [note.to_json() for note in self.notes],
            "entries": [_entry_json(entry) for entry in self.entries],
        }


def run(
    pipeline: PipelineFolder,
    inputs: Sequence[Path],
    out: Path,
    *,
    split: str | None = None,
    reading: Reading = AS_IT_STANDS,
    device: str = "auto",
    command: str = "",
    notice: str | None = None,
    limits: Limits = NO_LIMITS,
    progress: Progress = silent,
) -> BatchResult:
    """Analyse every case found in `inputs`, and write results, pages and a table to `out`.

    A case that is done, from the same input by the same pipeline and with all its files as they were written, is
    left alone. A case that cannot be analysed never stops the others, nor does one that crashes or takes all memory:
    each is analysed in another process. Results depend neither on other cases nor on how many are analysed at once.

    Parameters
    ----------
    pipeline
        What to run.
    inputs
        Files, folders and DICOM trees; see :func:`medvision.io.scan`.
    out
        The output folder; made where missing, and held against other runs until this one ends.
    split
        Only the cases of this split (``"train"``, ``"val"`` or ``"test"``), where the data set names them.
    reading
        What was decided about how to read the images.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    command
        The command line, for the ledger.
    notice
        A sentence for the head of every page.
    limits
        What the run may take of the machine.
    progress
        Told of every case.

    Raises
    ------
    PipelineError
        The pipeline has no weights, or not its own.
    UsageError
        Two inputs would write to the same place; no case is of that split; `out` is an input, or holds results of
        another pipeline; the device cannot be used.
    OutputError, BusyError
        `out` cannot be written, or another run holds it.
    WorkerError
        No process can be started, or it ended before it had a case.
    """
    pipeline.require_weights()
    if out.resolve() in {path.resolve() for path in inputs}:
        raise UsageError("usage", "the output folder is an input too", path=out, cure="Choose another --out.")
    require_writable(out)
    scanned = _scanned(inputs, split, reading)
    found = _selected(scanned, pipeline.settings.select)
    with Ledger(out) as ledger, ledger.run(command, versions()), _logged(out, pipeline) as log:
        _require_one_pipeline(ledger, found, pipeline)
        rejections = _without_case(found, pipeline)
        rejected = [problem.path for problem in found.rejected if problem.path]
        unchosen = {case.path for case in scanned.cases} - {case.path for case in found.cases}
        ledger.forget([*inputs, *(case.path for case in found.cases), *rejected], [*rejected, *unchosen])
        ledger.enter(*rejections)
        missing = _missing(found, ledger, pipeline)
        done_before = len(found.cases) - len(missing)
        log.say(f"{len(missing)} cases to analyse, {done_before} done before, {len(rejections)} inputs without a case")
        work = Work(pipeline, out.absolute(), device, notice)
        _analyse(missing, work, ledger, log, limits=limits, progress=progress)
        write_cohort(ledger, pipeline)
        named = {case.id for case in found.cases} | {entry.id for entry in rejections if entry.state == "refused"}
        entries = tuple(entry for entry in ledger.entries().values() if entry.id in named)
    return BatchResult(out, entries, len(missing), done_before, found.skipped, notes_on(found))


def plan(
    inputs: Sequence[Path],
    *,
    split: str | None = None,
    reading: Reading = AS_IT_STANDS,
    select: Selection | None = None,
) -> Collection:
    """Return what a run would work on, without doing it: the cases of the split, series chosen as `select` says.

    Raises
    ------
    UsageError
        No case is of that split, or two cases have one name.
    """
    return _selected(_scanned(inputs, split, reading), select)


def notes_on(found: Collection) -> tuple[Finding, ...]:
    """Return what a person must know of all cases together: that volumes of one image are analysed one by one."""
    of_several = [case for case in found.cases if case.image is not None]
    if not of_several:
        return ()
    text = (
        f"{len(of_several)} cases are volumes of images that hold several ({len(by_image(of_several))} of them);"
        " each is analysed on its own"
    )
    return (Finding("several-volumes", "note", text),)


def _selected(found: Collection, select: Selection | None) -> Collection:
    return found if select is None else chosen(found, select)


def _scanned(inputs: Sequence[Path], split: str | None, reading: Reading) -> Collection:
    found = io.scan(inputs, reading)
    if split is None:
        return found
    cases = tuple(case for case in found.cases if case.split == split)
    if found.cases and not cases:
        known = ", ".join(sorted({str(case.split) for case in found.cases}))
        raise UsageError("usage", f"no case is of the split {split!r}; there are {known}")
    return replace(found, cases=cases)


def _analyse(
    missing: Sequence[Case], work: Work, ledger: Ledger, log: Log, *, limits: Limits, progress: Progress
) -> None:
    """Analyse what is missing, and enter what came of each case as soon as it is known."""
    if not missing:
        return
    workers = workers_for(len(missing), work.device, limits.workers)
    threads = threads_for(workers)
    progress(0, len(missing), "")
    entries = entries_of(
        _cleared(missing, ledger),
        replace(work, threads=threads),
        workers,
        limits.terms(threads, ledger.held),
        begin=opened,
        say=log.say,
    )
    with contextlib.closing(entries):
        for number, entry in enumerate(entries, 1):
            ledger.enter(entry)
            log.tell(entry)
            progress(number, len(missing), entry.id)
    progress(len(missing), len(missing), "pages")


def _cleared(cases: Sequence[Case], ledger: Ledger) -> Iterator[Case]:
    """Yield each case once what an earlier run has written for it is gone."""
    for case in cases:
        ledger.remove_files(case.id)
        yield case


def _missing(found: Collection, ledger: Ledger, pipeline: PipelineFolder) -> list[Case]:
    """Return the cases that are to be analysed: whatever is not done, nor done well."""
    return [case for case in found.cases if not _is_done(case, ledger, pipeline)]


def _is_done(case: Case, ledger: Ledger, pipeline: PipelineFolder) -> bool:
    if not ledger.has_done(case.id, pipeline.digest):
        return False
    try:
        return ledger.is_done(case, case.digest(), pipeline.digest)
    except OSError:  # an input that cannot be read is told when the case is analysed
        return False


@contextlib.contextmanager
def _logged(out: Path, pipeline: PipelineFolder) -> Iterator[Log]:
    """Let the log say when the run began and how it ended."""
    log = Log(out)
    log.say(f"a run of {pipeline.name} begins in process {os.getpid()}")
    try:
        yield log
    except BaseException as error:
        code = f" [{error.code}]" if isinstance(error, MedvisionError) else ""
        log.say(f"the run ended early: {type(error).__name__}{code}")
        raise
    log.say("the run is complete")


def _without_case(found: Collection, pipeline: PipelineFolder) -> list[Entry]:
    """Return a line for everything that never became a case; what shares a path is numbered."""
    entries: dict[str, Entry] = {}
    states: tuple[tuple[State, Sequence[Finding]], ...] = (("refused", found.rejected), ("skipped", found.skipped))
    for state, problems in states:
        for problem in problems:
            path = problem.path or Path()
            # With a slash it cannot be a case's id; a name that is no UTF-8 is shown with marks in its place.
            name = os.fsencode(path).decode(errors="replace")
            name = name if "/" in name else f"./{name}"
            numbers = (f"{name}#{number}" for number in itertools.count(2))
            id_ = next(text for text in itertools.chain([name], numbers) if text not in entries)
            entries[id_] = Entry(id_, state, path, pipeline.digest, problem=problem)
    return list(entries.values())


def _require_one_pipeline(ledger: Ledger, found: Collection, pipeline: PipelineFolder) -> None:
    """Refuse to put results of two pipelines into one table."""
    again = {case.id for case in found.cases}
    mine = (pipeline.require_weights().sha256, pipeline.settings_sha256)
    for entry in ledger.entries().values():
        if entry.state != "done" or entry.id in again or not ledger.holds(entry):
            continue
        manifest = read_record(ledger.folder / "cases" / entry.id).manifest
        if (manifest.weights_sha256, manifest.pipeline_sha256) != mine:
            message = f"results of another pipeline lie here: {entry.id} was made by {manifest.pipeline}"
            raise UsageError("usage", message, path=ledger.folder, cure="Choose another --out.")


def _entry_json(entry: Entry) -> dict[str, Any]:
    problem = entry.problem
    return {
        "id": entry.id,
        "state": entry.state,
        "verdict": entry.verdict,
        "source": str(entry.source),
        "code": problem.code if problem else None,
        "message": problem.message if problem else None,
        "cure": problem.cure if problem else None,
        "seconds": round(entry.seconds, 3),
    }
