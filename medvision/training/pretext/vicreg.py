"""Agreement of two views: an image is to be known again however it is turned, cut and lit, and told from all others.

For networks that answer for an image as a whole. The method is VICReg (Bardes, Ponce & LeCun, ICLR 2022, arXiv
2105.04906): two views of an image come to the same place (invariance), images spread along every axis (variance), and
the axes say different things (covariance).

It was weighed against three others, for small batches on a CPU and a training that can be stopped anywhere:

- SimCLR (ICML 2020) tells an image from the others of its batch, and needs hundreds of them to be hard enough.
- MoCo and BYOL (2020) keep a queue or a second network that follows the first: states besides the weights, which a
  checkpoint would have to hold, and twice the memory.
- SimSiam (CVPR 2021) has neither, but nothing in its loss speaks against one answer for all images. What keeps it from
  that is a stopped gradient and norms over the batch, which on small batches are noise.

VICReg asks for the spread itself, so that a collapse shows in its loss, and its authors report it robust to the size of
the batch. Its embedding is small here: the more axes, the more samples it takes to tell that two of them go
together, and wide ones are not needed (Garrido et al., ICLR 2023).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass as checked_dataclass

from medvision.errors import InputError, PipelineError
from medvision.strict import STRICT
from medvision.training.augment import draw
from medvision.training.augmentation import Augmentation
from medvision.training.loop import Validation
from medvision.training.place import ALONE, Place
from medvision.training.pretext.images import held_out_images
from medvision.training.samples import Prepared, Sampler
from medvision.training.settings import Training
from medvision.training.step import Batch
from medvision.training.varied import generator_of, in_layout, varied

COLLAPSED = 0.1
"""Spread of the embeddings of different images, of the 1 that is asked for, below which they count as one."""

LEAST_BATCH = 8
"""Images of a step from which on a spread over them says something."""


@checked_dataclass(frozen=True, config=STRICT)
class Views:
    """How views are made and compared.

    Parameters
    ----------
    strength
        The pipeline's augmentation is that many times as strong; see :class:`~medvision.training.Augmentation`.
    scale, shift, erase
        At least so much of each, whatever the pipeline says: without views that differ there is nothing to learn, and
        of all variations cuts of the image matter most (SimCLR, figure 5).
    width, embedding
        Features of the hidden layers of the projector, and of its answer.
    invariance, variance, covariance
        Weights of the three terms: those of VICReg over 25, so that learning rates stay what they are for other losses.
    """

    strength: float = Field(default=2.0, ge=1.0, le=5.0)
    scale: float = Field(default=0.2, ge=0.0, lt=1.0)
    shift: float = Field(default=0.1, ge=0.0, le=0.5)
    erase: float = Field(default=0.3, ge=0.0, lt=1.0)
    width: int = Field(default=256, ge=1)
    embedding: int = Field(default=64, ge=2)
    invariance: float = Field(default=1.0, gt=0.0)
    variance: float = Field(default=1.0, gt=0.0)
    covariance: float = Field(default=0.04, ge=0.0)

    def augmentation(self, own: Augmentation) -> Augmentation:
        """Return the variation of a view. Axes of mirroring stay the pipeline's: sides may matter.

        >>> Views().augmentation(Augmentation(shift=0.0, rotation_degrees=10)).resolved().rotation_degrees
        20.0
        """
        least = {name: max(getattr(own, name), getattr(self, name)) for name in ("scale", "shift", "erase")}
        return replace(own, **least, strength=min(5.0, self.strength * max(own.strength, 1.0)))


def with_projector(backbone: Any, views: Views, *, seed: int) -> Any:
    """Return a network with a projector behind it, which is thrown away after the training.

    Parameters
    ----------
    backbone
        Gives (B, `views.width`): its own last layer is the projector's first. It is the module's ``backbone``.
    views
        The projector's sizes.
    seed
        Of the projector's fresh weights; the caller's stays as it was.
    """
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _projected_class()(backbone, views)


@functools.cache
def _projected_class() -> Any:
    """Return the class; made here since torch is imported late, and once, so that copies are of one type."""
    import torch
    from torch import nn

    class Projected(nn.Module):  # type: ignore[misc]
        def __init__(self, backbone: Any, views: Views) -> None:
            super().__init__()
            self.backbone = backbone
            # Norms over the batch at hand, in a validation too: running statistics would lag behind the weights, and
            # those of an average of weights belong to no network; a spread measured by them says little.
            norms = [nn.BatchNorm1d(views.width, track_running_stats=False) for _ in range(2)]
            layers: list[Any] = [norms[0], nn.ReLU(), nn.Linear(views.width, views.width)]
            layers += [norms[1], nn.ReLU(), nn.Linear(views.width, views.embedding)]
            self.projector = nn.Sequential(*layers)

        def forward(self, images: Any) -> Any:
            return self.project(self.backbone(images))

        def project(self, features: Any) -> Any:
            with torch.autocast(features.device.type, enabled=False):
                return self.projector(features.float())

    return Projected


@dataclass(frozen=True, eq=False)
class TwoViews:
    """Batches of two views of each image, (2B, C, *spatial), the second ones behind all first; without targets.

    Parameters
    ----------
    sampler
        Draws the images of a step.
    settings
        Batch, augmentation and seed.
    views
        How they are made.
    place
        Where they are varied and used.

    Raises
    ------
    PipelineError
        The batch is too small to tell a spread.
    """

    sampler: Sampler
    settings: Training
    views: Views = field(default_factory=Views)
    place: Place = ALONE

    def __post_init__(self) -> None:
        if self.settings.batch < LEAST_BATCH:
            message = f"views are compared over a batch of {LEAST_BATCH} or more, [train] has {self.settings.batch}"
            raise PipelineError("pipeline-invalid", message, cure=f"Set `batch` in [train] to {LEAST_BATCH} or more.")

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step."""
        rows = self.place.rows(self.settings.batch)
        images, _ = self.sampler.batch(step, rows)
        return Batch(_two_views(images, self, generator_of(self.settings.seed, step), self.settings.batch, rows), None)


