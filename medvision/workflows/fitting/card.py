"""The model card: what a person must know of a trained pipeline, as Markdown with Hugging Face's front matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medvision.errors import Finding
from medvision.networks import WeightsCard
from medvision.pipeline import Settings
from medvision.predict import Quantity
from medvision.report.wording import many
from medvision.study import Case
from medvision.training import Split
from medvision.workflows.training_data.noticed import is_of_training


def card_text(settings: Settings, weights: WeightsCard, parts: Split, findings: Sequence[Finding]) -> str:
    """Return the text of ``card.md`` (Mitchell et al., Model Cards for Model Reporting, FAT* 2019)."""
    of_data = [finding.message for finding in findings if not is_of_training(finding)]
    of_training = [finding.message for finding in findings if is_of_training(finding)]
    sections = {
        "Intended use": [settings.card.intended_use, "Research use only. Not for diagnosis."],
        "Input": [settings.contract.shows, *input_lines(settings, weights)],
        "Output": output_lines(settings),
        "Training data": [settings.card.training_data, _cases(parts)],
        "Results on the held-out cases": [*weights.results, *_where_measured(settings)],
        "What was noticed about the data": of_data or ["Nothing."],
        **({"What was noticed about the training": of_training} if of_training else {}),
        "Limits": [*settings.card.limits] or ["Not stated."],
        "Licence": [settings.card.licence],
        "Weights": [
            f"SHA-256 {weights.sha256}",
            "Trained with " + ", ".join(f"{name} {version}" for name, version in weights.trained_with.items()) + ".",
        ],
    }
    return card_of(settings, sections)


def card_of(settings: Settings, sections: Mapping[str, Sequence[str]]) -> str:
    """Return a card with a list below each heading."""
    front = f"---\nlicense: other\ntags: [medical-imaging, {settings.task}]\n---\n"
    body = "\n".join(
        f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines) + "\n" for title, lines in sections.items()
    )
    return f"{front}\n# {settings.name} {settings.version}\n\n{settings.description}\n\n{body}"


def _cases(parts: Split) -> str:
    """Return how many cases were trained on and held out, and of how many patients where the data name them."""
    cases = (*parts.train, *parts.val)
    unnamed = sum(case.patient is None for case in cases)

    def told(side: Sequence[Case], other: str = "") -> str:
        if unnamed == len(cases):
            return many(len(side), f"{other}case")
        patients = len({case.patient_key for case in side})
        return f"{many(len(side), 'case')} of {many(patients, f'{other}patient')}"

    held_out = f"validated on {told(parts.val, 'other ')}" if parts.val else "none held out"
    if not unnamed:
        return f"Trained on {told(parts.train)}, {held_out}."
    without = "No case named a patient" if unnamed == len(cases) else f"{many(unnamed, 'case')} named no patient"
    return f"Trained on {told(parts.train)}, {held_out}. {without}: each counts as one."


def _where_measured(settings: Settings) -> list[str]:
    if settings.task != "segmentation":
        return []
    return [
        "These figures of the training are on the network's grid, after the steps; what is lost by them is not counted."
        " `medvision evaluate` measures on the images' own."
    ]


def output_lines(settings: Settings) -> list[str]:
    """Return what each output is: of several labels with its threshold, of a regression with unit and known values."""
    names = [(number, settings.labels[number]) for number in sorted(settings.labels)]
    if settings.task == "multilabel":
        stated = settings.predict.thresholds or (0.5,) * len(names)
        return [f"{n}: {name}, present from {limit:g} on" for (n, name), limit in zip(names, stated, strict=True)]
    if settings.task == "regression":
        return [
            f"{n}: {name}" + ("" if each.unit == "1" else f" in {each.unit}") + _known(each)
            for (n, name), each in zip(names, settings.regression, strict=True)
        ]
    return [f"{number}: {name}" for number, name in names]


def _known(quantity: Quantity) -> str:
    if quantity.known is None:
        return ""
    return f", known from {quantity.known[0]:.4g} to {quantity.known[1]:.4g}"


def input_lines(settings: Settings, weights: WeightsCard) -> list[str]:
    """Return what goes in: dimensions, channels, modality, side, and what the steps make of it."""
    kind = f"{settings.contract.dimensions}D{', volumes slice by slice' if settings.contract.slices else ''}"
    lines = [f"{kind}, channels: {', '.join(settings.contract.channels)}."]
    if settings.contract.modality:
        lines.append(f"Modality {settings.contract.modality}.")
    if settings.contract.side:
        lines.append(f"The network knows its structure as on the {settings.contract.side} side; others are mirrored.")
    if weights.input_spacing_mm:
        lines.append("Spacing seen by the network: " + " x ".join(f"{s:g}" for s in weights.input_spacing_mm) + " mm.")
    lines.append(f"Values seen by the network: {weights.input_unit}.")
    return lines
