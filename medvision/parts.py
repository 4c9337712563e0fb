"""What the tensors of a network are for: which read the image, which encode it, which answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Part = Literal["encoder", "decoder", "head"]


@dataclass(frozen=True)
class Parts:
    """The parts of a network, told by the names of its tensors.

    Parameters
    ----------
    image
        The tensors whose second axis is the channels of the image.
    encoder
        What the names of the encoder's tensors begin with. The encoder is what can be taken over from another task.
    head
        What the names of the tensors begin with that give the answer, one row for each of the task's classes.
    positions
        The tensor (1, positions, features) that tells a transformer where a patch lies; None where there is none.

    Examples
    --------
    >>> parts = Parts(image=("stem.weight",), encoder=("stem.", "stage"), head=("fc.",))
    >>> parts.of("stage1.conv.weight"), parts.of("fc.bias"), parts.of("up.weight")
    ('encoder', 'head', 'decoder')
    """

    image: tuple[str, ...]
    encoder: tuple[str, ...]
    head: tuple[str, ...]
    positions: str | None = None

    def of(self, name: str) -> Part:
        """Return the part that a tensor belongs to, by its name."""
        if name.startswith(self.head):
            return "head"
        return "encoder" if name.startswith(self.encoder) else "decoder"
