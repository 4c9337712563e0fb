"""A process, seen from its parent."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from medvision.errors import WorkerError
from medvision.workers.machine import computed_seconds, resident_bytes
from medvision.workers.messages import packed
from medvision.workers.terms import Terms

_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# The caller's search path comes first of all: medvision itself may be found by it alone.
_START = """
import sys
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
sys.path[:] = connection.recv()
from medvision.workers.messages import packed, unpacked
from medvision.workers.serving import serve
serve(connection, tied=sys.argv[2] == 'tied')
"""


class Child:
    """A process, seen from its parent.

    Parameters
    ----------
    task
        What it is to do with every item, packed.
    terms
        What it is given.

    Raises
    ------
    WorkerError
        The machine starts no further process.
    """

    def __init__(self, task: bytes, terms: Terms) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        self.todo: deque[tuple[int, Any]] = deque()
        self.starting = True
        self.condemned: tuple[str, str] | None = None  # why it was ended by us: a reason code, and words
        with theirs:
            self._process = _started(theirs, terms)
        self._counted = 0.0
        self._mark()
        with contextlib.suppress(OSError):  # it has ended already, which shows when its answer is read
            self.connection.send(sys.path)
            self.connection.send_bytes(task)

    def take(self, work: Sequence[tuple[int, Any]]) -> bool:
        """Send work; False where the process has ended."""
        orders = packed([packed(item) for _, item in work])
        if not self.starting and self._process.poll() is not None:
            return False
        with contextlib.suppress(OSError):  # it ends this very moment, or did before it began: read from it, and see
            self.connection.send_bytes(orders)
        self.todo.extend(work)
        self._mark()
        return True

    def began(self) -> None:
        """Note that it can work, and works on its first item from now on."""
        self.starting = False
        self._mark()

    def answered(self) -> tuple[int, Any]:
        """Return the number and the item of which the answer has come; it works on the next one from now on."""
        self._mark()
        return self.todo.popleft()

    @property
    def resident_bytes(self) -> int:
        """The memory that it holds."""
        return resident_bytes(self._process.pid)

    @property
    def seconds(self) -> float:
        """How long it has worked on its item."""
        return 0.0 if self.starting else time.monotonic() - self._since

    def stalled_seconds(self) -> float:
        """Return for how long it has computed nothing, as far as was seen by asking."""
        computed = computed_seconds(self._process.pid)
        if computed > self._counted:
            self._counted, self._moved = computed, time.monotonic()
        return time.monotonic() - self._moved

    def condemn(self, code: str, words: str) -> None:
        """End it at once, for a reason that is told in place of the signal."""
        self.condemned = (code, words)
        self._process.kill()

    def ended(self, seconds: float) -> int:
        """Return the exit code, or minus the signal; the process is killed if it has not ended after some time."""
        try:
            return self._process.wait(seconds)
        except BaseException as failure:
            self._process.kill()  # also where the caller is told a second time to end
            if not isinstance(failure, subprocess.TimeoutExpired):
                raise
            return self._process.wait()

    def _mark(self) -> None:
        self._since = self._moved = time.monotonic()


def _started(connection: Connection, terms: Terms) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-P", "-c", _START, str(connection.fileno()), "tied" if terms.tied else "free"],
            pass_fds=[connection.fileno(), *terms.held],
            env=os.environ | dict.fromkeys(_POOLS, str(terms.threads)),
            stdin=subprocess.DEVNULL,
            stdout=2,  # what libraries print must not get among the results of a command
            process_group=0,  # a terminal's Ctrl-C is for the parent, which ends its children
        )
    except OSError as error:
        raise WorkerError("worker-lost", f"no further process can be started: {error.strerror}") from error
