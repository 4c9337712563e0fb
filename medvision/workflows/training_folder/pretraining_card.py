"""What the weights of a pretraining are, for the machine: ``weights.json`` beside ``weights.safetensors``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medvision.files import write_json
from medvision.pipeline import PRETRAINING
from medvision.workflows.training_folder.state import state_in


@dataclass(frozen=True)
class PretrainingCard:
    """What the weights of a pretraining are.

    Parameters
    ----------
    sha256
        Of the weights file.
    licence
        The terms for the use of the weights; None: not stated.
    method, method_settings
        How they were trained.
    pipeline
        The name of the one whose network they are for.
    left_out
        What the names of the tensors begin with that are not among them: the layer that answered the pretext.
    network, steps, contract
        The settings without which they mean nothing, as JSON values; of the contract, what the network sees.
    data
        What the images are like, without naming any.
    results
        What was measured on the images held out; a sentence each.
    trained_with
        Versions, device, precision, whether every run gives the same bits, steps and seed.
    """

    sha256: str
    licence: str | None
    method: str
    method_settings: Mapping[str, Any]
    pipeline: str
    left_out: tuple[str, ...]
    network: Mapping[str, Any]
    steps: Sequence[Mapping[str, Any]]
    contract: Mapping[str, Any]
    data: Mapping[str, Any]
    results: tuple[str, ...]
    trained_with: Mapping[str, str]

    def save(self, path: Path) -> None:
        """Write the card as JSON."""
        write_json(path, {"schema": f"{PRETRAINING}1", **asdict(self)})

    @classmethod
    def read(cls, path: Path) -> PretrainingCard:
        """Return the card of a pretraining that is done.

        Raises
        ------
        PipelineError
            It cannot be read, or is none of a pretraining.
        """
        with state_in(path) as content:
            if content.pop("schema") != f"{PRETRAINING}1":
                raise ValueError("this is no card of a pretraining")
            texts = {key: tuple(content.pop(key)) for key in ("left_out", "results")}
            return cls(**content, **texts)
