"""Run a pipeline over a batch: what is missing is done, what fails is told, and nothing is lost."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from medvision import io
from medvision.batch import Entry, Ledger, Log, Shard, State, require_writable
from medvision.engines import AUTO
from medvision.errors import Finding, MedvisionError, OutputError, UsageError
from medvision.frameworks import versions
from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, silent
from medvision.selection import Selection, chosen
from medvision.study import AS_IT_STANDS, Case, Collection, Reading, by_image
from medvision.workers import available_bytes
from medvision.workflows.batching.attempts import entries_of, threads_for, workers_for
from medvision.workflows.batching.cluster import entries_on
from medvision.workflows.batching.connecting import Cluster as Cluster
from medvision.workflows.batching.connecting import DaskScheduler as DaskScheduler
from medvision.workflows.batching.connecting import SlurmJobs as SlurmJobs
from medvision.workflows.batching.connecting import connected, require_cluster
from medvision.workflows.batching.engine import Engines, chosen_engine, digests_of
from medvision.workflows.batching.fleet import Asked
from medvision.workflows.batching.job import Work, opened
from medvision.workflows.batching.limits import NO_LIMITS as NO_LIMITS
from medvision.workflows.batching.limits import Limits as Limits
from medvision.workflows.batching.limits import Rerun as Rerun
from medvision.workflows.batching.result import BatchResult as BatchResult
from medvision.workflows.batching.room import needed_bytes, no_room, require_room
from medvision.workflows.report import read_record, write_cohort


def run(
    pipeline: PipelineFolder,
    inputs: Sequence[Path],
    out: Path,
    *,
    split: str | None = None,
    reading: Reading = AS_IT_STANDS,
    engine: str = AUTO,
    command: str = "",
    notice: str | None = None,
    limits: Limits = NO_LIMITS,
    rerun: Rerun | None = None,
    shard: Shard | None = None,
    cluster: Cluster | None = None,
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
    engine
        What computes the network: one of :data:`medvision.engines.NAMES`, or ``"auto"``: the fastest on this machine
        whose answers are within the pipeline's tolerance. Results that another engine made are made again where one is
        asked for by name.
    command
        The command line, for the ledger.
    notice
        A sentence for the head of every page.
    limits
        What the run may take of the machine.
    rerun
        ``"failed"`` or ``"refused"``: only cases that came to that before; ``"all"``: every case anew. None: whatever
        is not done, those that failed or were refused included.
    shard
        Only this share of the cases, beside other processes that do the others; pages and table are written when all
        are merged: :func:`medvision.workflows.merge.merge`. None for all.
    cluster
        Where cases are analysed, one at a time on each of its workers; None: on this machine.
    progress
        Told of every case.

    Raises
    ------
    PipelineError
        The pipeline has no weights, or not its own.
    UsageError
        Two inputs would write to the same place; no case is of that split; `out` is an input, or holds results of
        another pipeline; the engine cannot be used; the cluster cannot be reached, or `limits` say how many workers it
        has.
    OutputError, BusyError
        `out` cannot be written, or another run holds it.
    WorkerError
        No process can be started, or it ended before it had a case; no worker of the cluster takes part.
    """
    if cluster is not None and limits.workers is not None:
        raise UsageError("usage", "the cluster says how many workers there are: leave --workers out")
    if cluster is not None:
        require_cluster(cluster)
    pipeline.require_weights()
    pipeline.check_weights()
    if out.resolve() in {path.resolve() for path in inputs}:
        raise UsageError("usage", "the output folder is an input too", path=out, cure="Choose another --out.")
    require_writable(out)
    scanned = _scanned(inputs, split, reading)
    chosen_now = _selected(scanned, pipeline.settings.select)
    found = _share(chosen_now, shard)
    with contextlib.ExitStack() as held:
        ledger = held.enter_context(Ledger(out, shard))
        held.enter_context(ledger.run(command, versions()))
        log = held.enter_context(_logged(out, pipeline))
        held.enter_context(ledger.share(pipeline.digest, pipeline.folder))
        _require_one_pipeline(ledger, found, pipeline)
        rejections = [entry for entry in _without_case(found, pipeline) if shard is None or shard.takes(entry.id)]
        rejected = [problem.path for problem in found.rejected if problem.path]
        unchosen = {case.path for case in scanned.cases} - {case.path for case in chosen_now.cases}
        missing = _missing(found, ledger, digests_of(pipeline, engine), rerun)
        left = {case.id for case in found.cases} - {case.id for case in missing}
        ledger.forget([*inputs, *(case.path for case in found.cases), *rejected], [*rejected, *unchosen], left)
        ledger.enter(*rejections)
        known = ledger.entries()
        done = [entry for entry in known.values() if entry.state == "done"]
        done_before = sum(entry.id in left for entry in done)
        log.say(f"{len(missing)} cases to analyse, {done_before} done before, {len(rejections)} inputs without a case")
        work = Work(pipeline, out.absolute(), notice=notice)
        with _room(out, missing, done):
            _analyse(missing, work, ledger, log, engine=engine, limits=limits, cluster=cluster, progress=progress)
            seen_now = {case.id for case in missing if cluster is None} | (left if rerun is None else set())
            if shard is None:
                write_cohort(ledger, pipeline, verified=seen_now)
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


