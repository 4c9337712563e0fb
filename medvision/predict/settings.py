"""How a network is applied, and what its outputs stand for: the settings."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass

from medvision.errors import PipelineError
from medvision.strict import STRICT


@dataclass(frozen=True, config=STRICT)
class Tolerance:
    """How far an engine's answers may be from those of torch in fp32: the table ``[predict.tolerance]``.

    Parameters
    ----------
    labels
        The least share of voxels, or of images, that have the same most probable label, 0 to 1.
    probability
        The largest difference of a probability, 0 to 1; of a regression's standardised value.
    """

    labels: float = Field(default=0.9999, ge=0.0, le=1.0)
    probability: float = Field(default=0.01, ge=0.0, le=1.0)


@dataclass(frozen=True, config=STRICT)
class Prediction:
    """How a network is applied: the ``[predict]`` table of a pipeline.

    Parameters
    ----------
    window
        Size of the sliding window in voxels of the network's grid, rounded up to what the network can take; None gives
        it the whole image.
    overlap
        Share of the window that neighbours have in common.
    review_margin
        A classification whose two most probable classes are less than this apart is marked for review; so is a case
        of which a label's probability is less than half of this from its threshold.
    thresholds
        Of several labels at once: the probability from which on a label is taken for present, one for each label; none
        takes 0.5 for all.
    mirror_axes
        Axes (0, 1, 2) of the network's grid along which the image is also mirrored, alone and together; the mean over
        all of them is the answer, and so of saliency maps; each axis doubles the time. Only those that the training
        mirrored along. Through a sliding window, each window is mirrored by itself.
    combine
        What is averaged over windows, mirrored images and the networks of an ensemble, and brought to the input's grid:
        ``"probabilities"``, or ``"logits"`` as in nnU-Net.
    brought_back
        What is brought to the input's grid: what is ``"combined"``, or its ``"probabilities"``, as MONAI does.
    padding
        What lies beyond an image that is smaller than the window, half before it and half behind: its ``"edge"`` values
        or ``"zero"``.
    weighting
        How much each voxel of a window counts where windows overlap: ``"gaussian"``, the more the nearer to its middle,
        or ``"constant"``, all alike.
    placing
        Where windows lie: ``"even"``, all with one distance, as in nnU-Net; or ``"stepped"``, in steps of the window
        less the overlap, the last one moved back into the image, as in MONAI.
    tolerance
        How far an engine may be from torch in fp32.
    """

    window: tuple[PositiveInt, ...] | None = None
    overlap: float = Field(default=0.5, ge=0.0, lt=1.0)
    review_margin: float = Field(default=0.2, ge=0.0, le=1.0)
    thresholds: tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] = ()
    mirror_axes: tuple[Literal[0, 1, 2], ...] = ()
    combine: Literal["probabilities", "logits"] = "probabilities"
    brought_back: Literal["combined", "probabilities"] = "combined"
    padding: Literal["edge", "zero"] = "edge"
    weighting: Literal["gaussian", "constant"] = "gaussian"
    placing: Literal["even", "stepped"] = "even"
    tolerance: Tolerance = field(default_factory=Tolerance)


@dataclass(frozen=True, config=STRICT)
class Quantity:
    """What one output of a regression stands for: a ``[[regression]]`` table, in the order of the labels.

    A network gives standardised values; `mean` and `sd` turn them into the unit. A training measures them, and `known`
    too, on its own training cases, and writes them into its pipeline in place of what stood there.

    Parameters
    ----------
    unit
        The unit of the value, e.g. ``"years"``; ``"1"`` for a plain number.
    mean, sd
        Mean and standard deviation of the training cases, in the unit.
    known
        The least and the greatest value of the training cases; a result outside them is marked for review.

    Raises
    ------
    ValueError
        Only one of `mean` and `sd` is given, or the limits of `known` do not rise.

    Examples
    --------
    >>> age = Quantity("years", mean=60.0, sd=12.0)
    >>> age.standardised(66.0), age.value(0.5)
    (0.5, 66.0)
    """

    unit: Annotated[str, Field(min_length=1)]
    mean: float | None = None
    sd: Annotated[float, Field(gt=0.0)] | None = None
    known: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.sd is None):
            raise ValueError("mean and sd are given together, or both left to the training")
        if self.known is not None and not self.known[0] <= self.known[1]:
            raise ValueError(f"known is the least and the greatest value, got {list(self.known)}")

    def standardised(self, value: float) -> float:
        """Return a value in the unit as what the network gives."""
        mean, sd = self._scale()
        return (value - mean) / sd

    def value(self, output: float) -> float:
        """Return what the network gives as a value in the unit."""
        mean, sd = self._scale()
        return mean + sd * output

    def _scale(self) -> tuple[float, float]:
        if self.mean is None or self.sd is None:
            cure = "Train the pipeline, or state `mean` and `sd` in [[regression]]."
            raise PipelineError("pipeline-invalid", "a regression needs the mean and sd of its values", cure=cure)
        return self.mean, self.sd
