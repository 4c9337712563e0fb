"""Label images that stand among images: known by their names beside an image's, or by few whole values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import Finding, printable
from medvision.io.kinds import stem_of
from medvision.study import Case

_WORDS = frozenset(
    ("label", "labels", "mask", "masks", "seg", "segs", "segmentation", "segmentations", "gt", "groundtruth")
)
_FOLDERS = _WORDS | {"labelstr", "labelsts", "labelsva"}
_CHANNEL = re.compile(r"_\d{4}$")  # nnU-Net numbers the channels of an image so, and its label not
_MOST = 16  # values of a label image without a telling name; an image has more
_SAMPLE = 1 << 16  # voxels that most images are known by
Array = NDArray[Any]


@dataclass(frozen=True)
class _Named:
    """A file's name, without what says that it is a label."""

    path: Path
    base: str
    is_label: bool


def labels_by_name(cases: Sequence[Case]) -> dict[str, Finding]:
    """Return by id which cases are label images of others, and why: a word in their name or folder, and a partner.

    ``labelsTr/a.nii.gz`` beside ``imagesTr/a_0000.nii.gz``, ``p1/seg.nii.gz`` beside ``p1/flair.nii.gz``,
    ``a_mask.png`` beside ``a.png``. A word alone says too little: without an image that it could belong to, a file
    stays an image.

    Parameters
    ----------
    cases
        Of images in single files; others have no such names and stay.
    """
    named = {case.id: _named(case.images[0].files[0]) for case in cases if _is_plain(case)}
    images = [name for name in named.values() if not name.is_label]
    bases = {name.base: name.path for name in reversed(images) if name.base}
    folders: dict[Path, list[_Named]] = {}
    for name in images:
        folders.setdefault(name.path.parent, []).append(name)
    found = {}
    for id_, name in named.items():
        near = (other.path for other in folders.get(name.path.parent, ()) if other.base.startswith(name.base))
        partner = (bases.get(name.base) or next(near, None)) if name.is_label else None
        if partner is not None:
            text = f"its name says that it is a label of {printable(partner.name)}"
            found[id_] = Finding("label-as-image", "note", text, name.path)
    return found


def holds_labels(voxels: Array) -> bool:
    """Say whether an array holds 2 to 16 values, all of them whole numbers, as a label image does.

    >>> holds_labels(np.array([0, 0, 1, 2])), holds_labels(np.array([0.5, 1.5])), holds_labels(np.arange(100))
    (True, False, False)
    """
    flat = voxels.reshape(-1)
    return all(_few_whole(part) for part in _parts(flat)) and bool(flat.min() < flat.max())


def _parts(flat: Array) -> Iterator[Array]:
    """Yield voxels from all over the array, which tell most images, then all of them."""
    yield flat[:: max(1, flat.size // _SAMPLE)]
    yield flat


def _few_whole(values: Array) -> bool:
    found = np.unique(values)
    return len(found) <= _MOST and bool((found == np.round(found)).all())


def _is_plain(case: Case) -> bool:
    source = case.images[0]
    return len(case.images) == 1 and len(source.files) == 1 and source.kind in ("nifti", "picture")


def _named(path: Path) -> _Named:
    stem = stem_of(path)
    words = [part for part in re.split(r"([^A-Za-z0-9]+)", stem) if part]
    said = bool(words) and words[-1].lower() in _WORDS
    base = "".join(words[:-2]) if said else _CHANNEL.sub("", stem)
    folder = {word.lower() for word in re.split(r"[^A-Za-z0-9]+", path.parent.name)}
    return _Named(path, base, said or bool(folder & _FOLDERS))
