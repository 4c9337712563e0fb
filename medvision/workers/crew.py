"""The parent of processes: gives them work, reads their answers, and says how those ended that were lost."""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import wait
from typing import Any, Generic, TypeVar

from medvision.errors import MedvisionError, UsageError, WorkerError
from medvision.workers.child import Child
from medvision.workers.machine import how_ended, memory_kills
from medvision.workers.messages import packed, unpacked
from medvision.workers.serving import GRACE_SECONDS, problem_of
from medvision.workers.terms import Terms

Item = TypeVar("Item")
Value = TypeVar("Value")

_LOOK_SECONDS = 0.05  # how often limits are looked at; a process can fill some 100 MB more in that time
_GB = 1e9
_PLAIN = Terms()


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
    begins: bool = False,
    terms: Terms = _PLAIN,
    fit: Callable[[Item, Sequence[Item]], bool] | None = None,
    named: Callable[[Item], str] | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> Generator[Done[Item, Value]]:
    """Yield what `function` makes of each item, computed in some processes.

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
    begins
        Whether `function` is called once without arguments as a process begins, and what it returns then works on the
        items: what takes long to open is opened once. What it raises ends all work.
    terms
        What the processes are given, and what they may take; with ``begins``, a process that has an item but has not
        begun yet is held to its memory alone.
    fit
        Whether an item can be worked on beside others, which are being worked on; where it cannot, it waits. An item
        that is alone is always taken. Not with a chunk of several.
    named
        What an item is called in messages, without patient data; its number where None.
    meanwhile
        Called many times a second while answers are awaited; what it raises ends all work.

    Raises
    ------
    UsageError
        There are to be no processes.
    WorkerError
        A process ended before it could begin, or no further one can be started.

    Examples
    --------
    >>> [done.result() for done in in_processes(abs, [-1, 2, -3], 1)]
    [1, 2, 3]
    """
    if processes < 1:
        raise UsageError("usage", f"{processes} processes cannot work on anything")
    crew = _Crew(packed((function, begins)), terms, named, meanwhile)
    orders = _Orders(iter(items), chunk, fit)
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
    fit: Callable[[Any, Sequence[Any]], bool] | None = None
    taken: int = 0
    yielded: int = 0
    left: deque[tuple[int, Any]] = field(default_factory=deque)

    def next(self, most: int | None, others: Sequence[Any]) -> list[tuple[int, Any]]:
        """Return the next chunk with the items' numbers; empty where nothing is to be done now beside `others`."""
        if not self.left:
            count = self.chunk if most is None else min(self.chunk, most - self.taken)
            found = list(enumerate(islice(self.items, max(0, count)), self.taken))
            self.taken += len(found)
            if self.fit is None:
                return found
            self.left.extend(found)
        if not self.left or (self.fit is not None and others and not self.fit(self.left[0][1], others)):
            return []
        return [self.left.popleft()]

    def due(self, finished: Mapping[int, Any], *, ordered: bool) -> int | None:
        """Return the number of the finished item that is to be yielded next; None where none is."""
        number = self.yielded if ordered else next(iter(finished), None)
        return number if number in finished else None


