"""The cases of one or several trainings, prepared when the first of them needs them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, silent
from medvision.training import Place, Split, Store
from medvision.workflows.fitting.job import Job
from medvision.workflows.fitting.machine import Machine
from medvision.workflows.starting.start import Start, refuse_options
from medvision.workflows.training_data.prepare import PreparedCase, prepare
from medvision.workflows.training_folder.state import CHECKPOINTS

_PREPARED = "prepared"


@dataclass(frozen=True, eq=False)
class Workbench:
    """What trainings on the same cases share.

    Parameters
    ----------
    pipeline
        Its steps prepare the cases.
    parts
        All cases that any training trains on or holds out.
    store
        Keeps the prepared cases.
    place
        Where networks compute.
    workers
        Processes that prepare cases; see :func:`medvision.workflows.training_data.prepare.prepare`.
    progress
        Told of the cases that are prepared.
    """

    pipeline: PipelineFolder
    parts: Split
    store: Store
    place: Place
    workers: int | None = 0
    progress: Progress = silent

    @cached_property
    def prepared(self) -> Mapping[str, PreparedCase]:
        """The prepared cases, by id."""
        cases = [*self.parts.train, *self.parts.val]
        with self.place.in_turn():  # the others find what the first has stored
            workers = self.workers if self.place.is_first else 0
            return prepare(cases, self.pipeline, self.store, workers=workers, progress=self.progress)

    def digests(self) -> Mapping[str, str]:
        """Return the hash of each case's voxels, by id."""
        return {name: entry.digest for name, entry in self.prepared.items()}

    def identities(self) -> Mapping[str, str]:
        """Return the hash of each case's voxels with that of where they lie, by id: a training depends on both."""
        return {name: f"{entry.digest} {entry.grid_digest}" for name, entry in self.prepared.items()}

    def job(self, pipeline: PipelineFolder, parts: Split, *, tune: str = "full", deterministic: bool = True) -> Job:
        """Return what a pipeline is trained with on some of these cases; see :class:`Job` for the parameters."""
        training, held_out = ([self.prepared[case.id] for case in side] for side in (parts.train, parts.val))
        return Job(pipeline, training, held_out, self.place, tune, deterministic)

    def refuse_options(
        self, pipeline: PipelineFolder, out: Path, start: Start | None, log: str, *, timed: bool
    ) -> None:
        """Refuse what a training in `out` would; see :func:`medvision.workflows.starting.start.refuse_options`."""
        refuse_options(start, log, pipeline, self.place, out / CHECKPOINTS, timed=timed)

    def warm_up(self) -> None:
        """Do a step and validate a case, so that no training pays for what is imported and set up once."""
        import torch

        parts = replace(self.parts, val=self.parts.val[:1])
        job = self.job(self.pipeline, parts, deterministic=self.place.device == "cpu")
        with torch.random.fork_rng(enabled=True):
            job.step()(0)
            job.validation_seconds()


@contextlib.contextmanager
def store_of(out: Path, machine: Machine, *, kept: bool = False) -> Iterator[Store]:
    """Give the store of prepared cases; one within `out` is removed when the training has come to its end.

    It would only take space there, and holds images: a pipeline folder is made to be given away.
    """
    yield Store(machine.cache or out / _PREPARED)
    if machine.cache is None and not kept:
        shutil.rmtree(out / _PREPARED, ignore_errors=True)
