"""A bundle's weights in our network: every tensor finds its place, and none is left over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medvision.errors import PipelineError
from medvision.frameworks import set_state, state_of

_CURE = "Compare network_def in configs/inference.json with the weights: one of them is of another version."


def fill(network: Any, tensors: Mapping[str, Any], path: Path) -> None:
    """Copy tensors into a network that was built as their bundle says.

    Parameters
    ----------
    network
        Ours, which names its tensors as MONAI's does, shared ones more than once.
    tensors
        Name to tensor.
    path
        The file, for messages.

    Raises
    ------
    PipelineError
        ``weights-mismatch``: one is missing, left over, or of another shape; or names of one tensor hold two values.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    odd = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
    if odd:
        message = f"{len(odd)} of {len(wanted)} tensors do not fit the bundle's network, first: {odd[0]}"
        raise PipelineError("weights-mismatch", message, path=path, cure=_CURE)
    set_state(network, {name: tensors[name] for name in state_of(network)})
    for name, tensor in network.state_dict().items():
        if not bool((tensor == tensors[name].to(tensor.dtype)).all()):
            message = f"the tensor {name} has two values, by two of its names"
            raise PipelineError("weights-mismatch", message, path=path, cure=_CURE)
