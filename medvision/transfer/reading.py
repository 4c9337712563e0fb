"""Reads weights from wherever they are: a pipeline, a file, a MONAI bundle, the Hugging Face hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from medvision.errors import PipelineError
from medvision.files import sha256_of
from medvision.transfer.foreign import Foreign, Kind, Origin
from medvision.transfer.hub import Hub, HubReference
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
        A pipeline folder, a MONAI bundle folder (``models/model.pt``), a safetensors file, a checkpoint of torch of
        any ending, or ``hf:ORG/REPO[@REVISION][:FILE][#sha256=...]``. What a file is, its first bytes tell.
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
    if str(source).startswith("hf:"):
        found = hub.fetch(HubReference.of(str(source)), limit_bytes=limit_bytes)
        origin = Origin(found.reference, _kind(found.path), found.sha256, found.licence)
        return _read(found.path, origin, limit_bytes)
    path = Path(source)
    if path.is_dir():
        return _read_folder(path, limit_bytes)
    if not path.is_file():
        raise PipelineError("weights-missing", "there is no such file or folder", path=path, cure="Check the name.")
    if path.name == "weights.safetensors" and (path.parent / "weights.json").is_file():
        return _read_folder(path.parent, limit_bytes)  # its card says whose axes these are
    return _read(path, Origin(path.name, _kind(path), sha256_of(path), None), limit_bytes)


def _read_folder(folder: Path, limit_bytes: int) -> Foreign:
    name = folder.resolve().name
    weights = folder / "weights.safetensors"
    if weights.is_file():
        card = _json(folder / "weights.json")
        sha256 = sha256_of(weights)
        if card.get("sha256", sha256) != sha256:
            message = "the file is not the one that its card describes (SHA-256)"
            raise PipelineError("weights-mismatch", message, path=weights)
        return _read(weights, Origin(name, "pipeline", sha256, _words(card.get("licence"))), limit_bytes)
    weights = folder / "models" / "model.pt"
    if weights.is_file():
        return _read(weights, Origin(name, "bundle", sha256_of(weights), _bundle_licence(folder)), limit_bytes)
    message = "the folder is no trained pipeline (weights.safetensors) and no MONAI bundle (models/model.pt)"
    raise PipelineError("weights-missing", message, path=folder, cure="Name the file with the weights.")


def _read(path: Path, origin: Origin, limit_bytes: int) -> Foreign:
    size = path.stat().st_size
    if size > limit_bytes:
        message = f"the file has {size:,} bytes, and at most {limit_bytes:,} are read"
        raise PipelineError("weights-unreadable", message, path=path)
    try:
        if _is_torch(path):
            tensors, chosen = unwrapped(read_torch(path, limit_bytes=limit_bytes))
            return Foreign(tensors, replace(origin, chosen=chosen))
        return Foreign(_safetensors(path), origin)
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


def _kind(path: Path) -> Kind:
    return "torch" if _is_torch(path) else "safetensors"


def _is_torch(path: Path) -> bool:
    """Whether a file begins as an archive, or as the stream that torch wrote before version 1.6.

    A safetensors file begins with the length of its header, whose bytes can be those of either; so it is looked for
    first: the header fits into the file, and is JSON (safetensors, format).
    """
    with path.open("rb") as file:
        start = file.read(_LENGTH + 1)
    if start[_LENGTH:] == b"{" and int.from_bytes(start[:_LENGTH], "little") <= path.stat().st_size - _LENGTH:
        return False
    return start[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


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
