"""One step of the optimiser: what it takes, how the loop does it, and a rehearsal to be timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from medvision.frameworks import deterministic_algorithms, small_convolutions_in_fp32
from medvision.training.average import averaged, update_average
from medvision.training.gpu import finish, gpu_arithmetic
from medvision.training.optimisers import build_optimiser
from medvision.training.place import Place
from medvision.training.settings import Training
from medvision.tuning import Tuning, Whole


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step sees: images (B, C, *spatial) float32, and targets as the objective wants them."""

    images: Any
    targets: Any


class Batches(Protocol):
    """Gives each step its batch; the same for the same step, whatever came before."""

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0."""
        ...


Objective = Callable[[Any, Batch], Any]
"""The loss of a network on a batch: a scalar tensor."""


def optimiser_step(
    called: Any, network: Any, batch: Batch, objective: Objective, optimiser: Any, place: Place, clip: float
) -> float:
    """Do one step of the optimiser, and return the loss before it; `called` is `network` as its place calls it."""
    import torch

    loss = objective(called, batch)
    place.backward(loss)
    if clip:
        torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return float(loss.detach())


def rehearsal(
    network: Any,
    batches: Batches,
    objective: Objective,
    settings: Training,
    *,
    place: Place,
    deterministic: bool | None = None,
    tuning: Tuning | None = None,
) -> Callable[[int], None]:
    """Return the loop's step as a function of its number: batch, loss, clip, optimiser and average.

    It ends when all work on the GPU has ended, so that it can be timed.

    Parameters
    ----------
    network
        Is trained, and of no use afterwards.
    batches, objective, settings, place
        See :func:`medvision.training.loop.optimise`; of one process.
    deterministic
        Whether every run gives the same bits; None: on a CPU.
    tuning
        What is trained, as it is at the end of a training; None trains everything.
    """
    tuning = tuning or Whole()
    network.to(place.device).train()
    tuning.begin_epoch(network, 1.0)
    kept = averaged(network) if settings.average else network
    optimiser = build_optimiser(settings, tuning.groups(network))
    called, optimiser = place.setup(network, optimiser)
    same_bits = place.device == "cpu" if deterministic is None else deterministic

    def step(number: int) -> None:
        with (
            small_convolutions_in_fp32(network),
            deterministic_algorithms(same_bits),
            gpu_arithmetic(place.precision, deterministic=same_bits),
        ):
            optimiser_step(called, network, batches(number), objective, optimiser, place, settings.clip)
            update_average(kept, network, decay=settings.average, step=number)
            finish(place.device)

    return step
