"""What a training can give up where its time is short: width first, then batch, then patch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from medvision.pipeline import Settings

_LEAST_CHANNELS = 8
_LEAST_BATCH = 2
_LEAST_PATCH = 16


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


def smaller_batch(settings: Settings) -> Cut | None:
    """Return half the batch; None where that were fewer than 2 samples."""
    batch = settings.train.batch // 2
    if batch < _LEAST_BATCH:
        return None
    train = replace(settings.train, batch=batch)
    return Cut(replace(settings, train=train), f"the batch: {batch} samples in place of {settings.train.batch}")


def smaller_patch(settings: Settings) -> Cut | None:
    """Return the patch with half its sides, as far as the network can divide them and they are 16 voxels or more.

    None where no side can be halved, or whole images are trained on.
    """
    patch, divisor = settings.train.patch, settings.network.divisor
    if patch is None:
        return None
    divisors = tuple(divisor) if isinstance(divisor, tuple) else (divisor,) * len(patch)
    halved = tuple(_half(size, by) for size, by in zip(patch, divisors, strict=True))
    if halved == patch:
        return None
    train = replace(settings.train, patch=halved)
    return Cut(replace(settings, train=train), f"the patch: {list(halved)} voxels in place of {list(patch)}")


CUTS: tuple[Callable[[Settings], Cut | None], ...] = (narrower, smaller_batch, smaller_patch)
"""Width comes first: the time of a step falls with its square, while half the patch sees less of the image."""


def _half(size: int, divisor: int) -> int:
    """Return about half a side that the network can still divide, or the side where it must not become smaller."""
    least = max(2 * divisor, _LEAST_PATCH)
    return min(size, max(least, size // 2 // divisor * divisor))
