"""How much memory this process takes, and took at most since it was asked last (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

_STATE = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_PEAK = "5"  # what is written to reset the peak: proc(5)


def resident_bytes() -> int | None:
    """Return how much memory the process holds; None where the system does not tell."""
    return _stated("VmRSS")


def peak_bytes() -> int | None:
    """Return the most that the process held since :func:`forget_peak`; None where the system does not tell."""
    return _stated("VmHWM")


def forget_peak() -> bool:
    """Give back what is free, and let the peak begin anew; return whether the system allows that."""
    with contextlib.suppress(OSError, AttributeError):  # of other C libraries than glibc
        ctypes.CDLL(None).malloc_trim(0)
    try:
        _RESET.write_text(_PEAK, encoding="ascii")
    except OSError:
        return False
    return True


def _stated(name: str) -> int | None:
    try:
        lines = _STATE.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)
