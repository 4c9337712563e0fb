"""What a header states about how its image was made, in single-frame and in multi-frame files alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from medvision.errors import InputError
from medvision.io.dicom.parsed import header_of
from medvision.io.located import decoding, located, quiet

_SHARED, _PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_IN_FRAMES = {"EchoTime": "EffectiveEchoTime", "InversionTime": "InversionTimes"}  # other names there (PS3.3, C.8.13)


def stated(file: Path, keywords: Sequence[str]) -> dict[str, Any]:
    """Return what the header of a DICOM file states under `keywords`; what is missing, empty or damaged is left out.

    A multi-frame file states most in its functional groups (PS3.3, C.7.6.16): what all its frames share counts as
    stated, what differs between them does not.

    Raises
    ------
    InputError
        ``bad-header``: the file cannot be parsed; ``unreadable``; ``too-large``: it unpacks to too much.
    """
    with located(file), quiet():
        dataset = header_of(file)
        return {keyword: value for keyword in keywords for value in [_fact(dataset, keyword)] if value is not None}


def _fact(dataset: Any, keyword: str) -> Any:
    """Return a value; None where it is missing or cannot be understood: no fact is better than a wrong one."""
    try:
        with decoding(keyword):
            value = _value(dataset, keyword)
            return _in_groups(dataset, keyword) if value is None else value
    except InputError:
        return None


def _value(dataset: Any, keyword: str) -> Any:
    value = dataset.get(keyword)
    return None if value is None or (hasattr(value, "__len__") and len(value) == 0) else value


def _in_groups(dataset: Any, keyword: str) -> Any:
    names = (keyword, _IN_FRAMES.get(keyword, keyword))
    shared = _of_items(_value(dataset, _SHARED) or (), names)
    if shared:
        return shared[0]
    frames = _value(dataset, _PER_FRAME) or ()
    values = _of_items(frames, names)
    return values[0] if values and len(values) == len(frames) and all(v == values[0] for v in values) else None


def _of_items(items: Any, names: Sequence[str]) -> list[Any]:
    """Return the value of each item of a sequence of functional groups that states one."""
    return [value for item in items for value in [_of_item(item, names)] if value is not None]


def _of_item(item: Any, names: Sequence[str]) -> Any:
    found = (_value(group, name) for group in _groups(item) for name in names)
    return next((value for value in found if value is not None), None)


def _groups(item: Any) -> Iterator[Any]:
    for element in item:
        if element.VR == "SQ" and len(element.value) == 1:
            yield element.value[0]
