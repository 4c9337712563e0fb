"""A whole command measured from outside: wall time, CPU time and peak memory of all its processes (Linux).

Memory is the sum over the processes of the command of the proportional set size (a page shared by n processes counts
1/n each), read every 0.1 s, or as seldom as keeps the reading to a twentieth of a core; a shorter peak may be missed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PERIOD_S = 0.1
_SHARE = 0.05  # of a core, that looking on may take
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True)
class Measured:
    """What a command took.

    Parameters
    ----------
    wall_s, cpu_s
        Time, and time on all cores of all its processes.
    peak_bytes
        Most memory of all its processes together.
    status
        Exit status; negative for a signal.
    over_limit
        Whether it was ended because it went over the memory it was given.
    lines
        What it wrote on the standard streams, each line with the second at which it came.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    status: int
    over_limit: bool
    lines: tuple[tuple[float, str], ...]

    def second_of(self, beginning: str, *, last: bool = False) -> float | None:
        """Return when the first (or last) line came that begins so; None where none does."""
        found = [second for second, line in self.lines if line.startswith(beginning)]
        return (found[-1] if last else found[0]) if found else None


def measured(
    command: Sequence[str], environment: Mapping[str, str] | None = None, *, limit_bytes: int | None = None
) -> Measured:
    """Run a command; return what it took. Beyond `limit_bytes` of memory all its processes are killed."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**(environment or os.environ), "PYTHONUNBUFFERED": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    lines: list[tuple[float, str]] = []
    reader = threading.Thread(target=_read, args=(process.stdout, start, lines), daemon=True)
    reader.start()
    peak, spent, is_over = 0, dict[int, float](), False
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        looked_s = time.thread_time()
        members = list(session(process.pid))
        spent |= dict(members)
        memory = sum(memory_of(member) for member, _ in members)
        peak = max(peak, memory)
        if limit_bytes is not None and memory > limit_bytes and not is_over:
            is_over = True
            _kill(dict(members))
        time.sleep(max(PERIOD_S, (time.thread_time() - looked_s) / _SHARE))
    wall_s = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    reader.join(timeout=5)
    waited_for = used.ru_utime + used.ru_stime  # with the children that were waited for
    cpu_s = max(waited_for, sum(spent.values()))
    return Measured(wall_s, cpu_s, peak, process.returncode, is_over, tuple(lines))


def session(leader: int) -> Iterator[tuple[int, float]]:
    """Yield the processes of a session, each with its seconds of CPU time."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[3]) == leader:
            yield int(entry.name), (int(fields[11]) + int(fields[12])) / _TICKS


def memory_of(process: int) -> int:
    """Return the proportional set size of a process in bytes, or its resident set size; 0 for one that has ended."""
    for name, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            text = Path(f"/proc/{process}/{name}").read_text(encoding="utf-8")
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


def _read(stream: IO[str] | None, start: float, lines: list[tuple[float, str]]) -> None:
    with stream or nullcontext(()) as said:
        for line in said:
            lines.append((time.perf_counter() - start, line.rstrip("\n")))


def _kill(processes: Iterable[int]) -> None:
    for process in processes:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
