"""Masked autoencoding: what is hidden of an image is to be told from what is left (He et al., CVPR 2022).

For networks that answer voxel by voxel. The network is built with as many outputs as the image has channels, so that
its decoder learns too. Of the ways to pretrain a U-Net, this one was best for segmentation on 15 data sets (Wald et
al., OpenMind, ICCV 2025, arXiv 2412.17041).

A convolution sees hidden voxels as it sees all others. They are given the mean of the channel's visible voxels, which
is the zero of the published method where images have a mean of 0, and no edge against dark air where they have not.
Noise in their place would be one more texture to tell apart, which no later image has. Sparse convolutions leave
hidden voxels out (Tian et al., SparK, ICLR 2023), and need other layers than the network has.

One process computes the loss; several would need its sums added up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field
from pydantic.dataclasses import dataclass as checked_dataclass

from medvision.strict import STRICT
from medvision.training.augment import draw
from medvision.training.loop import Validation
from medvision.training.place import ALONE, Place
from medvision.training.pretext.images import held_out_images
from medvision.training.samples import Prepared, Sampler
from medvision.training.settings import Training
from medvision.training.step import Batch
from medvision.training.varied import generator_of, in_layout, varied

_LEAST_BLOCKS = 4  # along an axis: with fewer, there is no visible part around a hidden one


@checked_dataclass(frozen=True, config=STRICT)
class Masking:
    """What is hidden of an image.

    Parameters
    ----------
    ratio
        Share of the blocks that are hidden, 0 to 1. OpenMind hides 75 %: neighbouring voxels say nearly the same, and
        with little hidden it is enough to blur.
    block
        Side of a block in voxels, no more than a quarter of the image's side. OpenMind has 16 in patches of 160; the
        patches here have some 40 to 100 voxels, and a block is still one voxel or more where the network is coarsest.
    """

    ratio: float = Field(default=0.75, gt=0.0, lt=1.0)
    block: int = Field(default=8, ge=1)

    def sides(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the size of a block in images of a shape.

        >>> Masking(block=8).sides((40, 56, 12))
        (8, 8, 3)
        """
        return tuple(max(1, min(self.block, size // _LEAST_BLOCKS)) for size in shape)

    def draw(self, batch: int, shape: Sequence[int], generator: Any) -> Any:
        """Return (B, 1, *shape) bool: what is hidden. Of every image as many blocks; the last of an axis may be cut.

        Parameters
        ----------
        generator
            A ``torch.Generator`` on the CPU.
        """
        import torch

        sides = self.sides(shape)
        counts = [-(-size // side) for size, side in zip(shape, sides, strict=True)]
        blocks = int(torch.tensor(counts).prod())
        hidden = min(max(1, round(self.ratio * blocks)), max(1, blocks - 1))
        masks = torch.zeros(batch, blocks, dtype=torch.bool)
        for row in masks:
            row[torch.randperm(blocks, generator=generator)[:hidden]] = True
        masks = masks.reshape(batch, 1, *counts)
        for axis, (size, side) in enumerate(zip(shape, sides, strict=True), 2):
            masks = masks.index_select(axis, torch.arange(size) // side)
        return masks


def hide(images: Any, masks: Any) -> Any:
    """Return images (B, C, *spatial) whose hidden voxels have the mean of the visible ones of their channel."""
    import torch

    axes = tuple(range(2, images.ndim))
    visible = ~masks
    # in fp64, so that the order of a sum does not show
    means = (images * visible).double().sum(axes, keepdim=True) / visible.double().sum(axes, keepdim=True).clamp(min=1)
    return torch.where(masks, means.to(images.dtype), images)


@dataclass(frozen=True, eq=False)
class MaskedBatches:
    """Batches of varied images with parts hidden; see :class:`medvision.training.step.Batches`.

    The targets of a batch are the whole images and the masks.

    Parameters
    ----------
    sampler
        Draws the images of a step.
    settings
        How they are varied, and the seed.
    masking
        What is hidden.
    place
        Where they are varied and used.
    """

    sampler: Sampler
    settings: Training
    masking: Masking = field(default_factory=Masking)
    place: Place = ALONE

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step."""
        rows = self.place.rows(self.settings.batch)
        images, _ = self.sampler.batch(step, rows)
        random, shape = generator_of(self.settings.seed, step), tuple(images.shape[2:])
        variation = draw(self.settings.augmentation, self.settings.batch, shape, random, channels=images.shape[1])
        masks = self.masking.draw(self.settings.batch, shape, random)[rows].to(self.place.device)
        images, _ = varied(variation[rows], images, None, self.place)
        return Batch(in_layout(hide(images, masks)), (images, masks))


@dataclass(frozen=True)
class Reconstruction:
    """The mean squared error over the hidden voxels; see :data:`medvision.training.step.Objective`."""

    place: Place = ALONE

    def __call__(self, network: Any, batch: Batch) -> Any:
        """Return the loss, a scalar."""
        with self.place.autocast():
            answers = network(batch.images)
        images, masks = batch.targets
        return squared_error(answers, images, masks) / (masks.sum() * images.shape[1])


def squared_error(answers: Any, images: Any, masks: Any) -> Any:
    """Return the sum of squared errors over the hidden voxels of all channels, in fp32."""
    return ((answers.float() - images).square() * masks).sum()


@dataclass(frozen=True, eq=False)
class HeldOutMasks:
    """How much of held-out images a network tells, always with the same parts hidden.

    The score is the explained share of what is hidden: 1 where it is told exactly, 0 where no better than by the value
    that stands in its place.

    Parameters
    ----------
    samples
        The images.
    settings
        Patch and seed.
    masking
        What is hidden.
    place
        Says the precision.
    """

    samples: Sequence[Prepared]
    settings: Training
    masking: Masking = field(default_factory=Masking)
    place: Place = ALONE

    def __call__(self, network: Any) -> Validation:
        """Return the figures ``explained share`` and ``masked error``, a mean square."""
        import torch

        error = blank = voxels = 0.0
        with torch.no_grad(), self.place.autocast():
            for number, image in enumerate(held_out_images(self.samples, self.settings.patch)):
                masks = self.masking.draw(1, image.shape[1:], generator_of(self.settings.seed, number))
                images, masks = image[None].to(self.place.device), masks.to(self.place.device)
                hidden = hide(images, masks)
                error += float(squared_error(network(in_layout(hidden)), images, masks))
                blank += float(squared_error(hidden, images, masks))
                voxels += float(masks.sum()) * images.shape[1]
        share = 1 - error / blank if blank else 0.0
        return Validation(share, {"explained share": share, "masked error": error / voxels})
