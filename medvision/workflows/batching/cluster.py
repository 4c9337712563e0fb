"""The cases of a batch on the workers of a Dask cluster: a worker that is lost costs nothing but time."""

from __future__ import annotations

import contextlib
import secrets
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from medvision.batch import Entry
from medvision.files import write_text
from medvision.study import Case
from medvision.workflows.batching.attempts import LOST, entry_of, ignored
from medvision.workflows.batching.fleet import Asked, Fleet
from medvision.workflows.batching.station import Meeting


def entries_on(
    client: Any,
    cases: Sequence[Case],
    asked: Asked,
    *,
    prepare: Callable[[Case], None],
    say: Callable[[str], None] = ignored,
    warn: Callable[[str], None] = ignored,
) -> Generator[Entry]:
    """Yield what came of each case, as they are ready.

    Each Dask worker does one case at a time, in a process of its own. A case whose worker or process is lost is done
    once more, after all others; then it has failed, and its entry tells the cause. However the generator ends, workers
    put down what they are at, and nothing half done stays.

    Parameters
    ----------
    client
        A ``distributed.Client``.
    asked
        What is done with every case.
    prepare
        Called with each case before it is first given to a worker.
    say
        Told what happens.
    warn
        Told of workers that take no part.

    Raises
    ------
    OutputError
        Results cannot be written.
    WorkerError
        ``scheduler-unreachable``: it is no more; ``worker-refused``: no worker takes part, or none came.
    MedvisionError
        No worker can begin, for the reason that the first one gave.
    """
    todo, again, twice = deque(cases), deque[Case](), set[str]()
    with _noted(asked.work.out, asked.work.pipeline.folder) as meeting:
        fleet = Fleet(client, asked, meeting, cases, say, warn)
        with contextlib.closing(fleet):
            while todo or again or fleet.working:
                for member in fleet.ready[: len(todo) + len(again)]:
                    if todo:
                        prepare(todo[0])
                    fleet.give(member, todo.popleft() if todo else again.popleft())
                for each in fleet.happened():
                    if isinstance(each, Case):  # it was not begun
                        todo.appendleft(each)
                        continue
                    entry = entry_of(each, fleet.work)
                    problem = entry.problem
                    if problem is None or problem.code not in LOST or entry.id in twice:
                        yield entry
                        continue
                    say(f"{problem.message} [{problem.code}]; it is tried once more")
                    twice.add(entry.id)
                    again.append(each.item)


@contextlib.contextmanager
def _noted(out: Path, pipeline: Path) -> Iterator[Meeting]:
    """Leave a file in the output folder that workers are asked for; its name is one that a next run removes."""
    note = out / f".medvision-{secrets.token_hex(4)}.part"
    meeting = Meeting(note, secrets.token_hex(16), pipeline.absolute())
    write_text(note, meeting.words)
    try:
        yield meeting
    finally:
        note.unlink(missing_ok=True)
