"""The settings of a pipeline: one frozen value that holds those of every stage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from medvision.answers import Task
from medvision.contract import Contract
from medvision.explain import Method
from medvision.geometry import Triple
from medvision.networks import DEEP, Network
from medvision.pipeline.sides import side_faults
from medvision.predict import Prediction, Quantity
from medvision.selection import Selection
from medvision.steps import Step
from medvision.strict import STRICT
from medvision.training import Training, default_loss
from medvision.training.schedules import schedule_of

NAME = "^[a-z0-9][a-z0-9-]*$"
"""What the name of a pipeline looks like, as a regular expression."""


def _number(key: object) -> object:
    """Return the number that a key states, for keys of a TOML file are text; 01 is none, or it would hide 1."""
    return int(key) if isinstance(key, str) and re.fullmatch("0|[1-9][0-9]*", key) else key


PLAIN: Mapping[str, object] = {"keeps": "faces", "blur": True, "average": False}
"""Settings of steps as they were before they could be set; such values are left out of the JSON, and of its hash."""

_Number = Annotated[int, BeforeValidator(_number)]
_Name = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, config=STRICT)
class Card:
    """What a person must know about a pipeline: its ``[card]`` table.

    Parameters
    ----------
    intended_use
        What it is for.
    training_data
        What it was trained on, with the source and the citation.
    licence
        The terms for the use of the weights.
    limits
        What it cannot do, and where it is known to fail; a sentence each.
    """

    intended_use: str = "Not stated."
    training_data: str = "Not stated."
    licence: str = "Not stated."
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, config=STRICT)
class Settings:
    """All of a ``pipeline.toml``, in the order of the data.

    Parameters
    ----------
    name
        The pipeline's name.
    task
        ``"segmentation"``, ``"classification"`` (one of several classes), ``"multilabel"`` (each label is a question of
        its own, and several can hold at once) or ``"regression"`` (real values).
    description
        One line for lists.
    contract
        What it was made for.
    labels
        The name of each label: from 1 for a segmentation (0 is background), from 0 for all else. Those of a regression
        name its values.
    network
        The network, by name and with its settings.
    select
        Which series of a DICOM study it takes; None takes every series that is found.
    version
        The pipeline's version.
    steps
        What is done to an image before the network, in order.
    predict
        How the network is applied.
    explain
        The saliency maps that a run makes. A segmentation's entropy is always written.
    regression
        Of a regression, what each value is: one for each label, in their order.
    train
        How the network is trained.
    card
        What a person must know.

    Raises
    ------
    ValueError
        Two settings contradict each other, or one would have no effect; all faults are named.
    """

    name: Annotated[str, Field(pattern=NAME)]
    task: Task
    description: str
    contract: Contract
    labels: Mapping[_Number, _Name]
    network: Network
    select: Selection | None = None
    version: str = "1.0.0"
    steps: tuple[Step, ...] = ()
    predict: Prediction = Field(default_factory=Prediction)
    explain: tuple[Method, ...] = ()
    regression: tuple[Quantity, ...] = ()
    train: Training = Field(default_factory=Training)
    card: Card = Field(default_factory=Card)

    def __post_init__(self) -> None:
        faults = [
            *_label_faults(self),
            *_task_faults(self),
            *_training_faults(self),
            *_size_faults(self),
            *_augmentation_faults(self),
        ]
        if faults:
            raise ValueError("; ".join(faults))

    @property
    def outputs(self) -> int:
        """Number of the network's outputs: the labels, and background for a segmentation."""
        return len(self.labels) + (1 if self.task == "segmentation" else 0)

    @property
    def mirrored_axes(self) -> tuple[int, ...]:
        """The axes along which a training with these settings mirrors samples, in rising order."""
        augmentation = self.train.augmentation.resolved()
        return tuple(sorted(augmentation.mirror_axes)) if augmentation.probabilities.mirror else ()

    def to_json(self) -> dict[str, Any]:
        """Return all settings as JSON values, those left out in the file included.

        Without `select` where it is None, `regression` and `mirror_axes` of `predict` where there is none, `slices`,
        `unsized` and `axes_as_stored` where they are false, and of steps what :data:`PLAIN` names, where it is so: so
        the hash of a pipeline that has none of them is what it was before there were any, and its results stay its own.
        """
        values: dict[str, Any] = TypeAdapter(Settings).dump_python(self, mode="json")
        if self.select is None:
            del values["select"]
        if not self.regression:
            del values["regression"]
        for key in ("slices", "unsized", "axes_as_stored"):
            if not values["contract"][key]:
                del values["contract"][key]
        if not values["predict"]["mirror_axes"]:
            del values["predict"]["mirror_axes"]
        for step in values["steps"]:
            for key in [key for key, plain in PLAIN.items() if key in step and step[key] == plain]:
                del step[key]
        return values

    def meaning(self) -> dict[str, Any]:
        """Return, as JSON values, the settings without which the weights mean nothing."""
        everything = self.to_json()
        parts = ("dimensions", "slices", "channels", "side")
        contract = {key: everything["contract"][key] for key in parts if key in everything["contract"]}
        keys = [key for key in ("task", "labels", "steps", "network", "regression") if key in everything]
        return {key: everything[key] for key in keys} | {"contract": contract}


def input_spacing_mm(settings: Settings) -> Triple | None:
    """Return the spacing that the network sees; None where no step sets it."""
    set_by = [step.spacing_mm for step in settings.steps if step.use in ("resample", "resample_apart")]
    return set_by[-1] if set_by and len(set_by[-1]) == 3 else None


