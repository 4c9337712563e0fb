"""What a training gives its loop: batches, loss and validation, made of a pipeline and prepared cases."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from medvision.frameworks import small_convolutions_in_fp32
from medvision.pipeline import PipelineFolder, Settings
from medvision.training import (
    Batches,
    Place,
    Sampler,
    Supervised,
    Validation,
    VariedBatches,
    ahead,
    build_optimiser,
    class_weights,
    default_loss,
)
from medvision.tuning import Whole
from medvision.workflows.held_out import score, validation
from medvision.workflows.prepare import PreparedCase


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
    """

    pipeline: PipelineFolder
    training: Sequence[PreparedCase]
    held_out: Sequence[PreparedCase]
    place: Place

    def changed(self, settings: Settings) -> Job:
        """Return the same with other settings."""
        return replace(self, pipeline=replace(self.pipeline, settings=settings))

    def batches(self) -> VariedBatches:
        """Return what gives each step its batch."""
        settings = self.pipeline.settings.train
        return VariedBatches(Sampler([entry.sample for entry in self.training], settings), settings, self.place)

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

    def step(self) -> Callable[[int], None]:
        """Return one step of the training as a function of its number, on a network that is thrown away."""
        network = self.pipeline.build_network(training=True).to(self.place.device).train()
        batches, objective = self.batches(), self.objective()
        optimiser = build_optimiser(self.pipeline.settings.train, Whole().groups(network))

        def step(number: int) -> None:
            with small_convolutions_in_fp32(network):  # as the loop does; it changes what a step takes
                objective(network, batches(number)).backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

        return step

    def validation_seconds(self) -> float:
        """Return the time that a validation takes, by that of a few cases."""
        if not self.held_out:
            return 0.0
        network, few = self.pipeline.build_network().to(self.place.device), self.held_out[:4]
        score(network, few[:1], self.pipeline.settings)
        began = time.monotonic()
        score(network, few, self.pipeline.settings)
        return (time.monotonic() - began) / len(few) * len(self.held_out)
