"""Finds the weights among what a checkpoint holds beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

AVERAGED = ("teacher", "state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "averaged")
"""Names of averages of weights over a training. They come first, since they are what such methods publish."""

WRAPPERS = (
    *AVERAGED,
    "student",
    "state_dict",
    "model_state_dict",
    "model_state",
    "network_weights",
    "network",
    "net",
    "model",
    "weights",
    "params",
)
"""Names under which checkpoints keep the weights of a network, the ones to be preferred first."""

_BESIDES = ("optim", "sched", "lr_", "scaler", "grad_scaler", "loss", "criterion", "ema_optim")
_DEPTH = 8


def unwrapped(content: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the tensors of a checkpoint by name, and in words what of it they are.

    >>> unwrapped({"epoch": 3, "optimizer": {}})
    ({}, ())
    """
    chosen: list[str] = []
    for _ in range(_DEPTH):
        there = [name for name in WRAPPERS if isinstance(content, Mapping) and _holds_tensors(content.get(name))]
        if not there:
            break
        others = f", not {', '.join(map(repr, there[1:]))}" if there[1:] else ""
        chosen.append(f"{there[0]!r} of the file was taken{others}")
        content = content[there[0]]
    return dict(_tensors(content)), tuple(chosen)


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, Mapping) and next(_tensors(value), None) is not None


def _tensors(content: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield all tensors in nested mappings, under their names joined by points, without those of an optimiser."""
    import torch

    if not isinstance(content, Mapping) or depth > _DEPTH:
        return
    for name, value in content.items():
        if not isinstance(name, str) or (isinstance(value, Mapping) and name.startswith(_BESIDES)):
            continue
        if isinstance(value, torch.Tensor):
            yield place + name, value.detach()
        else:
            yield from _tensors(value, f"{place}{name}.", depth + 1)
