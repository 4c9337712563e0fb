"""A MONAI bundle as a pipeline: its settings, its network with the weights, and where results may differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from medvision.answers import Task
from medvision.contract import Contract
from medvision.errors import Finding, PipelineError
from medvision.importing.monai_bundle.component import Component, Expression, unsupported
from medvision.importing.monai_bundle.document import Document
from medvision.importing.monai_bundle.inference import Answered, Applied, answered_by, applied_by
from medvision.importing.monai_bundle.metadata import Metadata, slug
from medvision.importing.monai_bundle.networks import Described, network_of
from medvision.importing.monai_bundle.transforms import Seen, steps_of
from medvision.importing.monai_bundle.weights import fill
from medvision.pipeline import Card, Settings, explained
from medvision.predict import Prediction
from medvision.steps import Resample, Resize, Step
from medvision.training import Training
from medvision.transfer import Origin, locate_weights, read_weights


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle that can be run here.

    Parameters
    ----------
    settings
        Those of the pipeline that it becomes.
    network
        The module with the bundle's weights, in evaluation mode.
    origin
        Where the weights come from, with their SHA-256 and licence.
    metadata
        What the bundle says of itself.
    findings
        Where results can differ from MONAI's own; all notes.
    """

    settings: Settings
    network: Any
    origin: Origin
    metadata: Metadata
    findings: tuple[Finding, ...]


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle: ``configs/metadata.json``, ``configs/inference.json``, and ``models/model.pt`` or safetensors.

    Nothing of it is run: no expression, no class by its name, no pickled code.

    Raises
    ------
    PipelineError
        ``import-invalid``: a file is missing, cannot be read, or contradicts another one. ``import-unsupported``: the
        bundle does what no pipeline does, or says it in an expression; file, key and cure are named.
        ``weights-missing``, ``weights-unreadable``, ``weights-unsafe``, ``weights-mismatch``: of the weights.
    """
    config = Document.open(_config(folder))
    metadata = Metadata.open(folder / "configs" / "metadata.json")
    described = network_of(_network(config))
    applied = applied_by(_inferer(config), described.dimensions)
    answered = _answered(config, metadata)
    seen = Seen(metadata.input_key, described.in_channels, described.dimensions, slices=applied.slices)
    steps = steps_of(config.part("preprocessing"), seen)
    findings = tuple(_findings(applied, answered, steps))
    foreign = read_weights(folder)
    settings = _settings(folder, config, metadata, described, applied, answered, steps, findings)
    settings = replace(settings, card=replace(settings.card, licence=foreign.origin.licence or "Not stated."))
    network = described.settings.build(
        in_channels=described.in_channels, out_channels=described.out_channels, dimensions=described.dimensions
    )
    fill(network, foreign.tensors, locate_weights(folder).path)
    return Bundle(settings, network.eval(), foreign.origin, metadata, findings)


def _config(folder: Path) -> Path:
    path = folder / "configs" / "inference.json"
    other = next((path.with_suffix(ending) for ending in (".yaml", ".yml") if path.with_suffix(ending).is_file()), None)
    if not path.is_file() and other is not None:
        message = "a configuration in YAML is not read, only inference.json"
        cure = "Convert it: monai.bundle.ConfigParser reads the one and exports the other."
        raise PipelineError("import-unsupported", message, path=other, cure=cure)
    return path


def _network(config: Document) -> Component:
    """Return what the bundle calls its network; behind ``network_def`` stands only where it is put."""
    for name in ("network_def", "network"):
        found = config.part(name)
        if isinstance(found, Component):
            return found
        if isinstance(found, Expression) and name == "network_def":
            raise unsupported(config.path, name, f"{found.words[:80]} is an expression, and none is run here")
    message = "there is no network_def with a _target_"
    raise PipelineError("import-invalid", message, path=config.path)


def _inferer(config: Document) -> Component | None:
    """Return the inferer, wherever it stands; None where the bundle leaves it to MONAI's default."""
    found = config.part("inferer")
    if found is None:
        evaluator = config.part("evaluator")
        found = evaluator.arguments.get("inferer") if isinstance(evaluator, Component) else None
    if found is not None and not isinstance(found, Component):
        raise unsupported(config.path, "inferer", "a table with a _target_ is wanted")
    return found


