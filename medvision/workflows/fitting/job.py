"""What a training gives its loop: batches, loss and validation, made of a pipeline and prepared cases."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from medvision.pipeline import PipelineFolder, Settings
from medvision.training import (
    Batches,
    Place,
    Sampler,
    Supervised,
    Validation,
    VariedBatches,
    ahead,
    class_weights,
    default_loss,
    rehearsal,
    require_divisible,
)
from medvision.transfer.tuning import tuning_of
from medvision.workflows.fitting.held_out import score, validation
from medvision.workflows.starting.seen import Seen
from medvision.workflows.training_data.prepare import PreparedCase

_QUICK_SECONDS = 5.0  # a case that takes less is validated twice: the first one also pays for what is set up once


@dataclass(frozen=True, eq=False)
class Job:
    """What is trained, on what, and where.

    Parameters
    ----------
    pipeline
        With the settings in force.
    training, held_out
        The cases of each side.
    place
        Where the network computes, and in what.
    tune
        Which stages are trained, as for ``--tune``.
    deterministic
        Whether every run gives the same bits.
    """

    pipeline: PipelineFolder
    training: Sequence[PreparedCase]
    held_out: Sequence[PreparedCase]
    place: Place
    tune: str = "full"
    deterministic: bool = True

    def changed(self, settings: Settings) -> Job:
        """Return the same with other settings."""
        return replace(self, pipeline=replace(self.pipeline, settings=settings))

    def at(self, place: Place) -> Job:
        """Return the same at another place."""
        return replace(self, place=place)

    def batches(self) -> VariedBatches:
        """Return what gives each step its batch."""
        settings, slices = self.pipeline.settings.train, self.pipeline.settings.contract.slices
        samples = [entry.sample for entry in self.training]
        sampler = Sampler(samples, settings, slices=slices)
        require_divisible(samples, settings, self.pipeline.settings.network.divisor)
        return VariedBatches(sampler, settings, self.place)

    def ahead(self) -> AbstractContextManager[Batches]:
        """Return the same as a context, in which they are made ahead where that can help."""
        return ahead(self.batches(), self.place, [entry.sample for entry in self.training])

    def objective(self) -> Supervised:
        """Return the loss."""
        settings = self.pipeline.settings
        weights = None
        if settings.train.class_weights:
            weights = class_weights([entry.sample for entry in self.training], settings.outputs).to(self.place.device)
        loss = settings.train.loss or default_loss(settings.task)
        return Supervised(loss, weights, settings.train.label_smoothing, self.place)

    def validate(self, network: Any) -> Validation:
        """Return how good a network is on the cases held out."""
        settings = self.pipeline.settings
        return validation(score(network, self.held_out, settings), settings)

    def seen(self, *, optimistic: bool) -> Seen:
        """Return which images the weights have seen: to learn from and, where `optimistic`, to be chosen by."""
        chosen = self.held_out if optimistic else ()
        return Seen.of(trained=(each.digest for each in self.training), chosen=(each.digest for each in chosen))

    def step(self) -> Callable[[int], None]:
        """Return one step of the training as a function of its number, on a network that is thrown away."""
        network, settings = self.pipeline.build_network(training=True), self.pipeline.settings
        tuning = tuning_of(self.tune, settings.network.parts.stages, epochs=sys.maxsize)
        tuning.prepare(network, seed=settings.train.seed)
        how: dict[str, Any] = {"place": self.place, "deterministic": self.deterministic, "tuning": tuning}
        return rehearsal(network, self.batches(), self.objective(), settings.train, **how)

    def validation_seconds(self) -> float:
        """Return the time that a validation takes, by that of one case; of a quick one, after one that warms up."""
        network = self.pipeline.build_network().to(self.place.device)

        def validated(count: int) -> float:
            began = time.monotonic()
            score(network, self.held_out[:count], self.pipeline.settings)
            return time.monotonic() - began

        if not self.held_out:
            return 0.0
        first = validated(1)
        return (first if first > _QUICK_SECONDS else validated(1)) * len(self.held_out)
