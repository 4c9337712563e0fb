"""What the machine gives processes, and how it ends them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path

_MEANINGS = {
    "SIGSEGV": "a library touched memory that is not its own",
    "SIGBUS": "a file that was being read became shorter, or memory could not be had",
    "SIGABRT": "a library gave up",
    "SIGFPE": "a library divided whole numbers by zero",
    "SIGILL": "a library is made for another processor",
    "SIGTERM": "it was asked to end",
    "SIGXCPU": "its processor time was up",
}
_QUOTA = "/sys/fs/cgroup/cpu.max"
_MEMORY = "/sys/fs/cgroup"
_COUNTERS = {
    "the container": ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"),
    "the machine": ("/proc/vmstat",),
}


def cores() -> int:
    """Return how many cores this process may use: those it is bound to, and no more than its container is given."""
    bound = len(os.sched_getaffinity(0))
    try:
        quota, period = Path(_QUOTA).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return bound
    return bound if quota == "max" else max(1, min(bound, int(quota) // int(period)))


def resident_bytes(pid: int) -> int:
    """Return the memory that a process holds, its libraries included (proc_pid_statm(5)); 0 once it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def computed_seconds(pid: int) -> float:
    """Return the processor time that a process has taken (proc_pid_stat(5), fields 14 and 15); 0 once it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()  # from field 3 on
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def available_bytes() -> int | None:
    """Return how much memory further processes can have: what is free here, and in the container; None: not told."""
    found = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        words = Path("/proc/meminfo").read_text(encoding="ascii").split("MemAvailable:")[1].split()
        found.append(int(words[0]) * 1024)
    with contextlib.suppress(OSError, ValueError):  # "max" where there is no limit
        most, used = (int(Path(_MEMORY, name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        found.append(max(0, most - used))
    return min(found, default=None)


def how_ended(code: int, kills: Mapping[str, int]) -> str:
    """Return how a process ended, and what that means as far as it is known.

    Parameters
    ----------
    code
        Its exit code, or minus the signal.
    kills
        What :func:`memory_kills` said before it began.
    """
    if code >= 0:
        return f"ended by itself with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"was ended by signal {-code}"
    if name != "SIGKILL":
        return f"was ended by signal {-code} ({', '.join(filter(None, [name, _MEANINGS.get(name)]))})"
    now = memory_kills()
    where = [place for place, count in now.items() if count > kills.get(place, count)]
    if where:
        return f"was ended by signal 9 (SIGKILL); meanwhile the kernel ended a process of {where[0]} for want of memory"
    return "was ended by signal 9 (SIGKILL), by somebody or because memory ran out: which, is not known"


def memory_kills() -> dict[str, int]:
    """Return how many processes the kernel has ended for want of memory, where it can be read."""
    found = {}
    for place, files in _COUNTERS.items():
        for file in files:
            with contextlib.suppress(OSError, ValueError):
                words = Path(file).read_text(encoding="ascii").split()
                found[place] = int(words[words.index("oom_kill") + 1])
    return found
