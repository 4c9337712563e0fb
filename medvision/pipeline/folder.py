"""A pipeline's folder: found by its name, opened, compared with its weights, copied."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from medvision.errors import OutputError, PipelineError
from medvision.files import sha256_of, sha256_of_text, write_bytes
from medvision.fingerprint import Fingerprint
from medvision.frameworks import versions
from medvision.networks import DEEP, WeightsCard, ensemble_of, load_weights
from medvision.pipeline.reading import read_settings
from medvision.pipeline.settings import PLAIN, Settings

FINGERPRINT = "fingerprint.json"
"""The name of the file."""

SEEN = "seen.json"
"""The name of the file with the hashes of the images that the weights have seen."""

PRETRAINING = "medvision.pretraining/"
"""What the schema begins with that the card of a pretraining states."""


@dataclass(frozen=True)
class PipelineFolder:
    """An opened pipeline folder.

    Parameters
    ----------
    folder
        Where it lies.
    settings
        Its ``pipeline.toml``, checked.
    weights
        The card of its weights; None where it has not been trained.
    fingerprint
        What its training data are like; None where that was not measured.
    """

    folder: Path
    settings: Settings
    weights: WeightsCard | None
    fingerprint: Fingerprint | None = None

    @classmethod
    def open(cls, name: str | Path) -> PipelineFolder:
        """Open a pipeline by the name of a shipped one, by its folder, or by its ``pipeline.toml``.

        Raises
        ------
        PipelineError
            There is none of that name; the file is not valid; the weights belong to other settings, or are those of a
            pretraining; the fingerprint is not the one that the weights' card names.
        """
        folder = find(name)
        _refuse_pretraining(folder)
        settings = read_settings(folder / "pipeline.toml")
        card = folder / "weights.json"
        weights = WeightsCard.open(card) if card.is_file() else None
        opened = cls(folder, settings, weights, _fingerprint(folder, weights))
        if opened.weights is not None:
            opened._compare_meaning(opened.weights)
            opened._compare_mirrors(opened.weights)
        return opened

    @property
    def name(self) -> str:
        """Name and version."""
        return f"{self.settings.name} {self.settings.version}"

    @property
    def weights_path(self) -> Path:
        """The weights, whether or not they are there."""
        return self.folder / "weights.safetensors"

    @property
    def fingerprint_path(self) -> Path:
        """The fingerprint of the training data, whether or not it is there."""
        return self.folder / FINGERPRINT

    @property
    def settings_sha256(self) -> str:
        """SHA-256 of the settings as they are in force, whatever the file's comments and defaults."""
        return sha256_of_text([json.dumps(self.settings.to_json(), sort_keys=True)])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that a result depends on besides its input: settings, weights, versions, fingerprint."""
        weights = sha256_of(self.weights_path) if self.weights_path.is_file() else ""
        parts = [self.settings_sha256, weights, json.dumps(dict(versions()), sort_keys=True)]
        if self.fingerprint is not None:  # without one, the hash is what it was before there were any
            parts.append(sha256_of(self.fingerprint_path))
        return sha256_of_text(parts)

    def require_weights(self) -> WeightsCard:
        """Return the weights' card; PipelineError where the pipeline has not been trained."""
        if self.weights is None or not self.weights_path.is_file():
            raise PipelineError("weights-missing", f"{self.settings.name} has no weights yet", path=self.folder)
        return self.weights

    def check_weights(self) -> None:
        """Raise PipelineError where weights and their card do not belong together, or one stands without the other."""
        if self.weights is None and not self.weights_path.exists():
            return
        if self.weights is None:
            raise PipelineError("weights-mismatch", "no card lies beside the weights", path=self.weights_path)
        if not self.weights_path.is_file():
            raise PipelineError("weights-missing", "the card has no weights beside it", path=self.weights_path)
        if sha256_of(self.weights_path) != self.weights.sha256:
            message = "the file is not the one that its card describes (SHA-256)"
            raise PipelineError("weights-mismatch", message, path=self.weights_path)

    def build_network(self, *, training: bool = False) -> Any:
        """Return the network with fresh weights, drawn by the training's seed; the caller's seed stays as it was.

        With `training`, it has what only training needs: a list of outputs, where it is to be supervised at several
        depths. All other weights are the same.
        """
        import torch

        settings, network = self.settings, self.settings.network
        build = network.build
        if isinstance(network, DEEP):
            build = partial(network.build, deep_supervision=training and settings.train.deep_supervision)
        with torch.random.fork_rng():
            torch.manual_seed(settings.train.seed)
            return build(
                in_channels=len(settings.contract.channels),
                out_channels=settings.outputs,
                dimensions=settings.contract.dimensions,
            )

    def load_network(self, device: str = "cpu") -> Any:
        """Return the trained network on `device`, in evaluation mode, after its hash has been checked."""
        card = self.require_weights()
        networks = [self.build_network() for _ in range(card.members)]
        load_weights(self.weights_path, *networks, sha256=card.sha256)
        members = [network.eval().to(device) for network in networks]
        if len(members) == 1:
            return members[0]
        return ensemble_of(members, self.settings.task, combine=self.settings.predict.combine)

    def _compare_meaning(self, card: WeightsCard) -> None:
        """Refuse weights that were trained with other settings; settings that are newer than they may be added."""
        differing = list(_differences(card.meaning, self.settings.meaning()))
        if differing:
            place, trained, stands = differing[0]
            raise PipelineError(
                "weights-mismatch",
                f"{place} is {json.dumps(stands)}, but the weights were trained with {json.dumps(trained)}",
                path=self.folder / "pipeline.toml",
            )

    def _compare_mirrors(self, card: WeightsCard) -> None:
        """Refuse to mirror images for a network that was trained on none so mirrored, whatever [train] says by now."""
        asked, known = self.settings.predict.mirror_axes, card.mirror_axes
        if known is not None and not set(asked) <= set(known):
            message = f"predict.mirror_axes is {list(asked)}, but weights were trained with mirror_axes {list(known)}"
            cure = "Take the others out of [predict], or train again with them in [train.augmentation] too."
            raise PipelineError("weights-mismatch", message, path=self.folder / "pipeline.toml", cure=cure)


