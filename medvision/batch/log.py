"""What a run did, and when, in words, without anything of a patient."""

from __future__ import annotations

import contextlib
from pathlib import Path

from medvision.batch.entry import Entry, now

LOG = "logs/run.log"
"""Where the log lies in an output folder."""


class Log:
    """The log of an output folder: lines are added at its end, and it is never needed to go on.

    It names cases by their ids, and problems by their codes and messages, which hold nothing of a header.

    Parameters
    ----------
    folder
        The output folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG

    def say(self, words: str) -> None:
        """Add a line with the time; where the disk takes none, go on without."""
        line = f"{now()} {' '.join(words.split())}\n".encode(errors="backslashreplace")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            with self._path.open("ab", buffering=0) as file:  # one write, so that lines of two processes do not mix
                file.write(line)

    def tell(self, entry: Entry) -> None:
        """Add a line on what came of a case."""
        why = f": {entry.problem.message} [{entry.problem.code}]" if entry.problem else ""
        self.say(f"{entry.id} {entry.state} in {entry.seconds:.1f} s{why}")
