"""What is done beside a Dask worker: it says what it is, and analyses cases in a process that it can lose.

Everything here is called by its name from another machine, or sent there: it knows no ledger.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from medvision import archives
from medvision.batch import Entry
from medvision.errors import InputError, MedvisionError
from medvision.files import write_text
from medvision.frameworks import processor, version_of, versions
from medvision.study import Case
from medvision.workers import Done, Terms, available_bytes, in_processes
from medvision.workers.machine import resident_bytes
from medvision.workflows.batching.job import Work

Begin = Callable[[Work], Callable[[Case], Entry]]
"""Called once in a process, it returns what analyses a case there."""

_PACKAGES = ("openvino", "onnxruntime", "onnx", "onnxscript", "nncf", "dask", "distributed", "cloudpickle")
_GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class Meeting:
    """What a worker is asked before it gets a case.

    Parameters
    ----------
    note
        A file in the output folder.
    words
        What stands in it.
    pipeline
        The folder of the pipeline.
    """

    note: Path
    words: str
    pipeline: Path


@dataclass(frozen=True)
class Facts:
    """What a worker is.

    Parameters
    ----------
    name
        What it is called.
    versions
        Of all packages that a result, or a message between machines, depends on.
    processor
        Its processor and GPUs: machines that say the same compute the same.
    threads
        How many it computes with.
    memory_gb
        What a case may take there, in GB of 10^9 bytes; None where that is not known.
    unseen
        A folder that it does not see, or cannot write, and why; None where it sees all.
    """

    name: str
    versions: Mapping[str, str]
    processor: str
    threads: int = 1
    memory_gb: float | None = None
    unseen: tuple[Path, str] | None = None


@dataclass(frozen=True)
class Unfit:
    """No case can be done here, this one included.

    Parameters
    ----------
    error
        Why.
    """

    error: MedvisionError


@dataclass(frozen=True)
class Unseen:
    """A case was not begun, since its file is not there, as far as is seen from here.

    Parameters
    ----------
    path
        The file.
    """

    path: Path


Outcome = Done[Case, Entry] | Unfit | Unseen
"""What came of a case."""


def package_versions() -> Mapping[str, str]:
    """Return the versions of all packages that a result, or a message between machines, depends on."""
    return {**versions(), **{name: version_of(name) for name in _PACKAGES}}


def met(meeting: Meeting) -> Facts:
    """Return what this Dask worker is; called by it."""
    from distributed import get_worker

    worker: Any = get_worker()
    return Facts(
        name=str(worker.name),
        versions=package_versions(),
        processor=" ".join([processor(), *_gpus()]),
        threads=worker.state.nthreads,
        memory_gb=_memory_gb(worker.memory_manager.memory_limit),
        unseen=_unseen(meeting),
    )


class Station:
    """A process beside a Dask worker that analyses one case after another.

    It starts with the first case, and ends when nobody refers to the station any more. Dask may send a station
    elsewhere as it does with any value: there, it starts a process of its own.

    Parameters
    ----------
    work
        What is done with every case.
    terms
        What the process is given.
    begin
        What the process begins with.
    """

    def __init__(self, work: Work, terms: Terms, begin: Begin) -> None:
        self._asked = (work, terms, begin)
        self._one = threading.Lock()
        self._todo: deque[Case] = deque()
        self._wanted: list[Callable[[], None]] = [_always]
        self._answers: Generator[Done[Case, Entry]] | None = None

    def __reduce__(self) -> tuple[type[Station], tuple[Work, Terms, Begin]]:
        return Station, self._asked

    def analyse(self, case: Case, require_wanted: Callable[[], None]) -> Done[Case, Entry] | Unfit:
        """Return what came of a case.

        Parameters
        ----------
        case
            The case.
        require_wanted
            Called many times a second; what it raises ends the process.
        """
        with self._one:
            self._todo.append(case)
            self._wanted[0] = require_wanted
            self._answers = self._answers or _answers(*self._asked, self._todo, self._wanted)
            try:
                return next(self._answers)
            except MedvisionError as error:
                self._answers = None
                return Unfit(error)
            except BaseException:
                self._answers = None
                raise
            finally:
                self._todo.clear()


class Unwanted(BaseException):
    """Nobody waits for the result any more: the run was ended, or this worker is ending."""


def analysed_at(station: Station, case: Case, *, certain: bool) -> Outcome:
    """Analyse a case at a station; called by its Dask worker.

    Parameters
    ----------
    certain
        Whether a file that is not seen is not looked for elsewhere either.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    unseen = next((image.files[0] for image in case.images if not archives.exists(image.files[0])), None)
    if unseen is not None and not certain:
        return Unseen(unseen)
    try:
        return station.analyse(case, partial(_require_wanted, worker, worker.get_current_task()))
    except Unwanted:
        return Unfit(InputError("input-changed", "nobody waits for it"))  # read by nobody


def at_work(keys: list[str], dask_worker: Any) -> bool:
    """Whether a Dask worker still works on one of these tasks, though they may be cancelled; called by it."""
    return any(key in dask_worker.state.tasks for key in keys)


def _answers(
    work: Work, terms: Terms, begin: Begin, todo: deque[Case], wanted: list[Callable[[], None]]
) -> Generator[Done[Case, Entry]]:
    """Yield what came of each case that is put into `todo`, one at a time."""
    function: Callable[[Case], Entry] = partial(begin, work)  # type: ignore[assignment]  # called once, it gives it
    items = iter(todo.popleft, None)
    return in_processes(
        function,
        items,
        1,
        ordered=False,
        begins=True,
        terms=terms,
        named=_name,
        meanwhile=lambda: wanted[0](),
    )


def _name(case: Case) -> str:
    return f"case {case.id}"


def _always() -> None:
    """Want every result."""


def _require_wanted(worker: Any, key: str) -> None:
    """Raise Unwanted where a task was cancelled or forgotten, or its worker is ending."""
    task = worker.state.tasks.get(key)
    if task is None or task.state == "cancelled" or worker.status.name in ("closing", "closed", "failed"):
        raise Unwanted


def _memory_gb(limit_bytes: int | None) -> float | None:
    """Return what a case may take: what the worker was given, less what it holds itself, or what is free."""
    given = limit_bytes - resident_bytes(os.getpid()) if limit_bytes else None
    known = [size for size in (given, available_bytes()) if size]
    return max(1, min(known)) / 1e9 if known else None


def _gpus() -> list[str]:
    """Return the names of NVIDIA's GPUs, as its driver for Linux tells them: without torch, which takes seconds."""
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(_GPUS.glob("*/information"))]
    return [line.split(":", 1)[1].strip() for text in texts for line in text.splitlines() if line.startswith("Model:")]


def _unseen(meeting: Meeting) -> tuple[Path, str] | None:
    note = meeting.note
    try:
        if note.read_text(encoding="utf-8") != meeting.words:
            return note.parent, "another folder lies there"
    except OSError as error:
        return note.parent, error.strerror or "it cannot be read"
    answer = note.with_name(f"{note.name}.{secrets.token_hex(8)}")
    try:
        write_text(answer, meeting.words)
        answer.unlink()
    except OSError as error:
        return note.parent, error.strerror or "it cannot be written"
    return None if meeting.pipeline.is_dir() else (meeting.pipeline, "No such file or directory")
