"""Several networks as one: what they say is averaged as probabilities, or as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MEMBER = "member"


def ensemble_of(members: Sequence[Any], task: str, *, combine: str = "probabilities") -> Any:
    """Return a module whose outputs stand for the average of what `members` say.

    The averages are given as logits again, so that an ensemble is used like a network: the logarithm of the mean
    probability, whose softmax is the mean; of labels that are yes or no each, the logit of the mean; of values, or
    where logits are combined, the mean itself.

    Parameters
    ----------
    members
        Networks of the same inputs and outputs, in evaluation mode.
    task
        The pipeline's task.
    combine
        ``"probabilities"`` or ``"logits"``: what is averaged.

    Raises
    ------
    ValueError
        There is no member.
    """
    import torch
    from torch import nn

    if not members:
        raise ValueError("an ensemble has one member or more")

    class Ensemble(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.members = nn.ModuleList(members)

        def forward(self, image: Any) -> Any:
            outputs = [member(image).float() for member in self.members]
            if task == "regression" or combine == "logits":
                return torch.stack(outputs).mean(0)
            if task == "multilabel":
                return torch.stack([output.sigmoid() for output in outputs]).mean(0).logit(eps=1e-7)
            shares = torch.stack([output.log_softmax(1) for output in outputs])
            return shares.logsumexp(0) - torch.log(torch.tensor(float(len(outputs))))

    return Ensemble().eval()


def members_of(network: Any) -> list[Any]:
    """Return the members of an ensemble; a single network is its own only one."""
    return list(getattr(network, "members", [network]))


def joined(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the weights of all members under one set of names.

    >>> joined([{"a": 1}, {"a": 2}])
    {'member0.a': 1, 'member1.a': 2}
    """
    return {f"{_MEMBER}{n}.{name}": tensor for n, state in enumerate(states) for name, tensor in state.items()}


def first_of(state: Mapping[str, Any]) -> tuple[Mapping[str, Any], int]:
    """Return the weights of the first member, and how many members there are: 1 where they are of a single network.

    >>> first_of({"member0.a": 1, "member1.a": 2}), first_of({"a": 1})
    (({'a': 1}, 2), ({'a': 1}, 1))
    """
    count = len({name.split(".")[0] for name in state})
    if not all(name.startswith(tuple(f"{_MEMBER}{n}." for n in range(count))) for name in state):
        return state, 1
    return parted(state, count)[0], count


def parted(state: Mapping[str, Any], members: int) -> list[dict[str, Any]]:
    """Return the weights of each member; the other way of :func:`joined`.

    >>> parted({"member0.a": 1, "member1.a": 2}, 2)
    [{'a': 1}, {'a': 2}]
    """
    prefixes = [f"{_MEMBER}{n}." for n in range(members)]
    return [
        {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        for prefix in prefixes
    ]
