"""The workers of a Dask cluster, as a batch sees them: who is there, what each is fit for, and what it is at.

Which case is done where is decided here, and not by Dask: a worker has one case at a time, so that it is known which
one it was lost with, and every worker is looked at before it gets its first. Dask carries the messages, and tells which
workers there are.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from typing import Any, Literal

from medvision import archives
from medvision.batch import Entry
from medvision.engines import Choice
from medvision.errors import MedvisionError, WorkerError
from medvision.study import Case
from medvision.workers import Done
from medvision.workflows.batching.engine import Engines
from medvision.workflows.batching.job import Work, opened, unfinished
from medvision.workflows.batching.limits import Limits
from medvision.workflows.batching.station import (
    Begin,
    Facts,
    Meeting,
    Station,
    Unfit,
    Unseen,
    analysed_at,
    at_work,
    met,
    package_versions,
)

_LOOK_SECONDS = 1.0  # how often it is seen which workers there are
_REFUSED_SECONDS = 5.0  # how long to wait for another worker once all were refused
_NONE_SECONDS = 60.0  # how long to wait for a first worker, or a next one
_ENDING_SECONDS = 6.0  # in which workers put in order what they have begun
_FETCH_SECONDS = 20.0  # in which a result is fetched; where it is not, its worker is lost
_TRIED = 8  # cases whose images engines are compared on

Step = Literal["asked", "waiting", "trying", "ready", "working", "refused"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of a cluster.

    Parameters
    ----------
    work
        What is done with every case; its engine is chosen on the workers.
    engine
        What computes the network: a name, or ``"auto"``.
    limits
        What a case may take on its worker.
    choose
        Chooses the engine, as :func:`medvision.workflows.batching.engine.chosen_engine`.
    begin
        Called once in each process, it returns what analyses a case.
    patient
        Whether workers are waited for as long as it takes, and not for a minute.
    """

    work: Work
    engine: str
    limits: Limits
    choose: Callable[..., Choice]
    begin: Begin = opened
    patient: bool = False


@dataclass(eq=False)
class Member:
    """A Dask worker.

    Parameters
    ----------
    address, name
        By which Dask knows it, and people do.
    step
        ``"asked"`` what it is; ``"waiting"`` for the engine that another one is ``"trying"``; ``"ready"`` for a case;
        ``"working"`` on `case`; ``"refused"``.
    task
        What Dask does there.
    facts, station
        What it is, and what it analyses cases at, once that is known.
    """

    address: str
    name: str
    step: Step = "asked"
    task: Any = None
    facts: Facts | None = None
    station: Any = None
    case: Case | None = None