def builtin_folder() -> Path:
    """Return the folder of the pipelines that ship with medvision."""
    here = Path(__file__).parent.parent
    installed = here / "_pipelines"
    return installed if installed.is_dir() else here.parent / "pipelines"


def builtin_names() -> list[str]:
    """Return the names of the pipelines that ship with medvision."""
    return sorted(path.parent.name for path in builtin_folder().glob("*/pipeline.toml"))


def find(name: str | Path) -> Path:
    """Return the folder of a pipeline, given its name, its folder or its ``pipeline.toml``."""
    path = Path(name)
    if path.name == "pipeline.toml" and path.is_file():
        return path.parent
    if (path / "pipeline.toml").is_file():
        return path
    shipped = builtin_names()
    if str(name) in shipped:
        return builtin_folder() / str(name)
    _refuse_pretraining(path)
    close = difflib.get_close_matches(str(name), shipped, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise PipelineError(
        "pipeline-unknown", f"no pipeline {str(name)!r}: no such folder, and shipped are {', '.join(shipped)}{hint}"
    )


def copy(name: str | Path, folder: Path, *, weights: bool = False) -> list[Path]:
    """Copy a pipeline's settings, and on request its weights with all that is known of them; return what was written.

    Raises
    ------
    OutputError
        Something of that name is there already, or the folder cannot be written.
    PipelineError
        There is no such pipeline, or weights are asked for and it has none.
    """
    source = find(name)
    names = ["pipeline.toml", *(["weights.safetensors", "weights.json", "card.md"] if weights else [])]
    wanted = [part for part in names if (source / part).is_file()]
    if weights and len(wanted) < len(names):
        missing = next(part for part in names if part not in wanted)
        raise PipelineError("weights-missing", "there are no weights to copy", path=source / missing)
    if weights:
        wanted += [part for part in (FINGERPRINT, SEEN) if (source / part).is_file()]
    for part in wanted:
        if (folder / part).exists():
            message = "there is such a file already"
            raise OutputError("output-unwritable", message, path=folder / part, cure="Choose another folder.")
    for part in wanted:
        write_bytes(folder / part, (source / part).read_bytes())
    return [folder / part for part in wanted]


def _refuse_pretraining(folder: Path) -> None:
    """Raise PipelineError for what `medvision pretrain` leaves: its network answers none of a pipeline's questions."""
    try:
        card = json.loads((folder / "weights.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    if isinstance(card, dict) and str(card.get("schema", "")).startswith(PRETRAINING):
        message = "this is a pretraining, whose network has no answer yet, and no pipeline to be run"
        raise PipelineError("pretraining-only", message, path=folder)


def _fingerprint(folder: Path, card: WeightsCard | None) -> Fingerprint | None:
    """Return the fingerprint in a folder, or refuse another one than that which the weights' card names."""
    path = folder / FINGERPRINT
    wanted = None if card is None else card.fingerprint_sha256
    if not path.is_file():
        if wanted is not None:
            raise PipelineError("weights-mismatch", "the fingerprint that the card names is not there", path=path)
        return None
    if wanted is not None and sha256_of(path) != wanted:
        message = "the fingerprint is not the one that the card describes (SHA-256)"
        raise PipelineError("weights-mismatch", message, path=path)
    return Fingerprint.open(path)


def _differences(trained: Any, stands: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield every place where settings differ from those of the training.

    A setting of a step or network that is newer than the weights is passed over; a label or a whole table is not, nor
    one that is left out while it is as it was before it could be set.
    """
    if isinstance(trained, Mapping) and isinstance(stands, Mapping):
        for key in stands:
            if key not in trained and (place in ("", "labels") or key in PLAIN):
                yield f"{place}.{key}".lstrip("."), None, stands[key]
        for key, value in trained.items():
            yield from _differences(value, stands.get(key), f"{place}.{key}".lstrip("."))
    elif isinstance(trained, list) and isinstance(stands, list) and len(trained) == len(stands):
        for number, (old, new) in enumerate(zip(trained, stands, strict=True), 1):
            yield from _differences(old, new, f"{place}.{number}")
    elif trained != stands:
        yield place, trained, stands