def _label_faults(settings: Settings) -> Iterator[str]:
    first = 1 if settings.task == "segmentation" else 0
    labels = settings.labels
    if sorted(labels) != list(range(first, first + len(labels))) or not labels:
        yield f"labels: those of a {settings.task} are numbered from {first} without gaps, got {sorted(labels)}"
    if len(set(labels.values())) != len(labels):
        yield "labels: two have the same name"
    if settings.task == "classification" and len(labels) < 2:
        yield "labels: a classification needs two or more"
    wanted = len(labels) if settings.task == "regression" else 0
    if len(settings.regression) != wanted:
        place = "one [[regression]] table, with its unit, for each label" if wanted else "no [[regression]] table"
        yield f"regression: a {settings.task} has {place}, got {len(settings.regression)}"
    if settings.predict.thresholds and (
        settings.task != "multilabel" or len(settings.predict.thresholds) != len(labels)
    ):
        yield f"predict.thresholds: they are for multilabel, one for each label, got {len(settings.predict.thresholds)}"


def _task_faults(settings: Settings) -> Iterator[str]:
    """Yield what would be passed over in silence, because it means nothing for the task."""
    network, train = settings.network, settings.train
    if settings.task not in network.tasks:
        made_for = " or ".join(network.tasks)
        yield f"network: {network.use!r} is made for a {made_for}, not for a {settings.task}"
    for number, method in enumerate(settings.explain, 1):
        if settings.task not in method.tasks:
            yield f"explain.{number}: {method.use!r} does not explain a {settings.task}"
    used = [method.use for method in settings.explain]
    if len(set(used)) != len(used):
        yield "explain: a method stands there twice; their maps would have one name"
    if settings.task != "segmentation" and (settings.contract.side or settings.contract.orientation_check):
        yield "contract: side and orientation_check are for a segmentation"
    if settings.task != "classification" and train.balanced:
        yield "train: balanced is for a classification"
    if settings.contract.slices and settings.task != "segmentation":
        yield f"contract.slices: for a {settings.task}, nothing tells how the answers of slices become the volume's"
    if settings.contract.slices and train.patch is None:
        yield "train.patch: slices of volumes differ in size, so that a patch is needed; it has 2 sizes"
    if settings.task != "segmentation" and settings.predict.window is not None:
        yield f"predict.window: a {settings.task} sees the whole image"


def _training_faults(settings: Settings) -> Iterator[str]:
    """Yield settings of the training that do not go with each other, or with the network."""
    train, loss = settings.train, settings.train.loss
    if loss is not None and settings.task not in loss.tasks:
        yield f"train.loss: {loss.use!r} is for a {' or '.join(loss.tasks)}, not for a {settings.task}"
    used = loss or default_loss(settings.task)
    if not used.weighs_classes and (train.class_weights or train.label_smoothing):
        yield f"train.loss: this {used.use!r} has no use for class_weights and label_smoothing"
    if train.deep_supervision and not isinstance(settings.network, DEEP):
        yield f"train.deep_supervision: it is for U-Nets, not for {settings.network.use!r}"
    if train.warmup and schedule_of(train) == "one-cycle":
        yield "train.warmup: it is for the schedules poly and cosine; one-cycle begins with a rise of its own"


def _size_faults(settings: Settings) -> Iterator[str]:
    """Yield sizes and axes that do not go with the number of dimensions, or with the network."""
    dimensions, stated = settings.contract.dimensions, settings.network.divisor
    divisor = (stated,) * dimensions if isinstance(stated, int) else stated
    for name in ("strides", "kernels"):
        rows = getattr(settings.network, name, None)
        if rows is not None and len(rows[0]) != dimensions:
            yield f"network.{name}: {dimensions} numbers a row are wanted, got {list(rows[0])}"
    for place, size in (("train.patch", settings.train.patch), ("predict.window", settings.predict.window)):
        if size is not None and len(size) != dimensions:
            yield f"{place}: {dimensions} sizes are wanted, got {list(size)}"
        if size is not None and max(divisor) > 1 and all(n >= side for n, side in zip(divisor, size, strict=False)):
            yield f"{place}: this network leaves one voxel of {list(size)}, from which nothing can be told"
    whole = getattr(settings.network, "image_size", None)
    if whole is not None and len(whole) != dimensions:
        yield f"network.image_size: {dimensions} sizes are wanted, got {list(whole)}"
    patch = settings.train.patch
    if patch is not None and whole is not None and patch != whole:
        yield f"train.patch: this network takes images of {list(whole)}, not {list(patch)}"
    if patch is not None and any(side % n for n, side in zip(divisor, patch, strict=False)):
        yield f"train.patch: {stated} must divide every side for this network, got {list(patch)}"


def _augmentation_faults(settings: Settings) -> Iterator[str]:
    """Yield axes that there are not, or are not learned, and variation that mistakes left for right."""
    dimensions, augmentation = settings.contract.dimensions, settings.train.augmentation.resolved()
    for place, axes in (("train.augmentation", augmentation.mirror_axes), ("predict", settings.predict.mirror_axes)):
        if max(axes, default=0) >= dimensions:
            yield f"{place}.mirror_axes: there are {dimensions} axes, numbered from 0"
        if len(set(axes)) != len(axes):
            yield f"{place}.mirror_axes: an axis stands there twice, got {list(axes)}"
    for axis in set(settings.predict.mirror_axes) - set(settings.mirrored_axes):
        yield f"predict.mirror_axes: the training does not mirror along axis {axis}, so the network does not know it so"
    if dimensions == 2 and augmentation.rotation_axes is not None:
        yield "train.augmentation.rotation_axes: a picture turns about one axis only; leave it out"
    yield from side_faults(settings)
