"""Where a training stands, in safetensors: weights, average, optimiser and history. No pickle."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from medvision.errors import PipelineError
from medvision.files import replacing
from medvision.frameworks import set_state, state_of


@dataclass(frozen=True)
class Progressed:
    """How far a training is.

    Parameters
    ----------
    epoch
        Epochs done.
    best
        The best score so far; minus infinity before the first validation.
    rows
        What was measured, one row an epoch.
    """

    epoch: int = 0
    best: float = -math.inf
    rows: tuple[Mapping[str, float], ...] = ()

    @property
    def words(self) -> str:
        """The last loss and the best score, for a progress line."""
        loss = f"loss {self.rows[-1]['loss']:.4f}" if self.rows else ""
        return loss + (f", best score {self.best:.4f}" if math.isfinite(self.best) else "")

    def improved(self, score: float) -> Progressed:
        """Return the state with a new best score."""
        return replace(self, best=score)

    def advanced(self, row: Mapping[str, float]) -> Progressed:
        """Return the state one epoch on."""
        return replace(self, epoch=self.epoch + 1, rows=(*self.rows, row))


def save(path: Path, network: Any, kept: Any, optimiser: Any, state: Progressed) -> None:
    """Write everything that going on needs, whole or not at all."""
    tensors = {f"network.{name}": tensor for name, tensor in state_of(network).items()}
    if kept is not network:
        tensors |= {f"kept.{name}": tensor for name, tensor in state_of(kept).items()}
    for number, entries in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{key}": tensor for key, tensor in entries.items() if tensor is not None}
    content = asdict(replace(state, best=state.best if math.isfinite(state.best) else -1e300))
    _write(path, tensors, {"state": json.dumps(content)})


def load(path: Path, network: Any, kept: Any, optimiser: Any) -> Progressed:
    """Put network, average and optimiser back to where `path` left them.

    Raises
    ------
    PipelineError
        The file is damaged, or belongs to another network.
    """
    tensors, metadata = _read(path)
    try:
        set_state(network, _part(tensors, "network."))
        if kept is not network:
            set_state(kept, _part(tensors, "kept."))
        entries: dict[int, dict[str, Any]] = {}
        for name, tensor in _part(tensors, "optimiser.").items():
            number, key = name.split(".", 1)
            entries.setdefault(int(number), {})[key] = tensor
        optimiser.load_state_dict({**optimiser.state_dict(), "state": entries})
        content = json.loads(metadata["state"])
        best = content["best"] if content["best"] > -1e299 else -math.inf
        return Progressed(content["epoch"], best, tuple(content["rows"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _other_training(path) from error


def save_weights(path: Path, network: Any) -> None:
    """Write the network's weights alone."""
    _write(path, state_of(network), {})


def load_weights(path: Path, network: Any) -> None:
    """Load the network's weights; PipelineError where they do not fit."""
    tensors, _ = _read(path)
    try:
        set_state(network, tensors)
    except ValueError as error:
        raise _other_training(path) from error


def _write(path: Path, tensors: Mapping[str, Any], metadata: dict[str, str]) -> None:
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        save_file({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}, temporary, metadata)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        cure = f"Delete the folder {path.parent.name!r} to start anew."
        raise PipelineError("unreadable", "the checkpoint is missing or damaged", path=path, cure=cure) from error


def _part(tensors: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _other_training(path: Path) -> PipelineError:
    return PipelineError(
        "weights-mismatch", "the checkpoint belongs to another network", path=path, cure="Choose another --out."
    )
