"""When the command began: a time that is given counts from there, Python's own start included."""

from __future__ import annotations

import os
import time
from pathlib import Path

import typer

_OWN_SECONDS = 60.0  # a process that had run for longer was another program, which this one took the place of (exec)


def process_began() -> float:
    """Return when this process was started, by ``time.monotonic``.

    Where the system does not tell (it does on Linux: proc_pid_stat(5), field 22), it is taken to have computed ever
    since; so it is where the process is far older than the command can be.
    """
    now, computed = time.monotonic(), time.process_time()
    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()  # from field 3 on
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError, IndexError):
        age = computed
    return now - (age if 0 <= age <= _OWN_SECONDS else min(computed, _OWN_SECONDS))


def command_began(context: typer.Context) -> float:
    """Return when the command began, by ``time.monotonic``: with its process, or now where it is called within one."""
    return context.obj if isinstance(context.obj, float) else time.monotonic()
