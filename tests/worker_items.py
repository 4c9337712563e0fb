"""What processes are asked to do in tests; it imports little, as each of them imports it anew."""

from __future__ import annotations

import mmap
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medvision.errors import InputError

GIB = 1 << 30
_BEGUN: list[int] = []


class Unloadable:
    """Pickles well, and does something else when it is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments

    def __call__(self, item: Any) -> Any:
        return item


def work(item: str) -> Any:
    """Do what is asked."""

    class OddWarning(UserWarning):
        """Known in this process alone."""

    if item == "refuse":
        raise InputError("truncated", "600 of 1,200 bytes", path=Path("a.nii"), cure="Copy it.")
    if item == "bug":
        raise KeyError("Doe, Jane")
    if item == "torch":
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")
    if item in ("warn", "warn again"):
        warnings.warn("careful", RuntimeWarning, stacklevel=1)
        warnings.warn("odd", OddWarning, stacklevel=1)
    return {
        "add": lambda: 1 + 1,
        "exit": lambda: os._exit(3),
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "local": lambda: lambda: None,
        "unloadable": lambda: Unloadable(int, "Doe"),
        "threads": lambda: [os.environ[f"{name}_NUM_THREADS"] for name in ("OMP", "OPENBLAS", "MKL")],
        "print": lambda: (sys.stdout.write("from a child\n"), sys.stdout.flush()),
        "reserve": lambda: len(mmap.mmap(-1, 8 * GIB)),
        "fill": lambda: [b"\1" * (GIB // 64) for _ in range(512)],
        "wait": lambda: time.sleep(5.0),
        "hang": lambda: time.sleep(600),
        "spin": lambda: [None for _ in iter(int, 1)],
        "compute": _compute,
        "pid": os.getpid,
    }.get(item, lambda: None)()


def _compute() -> None:
    """Compute for twice as long as a process may do nothing in the tests."""
    until = time.monotonic() + 1.2
    while time.monotonic() < until:
        pass


def begin() -> Callable[[str], tuple[str, int]]:
    """Return what says of each item how often this was called."""
    _BEGUN.append(1)
    return lambda item: (item, len(_BEGUN))


def slow(number: int) -> int:
    """Return a number, in a while."""
    time.sleep(0.2)
    return number


def held_file(number: int) -> int:
    """Return which file an open file is."""
    return os.fstat(number).st_ino


def stay(folder: Path) -> None:
    """Say that this process is at work, stay, and say that it has put things in order."""
    (folder / "half").write_text(str(os.getpid()), encoding="ascii")
    (folder / "half").replace(folder / "begun")
    try:
        time.sleep(60)
    finally:
        (folder / "tidied").touch()


def deaf(folder: Path) -> None:
    """Say that this process is at work, and compute without a moment for signals or other threads."""
    (folder / "half").write_text(str(os.getpid()), encoding="ascii")
    (folder / "half").replace(folder / "begun")
    sum(range(10**11))


def slow_first(number: int) -> int:
    """Return the number; the first takes long."""
    time.sleep(0.3 if number == 0 else 0.0)
    return number


def refuse() -> None:
    """Refuse to be loaded."""
    raise InputError("truncated", "600 of 1,200 bytes")
