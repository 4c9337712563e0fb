"""Where a training stands, on disk: whole or not at all, and with the state before it kept. No pickle."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from medvision import sealed
from medvision.errors import Finding, PipelineError
from medvision.frameworks import set_state, state_of

LAST, BEFORE, BEST = "last.safetensors", "before.safetensors", "best.safetensors"


@dataclass(frozen=True)
class Progressed:
    """How far a training is.

    Parameters
    ----------
    epoch
        Epochs done.
    share
        Share of the training that is done, 0 to 1.
    best
        The best score so far; minus infinity before the first validation.
    best_epoch
        The epoch of the best score.
    seconds
        Time spent so far.
    rows
        What was measured, one row an epoch.
    """

    epoch: int = 0
    share: float = 0.0
    best: float = -math.inf
    best_epoch: int = 0
    seconds: float = 0.0
    rows: tuple[Mapping[str, float], ...] = ()

    @property
    def words(self) -> str:
        """The last loss and the best score, for a progress line."""
        loss = f"loss {self.rows[-1]['loss']:.4f}" if self.rows else ""
        return loss + (f", best score {self.best:.4f}" if math.isfinite(self.best) else "")

    def improved(self, score: float) -> Progressed:
        """Return the state with a new best score, of the epoch that is being done."""
        return replace(self, best=score, best_epoch=self.epoch + 1)

    def advanced(self, row: Mapping[str, float], *, share: float, seconds: float) -> Progressed:
        """Return the state one epoch on."""
        rows = (*self.rows, row)
        return replace(self, epoch=self.epoch + 1, share=share, seconds=self.seconds + seconds, rows=rows)


def save(folder: Path, network: Any, kept: Any, optimiser: Any, state: Progressed) -> None:
    """Write everything that going on needs; the checkpoint that was the last one is kept as the one before."""
    tensors = {f"network.{name}": tensor for name, tensor in state_of(network).items()}
    if kept is not network:
        tensors |= {f"kept.{name}": tensor for name, tensor in state_of(kept).items()}
    for number, entries in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{key}": tensor for key, tensor in entries.items() if tensor is not None}
    content = asdict(replace(state, best=state.best if math.isfinite(state.best) else -1e300))
    if (folder / LAST).is_file():
        (folder / LAST).replace(folder / BEFORE)
    sealed.save(folder / LAST, _arrays(tensors), {"state": json.dumps(content)})


def load(folder: Path, network: Any, kept: Any, optimiser: Any) -> tuple[Progressed, tuple[Finding, ...]]:
    """Put network, average and optimiser back to where the last whole checkpoint in `folder` left them.

    Returns
    -------
    How far the training is (not begun, where there is no checkpoint), and a word on each damaged checkpoint.

    Raises
    ------
    PipelineError
        No checkpoint is whole, or it belongs to another network.
    """
    present = [folder / name for name in (LAST, BEFORE) if (folder / name).is_file()]
    damaged = []
    for path in present:
        try:
            arrays, facts = sealed.load(path)
        except sealed.SealBrokenError as error:
            damaged.append(Finding("checkpoint-damaged", "warning", f"{path.name}: {error}; the one before is used"))
            continue
        return _restored(path, arrays, facts, network, kept, optimiser), tuple(damaged)
    if damaged:
        cure = f"Delete the folder {folder.name!r} to start anew."
        raise PipelineError("unreadable", "no checkpoint is whole", path=present[0], cure=cure)
    return Progressed(), ()


def seconds_spent(folder: Path) -> float:
    """Return the time that the training in `folder` has taken so far; 0 where it has not begun."""
    for name in (LAST, BEFORE):
        try:
            _, facts = sealed.load(folder / name)
            return float(json.loads(facts["state"])["seconds"])
        except (sealed.SealBrokenError, KeyError, TypeError, ValueError):  # to load it will say what is wrong
            continue
    return 0.0


def save_weights(path: Path, network: Any) -> None:
    """Write the network's weights alone."""
    sealed.save(path, _arrays(state_of(network)), {})


def load_weights(path: Path, network: Any) -> None:
    """Load what :func:`save_weights` wrote.

    Raises
    ------
    SealBrokenError
        The file is missing or damaged.
    PipelineError
        The weights are another network's.
    """
    arrays, _ = sealed.load(path)
    try:
        set_state(network, _tensors(arrays))
    except ValueError as error:
        raise _other_training(path) from error


def _restored(
    path: Path, arrays: Mapping[str, Any], facts: Mapping[str, str], network: Any, kept: Any, optimiser: Any
) -> Progressed:
    tensors = _tensors(arrays)
    try:
        set_state(network, _part(tensors, "network."))
        if kept is not network:
            set_state(kept, _part(tensors, "kept."))
        entries: dict[int, dict[str, Any]] = {}
        for name, tensor in _part(tensors, "optimiser.").items():
            number, key = name.split(".", 1)
            entries.setdefault(int(number), {})[key] = tensor
        optimiser.load_state_dict({**optimiser.state_dict(), "state": entries})
        content = json.loads(facts["state"])
        content["best"] = content["best"] if content["best"] > -1e299 else -math.inf
        return Progressed(**{**content, "rows": tuple(content["rows"])})
    except (KeyError, TypeError, ValueError) as error:
        raise _other_training(path) from error


def _arrays(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def _tensors(arrays: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _part(tensors: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _other_training(path: Path) -> PipelineError:
    return PipelineError(
        "weights-mismatch", "the checkpoint belongs to another network", path=path, cure="Choose another --out."
    )