def _two_views(images: Any, of: TwoViews | HeldOutViews, random: Any, batch: int, rows: slice) -> Any:
    import torch

    augmentation = of.views.augmentation(of.settings.augmentation)
    shape, channels = tuple(images.shape[2:]), images.shape[1]
    pair = [draw(augmentation, batch, shape, random, channels=channels) for _ in range(2)]
    return in_layout(torch.cat([varied(variation[rows], images, None, of.place)[0] for variation in pair]))


@dataclass(frozen=True)
class Agreement:
    """The loss of VICReg on two views; see :data:`medvision.training.step.Objective`."""

    views: Views = field(default_factory=Views)
    place: Place = ALONE

    def __call__(self, network: Any, batch: Batch) -> Any:
        """Return the loss, a scalar."""
        with self.place.autocast():
            embedded = network(batch.images)
        first, second = embedded.float().chunk(2)
        return disagreement(first, second, self.views)


def disagreement(first: Any, second: Any, views: Views) -> Any:
    """Return the loss of embeddings (B, E) of first and second views: VICReg, equations 1 to 6."""
    import torch

    lacking, together = [], []
    for embedded in (first, second):
        centred = embedded - embedded.mean(0)
        covariance = centred.T @ centred / (len(embedded) - 1)
        variances = covariance.diagonal()
        lacking.append(torch.relu(1 - (variances + 1e-4).sqrt()).mean())
        together.append((covariance.square().sum() - variances.square().sum()) / embedded.shape[1])
    far = (first - second).square().mean()
    return views.invariance * far + views.variance * sum(lacking) / 2 + views.covariance * sum(together)


@dataclass(frozen=True, eq=False)
class HeldOutViews:
    """How well views of held-out images agree, always the same views, and how far apart the images lie.

    Parameters
    ----------
    samples
        The images.
    settings
        Patch, batch, augmentation and seed.
    views
        How views are made.
    place
        Says the precision.

    Raises
    ------
    InputError
        There are fewer than two images.
    """

    samples: Sequence[Prepared]
    settings: Training
    views: Views = field(default_factory=Views)
    place: Place = ALONE

    def __post_init__(self) -> None:
        if len(self.samples) < 2:
            text = f"a spread is one of two held-out images or more, there are {len(self.samples)}"
            raise InputError("too-few-cases", text)

    def __call__(self, network: Any) -> Validation:
        """Return the figures: the ``held-out loss``, whose negative is the score, ``spread``, ``effective rank``.

        The spread is the standard deviation of the embeddings of different images, the mean over axes: 1 is asked for,
        0 is one answer for all. The rank is that of Roy & Vetterli (EUSIPCO 2007): how many axes the images use.
        """
        import torch

        images = held_out_images(self.samples, self.settings.patch)
        plain, first, second = [], [], []  # features; their norms are those of all images together
        with torch.no_grad(), self.place.autocast():
            for number in range(0, len(images), self.settings.batch):
                part = torch.stack(images[number : number + self.settings.batch])
                random = generator_of(self.settings.seed, number)
                both = network.backbone(_two_views(part, self, random, len(part), slice(None))).float().chunk(2)
                first.append(both[0])
                second.append(both[1])
                plain.append(network.backbone(in_layout(part.to(self.place.device))).float())
            views = network.project(torch.cat([*first, *second])).chunk(2)
            loss = float(disagreement(views[0], views[1], self.views))
            embedded = network.project(torch.cat(plain)).cpu().numpy().astype(np.float64)
        spread = float(embedded.std(axis=0, ddof=1).mean())
        return Validation(-loss, {"held-out loss": loss, "spread": spread, "effective rank": _rank(embedded)})


def has_collapsed(figures: Mapping[str, float]) -> bool:
    """Say whether a network gives all images nearly one answer, by the figures of :class:`HeldOutViews`."""
    return figures["spread"] < COLLAPSED


def _rank(embedded: Any) -> float:
    """Return the exponential of the entropy of the singular values of centred embeddings (N, E); 0 where all are 0."""
    values = np.linalg.svd(embedded - embedded.mean(0), compute_uv=False)
    if not values.sum() > 0:
        return 0.0
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))
