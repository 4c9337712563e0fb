"""A bundle's folder: configuration, weights, words for people and licence; checked against the pipeline's network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import Finding
from medvision.exporting.agreement import Agreement, agreement
from medvision.exporting.monai_bundle.configuration import Configuration
from medvision.files import write_json, write_text
from medvision.frameworks import monai_module
from medvision.pipeline import Settings
from medvision.transfer.torch_file import read_torch


def write_bundle(folder: Path, configuration: Configuration, network: Any, settings: Settings, digest: str) -> None:
    """Write a bundle into an empty folder.

    Parameters
    ----------
    network
        With its weights; its tensors are stored under the names that MONAI gives them.
    digest
        SHA-256 of the pipeline's weights, for the words.
    """
    import torch

    write_json(folder / "configs" / "inference.json", configuration.inference)
    write_json(folder / "configs" / "metadata.json", configuration.metadata)
    (folder / "models").mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    write_text(folder / "docs" / "README.md", _readme(settings, configuration.findings, digest))
    write_text(folder / "LICENSE", f"{settings.card.licence}\n")


def check_bundle(folder: Path, network: Any, image: NDArray[np.float32]) -> Agreement:
    """Return how far the network that MONAI builds from a bundle's files agrees with ours.

    Parameters
    ----------
    image
        (1, C, *spatial) float32, on which they are compared.

    Raises
    ------
    PipelineError
        ``not-convertible``: its tensors are others, or its answer is.
    """
    import torch

    inference = json.loads((folder / "configs" / "inference.json").read_text("utf-8"))
    theirs = _built(inference["network_def"])
    path = folder / "models" / "model.pt"
    theirs.load_state_dict(read_torch(path, limit_bytes=path.stat().st_size))
    with torch.inference_mode():
        said, wanted = (each(torch.from_numpy(image)).numpy() for each in (theirs.eval(), network))
    return agreement("MONAI", said, wanted, image.shape)


def _built(definition: Mapping[str, Any]) -> Any:
    """Return MONAI's network of a definition that this module has written."""
    given = {key: value for key, value in definition.items() if key != "_target_"}
    return getattr(monai_module("networks.nets"), definition["_target_"])(**given)


def _readme(settings: Settings, findings: Sequence[Finding], digest: str) -> str:
    contract = settings.contract
    names = [f"{number}: {name}" for number, name in sorted(settings.labels.items())]
    sections = {
        "Intended use": [settings.card.intended_use, "Research use only. Not for diagnosis."],
        "Input": [contract.shows, f"Channels: {', '.join(contract.channels)}."],
        "Output": names,
        "Training data": [settings.card.training_data],
        "Limits": [*settings.card.limits] or ["Not stated."],
        "Where results differ from the pipeline's": [finding.message for finding in findings] or ["Nowhere known."],
        "Licence": [settings.card.licence],
        "Origin": [f"Exported from the pipeline {settings.name} {settings.version}, weights SHA-256 {digest}."],
    }
    body = "\n".join(
        f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines) + "\n" for title, lines in sections.items()
    )
    return f"# {settings.name} {settings.version}\n\n{settings.description}\n\n{body}"
