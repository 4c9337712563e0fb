"""Where a training runs: in one process, or in several that share every batch.

The loop is the same in both. It asks its place for a share of the batch, hands it the loss, and lets the first process
alone validate, judge and write. :class:`Alone` needs no package besides torch; :class:`medvision.training.ranks.Ranks`
needs Lightning Fabric.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, TypeVar, final

from medvision.errors import UsageError
from medvision.frameworks import Precision, autocast

Value = TypeVar("Value")


class Place(Protocol):
    """Where a training runs. Used as a context, it ends what it began, and tells which process failed."""

    @property
    def device(self) -> str:
        """Where this process computes, as torch names it."""
        ...

    @property
    def precision(self) -> Precision:
        """In which the network computes."""
        ...

    @property
    def rank(self) -> int:
        """Which process this is, from 0."""
        ...

    @property
    def world(self) -> int:
        """How many processes there are."""
        ...

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that validates and writes."""
        ...

    def setup(self, network: Any, optimiser: Any) -> tuple[Any, Any]:
        """Return what is called for the network's outputs, and the optimiser to be used."""
        ...

    def rows(self, batch: int) -> slice:
        """Return which rows of a batch are this process's; UsageError where they cannot be shared evenly."""
        ...

    def backward(self, loss: Any) -> None:
        """Compute the gradients of the whole batch's loss."""
        ...

    def gather(self, part: Any) -> Any:
        """Return the sum of a tensor over the processes, for losses that are made of sums over the batch."""
        ...

    def mean(self, value: float) -> float:
        """Return the mean of a number over the processes."""
        ...

    def from_first(self, compute: Callable[[], Value]) -> Value:
        """Return in every process what `compute` returns in the first, which alone calls it; JSON values."""
        ...

    def in_turn(self) -> contextlib.AbstractContextManager[None]:
        """Let the first process do the block before the others do: they find what it has written."""
        ...

    def barrier(self) -> None:
        """Wait until all processes are here."""
        ...

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """Compute the block in the place's precision, where torch holds it safe."""
        ...

    def __enter__(self) -> Place: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@final
@dataclass(frozen=True)
class Alone:
    """One process, which has every batch to itself; see :class:`Place`.

    Examples
    --------
    >>> with Alone() as place:
    ...     place.rows(4), place.is_first, place.mean(0.5), place.from_first(lambda: "done")
    (slice(0, 4, None), True, 0.5, 'done')
    """

    device: str = "cpu"
    precision: Precision = "fp32"
    rank: int = 0
    world: int = 1
    is_first: bool = True

    def setup(self, network: Any, optimiser: Any) -> tuple[Any, Any]:
        """Return both as they are."""
        return network, optimiser

    def rows(self, batch: int) -> slice:
        """Return all rows."""
        return share(batch, self.rank, self.world)

    def backward(self, loss: Any) -> None:
        """Compute the gradients."""
        loss.backward()

    def gather(self, part: Any) -> Any:
        """Return the sum as it is."""
        return part

    def mean(self, value: float) -> float:
        """Return the number as it is."""
        return value

    def from_first(self, compute: Callable[[], Value]) -> Value:
        """Return what `compute` returns."""
        return compute()

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """Do the block."""
        yield

    def barrier(self) -> None:
        """Wait for nobody."""

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """Compute the block in the place's precision."""
        return autocast(self.device.partition(":")[0], self.precision)

    def __enter__(self) -> Alone:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


ALONE = Alone()
"""This process, on the CPU, in fp32."""


def share(batch: int, rank: int, world: int) -> slice:
    """Return the rows of a batch that one of several processes takes.

    Raises
    ------
    UsageError
        The batch cannot be shared evenly.

    Examples
    --------
    >>> share(8, 1, 2)
    slice(4, 8, None)
    """
    if batch % world:
        message = f"a batch of {batch} cannot be shared evenly by {world} processes"
        cure = f"Set `batch` in [train] to a multiple of {world}, or choose another --devices."
        raise UsageError("usage", message, cure=cure)
    each = batch // world
    return slice(rank * each, (rank + 1) * each)
