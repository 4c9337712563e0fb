"""Reads weights from wherever they are: a pipeline, a file, a MONAI bundle, the Hugging Face hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medvision.errors import PipelineError
from medvision.files import sha256_of
from medvision.sealed import MARK
from medvision.transfer.foreign import Foreign, Kind, Origin
from medvision.transfer.hub import Hub, HubReference
from medvision.transfer.not_weights import refuse_not_weights
from medvision.transfer.torch_file import read_torch
from medvision.transfer.unwrap import unwrapped

LIMIT_BYTES = 16 << 30
"""Size above which a file of weights is not read."""

_TEXT_LIMIT = 1 << 20  # bytes that are read of a card or licence
_LENGTH = 8  # bytes at the start of a safetensors file, which state the length of its header
_PUBLIC = Hub()


def read_weights(source: str | Path, *, hub: Hub = _PUBLIC, limit_bytes: int = LIMIT_BYTES) -> Foreign:
    """Return the tensors of a file or folder under the names that they have there.

    Parameters
    ----------
    source
        A pipeline folder, a MONAI bundle folder (``models/model.pt`` or ``.safetensors``), a safetensors file, a
        checkpoint of torch of any ending, or ``hf:ORG/REPO[@REVISION][:FILE][#sha256=...]``. What a file is, its first
        bytes tell.
    hub
        Where ``hf:`` leads.
    limit_bytes
        Size above which a file is refused.

    Raises
    ------
    PipelineError
        ``weights-missing``, ``weights-unreadable``, ``weights-unsafe``, ``weights-mismatch`` (a pipeline's file is
        not the one of its card, or not the one of the hash that was asked for), ``weights-unreachable``.
    """
    found = locate_weights(source, hub=hub, limit_bytes=limit_bytes)
    return _read(found, limit_bytes)


@dataclass(frozen=True)
class Located:
    """A file of weights, before it is read.

    Parameters
    ----------
    path
        The file.
    origin
        Where it comes from.
    card
        The folder whose card says what the weights are: that of a pipeline or a pretraining; None where there is none.
    """

    path: Path
    origin: Origin
    card: Path | None = None


def locate_weights(source: str | Path, *, hub: Hub = _PUBLIC, limit_bytes: int = LIMIT_BYTES) -> Located:
    """Return the file that a source names, as :func:`read_weights` would read it, with its hash; no tensor is read.

    See there for parameters and errors.
    """
    if str(source).startswith("hf:"):
        found = hub.fetch(HubReference.of(str(source)), limit_bytes=limit_bytes)
        return Located(found.path, Origin(found.reference, _kind(found.path), found.sha256, found.licence))
    path = Path(source)
    if path.is_dir():
        return _in_folder(path)
    if not path.is_file():
        raise PipelineError("weights-missing", "there is no such file or folder", path=path, cure="Check the name.")
    if path.name == "weights.safetensors" and (path.parent / "weights.json").is_file():
        return _in_folder(path.parent)
    return Located(path, Origin(path.name, _kind(path), sha256_of(path), None))


def _in_folder(folder: Path) -> Located:
    name = folder.resolve().name
    weights = folder / "weights.safetensors"
    if weights.is_file():
        card = _json(folder / "weights.json")
        sha256 = sha256_of(weights)
        if card.get("sha256", sha256) != sha256:
            message = "the file is not the one that its card describes (SHA-256)"
            raise PipelineError("weights-mismatch", message, path=weights)
        described = (folder / "weights.json").is_file()  # else the file itself may say that it is ours
        kind = "pipeline" if described else _kind(weights)
        return Located(weights, Origin(name, kind, sha256, _words(card.get("licence"))), folder if described else None)
    for ending in (".pt", ".safetensors"):
        weights = folder / "models" / f"model{ending}"
        if weights.is_file():
            return Located(weights, Origin(name, "bundle", sha256_of(weights), _bundle_licence(folder)))
    message = "the folder is no trained pipeline (weights.safetensors) and no MONAI bundle (models/model.pt)"
    raise PipelineError("weights-missing", message, path=folder, cure="Name the file with the weights.")


def _read(found: Located, limit_bytes: int) -> Foreign:
    path, origin = found.path, found.origin
    size = path.stat().st_size
    if size > limit_bytes:
        message = f"the file has {size:,} bytes, and at most {limit_bytes:,} are read"
        raise PipelineError("weights-unreadable", message, path=path)
    if not _is_safetensors(path):
        refuse_not_weights(path)
    try:
        if _is_torch(path):
            tensors, chosen = unwrapped(read_torch(path, limit_bytes=limit_bytes))
            return Foreign(tensors, replace(origin, chosen=chosen))
        tensors = _safetensors(path)
        if origin.kind == "checkpoint":
            return Foreign(*_of_training(tensors, origin))
        return Foreign(tensors, origin, found.card)
    except PipelineError as error:
        if error.path is not None:
            raise
        raise PipelineError(error.code, error.finding.message, path=path) from error


def _safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        message = "this is neither a whole safetensors file nor a checkpoint of torch"
        raise PipelineError("weights-unreadable", message, path=path) from error


def _of_training(tensors: dict[str, Any], origin: Origin) -> tuple[dict[str, Any], Origin]:
    """Return the weights of a checkpoint of ours under their own names: their average, where it keeps one."""
    for prefix, words in (("kept.", "the average of the weights"), ("network.", "the weights")):
        chosen = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        if chosen:
            others = " and not the last weights" if prefix == "kept." else ""
            return chosen, replace(origin, chosen=(f"{words} of a checkpoint was taken{others}",))
    return tensors, origin


def _kind(path: Path) -> Kind:
    """Return what a file is, by its first bytes; one that is ours says so in its header."""
    if _is_torch(path):
        return "torch"
    mark = _mark(path)
    if mark is None:
        return "safetensors"
    return "checkpoint" if mark.startswith("sealed") else "pipeline"


def _mark(path: Path) -> str | None:
    """Return what marks a safetensors file as ours; None for one of another program, or no such file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return (file.metadata() or {}).get(MARK)
    except (SafetensorError, OSError, ValueError):
        return None  # reading it will say what is wrong


def _is_torch(path: Path) -> bool:
    """Whether a file begins as an archive, or as the stream that torch wrote before version 1.6."""
    with path.open("rb") as file:
        start = file.read(2)
    return start in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05") and not _is_safetensors(path)


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as one of safetensors: the length of a header that fits into it, then JSON (format).

    The bytes of that length can be those that any other kind of file begins with, so that this is asked first.
    """
    with path.open("rb") as file:
        start = file.read(_LENGTH + 1)
    return start[_LENGTH:] == b"{" and int.from_bytes(start[:_LENGTH], "little") <= path.stat().st_size - _LENGTH


def _bundle_licence(folder: Path) -> str | None:
    """Return the terms that a bundle states, in its metadata or its licence file; the configuration is data to us."""
    for place in (folder / "configs" / "metadata.json", folder / "metadata.json"):
        if words := _words(_json(place).get("license")):
            return words
    for name in ("LICENSE", "LICENSE.txt", "LICENCE", "docs/LICENSE"):
        lines = _text(folder / name).splitlines()
        if words := next((line.strip() for line in lines if line.strip()), None):
            return words[:200]
    return None


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(_text(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_TEXT_LIMIT).decode("utf-8", errors="replace")
    except OSError:
        return ""


def _words(value: object) -> str | None:
    return value.strip()[:200] or None if isinstance(value, str) else None
