"""What engines made and would make again: converted and compiled models, and which engine was chosen."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from numpy.typing import NDArray

from medvision import sealed
from medvision.errors import OutputError
from medvision.files import sha256_of_text
from medvision.frameworks import processor, version_of

LIMIT_BYTES = 4 << 30
"""How much the cache may hold; the entries that were not used for longest go first."""

_FORM = "1"  # of entries and of how they are made; another number leaves all entries of before aside
_MADE_BY = ("medvision-toolkit", "torch", "openvino", "onnxruntime", "onnx", "onnxscript", "nncf")
_SUFFIX = ".safetensors"


@final
@dataclass(frozen=True)
class Cache:
    """Entries in a folder, each a file that tells whether it is whole and what it was made of.

    An entry that is damaged, or made of something else than is asked for, is as good as absent. So is every one where
    the folder cannot be read or written: the cache makes things faster, and nothing depends on it.

    Parameters
    ----------
    folder
        None keeps nothing.
    limit_bytes
        How much all entries together may take.
    """

    folder: Path | None
    limit_bytes: int = LIMIT_BYTES

    @property
    def keeps(self) -> bool:
        """Whether there is a folder to keep anything in."""
        return self.folder is not None

    def load(self, key: Mapping[str, str]) -> dict[str, NDArray[Any]] | None:
        """Return the arrays of an entry by name; None where there is none that is whole.

        Parameters
        ----------
        key
            What the entry was made of. Versions and the processor are added to it.
        """
        if self.folder is None:
            return None
        facts, path = _facts(key), self._path(key)
        try:
            arrays, found = sealed.load(path)
        except sealed.SealBrokenError:
            return None
        if found != facts:
            return None
        with contextlib.suppress(OSError):  # of a folder that is only read
            os.utime(path)
        return arrays

    def save(self, key: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays under a key, where that is possible; the oldest entries make room for them."""
        if self.folder is None or sum(array.nbytes for array in arrays.values()) > self.limit_bytes:
            return
        path = self._path(key)
        with contextlib.suppress(OutputError):
            sealed.save(path, arrays, _facts(key), synced=False)
            self._make_room(path)

    def _path(self, key: Mapping[str, str]) -> Path:
        parts = [word for pair in sorted(_facts(key).items()) for word in pair]
        return Path(self.folder or "", sha256_of_text(parts)[:32] + _SUFFIX)

    def _make_room(self, newest: Path) -> None:
        """Remove the entries that were not used for longest, until the others are within the limit."""
        ages = {}
        for path in newest.parent.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(OSError):  # another process removes entries too
                state = path.stat()
                ages[path] = (state.st_mtime, state.st_size)
        total = sum(size for _, size in ages.values())
        for path in sorted(ages.keys() - {newest}, key=lambda each: ages[each]):
            if total <= self.limit_bytes:
                return
            with contextlib.suppress(OSError):
                path.unlink()
                total -= ages[path][1]


NOTHING_KEPT = Cache(None)
"""A cache that keeps nothing."""


def user_cache() -> Cache:
    """Return the cache of this user: ``medvision/engines`` in ``$XDG_CACHE_HOME``, else in ``~/.cache``."""
    stated = os.environ.get("XDG_CACHE_HOME", "")
    if Path(stated).is_absolute():  # others are to be ignored: XDG Base Directory Specification
        return Cache(Path(stated) / "medvision" / "engines")
    try:
        return Cache(Path.home() / ".cache" / "medvision" / "engines")
    except RuntimeError:  # a user without a home folder
        return NOTHING_KEPT


def _facts(key: Mapping[str, str]) -> dict[str, str]:
    return {"form": _FORM, "processor": processor(), **{name: version_of(name) for name in _MADE_BY}, **key}
