"""How much memory a case took."""

from __future__ import annotations

import contextlib
from pathlib import Path


def forget_peak_memory() -> None:
    """Let :func:`peak_memory_mb` begin anew, where the system can (Linux: proc(5), clear_refs)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_mb() -> float | None:
    """Return the greatest memory that this process has held, in MB of 2^20 bytes; None where it is not told."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        status = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
