"""How the learning rate changes over a training: a function of the share that is done, and of nothing else.

A share of steps or a share of the time allowed serve alike, and a training that goes on needs no state for it.
"""

from __future__ import annotations

import math

from medvision.training.settings import Training

_POWER = 0.9
_RISE, _START = 0.3, 1 / 25


def learning_rate(settings: Training, progress: float) -> float:
    """Return the learning rate when a share of the training is done.

    Parameters
    ----------
    settings
        Its greatest `learning_rate`, `schedule` and `warmup`.
    progress
        The share of the training that is done, 0 at the first step and 1 after the last. Beyond these, as a budget
        of time may overrun, the nearer end holds.

    Notes
    -----
    poly: (1 - t)^0.9, as nnU-Net's (Isensee et al., Nature Methods 2021); cosine: (1 + cos πt) / 2 (Loshchilov &
    Hutter, ICLR 2017), where t is the share done after the warm-up. one-cycle (Smith & Topin, 2018) rises by half a
    cosine from a 25th to the greatest at t = 0.3 and falls by half a cosine to 0; it has its warm-up in itself.

    >>> settings = Training(learning_rate=0.1, schedule="cosine", warmup=0.2)
    >>> [round(learning_rate(settings, progress), 4) for progress in (0.0, 0.1, 0.2, 0.6, 1.0)]
    [0.0, 0.05, 0.1, 0.05, 0.0]
    """
    done = min(max(progress, 0.0), 1.0)
    schedule = schedule_of(settings)
    if schedule == "one-cycle":
        return settings.learning_rate * _one_cycle(done)
    if done < settings.warmup:
        return settings.learning_rate * done / settings.warmup
    left = (1 - done) / (1 - settings.warmup)
    return settings.learning_rate * (left**_POWER if schedule == "poly" else _falling(1 - left))


def schedule_of(settings: Training) -> str:
    """Return the schedule by its name; where none is set, poly goes with sgd and cosine with adamw."""
    return settings.schedule or ("poly" if settings.optimiser == "sgd" else "cosine")


def _one_cycle(done: float) -> float:
    if done < _RISE:
        return 1 - (1 - _START) * _falling(done / _RISE)
    return _falling((done - _RISE) / (1 - _RISE))


def _falling(done: float) -> float:
    """Return half a cosine, from 1 to 0."""
    return (1 + math.cos(math.pi * done)) / 2
