"""What was made of the files last read, so that the volumes of one file do not each cost the whole of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar, final

from medvision.archives import stamp_of

Made = TypeVar("Made")
_Stamps = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class _Entry(Generic[Made]):
    """What was made of files as they were then, and its bytes."""

    stamps: _Stamps
    made: Made
    size: int


@final
class Kept(Generic[Made]):
    """Makes something of files, and keeps it until they change, or until later ones take its room.

    Parameters
    ----------
    make
        Takes the files, and what else was handed to :meth:`of`; returns what it made, and about how many bytes that
        takes. What it raises is not kept.
    most_bytes
        What is kept takes no more than this altogether; what is larger alone is made each time.

    Examples
    --------
    >>> lengths = Kept(lambda files, unit: (len(files) * unit, 8), most_bytes=16)
    >>> lengths.of((), 3)
    0
    """

    def __init__(self, make: Callable[..., tuple[Made, int]], *, most_bytes: int) -> None:
        self._make, self._most = make, most_bytes
        self._entries: OrderedDict[Hashable, _Entry[Made]] = OrderedDict()
        self._lock = Lock()

    def of(self, files: tuple[Path, ...], *how: Hashable) -> Made:
        """Return what is made of `files` as they are now; nobody may change it, as others get the same.

        Raises
        ------
        OSError, InputError
            As :func:`medvision.archives.stamp_of`, and what making it raises.
        """
        key = (files, how)
        stamps = tuple(map(stamp_of, files))  # before they are read: what changes in between is made anew next time
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry.stamps == stamps:
                self._entries.move_to_end(key)
                return entry.made
            self._entries.pop(key, None)
        made, size = self._make(files, *how)
        with self._lock:
            self._entries[key] = _Entry(stamps, made, size)
            while sum(entry.size for entry in self._entries.values()) > self._most:
                self._entries.popitem(last=False)
        return made

    def forget(self, files: tuple[Path, ...]) -> None:
        """Let go of what was made of `files`, as nobody will ask for it soon."""
        with self._lock:
            for key in [key for key in self._entries if key[0] == files]:  # type: ignore[index]
                del self._entries[key]
