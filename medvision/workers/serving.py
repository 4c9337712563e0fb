"""What a child process does: it works on what its parent sends, and ends when its parent does."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

from medvision.errors import MedvisionError, unforeseen
from medvision.workers.messages import packed, unpacked

GRACE_SECONDS = 3.0
"""How long a process that is told to end may take, to remove what it had half written."""


def serve(connection: Connection, *, tied: bool) -> None:
    """Work on what comes over `connection`, until nothing can come any more.

    Parameters
    ----------
    tied
        Whether this process is killed the moment its parent is no more.
    """
    if tied:
        _die_with_parent()
    os.set_inheritable(connection.fileno(), False)
    signal.signal(signal.SIGTERM, _stop)
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, orders), daemon=True).start()
    told: set[Any] = set()
    try:
        function = _begin(connection, orders.get())
        while True:
            for item in unpacked(orders.get()):
                connection.send_bytes(_answer(function, item, told))
    except (_Stopped, ConnectionError):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # so that the parent is told the signal
        os.kill(os.getpid(), signal.SIGTERM)


def _die_with_parent() -> None:
    """Ask the system to kill this process when its parent ends; where it cannot, the closed connection does it."""
    import ctypes

    set_parent_death_signal = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


class _Stopped(BaseException):
    """Raised where a process is to end, after it has put in order what it had begun."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped


def _listen(connection: Connection, orders: queue.SimpleQueue[bytes]) -> None:
    """Read what the parent sends; when it closes the connection, or is no more, end this process."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            orders.put(connection.recv_bytes())
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def _begin(connection: Connection, task: bytes) -> Callable[[Any], Any]:
    """Return the function, and tell the parent whether it can be called; wait to be ended where it cannot."""
    try:
        function, begins = unpacked(task)
        if begins:
            function = function()
    except Exception as failure:
        connection.send_bytes(packed(problem_of(failure)))
        signal.pause()
        raise
    connection.send_bytes(b"")
    return function  # type: ignore[no-any-return]


def _answer(function: Callable[[Any], Any], item: bytes, told: set[Any]) -> bytes:
    """Return, pickled: the pickled value, the error (one of ours, or a code and words), and new warnings."""
    value, error = packed(None), None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # the parent's filters decide
        try:
            value = packed(function(unpacked(item)))
        except Exception as failure:  # noqa: BLE001 - of any kind
            error = problem_of(failure)
    return packed((value, error, _new(caught, told)))


def problem_of(failure: Exception) -> MedvisionError | tuple[str, str]:
    """Return an error of ours as it is; of another, a reason code and words that hold no value of a file."""
    if isinstance(failure, MedvisionError):
        return failure
    if isinstance(failure, MemoryError) or "can't allocate memory" in str(failure):  # the latter is torch's
        return "out-of-memory", "memory ran out"
    return "internal", unforeseen(failure, None).message


def _new(caught: list[warnings.WarningMessage], told: set[Any]) -> list[tuple[str, type[Warning], str, int]]:
    """Return the warnings that this process has not told yet."""
    found = []
    for entry in caught:
        known = getattr(sys.modules.get(entry.category.__module__), entry.category.__qualname__, None)
        category = entry.category if known is entry.category else UserWarning  # another process must know it by name
        warning = (str(entry.message), category, entry.filename, entry.lineno)
        if warning not in told:
            told.add(warning)
            found.append(warning)
    return found
