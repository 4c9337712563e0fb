"""Where a training stands, on disk: whole or not at all, and with the state before it kept. No pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from medvision import sealed
from medvision.errors import Finding, PipelineError
from medvision.frameworks import set_state, state_of

LAST, BEFORE = "last.safetensors", "before.safetensors"
BEST, BEST_BEFORE = "best.safetensors", "best-before.safetensors"
_LATER = "shares"  # an earlier version did not keep them


@dataclass(frozen=True)
class TrainingState:
    """Which training it is, and how far.

    Parameters
    ----------
    identity
        The hash of all that the training depends on: a checkpoint of another training is refused. None: not asked for.
    epoch
        Epochs done.
    share
        Share of the training that is done, 0 to 1.
    best
        The best score so far; None before the first validation that has one.
    best_epoch
        The epoch of the best score.
    seconds
        Time spent so far.
    rows
        What was measured, one row an epoch.
    shares
        The share that was done when each of the last epochs began; of the first ones of a training that an earlier
        version began, they are not known.
    """

    identity: str | None = None
    epoch: int = 0
    share: float = 0.0
    best: float | None = None
    best_epoch: int = 0
    seconds: float = 0.0
    rows: tuple[Mapping[str, float], ...] = ()
    shares: tuple[float, ...] = ()

    @property
    def words(self) -> str:
        """The last loss and the best score, for a progress line."""
        loss = f"loss {self.rows[-1]['loss']:.4f}" if self.rows else ""
        return loss + (f", best score {self.best:.4f}" if self.best is not None else "")

    def improved(self, score: float) -> TrainingState:
        """Return the state with a new best score, of the epoch that is being done."""
        return replace(self, best=score, best_epoch=self.epoch + 1)

    def advanced(self, row: Mapping[str, float], *, share: float, seconds: float) -> TrainingState:
        """Return the state one epoch on."""
        further: dict[str, Any] = {"rows": (*self.rows, row), "shares": (*self.shares, self.share)}
        return replace(self, epoch=self.epoch + 1, share=share, seconds=self.seconds + seconds, **further)

    def share_before(self, epoch: int) -> float:
        """Return which share was done when an epoch began, counted from 1; where not known, as of equal epochs.

        >>> state = TrainingState().advanced({}, share=0.5, seconds=1.0).advanced({}, share=1.0, seconds=1.0)
        >>> [state.share_before(epoch) for epoch in (1, 2)]
        [0.0, 0.5]
        """
        behind = self.epoch - epoch + 1
        return self.shares[-behind] if 0 < behind <= len(self.shares) else self.share * (epoch - 1) / self.epoch


def save(folder: Path, network: Any, kept: Any, optimiser: Any, state: TrainingState) -> None:
    """Write everything that going on needs; the checkpoint that was the last one is kept as the one before."""
    tensors = {f"network.{name}": tensor for name, tensor in state_of(network).items()}
    if kept is not network:
        tensors |= {f"kept.{name}": tensor for name, tensor in state_of(kept).items()}
    for number, entries in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{key}": tensor for key, tensor in entries.items() if tensor is not None}
    if (folder / LAST).is_file():
        (folder / LAST).replace(folder / BEFORE)
    sealed.save(folder / LAST, _arrays(tensors), {"state": json.dumps(asdict(state))})


def load(
    folder: Path, network: Any, kept: Any, optimiser: Any, *, identity: str | None = None
) -> tuple[TrainingState, tuple[Finding, ...]]:
    """Put network, average and optimiser back to where the last whole checkpoint of this training left them.

    Returns
    -------
    How far the training is (not begun, where there is no checkpoint), and a word on each damaged checkpoint.

    Raises
    ------
    PipelineError
        No checkpoint is whole, or it belongs to another training or another network.
    """
    present = [folder / name for name in (LAST, BEFORE) if (folder / name).is_file()]
    damaged = []
    for path in present:
        try:
            arrays, facts = sealed.load(path)
            state = _state_of(facts)
        except sealed.SealBrokenError as error:
            damaged.append(Finding("checkpoint-damaged", "warning", f"{path.name}: {error}; the one before is used"))
            continue
        if state.identity != identity:
            raise _of_another(path, "training")
        _restore(path, arrays, network, kept, optimiser)
        return state, tuple(damaged)
    if damaged:
        cure = f"Delete the folder {folder.name!r} to start anew."
        raise PipelineError("unreadable", "no checkpoint is whole", path=present[0], cure=cure)
    return TrainingState(identity), ()


def seconds_spent(folder: Path) -> float:
    """Return the time that the training in `folder` has taken so far; 0 where it has not begun."""
    return _stated(folder).seconds


def epochs_done(folder: Path) -> int:
    """Return after which epoch the training in `folder` goes on; 0 where it has not begun."""
    return _stated(folder).epoch


def _stated(folder: Path) -> TrainingState:
    """Return how far the training is by what its checkpoints state; nothing else of them is read."""
    for name in (LAST, BEFORE):
        try:
            return _state_of(sealed.facts_of(folder / name))
        except sealed.SealBrokenError:  # to load it will say what is wrong
            continue
    return TrainingState()


def begun(folder: Path) -> bool:
    """Return whether a training in `folder` has a checkpoint to go on from."""
    return any((folder / name).is_file() for name in (LAST, BEFORE))


def remove(folder: Path) -> None:
    """Remove the checkpoints in `folder`, and nothing else."""
    for name in (LAST, BEFORE, BEST, BEST_BEFORE):
        (folder / name).unlink(missing_ok=True)


def save_best(folder: Path, network: Any, state: TrainingState, *, before: TrainingState) -> None:
    """Write the weights of the best epoch, which is being done.

    Those that were the best `before` are kept until the next: killed before the checkpoint of this epoch is written, a
    training goes on where those are still the best.
    """
    if _is_best(folder / BEST, before):
        (folder / BEST).replace(folder / BEST_BEFORE)
    sealed.save(folder / BEST, _arrays(state_of(network)), _facts_of_best(state))


def load_best(folder: Path, network: Any, state: TrainingState) -> None:
    """Load the weights that :func:`save_best` wrote of the state's best epoch.

    Raises
    ------
    SealBrokenError
        They are missing or damaged, or are another epoch's.
    PipelineError
        The weights are another network's.
    """
    found = [path for path in (folder / BEST, folder / BEST_BEFORE) if _is_best(path, state)]
    if not found:
        raise sealed.SealBrokenError("the file is missing or cut short, or of another epoch")
    path = found[0]
    arrays, _ = sealed.load(path)
    try:
        set_state(network, _tensors(arrays))
    except ValueError as error:
        raise _of_another(path, "network") from error


def _is_best(path: Path, state: TrainingState) -> bool:
    """Say whether a file is of the state's best epoch, by what its header states."""
    try:
        return sealed.facts_of(path) == _facts_of_best(state)
    except sealed.SealBrokenError:
        return False


def _facts_of_best(state: TrainingState) -> dict[str, str]:
    return {"identity": str(state.identity), "epoch": str(state.best_epoch), "score": repr(state.best)}


def _state_of(facts: Mapping[str, str]) -> TrainingState:
    """Return the state that a checkpoint's facts tell; SealBrokenError where they tell none."""
    try:
        content = json.loads(facts["state"])
        if {*content, _LATER} != {each.name for each in fields(TrainingState)}:
            raise ValueError("entries are missing")
        return _adapter().validate_python(content)
    except (KeyError, TypeError, ValueError) as error:
        raise sealed.SealBrokenError("its state cannot be read") from error


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[TrainingState]:
    return TypeAdapter(TrainingState)


def _restore(path: Path, arrays: Mapping[str, Any], network: Any, kept: Any, optimiser: Any) -> None:
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
    except (KeyError, TypeError, ValueError) as error:
        raise _of_another(path, "network") from error


def _arrays(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


def _tensors(arrays: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _part(tensors: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _of_another(path: Path, what: str) -> PipelineError:
    message = f"the checkpoint belongs to another {what}"
    return PipelineError("weights-mismatch", message, path=path, cure="Choose another --out.")
