"""What a training starts from: loaded once, and kept beside the checkpoints as what it really was."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvision.pipeline import PipelineFolder
from medvision.training import Place, checkpoint, open_logs
from medvision.transfer.tuning import summary, tuning_of
from medvision.tuning import Tuning
from medvision.workflows.starting.source import Started, identity_of_source, start_from
from medvision.workflows.training_folder.finished import is_over

_KEPT = "start.json"


@dataclass(frozen=True)
class Start:
    """What a training starts from, in place of fresh weights.

    Parameters
    ----------
    source
        A pipeline, a file of weights or ``hf:ORG/REPO``; see :func:`medvision.transfer.read_weights`.
    tune
        Which stages of the network are trained; see :func:`medvision.transfer.tuning_of`.
    partial
        Whether weights may be taken of which less than 80 % of the encoder fit.
    """

    source: str
    tune: str = "full"
    partial: bool = False

    def identity(self, *, kept: Path | None = None) -> list[Any]:
        """Return what tells it from others: the content of its source, what is tuned, and whether it may fit in part.

        Parameters
        ----------
        kept
            See :func:`medvision.workflows.starting.source.identity_of_source`.

        Raises
        ------
        PipelineError
            There are no such weights, the hub cannot be reached, or what was kept is damaged.
        """
        return [identity_of_source(self.source, kept=kept), self.tune, self.partial]


def identity_of_start(start: Start | None, checkpoints: Path) -> list[Any] | None:
    """Return :meth:`Start.identity` for a training: of one that has begun, by what was kept of its start.

    Parameters
    ----------
    start
        None for fresh weights.
    checkpoints
        The folder of where the training stands.

    Raises
    ------
    PipelineError
        See :meth:`Start.identity`.
    """
    if start is None:
        return None
    goes_on = checkpoint.begun(checkpoints) or is_over(checkpoints.parent)  # else the source is loaded as it is now
    return start.identity(kept=checkpoints / _KEPT if goes_on else None)


def refuse_options(
    start: Start | None, log: str, pipeline: PipelineFolder, place: Place, checkpoints: Path, *, timed: bool
) -> None:
    """Refuse what a training would refuse after all cases are prepared: a logger, a start, a way of tuning.

    Parameters
    ----------
    start
        What it starts from; one that has begun is not asked again.
    log
        The words of ``--log``.
    pipeline, place
        Whose network is trained, and where.
    checkpoints
        The folder of where the training stands.
    timed
        Whether it has a time: how many epochs fit into it is not known yet.

    Raises
    ------
    UsageError
        There is no such logger or way of tuning, or it does not fit the network or the number of epochs.
    PipelineError
        The weights cannot be read, or fit too little.
    ExtraMissingError
        A logger's package is not installed.
    """
    open_logs(log, checkpoints.parent, title="", settings={})
    if start is None or checkpoint.begun(checkpoints):
        return
    settings = pipeline.settings
    epochs = sys.maxsize if timed else settings.train.epochs
    tuning = tuning_of(start.tune, settings.network.parts.stages, epochs=epochs)
    with place.in_turn():  # the others find what the first has fetched
        network = pipeline.build_network(training=True)  # to try: the training builds its own when its time is known
        start_from(network, start.source, pipeline, partial=start.partial)
    tuning.prepare(network, seed=settings.train.seed)


def started(
    network: Any, start: Start | None, pipeline: PipelineFolder, place: Place, checkpoints: Path
) -> tuple[Started | None, Tuning | None, tuple[str, ...]]:
    """Load what a training starts from, and return what was taken, how it is tuned, and what is trained, in words.

    A training that goes on has its weights in its checkpoint, and what it began with beside it.

    Raises
    ------
    UsageError
        There is no such way of tuning, or it does not fit the network or the number of epochs.
    PipelineError
        The weights cannot be read, or fit too little.
    """
    if start is None:
        return None, None, ()
    settings, kept = pipeline.settings, checkpoints / _KEPT
    tuning = tuning_of(start.tune, settings.network.parts.stages, epochs=settings.train.epochs)
    with place.in_turn():  # the others find what the first has fetched
        if checkpoint.begun(checkpoints) and kept.is_file():
            found = Started.read(kept)
        else:
            found = start_from(network, start.source, pipeline, partial=start.partial).started()
            if place.is_first:
                found.write(kept, source=start.source, identity=identity_of_source(start.source))
    tuning.prepare(network, seed=settings.train.seed)
    return found, tuning, summary(tuning, network)
