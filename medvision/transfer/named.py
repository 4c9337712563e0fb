"""Foreign tensors under our names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, eq=False)
class Named:
    """A tensor that has one of our names.

    Parameters
    ----------
    tensor
        The values; None where several tensors of the source could be meant, or the values cannot be ours.
    sources
        The names that it has, or the names of the parts that it was made of.
    notes
        What was done to it; a few words each. Where there is no tensor: why.
    """

    tensor: Any = field(repr=False)
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()


def renamed(values: Mapping[str, Named], rules: Sequence[tuple[str, str]]) -> dict[str, Named]:
    """Return the values under the names that the rules make; see :class:`medvision.transfer.families.Family`.

    Two values that come to one name are one where they are equal, and else neither.
    """
    result: dict[str, Named] = {}
    for name, value in values.items():
        new = _new_name(name, rules)
        if new is None:
            continue
        before = result.get(new)
        result[new] = value if before is None else _of_two(before, value)
    return result


def _new_name(name: str, rules: Sequence[tuple[str, str]]) -> str | None:
    """Return a name by the first rule that fits; None for one that has no place."""
    if not rules:
        return name
    for pattern, replacement in rules:
        if re.match(pattern, name):
            return re.sub(f"^(?:{pattern})", replacement, name, count=1)
    return None


def _of_two(first: Named, second: Named) -> Named:
    import torch

    sources = (*first.sources, *second.sources)
    if first.tensor is not None and second.tensor is not None and torch.equal(first.tensor, second.tensor):
        return Named(first.tensor, sources, first.notes)
    return Named(None, sources, (f"{' and '.join(sources)} could both be meant",))
