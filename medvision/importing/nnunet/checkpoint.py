"""The weights of a fold, read as data, and what stands beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medvision.errors import PipelineError
from medvision.files import sha256_of
from medvision.transfer import Foreign, Origin
from medvision.transfer.reading import LIMIT_BYTES
from medvision.transfer.torch_file import read_torch


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The weights of one fold.

    Parameters
    ----------
    tensors
        By nnU-Net's names.
    sha256
        Of the file.
    configuration
        Which of the plans' configurations it was trained with.
    trainer
        The name of the class that trained it.
    mirrors
        The network's axes, in nnU-Net's order, along which images may be mirrored; None where it does not say so.
    epoch
        How many epochs it was trained; None where that is not told.
    """

    tensors: Mapping[str, Any] = field(repr=False)
    sha256: str
    configuration: str
    trainer: str
    mirrors: tuple[int, ...] | None
    epoch: int | None


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the weights in a checkpoint of nnU-Net; nothing of the file is run.

    Raises
    ------
    PipelineError
        ``weights-unsafe``: reading it in full would run code. ``weights-unreadable``: it is damaged, or its numbers are
        not finite. ``import-invalid``: it is no checkpoint of nnU-Net.
    """
    content = read_torch(path, limit_bytes=LIMIT_BYTES)
    weights = _part(content, "network_weights", Mapping, path)
    arguments = _part(content, "init_args", Mapping, path)
    epoch = content.get("current_epoch")
    sha256 = sha256_of(path)
    tensors = {str(name).removeprefix("module."): value for name, value in weights.items() if hasattr(value, "layout")}
    return Checkpoint(
        tensors=Foreign(tensors, Origin(path.name, "torch", sha256, None)).tensors,
        sha256=sha256,
        configuration=_part(arguments, "configuration", str, path),
        trainer=_part(content, "trainer_name", str, path),
        mirrors=_mirrors(content.get("inference_allowed_mirroring_axes"), path),
        epoch=epoch if isinstance(epoch, int) else None,
    )


def _part(table: Any, name: str, kind: type, path: Path) -> Any:
    value = table.get(name) if isinstance(table, Mapping) else None
    if not isinstance(value, kind):
        message = f"this is no checkpoint of nnU-Net: it has no {name!r}"
        raise PipelineError("import-invalid", message, path=path)
    return value


def _mirrors(stated: Any, path: Path) -> tuple[int, ...] | None:
    if stated is None:
        return None
    if not isinstance(stated, list | tuple) or not all(type(axis) is int and 0 <= axis <= 2 for axis in stated):
        message = "inference_allowed_mirroring_axes: axes from 0 to 2 are wanted"
        raise PipelineError("import-invalid", message, path=path)
    return tuple(sorted(set(stated)))
