"""The cases of a batch in processes of their own: a case that is lost with its process is tried once more, alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from medvision.batch import Entry
from medvision.errors import MedvisionError, OutputError
from medvision.study import Case
from medvision.workers import Done, Terms, cores, in_processes
from medvision.workflows.batching.forecast import expected_of
from medvision.workflows.batching.job import Work, opened, unfinished

_BASE = 70 << 20  # bytes, of a process that has not begun with a case
LOST = ("worker-lost", "out-of-memory")
"""The codes of a case that may be done in a fresh process."""


def ignored(words: str) -> None:
    """Tell nobody."""


def entries_of(
    cases: Iterable[Case],
    work: Work,
    workers: int,
    terms: Terms,
    *,
    begin: Callable[[Work], Callable[[Case], Entry]] = opened,
    say: Callable[[str], None] = ignored,
) -> Generator[Entry]:
    """Yield what came of each case, as they are ready.

    A case whose process was killed or crashed, or that ran out of memory, is tried once more, alone, in a fresh
    process, after all others; then it has failed, and its entry tells the cause.

    Parameters
    ----------
    workers
        How many processes; 0 works in this one, which a case may then end.
    terms
        What the processes are given, and what they may take.
    begin
        Called once in each process, it returns what analyses a case; another process must know it by its name.
    say
        Told of cases that are tried once more.

    Raises
    ------
    OutputError
        Results cannot be written.
    MedvisionError
        No process can begin: the weights are refused, the device cannot be used, memory is short.
    """
    if not workers:
        yield from map(begin(work), cases)
        return
    work = replace(work, ours=True)
    lost: list[Case] = []
    for done in _done(cases, partial(begin, work), workers, terms, fitting(work)):
        entry = entry_of(done, work)
        if entry.problem is not None and entry.problem.code in LOST and _may_succeed(entry, workers):
            say(f"{entry.problem.message} [{entry.problem.code}]; it is tried once more, alone")
            lost.append(done.item)
        else:
            yield entry
    for case in lost:
        for done in _done([case], partial(begin, work), 1, terms):
            yield entry_of(done, work)


def workers_for(cases: int, engine: str, wanted: int | None = None) -> int:
    """Return how many cases are analysed at once: as many as there are cores, and one on a GPU.

    >>> asked = [(1, None), (5, 3), (2, 3), (2, 0)]
    >>> tuple(workers_for(cases, "torch-fp32", wanted) for cases, wanted in asked)
    (1, 3, 2, 0)
    """
    if wanted is not None:
        return min(wanted, max(1, cases))
    if engine.startswith("cuda"):
        return 1
    return max(1, min(cores(), cases))


def threads_for(workers: int) -> int:
    """Return the threads of each of so many processes: an equal share of the cores, or of ``OMP_NUM_THREADS``."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    available = min(cores(), int(given)) if given.isdigit() and int(given) else cores()
    return max(1, available // max(1, workers))


def entry_of(done: Done[Case, Entry], work: Work) -> Entry:
    """Return the entry of a case; of one that was lost with its process, why.

    Raises
    ------
    OutputError
        Results cannot be written.
    """
    if done.error is None:
        return done.result()
    if isinstance(done.error, OutputError):
        raise done.error
    unfinished(done.item, work)
    return _lost_entry(done.item, done.error, work)


def fitting(work: Work) -> Callable[[Case, Sequence[Case]], bool] | None:
    """Return whether a case may begin beside others: what all of them are to take is to be there."""
    choice, most = work.choice, work.memory_gb
    if choice is None or most is None:
        return None

    known: dict[str, float] = {}

    def needed(case: Case) -> float:
        if case.id not in known:
            found = expected_of(case, work.pipeline.settings, choice, threads=work.threads, base_bytes=_BASE)
            known[case.id] = 0.0 if found is None else found.memory_mb * 2**20
        return known[case.id]

    def fit(case: Case, others: Sequence[Case]) -> bool:
        return needed(case) + sum(map(needed, others)) <= most * 1e9

    return fit


def _done(
    cases: Iterable[Case],
    begin: Callable[[], Callable[[Case], Entry]],
    workers: int,
    terms: Terms,
    fit: Callable[[Case, Sequence[Case]], bool] | None = None,
) -> Iterator[Done[Case, Entry]]:
    function: Callable[[Case], Entry] = begin  # type: ignore[assignment]  # called once in a process, it gives it
    processes = in_processes(
        function,
        cases,
        workers,
        ordered=False,
        begins=True,
        terms=terms,
        named=lambda case: f"case {case.id}",
        fit=fit if workers > 1 else None,
    )
    with contextlib.closing(processes):
        yield from processes


def _may_succeed(entry: Entry, workers: int) -> bool:
    """Whether a case that was lost may be done when it is alone: memory that ran out was not short for others' sake."""
    return workers > 1 or (entry.problem is not None and entry.problem.code != "out-of-memory")


def _lost_entry(case: Case, error: MedvisionError, work: Work) -> Entry:
    problem = replace(error.finding, path=case.path)
    return Entry(case.id, "failed", case.path, work.digest, case.images, problem=problem)
