"""What a training hands on: weights, cards, fingerprint and tables, which together make a folder a pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvision.errors import Finding
from medvision.files import write_json, write_text
from medvision.fingerprint import CaseFigures
from medvision.networks import WeightsCard, save_weights
from medvision.pipeline import PipelineFolder, input_spacing_mm
from medvision.steps import SPATIAL
from medvision.training import Split
from medvision.workflows.fitting.card import card_text
from medvision.workflows.scoring.scores import (
    Scored,
    counted_by,
    counts,
    estimates,
    left_out,
    scores_csv,
    sentences,
)
from medvision.workflows.starting.source import Started
from medvision.workflows.training_data.fingerprint import write_fingerprint


@dataclass(frozen=True, eq=False)
class Export:
    """A network that has been trained, and what is known of it.

    Parameters
    ----------
    pipeline
        With the settings that were in force.
    network
        The network, or the one whose training had further outputs.
    parts
        Who trained and who was held out.
    figures
        Of the cases that were trained on.
    scored
        What it says of each held-out case.
    choice
        The sentence that says which weights were kept, for figures of cases held out.
    results
        Sentences for the card where nobody was held out.
    trained_with
        Versions, device, precision, steps, seed, and what the training started from.
    """

    pipeline: PipelineFolder
    network: Any
    parts: Split
    figures: Sequence[CaseFigures]
    scored: Sequence[Scored]
    choice: str
    results: tuple[str, ...]
    trained_with: Mapping[str, str]

    def write(self, out: Path, findings: list[Finding], started: Started | None) -> WeightsCard:
        """Write all but the settings, which have lain in `out` since the start, and return the weights' card.

        What the fingerprint makes doubtful is added to `findings`.
        """
        settings = self.pipeline.settings
        results = self.results
        if self.scored:
            write_text(out / "validation.csv", scores_csv(self.scored))
            results = sentences(
                estimates(self.scored, seed=settings.train.seed),
                held_out=len(self.scored),
                over=counts(self.scored),
                notes=(*left_out(self.scored), self.choice),
                counted=counted_by(self.scored),
            )
        if started is not None:
            results = (*results, started.sentence)
            write_json(out / "start.json", {"schema": "medvision.start/1", **started.record})
        fingerprint_sha256, doubtful = write_fingerprint(self.figures, settings, out)
        findings.extend(doubtful)
        unit = next((step.use for step in reversed(settings.steps) if not isinstance(step, SPATIAL)), "as stored")
        card = WeightsCard(
            sha256=save_weights(out / "weights.safetensors", self.network),
            meaning=settings.meaning(),
            input_spacing_mm=input_spacing_mm(settings),
            input_unit=unit,
            modality=settings.contract.modality,
            training_data=settings.card.training_data,
            licence=settings.card.licence,
            results=results,
            trained_with=self.trained_with,
            fingerprint_sha256=fingerprint_sha256,
            mirror_axes=settings.mirrored_axes,
        )
        card.save(out / "weights.json")
        write_text(out / "card.md", card_text(settings, card, self.parts, findings))
        return card
