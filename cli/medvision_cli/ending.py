"""How a command ends that is told to: by Ctrl-C, by a batch system, by a terminal that is closed."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import typer

_TOLD = (signal.SIGTERM, signal.SIGHUP)


class Told(KeyboardInterrupt):
    """The command was told to end by a signal that is no Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextlib.contextmanager
def told_to_end() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does, in order; the exit code is 128 and the signal's number."""
    if threading.current_thread() is not threading.main_thread():  # no other may set what a signal does
        yield
        return
    ignored = [number for number in _TOLD if signal.getsignal(number) == signal.SIG_IGN]  # nohup
    before = {number: signal.signal(number, _tell) for number in _TOLD if number not in ignored}
    try:
        yield
    except Told as told:
        raise typer.Exit(128 + told.number) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(number: int, frame: FrameType | None) -> None:
    raise Told(number)
