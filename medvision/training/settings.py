"""How a network is trained: the ``[train]`` table of a pipeline."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from medvision.strict import STRICT
from medvision.training.augmentation import Augmentation
from medvision.training.losses import Loss


@dataclass(frozen=True, config=STRICT)
class Training:
    """How a network is trained.

    Parameters
    ----------
    epochs
        Number of epochs; after each, the network is validated where `validate_every` says so.
    steps_per_epoch
        Steps of the optimiser in an epoch; each sees `batch` samples.
    batch
        Samples a step.
    patch
        Size of the samples in voxels of the network's grid; None takes whole images (all of one size).
    foreground
        Share of patches that are laid around a labelled voxel, drawn from a label that is drawn first (segmentation).
        It lies in the patch's middle half, or further out where the patch would else leave the image.
    balanced
        Whether every class is drawn equally often (classification).
    class_weights
        Whether each class counts in the loss by the inverse of its frequency in the training data: that of voxels,
        background included, for a segmentation, and of cases for a classification. For multilabel, cases that have a
        label count as many times as there are cases without it for each with it.
    loss
        What is to become small; None takes that of the task: dice-ce for a segmentation, cross-entropy for one of
        several classes, binary-cross-entropy for multilabel, huber for a regression.
    optimiser
        ``"sgd"`` with Nesterov momentum, or ``"adamw"``.
    learning_rate
        The greatest; how it changes over the training says `schedule`.
    momentum
        Of the optimiser sgd.
    schedule
        ``"poly"`` falls to 0 by a polynomial of power 0.9, ``"cosine"`` by half a cosine, ``"one-cycle"`` rises from a
        25th over the first three tenths and falls to 0 by a cosine. None takes poly for sgd and cosine for adamw.
    warmup
        Share of all steps over which the learning rate rises linearly from 0, before a poly or a cosine.
    weight_decay
        L2 penalty.
    clip
        Gradients of a greater norm are scaled down to it; 0 leaves them as they are.
    average
        Decay of the running average of the weights that is validated and kept; 0 keeps the weights themselves.
    keep
        Which weights are kept: the ``"best"`` by the score on the cases held out (of equal scores the last), or the
        ``"last"``. The best ones are safe where a training goes on for too long, and figures on the same cases are
        slightly optimistic. In the last ones those cases have no say, unless `early_stopping` ends the training by
        them.
    early_stopping
        Epochs without a better score after which the training ends, at a validation; 0 never ends it early. At least
        `validate_every`.
    label_smoothing
        Share of the target spread over all classes; for multilabel, targets are drawn towards one half by it.
    deep_supervision
        Whether coarser outputs of the network's decoder are trained too (segmentation); they are not kept.
    precision
        ``"auto"``: bf16 where the processor or the GPU (Ampere or newer) computes in it, else fp32.
    validation
        Share of patients held out where the data set fixes no split.
    validate_every
        Epochs between validations; the last epoch is always validated.
    seed
        Of the split, the network's start, the samples and their variation.
    augmentation
        How samples are varied.

    Raises
    ------
    ValueError
        `early_stopping` is less than `validate_every`, and not 0.
    """

    epochs: int = Field(default=50, ge=1)
    steps_per_epoch: int = Field(default=50, ge=1)
    batch: int = Field(default=2, ge=1)
    patch: tuple[PositiveInt, ...] | None = None
    foreground: float = Field(default=0.5, ge=0.0, le=1.0)
    balanced: bool = False
    class_weights: bool = False
    loss: Loss | None = None
    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(default=0.01, gt=0.0)
    momentum: float = Field(default=0.99, ge=0.0, lt=1.0)
    schedule: Literal["poly", "cosine", "one-cycle"] | None = None
    warmup: float = Field(default=0.0, ge=0.0, le=0.5)
    weight_decay: float = Field(default=3e-5, ge=0.0)
    clip: float = Field(default=12.0, ge=0.0)
    average: float = Field(default=0.0, ge=0.0, lt=1.0)
    keep: Literal["best", "last"] = "best"
    early_stopping: int = Field(default=0, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    deep_supervision: bool = False
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    validation: float = Field(default=0.2, gt=0.0, lt=1.0)
    validate_every: int = Field(default=5, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    augmentation: Augmentation = Field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if 0 < self.early_stopping < self.validate_every:
            raise ValueError(
                f"early_stopping = {self.early_stopping} is less than validate_every = {self.validate_every}: "
                "the training would end before a validation could show a better score"
            )

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.steps_per_epoch
