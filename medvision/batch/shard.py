"""A share of the cases of a batch, which one of several processes does, each with a ledger of its own."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from medvision.errors import UsageError


@dataclass(frozen=True, order=True)
class Shard:
    """One of several shares of a batch.

    A case belongs to a share by its id alone, so that all processes agree on it though they look at different times,
    and files are added in between. So shares are of like sizes, not of the same.

    Parameters
    ----------
    number
        Which share, from 1.
    of
        How many shares there are.

    Raises
    ------
    UsageError
        There is no such share.

    Examples
    --------
    >>> Shard.parse("2/4").name
    '2-of-4'
    >>> sum(Shard(number, 3).takes("case 7") for number in (1, 2, 3))
    1
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            message = f"there is no shard {self.number} of {self.of}: they are numbered from 1"
            raise UsageError("usage", message, cure="Give --shard as in 2/4.")

    @classmethod
    def parse(cls, words: str) -> Shard:
        """Return the share that is meant by ``"2/4"``, or by its :attr:`name`."""
        found = re.fullmatch(r"(\d{1,9})(?:/|-of-)(\d{1,9})", words)
        if found is None:
            raise UsageError("usage", f"{words!r} is no shard", cure="Give --shard as in 2/4.")
        return cls(int(found[1]), int(found[2]))

    @property
    def name(self) -> str:
        """The name, as files and messages have it."""
        return f"{self.number}-of-{self.of}"

    def takes(self, id_: str) -> bool:
        """Whether a case of this id belongs to the share."""
        digest = hashlib.sha256(id_.encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.of == self.number - 1
