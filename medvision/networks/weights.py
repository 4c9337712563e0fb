"""Weights as safetensors, with a card that says what they are; no code ever runs from either."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from medvision.errors import PipelineError
from medvision.files import sha256_of, write_json
from medvision.frameworks import set_state
from medvision.networks.deep import plain_state
from medvision.networks.ensemble import joined, parted
from medvision.sealed import MARK, replacing_arrays
from medvision.strict import STRICT

_MARKED = {MARK: "weights 1"}  # one entry alone: the order of several differs from run to run


@dataclass(frozen=True, config=STRICT)
class WeightsCard:
    """What a file of weights is, for the machine; ``weights.json`` beside ``weights.safetensors``.

    Parameters
    ----------
    sha256
        Of the weights file.
    meaning
        The settings without which the weights mean nothing: task, contract, labels, steps and network.
    input_spacing_mm
        The spacing that the network sees; None for pictures without a physical size.
    input_unit
        What the network's input values are, in words.
    modality
        The modality of the training data.
    training_data, licence
        What the weights were trained on, and the terms for their use.
    results
        What was measured on the held-out cases, with intervals; a sentence each.
    trained_with
        Versions, device, precision, whether every run gives the same bits, steps and seed of the training. Of one that
        was stopped and went on otherwise, to which epoch each held.
    members
        How many networks the weights are of: more than one of an ensemble.
    fingerprint_sha256
        Of the fingerprint of the training data beside it; None where none was made.
    mirror_axes
        The axes along which the training mirrored its samples: no others may stand in [predict]. None where an earlier
        version trained them, which did not write it down.
    """

    sha256: str
    meaning: Mapping[str, Any]
    input_spacing_mm: tuple[float, float, float] | None
    input_unit: str
    modality: str | None
    training_data: str
    licence: str
    results: tuple[str, ...]
    trained_with: Mapping[str, str]
    members: int = Field(default=1, ge=1)
    fingerprint_sha256: str | None = None
    mirror_axes: tuple[int, ...] | None = None

    def save(self, path: Path) -> None:
        """Write the card as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def open(cls, path: Path) -> WeightsCard:
        """Read a card; PipelineError where it is none."""
        try:
            return TypeAdapter(cls).validate_json(path.read_bytes(), strict=True)
        except (OSError, ValueError) as error:
            raise PipelineError("weights-mismatch", "no readable card lies beside the weights", path=path) from error


def save_weights(path: Path, *networks: Any, without: tuple[str, ...] = ()) -> str:
    """Write the weights of a network, or of the members of an ensemble, as safetensors; return the file's SHA-256.

    Tensors whose names begin with one of `without` are left out. The header marks the file as ours, so that it is known
    where its card is not beside it.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from safetensors.torch import save_file

    states = [plain_state(network) for network in networks]
    state = states[0] if len(states) == 1 else joined(states)
    state = {name: tensor for name, tensor in state.items() if not name.startswith(without)}
    with replacing_arrays(path) as temporary:
        save_file({name: tensor.cpu().contiguous() for name, tensor in state.items()}, temporary, _MARKED)
    return sha256_of(path)


def load_weights(path: Path, *networks: Any, sha256: str) -> None:
    """Load the weights into a network, or into the members of an ensemble, in place.

    Raises
    ------
    PipelineError
        The file is missing, is not the one of that hash, or does not fit the network tensor by tensor.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise PipelineError("weights-missing", "there is no weights file", path=path)
    if sha256_of(path) != sha256:
        raise PipelineError("weights-mismatch", "the file is not the one that its card describes (SHA-256)", path=path)
    try:
        state = load_file(path)
        states = [state] if len(networks) == 1 else parted(state, len(networks))
        for network, own in zip(networks, states, strict=True):
            set_state(network, own)
    except (SafetensorError, OSError) as error:
        raise PipelineError("weights-mismatch", "this is no readable safetensors file", path=path) from error
    except ValueError as error:
        raise PipelineError("weights-mismatch", str(error), path=path) from error
