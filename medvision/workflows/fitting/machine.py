"""Where and how a training runs: in this process, or in one of several that a launcher has started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medvision.errors import UsageError
from medvision.frameworks import choose_device, training_precision
from medvision.training import Alone, Place, Training


@dataclass(frozen=True)
class Machine:
    """Where and how a training runs; none of it is meant to change what is learnt.

    Parameters
    ----------
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    deterministic
        Whether only algorithms are used that give the same bits in every run; None: on a CPU.
    cache
        Folder of prepared cases, to be kept and shared by trainings; None: within `out`, until the training has ended.
    log
        What is told of the training besides the files that are always written, with commas between: ``tensorboard``,
        ``mlflow`` or ``mlflow=ADDRESS``.
    devices, nodes
        Processes that share every batch, on each machine, and machines; see :mod:`medvision.training.ranks`.
    workers
        Processes that prepare cases; 0: none but this one; None: as many as are worth it, see
        :func:`medvision.workflows.training_data.prepare.usual_workers`.
    """

    device: str = "auto"
    deterministic: bool | None = None
    cache: Path | None = None
    log: str = ""
    devices: int = 1
    nodes: int = 1
    workers: int | None = None

    def is_deterministic(self, device: str) -> bool:
        """Say whether a training on this device is to give the same bits in every run.

        >>> [Machine().is_deterministic(device) for device in ("cpu", "cuda")]
        [True, False]
        >>> Machine(deterministic=False).is_deterministic("cpu")
        False
        """
        return device == "cpu" if self.deterministic is None else self.deterministic

    def open(self, settings: Training, *, freezes: bool = False) -> Place:
        """Return where a training runs; to be used as a context.

        Parameters
        ----------
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
        device = choose_device(self.device)
        precision = training_precision(settings.precision, device)
        if self.devices * self.nodes == 1:
            return Alone(device, precision)
        from medvision.training.ranks import Ranks

        return Ranks(device, precision, devices=self.devices, nodes=self.nodes, freezes=freezes)

    def alone(self, settings: Training) -> Place:
        """Return this process as the place of a training.

        Raises
        ------
        UsageError
            Several processes are wanted: they share one training, and not several.
        """
        if self.devices * self.nodes > 1:
            cure = "Give --devices to a training that is neither a fold nor one of several runs."
            raise UsageError("usage", "several processes share one training, and not several", cure=cure)
        return self.open(settings)
