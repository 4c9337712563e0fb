"""What was made for each of the last few shapes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar, final

Shape = tuple[int, ...]
Value = TypeVar("Value")


@final
@dataclass(frozen=True)
class Recent(Generic[Value]):
    """Makes a value for each shape and keeps the last few.

    Parameters
    ----------
    limit
        How many are kept: of networks that see whole images, each holds the weights once more.

    Examples
    --------
    >>> kept = Recent[str](limit=2)
    >>> [kept.of((side,), lambda side=side: f"made {side}") for side in (4, 4, 8)]
    ['made 4', 'made 4', 'made 8']
    """

    limit: int
    _made: OrderedDict[Shape, Value] = field(default_factory=OrderedDict, init=False, repr=False)

    def of(self, shape: Shape, make: Callable[[], Value]) -> Value:
        """Return the value of a shape; `make` is called where it is not kept."""
        if shape not in self._made:
            while len(self._made) >= self.limit:  # before the next is made: both at once could be too much
                self._made.popitem(last=False)
            self._made[shape] = make()
        self._made.move_to_end(shape)
        return self._made[shape]
