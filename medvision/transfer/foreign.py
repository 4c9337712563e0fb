"""Weights that were trained elsewhere, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from medvision.errors import PipelineError

Kind = Literal["pipeline", "checkpoint", "safetensors", "torch", "bundle"]
"""Weights of ours, where a training of ours stood, a file of another program, and a MONAI bundle."""


@dataclass(frozen=True)
class Origin:
    """Where weights come from; it holds no folder of this machine.

    Parameters
    ----------
    source
        The name of the file, of the pipeline or of the bundle, or ``hf:ORG/REPO@COMMIT:FILE``.
    kind
        What was read.
    sha256
        Of the file with the weights.
    licence
        The terms for their use, as the source states them; None where it states none.
    chosen
        What was left out and what was taken, where the file holds more than one set of weights; a sentence each.
    """

    source: str
    kind: Kind
    sha256: str
    licence: str | None
    chosen: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the origin as JSON values."""
        return asdict(self) | {"chosen": list(self.chosen)}


@dataclass(frozen=True, eq=False)
class Foreign:
    """Tensors by the names that their source gives them.

    Parameters
    ----------
    tensors
        Name to ``torch.Tensor`` on the CPU.
    origin
        Where they come from.
    card
        The folder whose card says what they are; None where there is none.

    Raises
    ------
    PipelineError
        ``weights-unreadable``: there is no tensor, or one that is not a plain array of finite numbers.
    """

    tensors: Mapping[str, Any] = field(repr=False)
    origin: Origin
    card: Path | None = None

    def __post_init__(self) -> None:
        if not self.tensors:
            raise PipelineError("weights-unreadable", f"{self.origin.source} holds no tensors")
        odd = next((f"{name!r}: {fault}" for name, tensor in self.tensors.items() if (fault := _fault(tensor))), None)
        if odd is not None:
            raise PipelineError("weights-unreadable", f"{self.origin.source} holds a tensor that is none, {odd}")

    @property
    def axes_are_ours(self) -> bool:
        """Whether they come from a training whose images had our axes, whatever their names."""
        return self.origin.kind in ("pipeline", "checkpoint", "bundle")

    @property
    def parameters(self) -> int:
        """Number of all numbers in all tensors that are not whole-numbered."""
        return sum(tensor.numel() for tensor in self.tensors.values() if tensor.is_floating_point())


def _fault(tensor: Any) -> str | None:
    """Return what is wrong with a tensor; None for a plain array of finite numbers."""
    import torch

    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta or tensor.is_complex():
        return "only plain arrays of real numbers are read"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return "it claims more numbers than the file holds"
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        return "its numbers are not all finite"
    return None
