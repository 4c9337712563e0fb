"""Starts the processes of a training on one machine, and ends all of them when one fails.

``torchrun`` and ``srun`` do the same for several machines; a process that either has started needs nothing of this.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from medvision.errors import UsageError

_POLL_SECONDS = 0.05
_WATCHED = "MEDVISION_LAUNCHER_ON_STDIN"
_ORPHANED = 1


@dataclass(frozen=True)
class Ended:
    """How the processes of a training ended.

    Parameters
    ----------
    code
        0 where all came to their end; else the exit code of the process that failed first, or minus its signal.
    rank
        Which failed first; None where none did.
    """

    code: int
    rank: int | None = None

    @property
    def words(self) -> str:
        """What is to be said; empty where nothing failed.

        >>> Ended(-9, 1).words, Ended(7, 0).words, Ended(0).words
        ('process 1 was ended by signal 9', 'process 0 failed', '')
        """
        if self.rank is None:
            return ""
        how = f"was ended by signal {-self.code}" if self.code < 0 else "failed"
        return f"process {self.rank} {how}"


def launched(environment: Mapping[str, str] | None = None) -> bool:
    """Say whether this process is one of a training's: started by :func:`launch`, ``torchrun`` or ``srun``.

    >>> launched({}), launched({"LOCAL_RANK": "0"}), launched({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8"})
    (False, True, True)
    """
    known = os.environ if environment is None else environment
    return "LOCAL_RANK" in known or ("SLURM_PROCID" in known and int(known.get("SLURM_STEP_NUM_TASKS", "1")) > 1)


def require_launched(devices: int, nodes: int) -> None:
    """Refuse processes that nobody has started.

    Raises
    ------
    UsageError
        This process is none of a training's.
    """
    if not launched():
        how = (
            f"torchrun --nnodes {nodes} --nproc-per-node {devices} --no-python medvision train ... --devices {devices}"
        )
        cure = f"On each machine: {how} --nodes {nodes}; or let srun start them."
        raise UsageError("usage", f"{devices} processes on each of {nodes} machines were not started", cure=cure)


def launch(command: Sequence[str], processes: int, *, grace_seconds: float = 20.0) -> Ended:
    """Run `command` in some processes that find each other, and wait for them.

    Only the first one's output is shown; all may write errors. When one fails, the others have `grace_seconds` to find
    out and to say so; then they are ended. So are all when this process is interrupted or told to end (SIGTERM). Should
    it be killed, it can end nobody: each process sees to that itself, by :func:`end_with_launcher`.

    Raises
    ------
    KeyboardInterrupt
        It was.
    """
    port = _free_port()
    running: dict[int, subprocess.Popen[bytes]] = {}
    with _told_to_end_is_interrupted(), _open_pipe() as end:
        try:
            for rank in range(processes):
                running[rank] = _started(command, rank, processes, port, end)
            return _watched(running, grace_seconds)
        finally:
            _end(running, grace_seconds)


def end_with_launcher() -> None:
    """Let this process end at once when the one that started it by :func:`launch` is no more.

    Who started it holds one end of a pipe, and this process the other, its standard input: however the first ends
    (SIGKILL, no memory left), the system closes the pipe. Left alone, the processes of a training would work on, hold
    the output folder, and nobody would know. One that ``torchrun`` or ``srun`` has started is left to them.
    """
    if _WATCHED in os.environ:
        threading.Thread(target=_end_when_closed, args=(sys.stdin.fileno(),), daemon=True).start()


def _end_when_closed(file: int) -> None:
    while os.read(file, 1):
        pass
    os._exit(_ORPHANED)  # what is kept of a training can be relied on whenever its process ends


@contextmanager
def _open_pipe() -> Iterator[int]:
    """Give the end of a pipe where nothing is to be read, and which is open for as long as this process is there."""
    end, held = os.pipe()
    try:
        yield end
    finally:
        os.close(held)
        os.close(end)


@contextmanager
def _told_to_end_is_interrupted() -> Iterator[None]:
    """Let SIGTERM, which batch systems and containers send, end the block as an interruption does: cleaned up."""
    if threading.current_thread() is not threading.main_thread():  # no other may set what a signal does
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _started(command: Sequence[str], rank: int, processes: int, port: int, end: int) -> subprocess.Popen[bytes]:
    found = {
        "LOCAL_RANK": str(rank),
        "RANK": str(rank),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        _WATCHED: "1",
    }
    output = None if rank == 0 else subprocess.DEVNULL
    environment = {**os.environ, **found}
    return subprocess.Popen(list(command), env=environment, stdin=end, stdout=output)  # noqa: S603 - the caller's own


def _watched(running: dict[int, subprocess.Popen[bytes]], grace_seconds: float) -> Ended:
    """Wait until all have ended, or for some time after the first that failed."""
    ended, until = Ended(0), float("inf")
    while running and time.monotonic() < until:
        for rank, process in list(running.items()):
            code = process.poll()
            if code is None:
                continue
            del running[rank]
            if code and ended.rank is None:
                ended, until = Ended(code, rank), time.monotonic() + grace_seconds
        time.sleep(_POLL_SECONDS)
    return ended


def _end(running: Mapping[int, subprocess.Popen[bytes]], grace_seconds: float) -> None:
    for process in running.values():
        process.terminate()
    for process in running.values():
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
