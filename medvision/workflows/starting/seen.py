"""Which images some weights have seen, by hashes of their voxels: figures on them are not those of new images."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medvision.errors import Finding, InputError, PipelineError
from medvision.files import sha256_of_text, write_json
from medvision.pipeline import SEEN
from medvision.training import Split
from medvision.transfer import locate_weights
from medvision.workflows.starting.source import place_of

_DIGITS = 16
"""Of a hash: of a million images beside a million others, two are alike by chance in one try of 10 million."""
_KEPT = "start_seen.json"
_KINDS = ("trained", "chosen", "unlabelled")


@dataclass(frozen=True)
class Seen:
    """The images that some weights have seen, each by the start of the SHA-256 of its size and values.

    Who has an image can tell whether it is among them; neither an image nor whose it is can be told from a hash.

    Parameters
    ----------
    trained
        With their labels, to learn from.
    chosen
        With their labels, to choose which weights are kept.
    unlabelled
        Without labels, in a pretraining.
    complete
        Whether there are no others: of weights that started from foreign ones, these are not known.
    """

    trained: frozenset[str] = frozenset()
    chosen: frozenset[str] = frozenset()
    unlabelled: frozenset[str] = frozenset()
    complete: bool = True

    @classmethod
    def of(cls, *, trained: Iterable[str] = (), chosen: Iterable[str] = (), unlabelled: Iterable[str] = ()) -> Seen:
        """Return what has seen the images of these hashes, as :meth:`medvision.volume.Volume.digest` makes them."""
        return cls(_short(trained), _short(chosen), _short(unlabelled))

    def and_also(self, other: Seen | None) -> Seen:
        """Return what has seen the images of both; of None, nobody knows what it has seen."""
        if other is None:
            return replace(self, complete=False)
        both = {kind: getattr(self, kind) | getattr(other, kind) for kind in _KINDS}
        return Seen(**both, complete=self.complete and other.complete)

    def among(self, digests: Iterable[str]) -> dict[str, int]:
        """Return how many of the images were seen, by kind; each counts once, as the first kind that holds."""
        counts = dict.fromkeys(_KINDS, 0)
        for digest in digests:
            kind = next((kind for kind in _KINDS if digest[:_DIGITS] in getattr(self, kind)), None)
            if kind is not None:
                counts[kind] += 1
        return counts

    def write(self, path: Path, *, weights_sha256: str | None = None) -> None:
        """Write it as JSON, with the hash of the weights that it is about, and one of all that it says."""
        hashes: dict[str, Any] = {kind: sorted(getattr(self, kind)) for kind in _KINDS}
        content = {"schema": "medvision.seen/1", "weights_sha256": weights_sha256, "complete": self.complete}
        content |= hashes
        write_json(path, {**content, "sha256": _seal_of(content)})

    @classmethod
    def read(cls, path: Path, *, weights_sha256: str | None = None) -> Seen | None:
        """Return what :meth:`write` left; None where there is none, or it is about other weights.

        Raises
        ------
        PipelineError
            The file is damaged, or has been changed since it was written.
        """
        if not path.is_file():
            return None
        cure = "Copy the weights again with all that lies beside them, or choose another --out."
        try:
            content = dict(json.loads(path.read_bytes()))
            seal, of_weights = content.pop("sha256", None), content["weights_sha256"]
            hashes = {kind: frozenset(map(str, content[kind])) for kind in _KINDS}
            found = cls(**hashes, complete=bool(content["complete"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            message = "the list of images that the weights have seen cannot be read"
            raise PipelineError("weights-mismatch", message, path=path, cure=cure) from error
        if seal not in (None, _seal_of(content)):  # an earlier version wrote none
            message = "the list of images that the weights have seen has been changed since it was written"
            raise PipelineError("weights-mismatch", message, path=path, cure=cure)
        return found if weights_sha256 in (None, of_weights) else None


def seen_of_source(source: str) -> Seen | None:
    """Return what the weights that ``--from`` names have seen; None where that is not known.

    Raises
    ------
    PipelineError
        The weights, or the list of what they have seen, cannot be read.
    """
    found = locate_weights(place_of(source))
    return None if found.card is None else Seen.read(found.card / SEEN, weights_sha256=found.origin.sha256)


def seen_by_start(source: str | None, checkpoints: Path) -> Seen:
    """Return what the weights have seen that a training started from, kept beside its checkpoints.

    Of a training from scratch, it is nothing. Where it is not known, what is returned is not ``complete``.

    Raises
    ------
    PipelineError
        The weights, or the list of what they have seen, cannot be read.
    """
    if source is None:
        return Seen()
    kept = checkpoints / _KEPT
    found = Seen.read(kept)
    if found is None:
        found = seen_of_source(source) or Seen(complete=False)
        found.write(kept)
    return found


def start_findings(seen: Seen | None, held_out: Collection[str]) -> tuple[Finding, ...]:
    """Return a finding for held-out images that the weights have seen that a training starts from."""
    counts = (seen or Seen()).among(held_out)
    told = [(counts["trained"], "were trained on with their labels"), (counts["chosen"], "were chosen on")]
    words = [
        f"{count} of {len(held_out)} held-out images are among those that the weights which this started from {how}"
        for count, how in told
        if count
    ]
    if counts["unlabelled"]:
        words.append(f"{counts['unlabelled']} of {len(held_out)} held-out images were seen without labels before")
    return tuple(Finding("split-leak", "warning", f"{text}: figures on them are too good") for text in words)


def notes_of_starts(sources: Mapping[str, str | None], parts: Split, digests: Mapping[str, str]) -> tuple[str, ...]:
    """Return what must be said of comparing ways of training that start from these weights, a sentence each.

    Parameters
    ----------
    sources
        The weights by the name of the way; None for scratch.
    parts
        Who trains and who is held out.
    digests
        The hash of each case's voxels, by case id.

    Raises
    ------
    InputError
        Weights were trained on held-out images with their labels: the comparison would be of memory.
    """
    told: list[str] = []
    train, held_out = ([digests[case.id] for case in side] for side in (parts.train, parts.val))
    for name, source in sources.items():
        if source is None:
            continue
        seen = seen_of_source(source)
        if seen is None or not seen.complete:
            told.append(
                f"{name}: it is not known on which images these weights were trained; held-out ones may be among them"
            )
        counts, known = (seen or Seen()).among(held_out), (seen or Seen()).among(train)
        if counts["trained"]:
            message = f"{name} was trained on {counts['trained']} of {len(held_out)} held-out images with their labels"
            cure = (
                "Hold out cases that these weights have not seen, or start from weights that were not trained on them."
            )
            raise InputError("split-leak", f"{message}: no comparison on them says anything", cure=cure)
        if counts["chosen"]:
            told.append(f"{name}: {counts['chosen']} of {len(held_out)} held-out images had chosen these weights")
        if counts["unlabelled"]:
            told.append(f"{name} has seen {counts['unlabelled']} of {len(held_out)} held-out images without labels")
        if labelled := known["trained"] + known["chosen"]:
            told.append(f"{name} has seen {labelled} of {len(train)} images to train on with their labels before")
    return tuple(told)


def evaluation_note(seen: Seen | None, digests: Sequence[str]) -> str:
    """Return in a sentence whether the figures of an evaluation are those of images that the weights have not seen."""
    counts, total = (seen or Seen()).among(digests), len(digests)
    if counts["trained"]:
        which = f"{counts['trained']} of these {total} images"
        return f"Not held out: the weights were trained on {which}; figures on them are too good"
    if counts["chosen"]:
        return f"Optimistic: the weights were chosen among others on {counts['chosen']} of these {total} images"
    if seen is None or not seen.complete:
        return "Whether the weights were trained on any of these images is not known"
    if counts["unlabelled"]:
        return f"The weights were pretrained on {counts['unlabelled']} of these {total} images, without their labels"
    told = "None of these images is one that the weights were trained on, voxel by voxel"
    others = "copies that were mirrored, turned, cropped or resampled, and other images of their patients"
    return f"{told}; {others}, cannot be told"


def _seal_of(content: Mapping[str, Any]) -> str:
    """Return the hash of all that a list says: an image left out by hand, or by an accident, is noticed by it."""
    return sha256_of_text([json.dumps(content, sort_keys=True)])


def _short(digests: Iterable[str]) -> frozenset[str]:
    return frozenset(digest[:_DIGITS] for digest in digests)
