"""What a case will take, from its headers alone: peak memory and time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from medvision.engines import Choice
from medvision.errors import MedvisionError
from medvision.io import ImageHeader, read_header
from medvision.pipeline import Settings
from medvision.predict import Demand, demand, mirrors, slab_axis
from medvision.steps import grid_after
from medvision.study import Case
from medvision.workflows.cases.segment import stated_turn, ways_tried

_FLOAT = 4  # bytes
_PLANES = 16  # of all classes, whose probabilities are computed at once
_TEMPORARIES = 3  # of these at the same time
_SLOW = 2.5e-8  # seconds a voxel of the input: read, prepared, measured, written; on one core
_SLOW_CLASS = 6e-9  # the same, for each class of each voxel that the network sees
_LIBRARIES = 125 << 20  # bytes, of what is imported once a first case is read
_CASE = 0.4  # seconds, whatever its size: pages, pictures


@dataclass(frozen=True)
class Forecast:
    """What a case will take.

    Parameters
    ----------
    memory_mb
        The most that its process will hold, in MB of 2^20 bytes.
    seconds
        How long it will take.
    inputs
        How often the network is asked.
    """

    memory_mb: float
    seconds: float
    inputs: int


def expected_of(case: Case, settings: Settings, choice: Choice, *, threads: int, base_bytes: int) -> Forecast | None:
    """Return what a case will take, as :func:`forecast_of`; None also where its headers cannot be read."""
    try:
        header = read_header(case)
        return forecast_of(case, header, settings, choice, threads=threads, base_bytes=base_bytes)
    except (MedvisionError, OSError):  # told when its voxels are read
        return None


def forecast_of(
    case: Case, header: ImageHeader, settings: Settings, choice: Choice, *, threads: int, base_bytes: int
) -> Forecast | None:
    """Return what a case will take; None where it is not known what the engine takes.

    Parameters
    ----------
    case
        Whose side may be stated.
    header
        What the image's headers say.
    choice
        With what was measured of the engine on this machine.
    threads
        How many inputs are computed at once.
    base_bytes
        What the process holds before it opens the engine and reads the image.

    Raises
    ------
    GeometryError
        The steps cannot take the image.
    """
    memory, seconds = choice.used.memory, choice.used.seconds
    engine = None if memory is None else memory.at_once(threads)
    if engine is None or seconds is None:
        return None
    prepared = grid_after(settings.steps, header.geometry).shape
    seen = math.prod(prepared)
    dimensions, classes = settings.contract.dimensions, settings.outputs
    if settings.task == "segmentation":
        asked = demand(prepared, settings.predict, dimensions=dimensions, divisor=settings.network.divisor)
    else:
        asked, classes = Demand(1, seen, 0), 0
    ways = len(ways_tried(settings, stated_turn(case, settings))) if settings.task == "segmentation" else 1
    inputs = asked.inputs * len(mirrors(settings.predict.mirror_axes)) * ways
    image = header.voxels * header.channels * header.voxel_bytes
    preparing = image + 2 * _FLOAT * header.voxels * header.channels
    answers = _FLOAT * classes * (asked.held + (threads + 2) * asked.size)
    planes = _FLOAT * classes * min(_PLANES * (seen // prepared[slab_axis(prepared, dimensions)]), seen)
    each_way = _FLOAT * seen * header.channels + (seen + (1 + _FLOAT) * header.voxels if classes else 0)
    asking = image + ways * each_way + answers + _TEMPORARIES * planes + engine
    work = inputs * seconds * choice.threads / threads
    rest = _CASE + _SLOW * header.voxels + _SLOW_CLASS * classes * seen * ways
    return Forecast((base_bytes + _LIBRARIES + max(preparing, asking)) / 2**20, work + rest, inputs)
