"""The model card: what a person must know of a trained pipeline, as Markdown with Hugging Face's front matter."""

from __future__ import annotations

from collections.abc import Sequence

from medvision.errors import Finding
from medvision.networks import WeightsCard
from medvision.pipeline import Settings
from medvision.training import Split


def card_text(settings: Settings, weights: WeightsCard, parts: Split, findings: Sequence[Finding]) -> str:
    """Return the text of ``card.md`` (Mitchell et al., Model Cards for Model Reporting, FAT* 2019)."""
    train, val = (len({case.patient or case.id for case in side}) for side in (parts.train, parts.val))
    sections = {
        "Intended use": [settings.card.intended_use, "Research use only. Not for diagnosis."],
        "Input": [settings.contract.shows, *_input(settings, weights)],
        "Output": [f"{number}: {name}" for number, name in settings.labels.items()],
        "Training data": [
            settings.card.training_data,
            f"Trained on {len(parts.train)} cases of {train} patients, validated on {len(parts.val)} cases of {val}"
            " others (where no patient is named, each case counts as one).",
        ],
        "Results on the held-out cases": [
            *weights.results,
            "The best epoch was chosen on these same cases, so that the figures are slightly hopeful.",
        ],
        "What was noticed about the data": [finding.message for finding in findings] or ["Nothing."],
        "Limits": [*settings.card.limits],
        "Licence": [settings.card.licence],
        "Weights": [
            f"SHA-256 {weights.sha256}",
            "Trained with " + ", ".join(f"{name} {version}" for name, version in weights.trained_with.items()) + ".",
        ],
    }
    front = f"---\nlicense: other\ntags: [medical-imaging, {settings.task}]\n---\n"
    body = "\n".join(
        f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines) + "\n" for title, lines in sections.items()
    )
    return f"{front}\n# {settings.name} {settings.version}\n\n{settings.description}\n\n{body}"


def _input(settings: Settings, weights: WeightsCard) -> list[str]:
    lines = [f"{settings.contract.dimensions}D, channels: {', '.join(settings.contract.channels)}."]
    if settings.contract.modality:
        lines.append(f"Modality {settings.contract.modality}.")
    if settings.contract.side:
        lines.append(f"The network knows its structure as on the {settings.contract.side} side; others are mirrored.")
    if weights.input_spacing_mm:
        lines.append("Spacing seen by the network: " + " x ".join(f"{s:g}" for s in weights.input_spacing_mm) + " mm.")
    lines.append(f"Values seen by the network: {weights.input_unit}.")
    return lines