class Fleet:
    """The workers of a Dask cluster; close it, so that they put down what they are at.

    Parameters
    ----------
    client
        A ``distributed.Client``.
    asked
        What is done with every case.
    meeting
        What every worker is asked first.
    cases
        Some of which engines are compared on.
    say
        Told what happens.
    warn
        Told of workers that take no part.
    """

    def __init__(
        self,
        client: Any,
        asked: Asked,
        meeting: Meeting,
        cases: Sequence[Case],
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        self._client = client
        self._asked = asked
        self._meeting = meeting
        self._first = tuple(cases[:_TRIED])
        self._say = say
        self._warn = warn
        self._members: dict[str, Member] = {}
        self._choices: dict[str, Choice] = {}  # by processor
        self._nowhere: set[str] = set()  # cases whose files are not seen from here either
        self._refusals: list[MedvisionError] = []
        self._events: queue.SimpleQueue[tuple[Member, Any]] = queue.SimpleQueue()
        self._looked = 0.0
        self._told = False  # that none has come yet
        self._hope = time.monotonic()  # when there was a worker that may take part

    @property
    def ready(self) -> list[Member]:
        """Those that can take a case."""
        return self._at("ready")

    @property
    def working(self) -> list[Member]:
        """Those that work on a case."""
        return self._at("working")

    @property
    def work(self) -> Work:
        """What is done with every case, as far as it is the same on all workers."""
        return replace(self._asked.work, choice=next(iter(self._choices.values()), None), ours=True)

    def give(self, member: Member, case: Case) -> None:
        """Let a worker that is ready analyse a case."""
        if member.station is None:
            member.station = self._submit(member, Station, *self._station(member), self._asked.begin)
        member.case, member.step = case, "working"
        self._start(member, analysed_at, member.station, case, certain=case.id in self._nowhere)

    def happened(self) -> Iterator[Done[Case, Entry] | Case]:
        """Yield what came of cases, or a case itself that could not be begun; it is waited for, but not for long.

        Raises
        ------
        MedvisionError
            No worker takes part, or the scheduler is no more.
        """
        if time.monotonic() >= self._looked + _LOOK_SECONDS:
            yield from self._look()
            self._looked = time.monotonic()
        with contextlib.suppress(queue.Empty):
            member, task = self._events.get(timeout=_LOOK_SECONDS)
            while True:
                if member.task is task and self._members.get(member.address) is member:
                    yield from self._heard(member)
                member, task = self._events.get_nowait()

    def close(self) -> None:
        """Cancel what is under way, and remove what is left of it once the workers have put it down."""
        busy = self.working
        pending = [task for each in self._members.values() for task in (each.task, each.station) if task is not None]
        with contextlib.suppress(Exception):  # of any kind: the scheduler may be no more
            self._client.cancel(pending, force=True)
            self._await([member.task.key for member in busy], [member.address for member in busy])
        for member in busy:
            if member.case is not None:
                unfinished(member.case, self.work)

    def _await(self, keys: list[str], addresses: list[str]) -> None:
        until = time.monotonic() + _ENDING_SECONDS
        while addresses and time.monotonic() < until:
            found = self._client.run(at_work, keys, workers=addresses, on_error="ignore")
            if not any(found.values()):
                return
            time.sleep(0.05)

    def _look(self) -> Iterator[Done[Case, Entry]]:
        """Ask workers that are new, and yield the cases that were lost with those that are gone."""
        addresses = self._addresses()
        for member in [each for address, each in self._members.items() if address not in addresses]:
            yield from self._lost(member)
        for address in addresses:
            if address not in self._members:
                self._members[address] = member = Member(address, address)
                self._start(member, met, self._meeting)
        if any(each.step != "refused" for each in self._members.values()):
            self._hope = time.monotonic()
        else:
            self._require_patience(time.monotonic() - self._hope)

    def _addresses(self) -> list[str]:
        try:
            if self._client.status == "running":
                return list(self._client.nthreads())
        except Exception as error:  # of many kinds
            raise self._no_more() from error
        raise self._no_more()

    def _no_more(self) -> WorkerError:
        return WorkerError("scheduler-unreachable", "the Dask scheduler is no more, or cannot be reached any more")

    def _require_patience(self, seconds: float) -> None:
        """Raise where no worker takes part, and it is unlikely that one will."""
        if self._refusals and seconds > _REFUSED_SECONDS:
            raise self._refusals[0]
        if seconds <= _NONE_SECONDS:
            return
        message = f"there has been no Dask worker for {_NONE_SECONDS:.0f} seconds"
        if not self._asked.patient:
            raise WorkerError("worker-refused", message, cure="Start workers, then give the same command again.")
        if not self._told:
            self._told = True
            self._warn(f"{message}: the jobs wait in the queue, or cannot reach this machine (see logs/slurm)")

    def _heard(self, member: Member) -> Iterator[Done[Case, Entry] | Case]:
        """Take in what a worker has done."""
        try:
            value = member.task.result(timeout=_FETCH_SECONDS)
        except Exception as error:  # noqa: BLE001 - of any kind, some of them Dask's own
            yield from self._failed(member, error)
            return
        step, case = member.step, member.case
        if step == "asked":
            self._met(member, value)
        elif step == "trying":
            self._chosen(member, value)
        elif case is not None:
            member.step, member.case = "ready", None
            yield value if isinstance(value, Done) else self._put_back(member, case, value)

    def _failed(self, member: Member, error: Exception) -> Iterator[Done[Case, Entry] | Case]:
        """Refuse a worker that cannot do what it is asked; one that was lost meanwhile is one that was lost."""
        from distributed import KilledWorker

        ours = isinstance(error, MedvisionError)  # some of which are an OSError too
        if not ours and isinstance(error, (CancelledError, KilledWorker, OSError)):
            yield from self._lost(member)
            return
        case, member.case = member.case, None
        self._refuse(member, error if isinstance(error, MedvisionError) else _unable(error))
        if case is not None:
            yield case

    def _put_back(self, member: Member, case: Case, outcome: Unfit | Unseen) -> Case:
        """Return a case that was not begun; a worker that does not see what is seen here takes no part any more."""
        if isinstance(outcome, Unfit):
            self._refuse(member, outcome.error)
        elif archives.exists(outcome.path):
            message = "it does not see the inputs"
            self._refuse(member, WorkerError("worker-refused", message, path=outcome.path.parent))
        else:
            self._nowhere.add(case.id)
        return case

    def _lost(self, member: Member) -> Iterator[Done[Case, Entry]]:
        """Forget a worker; where it is there after all, or there again, it is asked anew."""
        del self._members[member.address]
        self._seek_engines()
        if member.case is not None:
            self._say(f"the Dask worker {member.name} is lost")
            message = f"case {member.case.id}: the Dask worker {member.name} was lost while it worked on it"
            yield Done(member.case, None, WorkerError("worker-lost", message))

    def _met(self, member: Member, facts: Facts) -> None:
        member.facts, member.name = facts, facts.name
        error = _misfit(facts)
        if error is not None:
            self._refuse(member, error)
            return
        member.step = "waiting"
        self._seek_engines()

    def _seek_engines(self) -> None:
        """Let each kind of processor try engines once: the first chooses one, the others show that it is exact."""
        for member in self._at("waiting"):
            facts = member.facts
            if facts is not None and facts.processor in self._choices:
                member.step = "ready"
            elif facts is not None and not self._at("trying"):
                member.step = "trying"
                wanted = next((each.engine for each in self._choices.values()), self._asked.engine)
                engines = Engines(self._asked.work.pipeline, wanted, facts.threads)
                self._start(member, self._asked.choose, engines, self._first, alone=True)

    def _chosen(self, member: Member, choice: Choice) -> None:
        if member.facts is not None:
            self._say(f"the engine is {choice.engine}, tried on the Dask worker {member.name}")
            self._choices[member.facts.processor] = replace(choice, wanted=self._asked.engine)
        member.step = "ready"
        self._seek_engines()

    def _refuse(self, member: Member, error: MedvisionError) -> None:
        finding = error.finding
        words = f"the Dask worker {member.name} takes no part: {finding.message}"
        member.step, member.station = "refused", None
        self._refusals.append(type(error)(finding.code, words, path=finding.path, cure=finding.cure))
        self._warn(f"{words} [{finding.code}]")
        self._seek_engines()

    def _station(self, member: Member) -> tuple[Any, ...]:
        """Return what a worker does with every case, and what it gives the process for it."""
        facts = member.facts or Facts(member.name, {}, "")
        limits = self._asked.limits
        limits = replace(limits, memory_gb=facts.memory_gb) if limits.memory_gb is None else limits
        choice = self._choices[facts.processor]
        work = replace(self.work, threads=facts.threads, choice=choice, memory_gb=limits.memory_gb)
        return work, limits.terms(facts.threads, ())

    def _start(self, member: Member, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        member.task = task = self._submit(member, function, *arguments, **named)
        task.add_done_callback(lambda done: self._events.put((member, done)))

    def _submit(self, member: Member, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return self._client.submit(
            function, *arguments, **named, workers=[member.address], allow_other_workers=False, pure=False
        )

    def _at(self, step: Step) -> list[Member]:
        return [each for each in self._members.values() if each.step == step]


def _misfit(facts: Facts) -> WorkerError | None:
    """Return why a worker's results would not be those of this machine; None where they are."""
    if facts.unseen is not None:
        folder, why = facts.unseen
        cure = "Let all workers see the folder under the same path, or choose one that they see."
        return WorkerError("worker-refused", f"it does not see the folder: {why}", path=folder, cure=cure)
    ours = package_versions()
    for name in sorted({*ours, *facts.versions}):
        here, there = ours.get(name, "absent"), facts.versions.get(name, "absent")
        if here != there:
            cure = "Install the same versions here and there: results depend on them."
            return WorkerError("worker-refused", f"its version of {name} is {there}, and here it is {here}", cure=cure)
    return None


def _unable(error: Exception) -> WorkerError:
    message = f"it cannot do what it is asked ({type(error).__name__})"
    cure = "Install the same medvision for the scheduler and for all workers, and see their logs."
    return WorkerError("worker-refused", message, cure=cure)
