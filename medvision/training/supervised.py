"""What the usual training gives its loop: varied batches of samples, and a loss between the truth and the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medvision.training.augment import draw
from medvision.training.losses import AnyLoss, Weighing, supervised
from medvision.training.place import ALONE, Place
from medvision.training.samples import Prepared, Sampler, class_counts
from medvision.training.settings import Training
from medvision.training.step import Batch
from medvision.training.varied import generator_of, varied


@dataclass(frozen=True, eq=False)
class VariedBatches:
    """Batches of samples, varied on the device; see :class:`medvision.training.step.Batches`.

    Parameters
    ----------
    sampler
        Draws the samples of a step.
    settings
        How they are varied, and the seed.
    place
        Where they are varied and used; of several processes, each is given its own rows.
    """

    sampler: Sampler
    settings: Training
    place: Place = ALONE

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step."""
        rows = self.place.rows(self.settings.batch)
        images, targets = self.sampler.batch(step, rows)
        random, shape = generator_of(self.settings.seed, step), tuple(images.shape[2:])
        variation = draw(self.settings.augmentation, self.settings.batch, shape, random, channels=images.shape[1])
        # Drawn for the whole batch in every process, so that each sample is what it would be in a single one.
        return Batch(*varied(variation[rows], images, targets, self.place))


@dataclass(frozen=True, eq=False)
class Supervised:
    """The loss between what a network says of a batch and the truth; see :data:`medvision.training.step.Objective`.

    Parameters
    ----------
    loss
        The loss, on logits in fp32.
    class_weights
        (K,) tensor, or None.
    label_smoothing
        Share of the target spread over all classes.
    place
        Says the precision of the network, and adds up over processes; the loss is always computed in fp32.
    """

    loss: AnyLoss
    class_weights: Any = None
    label_smoothing: float = 0.0
    place: Place = ALONE

    def __call__(self, network: Any, batch: Batch) -> Any:
        """Return the loss, a scalar."""
        with self.place.autocast():
            outputs = network(batch.images)
        outputs = [each.float() for each in outputs] if isinstance(outputs, list | tuple) else outputs.float()
        gather = None if self.place.world == 1 else self.place.gather
        return supervised(self.loss, outputs, batch.targets, Weighing(self.class_weights, self.label_smoothing, gather))


def class_weights(samples: Sequence[Prepared], classes: int) -> Any:
    """Return weights (classes,) by which what is rare counts for more.

    Of one of several classes, and of a segmentation, whose voxels are counted with the background: inverse to how often
    each class is there, with a mean of 1 over samples or voxels. A class that is never there counts nothing; nor would
    any step meet it. Of several labels at once: for the cases that have a label, how many have it not for each that
    does, over the cases of which that is known; 1 where all have it, or none has.
    """
    import torch

    if isinstance(samples[0].whole, np.ndarray):
        marks = np.stack([np.asarray(sample.whole) for sample in samples])
        with_it, without = (marks == 1).sum(0), (marks == 0).sum(0)
        ratios = [w / h if h and w else 1.0 for h, w in zip(with_it.tolist(), without.tolist(), strict=True)]
        return torch.tensor(ratios, dtype=torch.float32)
    counts = class_counts(samples)
    total, present = sum(counts.values()), len(counts)
    return torch.tensor([total / (present * counts[n]) if counts.get(n) else 0.0 for n in range(classes)])
