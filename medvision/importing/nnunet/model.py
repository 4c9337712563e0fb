"""A training of nnU-Net as the settings of a pipeline, and the weights of its networks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationError

from medvision.contract import Contract
from medvision.errors import Finding, PipelineError
from medvision.files import sha256_of
from medvision.importing.nnunet.axes import Axes
from medvision.importing.nnunet.checkpoint import Checkpoint, read_checkpoint
from medvision.importing.nnunet.dataset import modality_of
from medvision.importing.nnunet.documents import unsupported
from medvision.importing.nnunet.folder import Trained
from medvision.importing.nnunet.network import network_of
from medvision.importing.nnunet.plans import Configuration
from medvision.importing.nnunet.steps import steps_of
from medvision.pipeline import Card, Settings, explained
from medvision.predict import Prediction, Tolerance
from medvision.sides import sided
from medvision.training import Augmentation, Training
from medvision.transfer.nnunet import unet_tensors

TOLERANCE = Tolerance(labels=0.999, probability=0.1)
"""How far an engine may be from fp32: one voxel in a thousand, which lie at borders between labels.

nnU-Net states no such figure; on a GPU it computes in 16 bits, and adds up logits in 16 bits everywhere. On ten crops
around a hippocampus, bf16 left 0.99991 of voxels or more as they were, with probabilities within 0.016, for a network
that nnU-Net had trained: it may be used, with room for larger networks, and int8 that was not measured may not.
"""

_AS_STORED = (
    "Axes are taken as a file stores them, as nnU-Net does: a file stored in another order or direction than those of"
    " the training is seen mirrored or turned, and nothing tells. nnU-Net's files do not say how those were stored."
    " What comes from DICOM, which is stored otherwise than most NIfTI, is for review. Import with --orientation, where"
    " it is known."
)


@dataclass(frozen=True, eq=False)
class Model:
    """What a training of nnU-Net is here.

    Parameters
    ----------
    settings
        All of a ``pipeline.toml``.
    states
        The weights of each network, by our names.
    mirror_axes
        The axes along which the training mirrored its samples.
    trained_with
        What is known of the training.
    sha256
        Of each file that was read, by its path in the folder.
    findings
        What was taken for granted.
    """

    settings: Settings
    states: Sequence[Mapping[str, Any]] = field(repr=False)
    mirror_axes: tuple[int, ...]
    trained_with: Mapping[str, str]
    sha256: Mapping[str, str]
    findings: tuple[Finding, ...]


def model_of(trained: Trained, *, mirroring: bool = True, orientation: str | None = None) -> Model:
    """Return what a training is here.

    Parameters
    ----------
    trained
        The training.
    mirroring
        Whether images are mirrored as nnU-Net would; each axis doubles the time.
    orientation
        How the images of the training were stored, as three letters; None takes images as they are stored.

    Raises
    ------
    PipelineError
        ``import-unsupported``: it does what no pipeline here does; ``import-invalid``: its files do not say what they
        should, or contradict each other; ``weights-unsafe``, ``weights-unreadable``.
    """
    checkpoints = [read_checkpoint(path) for path in trained.checkpoints]
    first = checkpoints[0]
    for path, other in zip(trained.checkpoints, checkpoints, strict=True):
        if (other.configuration, other.mirrors) != (first.configuration, first.mirrors):
            message = "the folds differ in their configuration, or in the axes that may be mirrored"
            raise PipelineError("import-invalid", message, path=path)
    configuration = trained.plans.configuration(first.configuration, trained.plans_path)
    axes = Axes.of(trained.plans.transpose_forward, configuration.dimensions)
    allowed = tuple(sorted(axes.ours(axis) for axis in first.mirrors or () if axis < configuration.dimensions))
    steps = steps_of(trained.plans, configuration, axes, orientation, trained.plans_path)
    norm: Literal["instance", "batch"] = "instance"
    if any(name.endswith("norm.running_mean") for name in first.tensors):
        norm = "batch"
    parts = {"steps": steps, "network": network_of(configuration, axes, norm, trained.plans_path)}
    settings = _settings(trained, first, configuration, axes, allowed if mirroring else (), parts)
    return Model(
        settings=settings,
        states=[unet_tensors(checkpoint.tensors, axes.order) for checkpoint in checkpoints],
        mirror_axes=allowed,
        trained_with=_facts(trained, checkpoints),
        sha256={
            **{path.name: sha256_of(path) for path in (trained.plans_path, trained.dataset_path)},
            **{
                path.relative_to(trained.folder).as_posix(): each.sha256
                for path, each in zip(trained.checkpoints, checkpoints, strict=True)
            },
        },
        findings=tuple(_noticed(first, settings)),
    )


def _settings(
    trained: Trained,
    checkpoint: Checkpoint,
    configuration: Configuration,
    axes: Axes,
    mirrors: tuple[Any, ...],
    parts: Mapping[str, Any],
) -> Settings:
    channels, labels = trained.dataset.channels(trained.dataset_path), trained.dataset.names(trained.dataset_path)
    window, flat = axes.turned(configuration.patch_size), configuration.dimensions == 2
    dataset = re.sub(r"^Dataset\d+_", "", trained.plans.dataset_name)
    names = sided(labels.values())
    if names and mirrors:
        message = f"labels have sides ({', '.join(map(repr, names[:2]))}), and it was trained on mirrored images"
        cure = "With --no-mirroring it is imported, and its card says so."
        raise unsupported(f"{message}, in which left is right", trained.dataset_path, cure=cure)
    fixed = any(step.use == "reorient" for step in parts["steps"])
    limits = [
        "It was imported: what it was trained on, how good it is, and on whom it fails, its files do not say.",
        *([] if fixed else [_AS_STORED]),
        *(
            [f"Its labels have sides, and it was trained on images mirrored along axes {list(checkpoint.mirrors)}."]
            if names and checkpoint.mirrors
            else []
        ),
    ]
    try:
        return Settings(
            name=_slug(f"{dataset}-{checkpoint.configuration}"),
            task="segmentation",
            description=f"{', '.join(labels.values())}, by nnU-Net: {dataset}, {checkpoint.configuration}",
            contract=Contract(
                shows=f"What the images of the data set {dataset} show, on which nnU-Net was trained.",
                dimensions=2 if flat else 3,
                slices=flat,
                modality=modality_of(channels),
                channels=channels,
                axes_as_stored=not fixed,
            ),
            labels=labels,
            predict=Prediction(
                window=window,
                overlap=0.5,
                mirror_axes=mirrors,
                combine="logits",
                padding="zero",
                tolerance=TOLERANCE,
            ),
            train=Training(patch=window, deep_supervision=True, augmentation=Augmentation(mirror_axes=mirrors)),
            card=Card(
                intended_use="Not stated by nnU-Net's files.",
                training_data=f"nnU-Net's data set {trained.plans.dataset_name}; its files say no more.",
                licence="Not stated: ask whoever trained it before use.",
                limits=tuple(limits),
            ),
            **parts,
        )
    except ValidationError as error:
        raise unsupported(explained(error), trained.plans_path) from error


def _facts(trained: Trained, checkpoints: Sequence[Checkpoint]) -> dict[str, str]:
    epochs = sorted({str(each.epoch) for each in checkpoints if each.epoch is not None})
    return {
        "program": "nnU-Net, version not stated",
        "trainer": checkpoints[0].trainer,
        "plans": trained.plans.plans_name,
        "configuration": checkpoints[0].configuration,
        "folds": " ".join(trained.folds),
        "checkpoint": trained.which,
        "epochs": " and ".join(epochs) or "not stated",
    }


def _noticed(checkpoint: Checkpoint, settings: Settings) -> list[Finding]:
    found = []
    if not any(step.use == "reorient" for step in settings.steps):
        message = "how the training's images were stored is not known: axes are taken as a file stores them"
        cure = "Import with --orientation, where it is known; the card says what can go wrong."
        found.append(Finding("orientation-doubted", "warning", message, cure=cure))
    if checkpoint.mirrors is None:
        message = "the checkpoint names no axes that may be mirrored: images are not mirrored"
        found.append(Finding("start-unknown", "note", message, cure="Nothing to do."))
    return found


def _slug(words: str) -> str:
    """Return words as the name of a pipeline.

    >>> _slug("BraTS 2021-3d_fullres")
    'brats-2021-3d-fullres'
    """
    return re.sub("[^a-z0-9]+", "-", words.casefold()).strip("-") or "nnunet"
