"""The settings of a pipeline: one frozen value that holds those of every stage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from medvision.contract import Contract
from medvision.explain import Method
from medvision.geometry import Triple
from medvision.networks import Network
from medvision.predict import Prediction
from medvision.selection import Selection
from medvision.steps import Step
from medvision.training import Training

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


def _number(key: object) -> object:
    """Return the number that a key states, for keys of a TOML file are text; 01 is none, or it would hide 1."""
    return int(key) if isinstance(key, str) and re.fullmatch("0|[1-9][0-9]*", key) else key


_Number = Annotated[int, BeforeValidator(_number)]
_Name = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, config=_STRICT)
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


@dataclass(frozen=True, config=_STRICT)
class Settings:
    """All of a ``pipeline.toml``, in the order of the data.

    Parameters
    ----------
    name
        The pipeline's name.
    task
        ``"segmentation"`` or ``"classification"``.
    description
        One line for lists.
    contract
        What it was made for.
    labels
        The name of each label: from 1 for a segmentation (0 is background), from 0 for a classification.
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
    train
        How the network is trained.
    card
        What a person must know.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    task: Literal["segmentation", "classification"]
    description: str
    contract: Contract
    labels: Mapping[_Number, _Name]
    network: Network
    select: Selection | None = None
    version: str = "1.0.0"
    steps: tuple[Step, ...] = ()
    predict: Prediction = Field(default_factory=Prediction)
    explain: tuple[Method, ...] = ()
    train: Training = Field(default_factory=Training)
    card: Card = Field(default_factory=Card)

    def __post_init__(self) -> None:
        faults = [*_label_faults(self), *_task_faults(self), *_size_faults(self)]
        if faults:
            raise ValueError("; ".join(faults))

    @property
    def outputs(self) -> int:
        """Number of the network's outputs: the labels, and background for a segmentation."""
        return len(self.labels) + (1 if self.task == "segmentation" else 0)

    def to_json(self) -> dict[str, Any]:
        """Return all settings as JSON values, those left out in the file included; without `select` where it is None.

        So the hash of a pipeline without rules is what it was before there were any, and its results stay its own.
        """
        values: dict[str, Any] = TypeAdapter(Settings).dump_python(self, mode="json")
        if self.select is None:
            del values["select"]
        return values

    def meaning(self) -> dict[str, Any]:
        """Return, as JSON values, the settings without which the weights mean nothing."""
        everything = self.to_json()
        contract = {key: everything["contract"][key] for key in ("dimensions", "channels", "side")}
        return {key: everything[key] for key in ("task", "labels", "steps", "network")} | {"contract": contract}


def input_spacing_mm(settings: Settings) -> Triple | None:
    """Return the spacing that the network sees; None where no step sets it."""
    set_by = [step.spacing_mm for step in settings.steps if step.use == "resample"]
    return set_by[-1] if set_by else None


def _label_faults(settings: Settings) -> Iterator[str]:
    first = 1 if settings.task == "segmentation" else 0
    labels = settings.labels
    if sorted(labels) != list(range(first, first + len(labels))) or not labels:
        yield f"labels: those of a {settings.task} are numbered from {first} without gaps, got {sorted(labels)}"
    if len(set(labels.values())) != len(labels):
        yield "labels: two have the same name"
    if settings.task == "classification" and len(labels) < 2:
        yield "labels: a classification needs two or more"


def _task_faults(settings: Settings) -> Iterator[str]:
    """Yield what would be passed over in silence, because it means nothing for the task."""
    network, train = settings.network, settings.train
    if network.task != settings.task:
        yield f"network: {network.use!r} is made for a {network.task}, not for a {settings.task}"
    for number, method in enumerate(settings.explain, 1):
        if method.task != settings.task:
            yield f"explain.{number}: {method.use!r} does not explain a {settings.task}"
    used = [method.use for method in settings.explain]
    if len(set(used)) != len(used):
        yield "explain: a method stands there twice; their maps would have one name"
    if settings.task == "classification" and (settings.contract.side or settings.contract.orientation_check):
        yield "contract: side and orientation_check are for a segmentation"
    if settings.task == "segmentation" and (train.balanced or train.label_smoothing):
        yield "train: balanced and label_smoothing are for a classification"
    if settings.task == "classification" and settings.predict.window is not None:
        yield "predict.window: a classification sees the whole image"


def _size_faults(settings: Settings) -> Iterator[str]:
    """Yield sizes and axes that do not go with the number of dimensions, or with the network."""
    dimensions, divisor = settings.contract.dimensions, settings.network.divisor
    for place, size in (("train.patch", settings.train.patch), ("predict.window", settings.predict.window)):
        if size is not None and len(size) != dimensions:
            yield f"{place}: {dimensions} sizes are wanted, got {list(size)}"
        if size is not None and 1 < divisor >= max(size):
            yield f"{place}: this network leaves one voxel of {list(size)}, from which nothing can be told"
    if settings.train.patch is not None and any(size % divisor for size in settings.train.patch):
        yield f"train.patch: {divisor} must divide every side for this network, got {list(settings.train.patch)}"
    if max(settings.train.augmentation.mirror_axes, default=0) >= dimensions:
        yield f"train.augmentation.mirror_axes: there are {dimensions} axes, numbered from 0"
