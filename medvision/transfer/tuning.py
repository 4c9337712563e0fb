"""Which stages of a network are trained after a transfer, from when on and how fast: what ``--tune`` says."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from medvision.errors import UsageError
from medvision.parts import Stages, parameters_by_stage, stage_of
from medvision.transfer.lora import LowRank
from medvision.tuning import Group, Tuning

_ROUNDING = 1e-6  # shares are sums
CHOICES = "full, head, last:N, discriminative[:FACTOR], staged[:EPOCHS], lora:r=R[,alpha=A]"


def tuning_of(words: str, stages: Stages, *, epochs: int) -> Tuning:
    """Return what the words of ``--tune`` mean for a network of these stages.

    Parameters
    ----------
    words
        ``full``; ``head``: the last stage alone; ``last:N``: the last N; ``discriminative`` or ``discriminative:F``:
        all, each stage F times as fast as the one after it (0.1 if not said); ``staged`` or ``staged:E``: the head
        first, and one stage more every E epochs (if not said, all by the middle of the training);
        ``lora:r=R`` or ``lora:r=R,alpha=A``: see :class:`medvision.transfer.lora.LowRank`.
    stages
        The network's stages from stem to head.
    epochs
        Those of the training, as far as they are known: of one that has a time, what is expected to fit into it.

    Raises
    ------
    UsageError
        There is no such way of tuning, or it does not fit the network, or not so few epochs.

    Examples
    --------
    >>> stages = (("stem", ("conv1",)), ("body", ("layer1",)), ("head", ("fc",)))
    >>> tuning_of("last:2", stages, epochs=10).rates
    (0.0, 1.0, 1.0)
    >>> tuning_of("discriminative:0.5", stages, epochs=10).rates
    (0.25, 0.5, 1.0)
    """
    kind, _, rest = words.strip().partition(":")
    if (kind == "full" or kind == "head") and not rest:
        return ByStage(stages, _last(len(stages) if kind == "full" else 1, stages))
    if kind == "last":
        return ByStage(stages, _last(_whole(rest, words), stages))
    if kind == "discriminative":
        factor = _number(rest, words) if rest else 0.1
        if not 0 < factor <= 1:
            raise _refused(words, "the factor lies above 0, and is 1 at most")
        return ByStage(stages, tuple(factor**behind for behind in reversed(range(len(stages)))))
    if kind == "staged":
        return _staged(stages, _whole(rest, words) if rest else None, epochs)
    if kind == "lora":
        return _low_rank(rest, stages, words)
    raise _refused(words, "there is no such way of tuning")


@dataclass(frozen=True)
class ByStage:
    """Each stage is trained at a rate of its own, or frozen, from the first step to the last.

    A stage that is frozen keeps its weights, the statistics of its norms, and drops nothing out.

    Parameters
    ----------
    stages
        The network's stages from stem to head.
    rates
        The factor on the learning rate of each stage; 0 freezes it.

    Raises
    ------
    UsageError
        There is not one finite rate of 0 or more for each stage.
    """

    stages: Stages
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.rates) != len(self.stages) or not all(math.isfinite(rate) and rate >= 0 for rate in self.rates):
            raise UsageError("usage", f"a rate of 0 or more is needed for each of {_names(self.stages)}")

    def prepare(self, network: Any, *, seed: int) -> None:
        """Change nothing."""

    def groups(self, network: Any) -> list[Group]:
        """Return a group for each stage that is trained, from stem to head."""
        return _groups(network, self.stages, self.rates)

    def begin_epoch(self, network: Any, share: float) -> None:
        """Freeze the same stages in every epoch."""
        freeze(network, self.stages, [number for number, rate in enumerate(self.rates) if rate > 0])

    def finish(self, network: Any) -> None:
        """Let all be trained again; the weights are plain already."""
        network.requires_grad_(True)


@dataclass(frozen=True)
class Staged:
    """The head is trained first, and from the head backwards one stage more at a time (Howard & Ruder, ACL 2018).

    A stage that has joined stays: when it joins, the share of the training that is done decides, which never goes
    back, also where a training has a time and the number of its epochs is judged anew after each.

    Parameters
    ----------
    stages
        The network's stages from stem to head.
    each
        The share of the training between one stage and the next.

    Raises
    ------
    UsageError
        The training would end before every stage has had its turn.
    """

    stages: Stages
    each: float

    def __post_init__(self) -> None:
        if not self.each > 0 or self.each * (len(self.stages) - 1) >= 1:
            words = f"a stage more after each {self.each:g} of a training never trains all {len(self.stages)} stages"
            raise UsageError("usage", words)

    def prepare(self, network: Any, *, seed: int) -> None:
        """Change nothing."""

    def groups(self, network: Any) -> list[Group]:
        """Return a group for each stage, from stem to head."""
        return _groups(network, self.stages, (1.0,) * len(self.stages))

    def trained(self, share: float) -> int:
        """Return how many stages, counted from the head, are trained when `share` of the training is done.

        >>> staged = Staged((("stem", ("a",)), ("body", ("b",)), ("head", ("c",))), each=0.25)
        >>> [staged.trained(epoch / 8) for epoch in range(8)]
        [1, 1, 2, 2, 3, 3, 3, 3]
        """
        joined = int(share / self.each + _ROUNDING)
        return 1 + min(len(self.stages) - 1, joined)

    def begin_epoch(self, network: Any, share: float) -> None:
        """Freeze the stages whose turn has not come."""
        frozen = len(self.stages) - self.trained(share)
        freeze(network, self.stages, range(frozen, len(self.stages)))

    def finish(self, network: Any) -> None:
        """Let all be trained again; the weights are plain already."""
        network.requires_grad_(True)


def freeze(network: Any, stages: Stages, trained: Collection[int]) -> None:
    """Let the stages of these numbers be trained, and freeze all others with the statistics of their norms.

    Without ``requires_grad`` alone, batch norm would go on to gather statistics, and dropout to drop out: a frozen
    module is put in evaluation mode. A parameter without a gradient is passed over by the optimiser, decay included.
    """
    for number, parameters in enumerate(parameters_by_stage(network, stages)):
        for parameter in parameters.values():
            parameter.requires_grad_(number in trained)
            if number not in trained:
                parameter.grad = None
    for name, module in network.named_modules():
        number_of_module = stage_of(name, stages)
        if number_of_module is not None and number_of_module not in trained:
            module.eval()


def waiting(tuning: Tuning, network: Any, share: float) -> tuple[str, ...]:
    """Return the groups that are still frozen in the epoch that begins at `share`, and freeze the network like that.

    Parameters
    ----------
    share
        Of the training, 0 to 1, as for :meth:`medvision.tuning.Tuning.begin_epoch`.
    """
    tuning.begin_epoch(network, share)
    groups = tuning.groups(network)
    return tuple(group.name for group in groups if not any(each.requires_grad for each in group.parameters))


def summary(tuning: Tuning, network: Any, *, without: Collection[str] = ()) -> tuple[str, ...]:
    """Return what is trained, a few words for each group: how many parameters of how many, and how fast.

    Parameters
    ----------
    without
        The groups whose turn has not come; see :func:`waiting`.
    """
    groups = [group for group in tuning.groups(network) if group.name not in without]
    total = sum(parameter.numel() for parameter in network.parameters())
    counts = [(group, sum(parameter.numel() for parameter in group.parameters)) for group in groups]
    trained = sum(count for _, count in counts)
    lines = [f"{group.name}: {count:,} parameters, rate {group.rate:.3g}" for group, count in counts]
    return (f"{trained:,} of {total:,} parameters are trained", *lines)


def _groups(network: Any, stages: Stages, rates: Sequence[float]) -> list[Group]:
    found = parameters_by_stage(network, stages)
    return [
        Group(name, tuple(parameters.values()), rate)
        for (name, _), parameters, rate in zip(stages, found, rates, strict=True)
        if rate > 0 and parameters
    ]


def _last(count: int, stages: Stages) -> tuple[float, ...]:
    if not 1 <= count <= len(stages):
        words = f"the network has {len(stages)} stages: {_names(stages)}; the last {count} cannot be trained"
        raise UsageError("usage", words, cure=f"Choose last:1 to last:{len(stages)}.")
    return (0.0,) * (len(stages) - count) + (1.0,) * count


def _staged(stages: Stages, every: int | None, epochs: int) -> Staged | ByStage:
    """Return that a stage joins after `every` epochs, or each in its turn until the middle of the training."""
    more = len(stages) - 1
    wanted = (1 if every is None else every * more) + 1
    if epochs < wanted:
        words = f"unfreezing {len(stages)} stages takes {wanted} epochs, and the training has {epochs}"
        raise UsageError("usage", words, cure="Train longer, unfreeze sooner, or choose another --tune.")
    if not more:
        return ByStage(stages, (1.0,))
    return Staged(stages, 0.5 / more if every is None else every / epochs)


def _low_rank(rest: str, stages: Stages, words: str) -> LowRank:
    values = dict(part.partition("=")[::2] for part in rest.split(",")) if rest else {}
    if "r" not in values or values.keys() - {"r", "alpha"}:
        raise _refused(words, "lora takes r, and alpha if wanted")
    rank = _whole(values["r"], words)
    alpha = _number(values["alpha"], words) if "alpha" in values else 2.0 * rank
    if not alpha > 0:
        raise _refused(words, "alpha lies above 0")
    return LowRank(stages, rank, alpha)


def _whole(text: str, words: str) -> int:
    if not (text.isdecimal() and text.isascii() and int(text) > 0):
        raise _refused(words, f"a whole number above 0 is wanted, got {text!r}")
    return int(text)


def _number(text: str, words: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _refused(words, f"a number is wanted, got {text!r}")
    return value


def _refused(words: str, why: str) -> UsageError:
    return UsageError("usage", f"--tune {words!r}: {why}; there are {CHOICES}")


def _names(stages: Stages) -> str:
    return ", ".join(name for name, _ in stages)
