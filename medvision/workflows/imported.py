"""A model of another program as a pipeline folder: what is written, and what is said of where it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medvision.errors import Finding
from medvision.files import write_json, write_text
from medvision.io.folders import refuse_taken, replacing_folder
from medvision.networks import WeightsCard, save_weights
from medvision.pipeline import PipelineFolder, Settings, input_spacing_mm
from medvision.planning.toml import pipeline_toml
from medvision.steps import SPATIAL
from medvision.workflows.fitting.card import card_of, input_lines, output_lines

SCHEMA = "medvision.import/1"


@dataclass(frozen=True)
class Provenance:
    """Where an imported model comes from.

    Parameters
    ----------
    program
        What made it, e.g. ``"MONAI bundle"``.
    name
        The name of its folder.
    version
        Of the model; None where it states none.
    sha256
        Of each file that was read, by its path in the folder.
    licence
        The terms, as the model states them; None where it states none.
    stated
        Figures that the model states of itself; a sentence each.
    trained_with
        Versions of what it was trained with.
    """

    program: str
    name: str
    version: str | None
    sha256: Mapping[str, str]
    licence: str | None = None
    stated: tuple[str, ...] = ()
    trained_with: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.program} {self.name}{f', version {self.version}' if self.version else ''}"


@dataclass(frozen=True, eq=False)
class Imported:
    """A pipeline that was made from another program's model.

    Parameters
    ----------
    pipeline
        The new folder, opened.
    source
        Where it comes from.
    findings
        Where its results can differ from those of the other program.
    """

    pipeline: PipelineFolder
    source: Provenance
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what was made as JSON values."""
        settings = self.pipeline.settings
        return {
            **_record(self.source, self.findings),
            "pipeline": str(self.pipeline.folder),
            "name": settings.name,
            "task": settings.task,
            "labels": {str(number): name for number, name in settings.labels.items()},
            "network": settings.network.use,
            "steps": [step.use for step in settings.steps],
        }


def write_imported(
    out: Path,
    settings: Settings,
    networks: Sequence[Any],
    source: Provenance,
    findings: Sequence[Finding],
    *,
    mirror_axes: tuple[int, ...] | None = None,
) -> Imported:
    """Write a pipeline folder, whole or not at all, and return it opened.

    Parameters
    ----------
    out
        The folder; it is not there yet, or empty.
    settings
        Those of the pipeline.
    networks
        The network with its weights, or the members of an ensemble.
    source
        Where it comes from.
    findings
        Where results can differ; they stand in ``import.json`` and on the card.
    mirror_axes
        The axes along which the training mirrored its samples; None where that is not known.

    Raises
    ------
    OutputError
        ``output-exists``: there is such a folder already, and it is not empty; ``output-unwritable``.
    """
    refuse_taken(out)
    with replacing_folder(out) as new:
        write_text(new / "pipeline.toml", pipeline_toml(settings, head=f"Imported from the {source}."))
        unit = next((step.use for step in reversed(settings.steps) if not isinstance(step, SPATIAL)), "as stored")
        card = WeightsCard(
            sha256=save_weights(new / "weights.safetensors", *networks),
            meaning=settings.meaning(),
            input_spacing_mm=input_spacing_mm(settings),
            input_unit=unit,
            modality=settings.contract.modality,
            training_data=settings.card.training_data,
            licence=settings.card.licence,
            results=(*source.stated, "These figures were not measured here.") if source.stated else (),
            trained_with=source.trained_with,
            members=len(networks),
            mirror_axes=mirror_axes,
        )
        card.save(new / "weights.json")
        write_text(new / "card.md", _card_text(settings, card, source))
        write_json(new / "import.json", _record(source, findings))
        PipelineFolder.open(new).check_weights()
    return Imported(PipelineFolder.open(out), source, tuple(findings))


def _record(source: Provenance, findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "program": source.program,
        "source": source.name,
        "version": source.version,
        "sha256": dict(source.sha256),
        "licence": source.licence,
        "trained_with": dict(source.trained_with),
        "findings": [finding.unplaced().to_json() for finding in findings],
    }


def _card_text(settings: Settings, weights: WeightsCard, source: Provenance) -> str:
    """Return the text of ``card.md``, with what is known of a pipeline that was trained elsewhere."""
    sections = {
        "Intended use": [settings.card.intended_use, "Research use only. Not for diagnosis."],
        "Input": [settings.contract.shows, *input_lines(settings, weights)],
        "Output": output_lines(settings),
        "Training data": [settings.card.training_data],
        "Results": [*weights.results] or ["None were measured here, and the model states none."],
        "Limits": [*settings.card.limits] or ["Not stated."],
        "Licence": [settings.card.licence],
        "Weights": [
            f"SHA-256 {weights.sha256}",
            f"Imported from the {source}.",
        ],
    }
    return card_of(settings, sections)
