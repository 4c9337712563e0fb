"""What a training gives up where its time is short: width first, then batch, then patch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from medvision.pipeline import Settings

_LEAST_CHANNELS = 8
_LEAST_BATCH = 2


@dataclass(frozen=True)
class Cut:
    """Settings that cost less a step, and what was given up for it.

    Parameters
    ----------
    settings
        The settings with all cuts so far.
    words
        What was cut last, for a person.
    """

    settings: Settings
    words: str


def cuts(settings: Settings) -> Iterator[Cut]:
    """Yield settings of less and less cost, each with one thing more cut.

    In turn the network's width, the batch and the patch are halved, as far as each goes: a width below 8, a batch
    below 2 and a patch that the network would reduce to a single voxel are not tried. Width comes first, since the time
    of a step falls with its square, while half the patch sees less of the image.
    """
    while True:
        made = [cut for cut in (_narrower(settings), _smaller_batch(settings), _smaller_patch(settings)) if cut]
        if not made:
            return
        for kind in (_narrower, _smaller_batch, _smaller_patch):
            cut = kind(settings)
            if cut is not None:
                settings = cut.settings
                yield cut


def _narrower(settings: Settings) -> Cut | None:
    channels: Any = getattr(settings.network, "channels", None)
    if channels is None:
        return None
    widths = channels if isinstance(channels, tuple) else (channels,)
    if min(widths) < 2 * _LEAST_CHANNELS:
        return None
    halved = tuple(width // 2 for width in widths)
    kind: Any = settings.network
    network = replace(kind, channels=halved if isinstance(channels, tuple) else halved[0])
    words = f"the network's width: channels {list(halved)} in place of {list(widths)}"
    return Cut(replace(settings, network=network), words)


def _smaller_batch(settings: Settings) -> Cut | None:
    batch = settings.train.batch // 2
    if batch < _LEAST_BATCH:
        return None
    train = replace(settings.train, batch=batch)
    return Cut(replace(settings, train=train), f"the batch: {batch} samples in place of {settings.train.batch}")


def _smaller_patch(settings: Settings) -> Cut | None:
    patch, divisor = settings.train.patch, settings.network.divisor
    if patch is None:
        return None
    least = [max(2 * d, 16) for d in _each(divisor, len(patch))]
    halved = tuple(
        max(low, size // 2 // d * d) if size > low else size
        for size, low, d in zip(patch, least, _each(divisor, len(patch)), strict=True)
    )
    if halved == patch:
        return None
    train = replace(settings.train, patch=halved)
    return Cut(replace(settings, train=train), f"the patch: {list(halved)} voxels in place of {list(patch)}")


def _each(divisor: Any, axes: int) -> tuple[int, ...]:
    return tuple(divisor) if isinstance(divisor, tuple) else (divisor,) * axes