class _Crew:
    """The processes, and what they have to say."""

    def __init__(
        self,
        task: bytes,
        terms: Terms,
        named: Callable[[Any], str] | None,
        meanwhile: Callable[[], None] | None,
    ) -> None:
        self._task = task
        self._terms = terms
        self._named = named
        self._meanwhile = meanwhile
        self._children: list[Child] = []
        self._told: dict[Any, Any] = {}  # warnings that were shown
        self._kills = memory_kills()
        self._looks = 0.0  # when limits are looked at next

    @property
    def busy(self) -> list[Child]:
        """Those that work."""
        return [child for child in self._children if child.todo]

    def give(self, orders: _Orders, processes: int, *, most: int | None) -> None:
        """Give work to those that have none, and start further processes for what is left."""
        idle = [child for child in self._children if not child.todo]
        while (idle or len(self._children) < processes) and (work := orders.next(most, self._under_way())):
            if not idle:
                self._children.append(Child(self._task, self._terms))
            child = idle.pop() if idle else self._children[-1]
            if not child.take(work):  # it was ended while it had nothing to do
                self._dismiss(child)
                orders.left.extend(work)

    def answers(self, orders: _Orders) -> dict[int, Done[Any, Any]]:
        """Wait until there is an answer, or a limit is to be looked at, and return all answers that are there."""
        by_connection = {child.connection: child for child in self.busy}
        found = {}
        watched = self._terms.watched or self._meanwhile is not None
        ready = wait(list(by_connection), _LOOK_SECONDS if watched else None)
        if self._meanwhile is not None:
            self._meanwhile()
        if self._terms.watched and time.monotonic() >= self._looks:
            self._looks = time.monotonic() + _LOOK_SECONDS
            self._look()
        for connection in ready:
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
        """End all processes; what they had half written is removed, if they come to it in time.

        A caller that is interrupted meanwhile has no time left: then they are killed.
        """
        for child in self._children:
            child.connection.close()
        until = time.monotonic() + GRACE_SECONDS
        try:
            for child in self._children:
                child.ended(max(0.0, until - time.monotonic()))
        except BaseException:
            for child in self._children:
                child.ended(0.0)
            raise
        self._children.clear()

    def _under_way(self) -> list[Any]:
        return [item for child in self.busy for _, item in child.todo]

    def _look(self) -> None:
        """End what is beyond its limits."""
        terms, busy = self._terms, [child for child in self.busy if child.condemned is None]
        held = {child: child.resident_bytes / _GB for child in busy} if terms.memory_gb is not None else {}
        if terms.memory_gb is not None and sum(held.values()) > terms.memory_gb:
            most = max(busy, key=held.__getitem__)
            others = sum(held.values()) - held[most]
            beside = f", and others beside it {others:.2f} GB" if others else ""
            words = f"it held {held[most]:.2f} GB{beside}; {terms.memory_gb:g} GB is the limit"
            most.condemn("out-of-memory", words)
        for child in busy:
            if terms.minutes is not None and child.seconds > 60 * terms.minutes:
                child.condemn("timed-out", f"it took more than {terms.minutes:g} minutes, which is the limit")
            elif terms.stalled_minutes is not None and child.stalled_seconds() > 60 * terms.stalled_minutes:
                child.condemn("timed-out", f"it computed nothing for {terms.stalled_minutes:g} minutes")

    def _begin(self, child: Child, answer: bytes) -> None:
        child.began()
        if answer:
            problem = unpacked(answer)
            raise (
                problem
                if isinstance(problem, MedvisionError)
                else WorkerError(problem[0], f"the work cannot begin in another process: {problem[1]}")
            )

    def _read(self, child: Child, answer: bytes) -> tuple[int, Done[Any, Any]]:
        number, item = child.answered()
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

    def _lost(self, child: Child, orders: _Orders) -> tuple[int, Done[Any, Any]]:
        """Say which item a process ended on, and how; the others that it had are left for another one."""
        how = how_ended(self._dismiss(child), self._kills)
        if child.starting:
            code, words = child.condemned or ("worker-lost", f"a process {how} before it could begin")
            raise WorkerError(code, f"before a process could begin, {words}" if child.condemned else words)
        number, item = child.answered()
        orders.left.extend(child.todo)
        code, words = child.condemned or ("worker-lost", f"the process that worked on it {how}")
        error = WorkerError(code, f"{self._name(number, item)}: {words}")
        return number, Done(item, None, error)

    def _name(self, number: int, item: Any) -> str:
        return f"item {number + 1}" if self._named is None else self._named(item)

    def _dismiss(self, child: Child) -> int:
        child.connection.close()
        self._children.remove(child)
        return child.ended(GRACE_SECONDS)
