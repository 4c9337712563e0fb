"""Whose an output folder of a training is: it is gone on with, or refused where it is another training's."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medvision.batch import holding
from medvision.errors import PipelineError, UsageError
from medvision.files import sha256_of_text, write_bytes, write_json, write_text
from medvision.pipeline import PipelineFolder, read_settings
from medvision.planning import changed_toml
from medvision.training import Place, Split, checkpoint
from medvision.workflows.training_folder.state import state_in

_IDENTITY = Path("checkpoints", "identity.json")


def claim(out: Path, pipeline: PipelineFolder, parts: Split, digests: Mapping[str, str], *further: Any) -> None:
    """Mark `out` as the place of this training, or refuse to go on with another one's.

    One that ended before its first epoch, as for a misspelt option, has left nothing, and is replaced.

    Parameters
    ----------
    out
        The output folder.
    pipeline
        What is to be trained, as it was asked for.
    parts
        Who trains and who is held out.
    digests
        The hash of each case's voxels, by case id.
    further
        What else the weights depend on; its ``repr`` counts.

    Raises
    ------
    PipelineError
        A training of other settings or other data lies there, or a trained pipeline without its checkpoints.
    """
    settings = pipeline.settings
    sides = [
        f"{side}:{case.id}:{digests[case.id]}:{case.side}:{case.label_digest()}"
        for side in ("train", "val")
        for case in getattr(parts, side)
    ]
    identity = {
        "settings": sha256_of_text([str(settings.meaning()), str(asdict(settings.train)), *map(repr, further)]),
        "data": sha256_of_text(sides),
        "all_settings": pipeline.settings_sha256,
        "patients": patients_of(parts),
    }
    path = out / _IDENTITY
    before: dict[str, Any] = {}
    if path.is_file():
        with state_in(path) as content:
            before = content
    # An earlier version kept less: what it did not keep is not compared.
    if any(before.get(name, value) != value for name, value in identity.items()):
        if _has_begun(out):
            message = "a training of other settings or data lies here"
            raise PipelineError("weights-mismatch", message, path=out, cure="Choose another --out.")
        for note in path.parent.glob("*.json"):
            note.unlink()
    if not path.is_file():
        refuse_trained(out)
    write_json(path, identity)


def held(out: Path, place: Place) -> AbstractContextManager[object]:
    """Hold the output folder for this training; of several processes, the first one does."""
    return holding(out) if place.is_first else nullcontext()


def patients_of(parts: Split) -> str:
    """Return the hash of which cases are of one patient: intervals depend on it, and nothing else says it."""
    return sha256_of_text(sorted(f"{case.id}:{case.patient_key}" for case in (*parts.train, *parts.val)))


def refuse_trained(out: Path) -> None:
    """Raise PipelineError where `out` holds a trained pipeline, which would be written over."""
    if (out / "weights.safetensors").exists():
        message = "a trained pipeline lies here, which is not the beginning of this training"
        raise PipelineError("weights-mismatch", message, path=out, cure="Choose another --out.")


def refuse_begun(out: Path) -> None:
    """Raise PipelineError where a training has begun in `out`, or a trained pipeline lies there."""
    refuse_trained(out)
    if _has_begun(out):
        message = "a training has begun here, which is another one"
        raise PipelineError("weights-mismatch", message, path=out, cure="Choose another --out.")


def _has_begun(out: Path) -> bool:
    """Return whether a training in `out` has done an epoch."""
    return checkpoint.begun(out / _IDENTITY.parent) or (out / "weights.safetensors").exists()


def refuse_settings(pipeline: PipelineFolder, *places: Path) -> None:
    """Raise UsageError where the settings themselves lie in one of the folders, and would be written over."""
    file = pipeline.folder / "pipeline.toml"
    for place in places:
        own = place / "pipeline.toml"
        linked = own.is_file() and file.is_file() and own.samefile(file)
        if linked or own.resolve() == file.resolve():
            message = "the settings lie here, and would be written over"
            raise UsageError("usage", message, path=place, cure="Choose another --out.")


def write_settings(out: Path, pipeline: PipelineFolder) -> None:
    """Write the settings that are in force into `out`: the file with its comments, and what has changed marked."""
    file = pipeline.folder / "pipeline.toml"
    before = read_settings(file)
    if before == pipeline.settings:
        write_bytes(out / "pipeline.toml", file.read_bytes())
    else:
        text = changed_toml(file.read_text(encoding="utf-8-sig"), before, pipeline.settings)
        write_text(out / "pipeline.toml", text)
