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
from medvision.workflows.training_folder.state import CHECKPOINTS, PRETRAINED, RESULT, WEIGHTS, state_in

_IDENTITY = Path(CHECKPOINTS, "identity.json")


def claim(out: Path, pipeline: PipelineFolder, parts: Split, digests: Mapping[str, str], *further: Any) -> str:
    """Mark `out` as the place of this training, or refuse to go on with another one's.

    One that ended before its first epoch, as for a misspelt option, has left nothing, and is replaced; so is what an
    older training noted there whose weights have been removed.

    Parameters
    ----------
    out
        The output folder.
    pipeline
        What is to be trained, as it was asked for.
    parts
        Who trains and who is held out.
    digests
        The hash of each case's voxels and of where they lie, by case id.
    further
        What else the weights depend on; its ``repr`` counts.

    Returns
    -------
    The hash of all that, which each checkpoint bears.

    Raises
    ------
    PipelineError
        A training of other settings or other data lies there, or one that does not say of what it is.
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
    if not _has_begun(out):
        for note in (*path.parent.glob("*.json"), *(out / name for name in (RESULT, PRETRAINED))):
            if note != path:  # whose folder it is can be told at every moment, also where this one is the last
                note.unlink(missing_ok=True)
        write_json(path, identity)
        return _hash_of(identity)
    if not path.is_file():
        refuse_begun(out)
    with state_in(path) as before:
        if before != identity:
            message = "a training of other settings or data lies here"
            raise PipelineError("weights-mismatch", message, path=out, cure="Choose another --out.")
    return _hash_of(identity)


def _hash_of(identity: Mapping[str, str]) -> str:
    return sha256_of_text([f"{name}={value}" for name, value in sorted(identity.items())])


def held(out: Path, place: Place) -> AbstractContextManager[object]:
    """Hold the output folder for this training; of several processes, the first one does."""
    return holding(out) if place.is_first else nullcontext()


def patients_of(parts: Split) -> str:
    """Return the hash of which cases are of one patient: intervals depend on it, and nothing else says it."""
    return sha256_of_text(sorted(f"{case.id}:{case.patient_key}" for case in (*parts.train, *parts.val)))


def refuse_trained(out: Path) -> None:
    """Raise PipelineError where `out` holds trained weights, which would be written over."""
    if (out / WEIGHTS).exists():
        message = "trained weights lie here without the notes (checkpoints/) by which this training would know them"
        raise PipelineError("weights-mismatch", message, path=out, cure="Choose another --out.")


def refuse_begun(out: Path) -> None:
    """Raise PipelineError where a training has begun in `out`, or a trained pipeline lies there."""
    refuse_trained(out)
    if _has_begun(out):
        message = "a training has begun here, which is another one"
        raise PipelineError("weights-mismatch", message, path=out, cure="Choose another --out.")


def refuse_unfinished(out: Path) -> None:
    """Raise PipelineError where `out` holds weights without checkpoints that would lead to them once more."""
    if not checkpoint.begun(out / CHECKPOINTS):
        refuse_trained(out)


def _has_begun(out: Path) -> bool:
    """Return whether a training in `out` has done an epoch."""
    return checkpoint.begun(out / CHECKPOINTS) or (out / WEIGHTS).exists()


def refuse_settings(pipeline: PipelineFolder, *places: Path) -> None:
    """Raise UsageError where settings that no training left lie in one of the folders, and would be written over."""
    file = pipeline.folder / "pipeline.toml"
    for place in places:
        own = place / "pipeline.toml"
        linked = own.is_file() and file.is_file() and own.samefile(file)
        left = _has_begun(place) or any((place / name).is_file() for name in (_IDENTITY, "weights.json"))
        if (own.is_file() and not left) or linked or own.resolve() == file.resolve():
            message = "settings lie here, and would be written over"
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
