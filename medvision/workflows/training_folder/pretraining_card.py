"""What the weights of a pretraining are, for the machine: ``weights.json`` beside ``weights.safetensors``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from medvision.errors import PipelineError
from medvision.files import write_json
from medvision.strict import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PretrainingCard:
    """What the weights of a pretraining are.

    Parameters
    ----------
    schema
        What tells it from the card of a pipeline's weights; see :data:`medvision.pipeline.PRETRAINING`.
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

    schema: Literal["medvision.pretraining/1"] = "medvision.pretraining/1"
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
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> PretrainingCard:
        """Return the card in a file.

        Raises
        ------
        PipelineError
            It cannot be read, or is none of a pretraining.
        """
        try:
            return TypeAdapter(cls).validate_json(path.read_bytes(), strict=True)
        except (OSError, ValueError) as error:
            message = "no readable card of a pretraining lies beside the weights"
            raise PipelineError("weights-mismatch", message, path=path) from error
