"""The training loop, to be read from top to bottom: data, augment, network, loss, optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvision.errors import PipelineError
from medvision.frameworks import Precision, autocast, monai_module, small_convolutions_in_fp32, state_of
from medvision.progress import Progress, silent
from medvision.training import checkpoint
from medvision.training.augment import apply, draw
from medvision.training.samples import Sample, Sampler
from medvision.training.settings import Training

Row = Mapping[str, float]


@dataclass(frozen=True)
class Validation:
    """How good a network is.

    Parameters
    ----------
    score
        What decides which weights are best; greater is better.
    figures
        Everything measured, by name, for the curves.
    """

    score: float
    figures: Mapping[str, float]


def fit(
    network: Any,
    samples: Sequence[Sample],
    validate: Callable[[Any], Validation],
    settings: Training,
    *,
    folder: Path,
    device: str = "cpu",
    precision: Precision = "fp32",
    progress: Progress = silent,
) -> tuple[Row, ...]:
    """Train `network` in place, and leave the best weights in it.

    What is drawn at a step depends on the seed and the step's number alone, so a training that was stopped and goes
    on takes the same steps as one that was not.

    Parameters
    ----------
    network
        A ``torch.nn.Module``: (B, C, *spatial) to logits (B, K, *spatial) or (B, K).
    samples
        What to train on.
    validate
        Called with the network that is kept (the averaged one, if any) in evaluation mode.
    folder
        Takes ``last.safetensors`` and ``best.safetensors``; a ``last.safetensors`` found there is gone on from.

    Returns
    -------
    One row an epoch: epoch, learning_rate, loss, score and the validation's figures.

    Raises
    ------
    InputError
        There is no sample, or samples differ in size and no patch is set.
    PipelineError
        The loss or the score is not finite, or a checkpoint found is damaged or another network's.
    """
    import torch

    sampler = Sampler(samples, settings)
    loss = _cross_entropy if isinstance(samples[0].target, int) else _dice_and_cross_entropy
    network.to(device, memory_format=_channels_last(samples))
    kept = _averaged(network, settings)
    optimiser = _optimiser(network, settings)
    state = checkpoint.Progressed()
    if (folder / "last.safetensors").is_file():
        state = checkpoint.load(folder / "last.safetensors", network, kept, optimiser)

    with torch.random.fork_rng(enabled=True), small_convolutions_in_fp32(network):
        while state.epoch < settings.epochs:
            network.train()
            total = 0.0
            for step in range(state.epoch * settings.steps_per_epoch, (state.epoch + 1) * settings.steps_per_epoch):
                random = _generators(settings.seed, step)
                rate = _learning_rate(settings, step)
                for group in optimiser.param_groups:
                    group["lr"] = rate

                images, targets = sampler.batch(step)
                variation = draw(settings.augmentation, len(images), tuple(images.shape[2:]), random)
                spatial_targets = targets if targets.ndim > 1 else None
                images, moved = apply(variation, images, spatial_targets, random)
                targets = targets if moved is None else moved
                images = images.to(device, memory_format=_channels_last(samples))

                with autocast(device, precision):
                    logits = network(images)
                value = loss(logits.float(), targets.to(device), settings)
                value.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 12.0)
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
                _average(kept, network, settings, step)
                total += float(value.detach())
                _require_finite(total, "loss", step)
                progress(step + 1, settings.total_steps, state.words)

            row = {"epoch": state.epoch + 1.0, "learning_rate": rate, "loss": total / settings.steps_per_epoch}
            last = state.epoch + 1 == settings.epochs
            if last or (state.epoch + 1) % settings.validate_every == 0:
                result = validate(kept.eval())
                _require_finite(result.score, "score", step)
                row |= {"score": result.score, **result.figures}
                if result.score > state.best:
                    state = state.improved(result.score)
                    checkpoint.save_weights(folder / "best.safetensors", kept)
            state = state.advanced(row)
            checkpoint.save(folder / "last.safetensors", network, kept, optimiser, state)

    checkpoint.load_weights(folder / "best.safetensors", network)
    network.eval()
    return state.rows


def _dice_and_cross_entropy(logits: Any, targets: Any, settings: Training) -> Any:
    """Return soft Dice over the batch's foreground (Milletari, 3DV 2016) plus cross-entropy, as nnU-Net does."""
    loss = monai_module("losses").DiceCELoss(
        include_background=False, to_onehot_y=True, softmax=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5
    )
    return loss(logits, targets.unsqueeze(1))


def _cross_entropy(logits: Any, targets: Any, settings: Training) -> Any:
    from torch.nn import functional

    return functional.cross_entropy(logits, targets, label_smoothing=settings.label_smoothing)


def _optimiser(network: Any, settings: Training) -> Any:
    import torch

    if settings.optimiser == "sgd":
        return torch.optim.SGD(
            network.parameters(),
            settings.learning_rate,
            momentum=0.99,
            nesterov=True,
            weight_decay=settings.weight_decay,
        )
    return torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)


def _learning_rate(settings: Training, step: int) -> float:
    done = step / settings.total_steps
    if settings.optimiser == "sgd":
        return float(settings.learning_rate * (1 - done) ** 0.9)
    return settings.learning_rate * (1 + math.cos(math.pi * done)) / 2


def _generators(seed: int, step: int) -> Any:
    """Return the generator of a step's variation, and seed what the network itself draws (dropout)."""
    import torch

    number = seed * 1_000_003 + step
    torch.manual_seed(number)
    return torch.Generator().manual_seed(number)


def _require_finite(value: float, name: str, step: int) -> None:
    if not math.isfinite(value):
        message = f"the {name} is not finite at step {step}"
        raise PipelineError("pipeline-invalid", message, cure="Lower `learning_rate`.")


def _averaged(network: Any, settings: Training) -> Any:
    """Return the network that is validated and kept: a running average, or the network itself."""
    import copy

    return copy.deepcopy(network) if settings.average else network


def _average(kept: Any, network: Any, settings: Training, step: int) -> None:
    """Move the running average towards the network; early on it follows faster (Tarvainen & Valpola, 2017)."""
    import torch

    if kept is network:
        return
    decay = min(settings.average, (1 + step) / (10 + step))
    with torch.no_grad():
        for old, new in zip(state_of(kept).values(), state_of(network).values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - decay)
            else:
                old.copy_(new)


def _channels_last(samples: Sequence[Sample]) -> Any:
    import torch

    return torch.channels_last if samples[0].image.ndim == 3 else torch.channels_last_3d
