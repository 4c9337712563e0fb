"""What a training can give up where its time is short: batch first, then width, then patch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from medvision.pipeline import Settings

_LEAST_CHANNELS = 8
_LEAST_BATCH = 2
_LEAST_PATCH = 16
_HALF = 0.6  # of the voxels, in steps of what the network can divide


@dataclass(frozen=True)
class Cut:
    """Settings that cost less a step, and what was given up for it.

    Parameters
    ----------
    settings
        The settings with the cut.
    words
        What was cut, for a person.
    """

    settings: Settings
    words: str


def narrower(settings: Settings) -> Cut | None:
    """Return the network with half as many channels; None where that were fewer than 8, or it cannot be built so."""
    channels: Any = getattr(settings.network, "channels", None)
    if channels is None:
        return None
    widths = channels if isinstance(channels, tuple) else (channels,)
    if min(widths) < 2 * _LEAST_CHANNELS:
        return None
    halved = tuple(width // 2 for width in widths)
    kind: Any = settings.network
    try:
        network = replace(kind, channels=halved if isinstance(channels, tuple) else halved[0])
    except ValueError:  # e.g. heads that do not divide them any more
        return None
    words = f"the network's width: channels {list(halved)} in place of {list(widths)}"
    return Cut(replace(settings, network=network), words)


def smaller_batch(settings: Settings, *, shared_by: int = 1) -> Cut | None:
    """Return about half the batch, of 2 samples at least and as many for each process; None where it has no more.

    Parameters
    ----------
    settings
        Before the cut.
    shared_by
        How many processes share a batch.
    """
    batch = max(_LEAST_BATCH, settings.train.batch // 2)
    batch = math.ceil(batch / shared_by) * shared_by
    if batch >= settings.train.batch:
        return None
    train = replace(settings.train, batch=batch)
    return Cut(replace(settings, train=train), f"the batch: {batch} samples in place of {settings.train.batch}")


def smaller_patch(settings: Settings) -> Cut | None:
    """Return a patch of about half the voxels, as far as the network can divide its sides and they are 16 or more.

    None where no side can become shorter, or whole images are trained on.
    """
    patch, divisor = settings.train.patch, settings.network.divisor
    if patch is None:
        return None
    divisors = tuple(divisor) if isinstance(divisor, tuple) else (divisor,) * len(patch)
    smaller = _about_half(patch, divisors)
    if smaller == patch:
        return None
    train = replace(settings.train, patch=smaller)
    try:
        changed = replace(settings, train=train)
    except ValueError:  # a network that takes images of one size alone
        return None
    return Cut(changed, f"the patch: {list(smaller)} voxels in place of {list(patch)}")


CUTS: tuple[Callable[[Settings], Cut | None], ...] = (smaller_batch, narrower, smaller_patch)
"""Batch comes first: more steps of fewer samples see as many. Patch comes last: a small one shows less of an image."""


def _about_half(patch: tuple[int, ...], divisors: tuple[int, ...]) -> tuple[int, ...]:
    """Return the patch with its sides shortened in turn, in their proportion, until it has 6 in 10 voxels or fewer.

    >>> _about_half((40, 56, 40), (8, 8, 8)), _about_half((16, 24, 16), (8, 8, 8))
    ((32, 48, 32), (16, 16, 16))
    """
    sides = list(patch)
    while math.prod(sides) > _HALF * math.prod(patch):
        may = [n for n, by in enumerate(divisors) if sides[n] - by >= max(2 * by, _LEAST_PATCH)]
        if not may:
            break
        longest = max(may, key=lambda n: (sides[n] / patch[n], sides[n]))
        sides[longest] -= divisors[longest]
    return tuple(sides)
