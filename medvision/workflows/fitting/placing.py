"""Opens the place of a training: this process, or one of several that a launcher has started."""

from __future__ import annotations

import contextlib
from pathlib import Path

from medvision.batch import holding
from medvision.frameworks import choose_device, training_precision
from medvision.training import Alone, Place, Training


def open_place(device: str, devices: int, nodes: int, settings: Training, *, freezes: bool) -> Place:
    """Return where a training runs; to be used as a context.

    Parameters
    ----------
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    devices, nodes
        Processes on each machine, and machines.
    settings
        Their precision.
    freezes
        Whether some parameters are not trained in some epochs.

    Raises
    ------
    UsageError
        Nobody has started the processes, or the device cannot be used.
    ExtraMissingError
        Several processes need the extra ``[train]``.
    """
    device = choose_device(device)
    precision = training_precision(settings.precision, device)
    if devices * nodes == 1:
        return Alone(device, precision)
    from medvision.training.ranks import Ranks

    return Ranks(device, precision, devices=devices, nodes=nodes, freezes=freezes)


def held(out: Path, place: Place) -> contextlib.AbstractContextManager[object]:
    """Hold the output folder for this training; of several processes, the first one does."""
    return holding(out) if place.is_first else contextlib.nullcontext()
