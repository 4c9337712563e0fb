"""The ways of training that are compared: from scratch, or from what weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medvision.errors import UsageError
from medvision.files import sha256_of_text, write_json
from medvision.workflows.starting.source import digest_of_source, pinned
from medvision.workflows.starting.start import Start
from medvision.workflows.training_folder.state import state_in

_STARTS = "starts.json"
_SCRATCH = ("scratch", "full", False)  # in place of what identifies a start
_SHORT = 12  # hex digits of a source's hash that are shown


@dataclass(frozen=True)
class Way:
    """A way to train.

    Parameters
    ----------
    name
        How it is called in tables.
    start
        What it starts from; None starts from scratch.
    """

    name: str
    start: Start | None = None

    def digest(self) -> str:
        """Return the hash of where it starts and of what is tuned.

        Raises
        ------
        PipelineError
            There are no such weights, or the hub cannot be reached.
        """
        return sha256_of_text(map(str, self.start.identity() if self.start else _SCRATCH))

    def to_json(self) -> dict[str, Any]:
        """Return the way as JSON values; a source is shown by its name, without its folder, and its hash."""
        source = shown_source(self.start.source) if self.start else None
        return {"name": self.name, "source": source, "tune": self.start.tune if self.start else "full"}


def ways_of(sources: Sequence[str], tune: str = "full") -> tuple[Way, ...]:
    """Return the ways to train that start from the weights named; ``scratch`` is none.

    Raises
    ------
    UsageError
        A name is empty.

    Examples
    --------
    >>> [(way.name, way.start and way.start.source) for way in ways_of(["scratch", "a.pt"], "head")]
    [('scratch', None), ('a.pt', 'a.pt')]
    """
    names = [source.strip() for source in sources]
    if not all(names):
        raise UsageError("usage", f"the name of a start is missing: {','.join(names)!r}")
    short = [_short(name) for name in names]
    told = [_short(name, parts=2) if short.count(last) > 1 else last for name, last in zip(names, short, strict=True)]
    pairs = zip(told, names, strict=True)
    return tuple(Way(last) if name == "scratch" else Way(last, Start(name, tune)) for last, name in pairs)


def pin_starts(ways: Sequence[Way], out: Path, *, keep: bool = True) -> tuple[Way, ...]:
    """Return the ways as all trainings in `out` take them, and keep it there.

    What is of the hub stays what the hub had when the first of them began.

    Parameters
    ----------
    ways
        As they were asked for.
    out
        Keeps what is found: a comparison may go on when the hub has something newer, or is not there.
    keep
        Whether it does so now; a mere look at what would be trained writes nothing.

    Raises
    ------
    PipelineError
        The hub cannot be reached, or what was kept is damaged.
    """
    path = out / _STARTS
    known: dict[str, str] = {}
    if path.is_file():
        with state_in(path) as content:
            known = {str(source): str(pin) for source, pin in content.items()}
    sources = {way.start.source for way in ways if way.start is not None}
    pins = known | {source: pinned(source) for source in sorted(sources - known.keys())}
    moving = {source: pin for source, pin in pins.items() if source != pin}
    if keep and moving != known:
        write_json(path, moving)
    starts = [None if way.start is None else replace(way.start, source=pins[way.start.source]) for way in ways]
    return tuple(replace(way, start=start) for way, start in zip(ways, starts, strict=True))


def shown_source(source: str) -> str:
    """Return a source as results may hold it: its name without the folder, and the start of its hash."""
    if not Path(source).exists():
        return source
    return f"{_short(source)} (SHA-256 {digest_of_source(source)[:_SHORT]})"


def _short(source: str, parts: int = 1) -> str:
    """Return the last parts of the path of a source; of what is no path here, all of it."""
    return "/".join(Path(source).resolve().parts[-parts:]) if Path(source).exists() else source
