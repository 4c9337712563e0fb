"""The parent of processes: gives them work, reads their answers, and says how those ended that were lost."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from medvision.errors import MedvisionError, UsageError, WorkerError
from medvision.workers.machine import how_ended, memory_kills
from medvision.workers.messages import packed, unpacked
from medvision.workers.serving import GRACE_SECONDS, problem_of

Item = TypeVar("Item")
Value = TypeVar("Value")

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# The caller's search path comes first of all: medvision itself may be found by it alone.
_START = """
import sys
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
sys.path[:] = connection.recv()
from medvision.workers.messages import packed, unpacked
from medvision.workers.serving import serve
serve(connection)
"""


@dataclass(frozen=True, eq=False)
class Done(Generic[Item, Value]):
    """What came of an item.

    Parameters
    ----------
    item
        The item.
    value
        What the function returned; None where it failed.
    error
        Why it failed; None where it did not.
    """

    item: Item
    value: Value | None = None
    error: MedvisionError | None = None

    def result(self) -> Value:
        """Return what the function returned, or raise why it failed."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


def in_processes(
    function: Callable[[Item], Value],
    items: Iterable[Item],
    processes: int,
    *,
    ordered: bool = True,
    chunk: int = 1,
    memory_bytes: int | None = None,
    named: Callable[[Item], str] | None = None,
) -> Generator[Done[Item, Value]]:
    """Yield what `function` makes of each item, computed in some processes, each on one thread.

    Processes start when there is work for them, and end with the iterator: close it, e.g. by ``contextlib.closing``,
    where it may be left before its end. They end with the caller's process too, however that ends. A process that is
    lost is replaced; the item that it worked on is the only one that fails.

    Parameters
    ----------
    function
        What another process can import by its name, or a ``functools.partial`` of such; it and the items are pickled.
    items
        Taken as they are needed; at most a few chunks for each process are under way.
    processes
        How many, 1 or more.
    ordered
        Whether results come in the order of the items, or as they are ready.
    chunk
        Items that are sent at a time: more than 1 where an item takes less than milliseconds.
    memory_bytes
        Address space that a process may use, its libraries included; None: no limit.
    named
        What an item is called in messages, without patient data; its number where None.

    Raises
    ------
    UsageError
        There are to be no processes.
    WorkerError
        A process ended before it could begin.

    Examples
    --------
    >>> [done.result() for done in in_processes(abs, [-1, 2, -3], 1)]
    [1, 2, 3]
    """
    if processes < 1:
        raise UsageError("usage", f"{processes} processes cannot work on anything")
    crew = _Crew(packed((function, memory_bytes)), named)
    orders = _Orders(iter(items), chunk)
    finished: dict[int, Done[Any, Any]] = {}
    try:
        while True:
            # Where results are in order, a slow item holds them back; no more than these are kept.
            most = orders.yielded + 4 * processes * chunk if ordered else None
            crew.give(orders, processes, most=most)
            if not crew.busy:
                return
            finished.update(crew.answers(orders))
            while (number := orders.due(finished, ordered=ordered)) is not None:
                orders.yielded += 1
                yield finished.pop(number)
    finally:
        crew.end()


@dataclass
class _Orders:
    """Which items are to be done: those that a lost process has left first."""

    items: Iterator[Any]
    chunk: int
    taken: int = 0
    yielded: int = 0
    left: deque[tuple[int, Any]] = field(default_factory=deque)

    def next(self, most: int | None) -> list[tuple[int, Any]]:
        """Return the next chunk with the items' numbers; empty where nothing is to be done now."""
        if self.left:
            return [self.left.popleft()]
        count = self.chunk if most is None else min(self.chunk, most - self.taken)
        found = list(enumerate(islice(self.items, max(0, count)), self.taken))
        self.taken += len(found)
        return found

    def due(self, finished: Mapping[int, Any], *, ordered: bool) -> int | None:
        """Return the number of the finished item that is to be yielded next; None where none is."""
        number = self.yielded if ordered else next(iter(finished), None)
        return number if number in finished else None