def _share(found: Collection, shard: Shard | None) -> Collection:
    return found if shard is None else replace(found, cases=tuple(case for case in found.cases if shard.takes(case.id)))


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
    missing: Sequence[Case],
    work: Work,
    ledger: Ledger,
    log: Log,
    *,
    engine: str,
    limits: Limits,
    cluster: Cluster | None,
    progress: Progress,
) -> None:
    """Analyse what is missing, and enter what came of each case as soon as it is known."""
    if not missing:
        return
    progress(0, len(missing), "")
    with contextlib.ExitStack() as held:
        if cluster is None:
            entries = _here(missing, work, ledger, log, engine=engine, limits=limits)
        else:
            client = held.enter_context(connected(cluster, ledger.folder))
            patient = isinstance(cluster, SlurmJobs)  # a queue can be long
            asked = Asked(work=work, engine=engine, limits=limits, choose=chosen_engine, begin=opened, patient=patient)
            entries = _there(client, missing, asked, ledger, log, progress)
        held.enter_context(contextlib.closing(entries))
        for number, entry in enumerate(entries, 1):
            ledger.enter(entry)
            log.tell(entry)
            progress(number, len(missing), entry.id)
    progress(len(missing), len(missing), "pages")


def _here(
    missing: Sequence[Case], work: Work, ledger: Ledger, log: Log, *, engine: str, limits: Limits
) -> Generator[Entry]:
    """Yield what came of each case, analysed on this machine."""
    everything = Engines(work.pipeline, engine, threads_for(1))
    choice = chosen_engine(everything, missing, alone=limits.workers != 0)
    log.say(f"the engine is {choice.engine}")
    limits = limits.within(available_bytes())
    workers = workers_for(len(missing), choice.engine, limits.workers)
    threads = threads_for(workers)
    return entries_of(
        _cleared(missing, ledger),
        replace(work, threads=threads, choice=choice, memory_gb=limits.memory_gb),
        workers,
        limits.terms(threads, ledger.held),
        begin=opened,
        say=log.say,
    )


def _there(
    client: Any, missing: Sequence[Case], asked: Asked, ledger: Ledger, log: Log, progress: Progress
) -> Generator[Entry]:
    """Yield what came of each case, analysed on a cluster."""

    def prepare(case: Case) -> None:
        ledger.remove_files(case.id)

    def warn(words: str) -> None:
        log.say(words)
        progress(0, 0, words)

    return entries_on(client, missing, asked, prepare=prepare, say=log.say, warn=warn)


@contextlib.contextmanager
def _room(out: Path, missing: Sequence[Case], done: Sequence[Entry]) -> Iterator[None]:
    """Refuse a disk that is too small before the work; where it gets full meanwhile, say what is needed."""
    needed = needed_bytes(missing, done, out)
    require_room(out, needed, len(missing))
    try:
        yield
    except OutputError as error:
        if error.code != "disk-full":
            raise
        raise no_room(error.path or out, needed, len(missing), why=error.finding.message) from error


def _cleared(cases: Sequence[Case], ledger: Ledger) -> Iterator[Case]:
    """Yield each case once what an earlier run has written for it is gone."""
    for case in cases:
        ledger.remove_files(case.id)
        yield case


def _missing(found: Collection, ledger: Ledger, digests: set[str], rerun: Rerun | None) -> list[Case]:
    """Return the cases that are to be analysed: all, those that came to a state, or whatever is not done well."""
    if rerun == "all":
        return list(found.cases)
    if rerun is not None:
        known = ledger.entries()
        return [case for case in found.cases if case.id in known and known[case.id].state == rerun]
    return [case for case in found.cases if not _is_done(case, ledger, digests)]


def _is_done(case: Case, ledger: Ledger, digests: set[str]) -> bool:
    if not ledger.has_done(case.id, digests):
        return False
    try:
        return ledger.is_done(case, case.digest(), digests)
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
    digests = digests_of(pipeline, AUTO)
    for entry in ledger.entries().values():
        if entry.state != "done" or entry.id in again or entry.pipeline_sha256 in digests:
            continue
        if not ledger.holds(entry):
            continue
        manifest = read_record(ledger.folder / "cases" / entry.id).manifest
        if (manifest.weights_sha256, manifest.pipeline_sha256) != mine:
            message = f"results of another pipeline lie here: {entry.id} was made by {manifest.pipeline}"
            raise UsageError("usage", message, path=ledger.folder, cure="Choose another --out.")