def _answered(config: Document, metadata: Metadata) -> Answered:
    answered = answered_by(config.part("postprocessing"), metadata.output_key)
    if answered is None:
        why = "whether labels exclude each other is not said: Activationsd or AsDiscreted of the answer is wanted"
        raise unsupported(config.path, "postprocessing", why)
    return answered


def _findings(applied: Applied, answered: Answered, steps: tuple[Step, ...]) -> Iterator[Finding]:
    """Yield where results can differ from MONAI's, at borders of labels alone."""
    moved = any(isinstance(step, Resample | Resize) for step in steps)
    if applied.window is not None and applied.weighting == "gaussian":
        message = (
            "where windows overlap, voxels at their rims count less than with MONAI, whose Gaussian never falls below "
            "a thousandth"
        )
        yield Finding("import-differs", "note", message)
    if answered.labels_moved and moved:
        message = (
            "the bundle brings labels back to the image's grid by the nearest voxel; here the network's answers are "
            "brought back, and the greatest decides: borders can differ by a voxel"
        )
        yield Finding("import-differs", "note", message)


def _task(config: Document, described: Described, answered: Answered) -> Task:
    if "segmentation" in described.settings.tasks:
        if not answered.exclusive:
            why = "labels that can overlap (sigmoid, threshold) are not known here: a voxel has one label"
            raise unsupported(config.path, "postprocessing", why)
        return "segmentation"
    return "classification" if answered.exclusive else "multilabel"


def _settings(
    folder: Path,
    config: Document,
    metadata: Metadata,
    described: Described,
    applied: Applied,
    answered: Answered,
    steps: tuple[Step, ...],
    findings: tuple[Finding, ...],
) -> Settings:
    task = _task(config, described, answered)
    names = metadata.labels(described.out_channels)
    first = 1 if task == "segmentation" else 0
    description = metadata.words("description") or f"Imported from the MONAI bundle {folder.resolve().name}"
    several = task == "multilabel" and answered.threshold != 0.5
    try:
        return Settings(
            name=slug(folder.resolve().name),
            version=metadata.version,
            task=task,
            description=description,
            contract=Contract(
                shows=metadata.words("image_classes") or description,
                dimensions=3 if described.dimensions == 3 else 2,
                slices=applied.slices,
                modality=metadata.modality,
                channels=metadata.channels(described.in_channels),
            ),
            labels={number: name for number, name in enumerate(names) if number >= first},
            steps=steps,
            network=described.settings,
            predict=_prediction(applied, (answered.threshold,) * len(names) if several else ()),
            train=Training(patch=applied.window) if applied.slices else Training(),
            card=_card(folder, metadata, findings),
        )
    except ValidationError as error:
        message = f"the bundle makes no valid pipeline: {explained(error)}"
        raise PipelineError("import-unsupported", message, path=config.path) from error


def _prediction(applied: Applied, thresholds: tuple[float, ...]) -> Prediction:
    """Return how the network is applied; a whole image knows no windows."""
    if applied.window is None:
        return Prediction(thresholds=thresholds)
    return Prediction(
        window=applied.window,
        overlap=applied.overlap,
        combine="logits",
        brought_back="probabilities",
        padding=applied.padding,
        weighting=applied.weighting,
        placing="stepped",
    )


def _card(folder: Path, metadata: Metadata, findings: tuple[Finding, ...]) -> Card:
    return Card(
        intended_use=metadata.words("intended_use") or "Not stated.",
        training_data=metadata.words("data_source") or "Not stated.",
        licence="Not stated.",
        limits=tuple(f"{finding.message[0].upper()}{finding.message[1:]}." for finding in findings),
    )