class _Crew:
    """The processes, and what they have to say."""

    def __init__(self, task: bytes, named: Callable[[Any], str] | None) -> None:
        self._task = task
        self._named = named
        self._children: list[_Child] = []
        self._told: dict[Any, Any] = {}  # warnings that were shown
        self._kills = memory_kills()

    @property
    def busy(self) -> list[_Child]:
        """Those that work."""
        return [child for child in self._children if child.todo]

    def give(self, orders: _Orders, processes: int, *, most: int | None) -> None:
        """Give work to those that have none, and start further processes for what is left."""
        idle = [child for child in self._children if not child.todo]
        while (idle or len(self._children) < processes) and (work := orders.next(most)):
            if not idle:
                self._children.append(_Child(self._task))
            child = idle.pop() if idle else self._children[-1]
            if not child.take(work):  # it was ended while it had nothing to do
                self._dismiss(child)
                orders.left.extend(work)

    def answers(self, orders: _Orders) -> dict[int, Done[Any, Any]]:
        """Wait until there is an answer, and return all that are there."""
        by_connection = {child.connection: child for child in self.busy}
        found = {}
        for connection in wait(list(by_connection)):
            child = by_connection[connection]  # type: ignore[index]
            try:
                answer = child.connection.recv_bytes()
            except (EOFError, OSError):
                number, done = self._lost(child, orders)
            else:
                if child.starting:
                    self._begin(child, answer)
                    continue
                number, done = self._read(child, answer)
            found[number] = done
        return found

    def end(self) -> None:
        """End all processes; what they had half written is removed, if they come to it in time."""
        for child in self._children:
            child.connection.close()
        until = time.monotonic() + GRACE_SECONDS
        for child in self._children:
            child.ended(max(0.0, until - time.monotonic()))
        self._children.clear()

    def _begin(self, child: _Child, answer: bytes) -> None:
        child.starting = False
        if answer:
            problem = unpacked(answer)
            raise (
                problem
                if isinstance(problem, MedvisionError)
                else WorkerError(problem[0], f"the work cannot begin in another process: {problem[1]}")
            )

    def _read(self, child: _Child, answer: bytes) -> tuple[int, Done[Any, Any]]:
        number, item = child.todo.popleft()
        content, error, noticed = unpacked(answer)
        for text, category, file, line in noticed:
            warnings.warn_explicit(text, category, file, line, registry=self._told)
        value = None
        try:
            value = unpacked(content)
        except Exception as failure:  # noqa: BLE001 - of any kind
            error = problem_of(failure)
        if isinstance(error, tuple):
            error = WorkerError(error[0], f"{self._name(number, item)}: {error[1]}")
        return number, Done(item, value, error)

    def _lost(self, child: _Child, orders: _Orders) -> tuple[int, Done[Any, Any]]:
        """Say which item a process ended on, and how; the others that it had are left for another one."""
        how = how_ended(self._dismiss(child), self._kills)
        if child.starting:
            raise WorkerError("worker-lost", f"a process {how} before it could begin")
        number, item = child.todo.popleft()
        orders.left.extend(child.todo)
        error = WorkerError("worker-lost", f"{self._name(number, item)}: the process that worked on it {how}")
        return number, Done(item, None, error)

    def _name(self, number: int, item: Any) -> str:
        return f"item {number + 1}" if self._named is None else self._named(item)

    def _dismiss(self, child: _Child) -> int:
        child.connection.close()
        self._children.remove(child)
        return child.ended(GRACE_SECONDS)


class _Child:
    """A process, seen from its parent."""

    def __init__(self, task: bytes) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        self.todo: deque[tuple[int, Any]] = deque()
        self.starting = True
        with theirs:
            self._process = _started(theirs)
        with contextlib.suppress(OSError):  # it has ended already, which shows when its answer is read
            self.connection.send(sys.path)
            self.connection.send_bytes(task)

    def take(self, work: list[tuple[int, Any]]) -> bool:
        """Send work; False where the process has ended."""
        orders = packed([packed(item) for _, item in work])
        if not self.starting and self._process.poll() is not None:
            return False
        with contextlib.suppress(OSError):  # it ends this very moment, or did before it began: read from it, and see
            self.connection.send_bytes(orders)
        self.todo.extend(work)
        return True

    def ended(self, seconds: float) -> int:
        """Return the exit code, or minus the signal; the process is killed if it has not ended after some time."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _started(connection: Connection) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-P", "-c", _START, str(connection.fileno())],
            pass_fds=[connection.fileno()],
            env=os.environ | _ONE_THREAD,
            stdin=subprocess.DEVNULL,
            stdout=2,  # what libraries print must not get among the results of a command
            process_group=0,  # a terminal's Ctrl-C is for the parent, which ends its children
        )
    except OSError as error:
        raise WorkerError("worker-lost", f"no further process can be started: {error.strerror}") from error
