"""Data sets described by a ``dataset.json``: the Medical Segmentation Decathlon's form, and nnU-Net's."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medvision.archives import read_bytes
from medvision.errors import Finding, InputError, MedvisionError
from medvision.io.kinds import case_id, stem_of
from medvision.io.located import located
from medvision.io.sources import label_source_of, source_of
from medvision.io.stated import label_in_json
from medvision.study import AS_IT_STANDS, Case, Collection, Label, Reading

DATASET_FILE = "dataset.json"
_MODALITIES = {"MR": "MR", "MRI": "MR", "CT": "CT", "PT": "PT", "PET": "PT"}


def is_dataset(file: Path) -> bool:
    """Whether a JSON file describes a data set, and not something else."""
    try:
        content = _content(file)
    except MedvisionError:
        return False
    return isinstance(content.get("training"), list) or _is_nnunet(content)


def cases_in_dataset(
    file: Path, prefix: str = "", reading: Reading = AS_IT_STANDS, *, labels: bool = True
) -> Collection:
    """Return the training cases of a data set, with their labels; its test images have none and are not listed.

    Parameters
    ----------
    file
        The ``dataset.json``.
    prefix
        Comes before each id.
    reading
        What was decided about how to read images and labels.
    labels
        Whether labels are taken in; else a case without one is as good as the others.

    Raises
    ------
    InputError
        ``bad-manifest``: it is no JSON object, or lists no case.
    """
    content = _content(file)
    entries = _nnunet_entries(content, file.parent) if _is_nnunet(content) else content.get("training")
    if not isinstance(entries, list) or not entries:
        raise InputError("bad-manifest", "it lists no training case", path=file)
    facts = (_modality(content), _label_names(content) if labels else None)
    cases, rejected = [], []
    for number, entry in enumerate(entries, start=1):
        try:
            cases.append(_case(entry, file.parent, prefix, *facts, reading, labels=labels))
        except MedvisionError as error:
            finding = error.finding
            text = f"training case {number}: {finding.message}"
            rejected.append(Finding(finding.code, "error", text, finding.path or file, finding.cure))
    return Collection(tuple(cases), tuple(rejected))


def _content(file: Path) -> dict[str, Any]:
    with located(file):
        try:
            content = json.loads(read_bytes(file).decode("utf-8-sig"))
        except (ValueError, RecursionError):
            raise InputError("bad-manifest", "it is not JSON") from None
        if not isinstance(content, dict):
            raise InputError("bad-manifest", "it is not a JSON object")
        return content


def _is_nnunet(content: Mapping[str, Any]) -> bool:
    return isinstance(content.get("channel_names"), dict) and isinstance(content.get("file_ending"), str)


def _nnunet_entries(content: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Return entries in the Decathlon's form, with a list of channels for an image (nnU-Net, dataset format)."""
    ending = content["file_ending"]
    count = len(content["channel_names"])
    pattern = re.compile(rf"(.+)_(\d{{4}}){re.escape(ending)}")
    channels: dict[str, dict[int, str]] = defaultdict(dict)
    images = folder / "imagesTr"
    for file in sorted(images.iterdir()) if images.is_dir() else ():
        found = pattern.fullmatch(file.name)
        if found and not file.name.startswith("."):
            channels[found[1]][int(found[2])] = f"imagesTr/{file.name}"
    return [
        {
            "id": name,
            "image": [there.get(n, f"imagesTr/{name}_{n:04d}{ending}") for n in range(count)],
            "label": f"labelsTr/{name}{ending}",
        }
        for name, there in channels.items()
    ]


def _modality(content: Mapping[str, Any]) -> str | None:
    """Return the DICOM modality, where all channels are of one; None where that is not stated in so many words."""
    channels = content.get("modality", content.get("channel_names"))
    names = {str(name).upper() for name in channels.values()} if isinstance(channels, dict) else set()
    return _MODALITIES.get(names.pop()) if len(names) == 1 else None


def _label_names(content: Mapping[str, Any]) -> dict[int, str] | None:
    """Return the names by number: MSD states them so, nnU-Net the other way round; None where they are not plain."""
    labels = content.get("labels")
    if not isinstance(labels, dict):
        return None
    pairs = [(name, number) if isinstance(number, int) else (number, name) for name, number in labels.items()]
    try:
        return {int(number): str(name) for name, number in pairs if int(number) != 0}
    except (TypeError, ValueError):
        return None


def _case(
    entry: Any,
    folder: Path,
    prefix: str,
    modality: str | None,
    names_of_labels: Mapping[int, str] | None,
    reading: Reading,
    *,
    labels: bool,
) -> Case:
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str | list) or not entry["image"]:
        raise InputError("bad-manifest", "a training case is an object with 'image' and 'label'")
    names = [entry["image"]] if isinstance(entry["image"], str) else entry["image"]
    paths = [folder / str(name) for name in names]
    patient = entry.get("patient", entry.get("subject"))
    return Case(
        id=case_id(prefix + str(entry.get("id", stem_of(paths[0])))),
        images=tuple(source_of(path, reading) for path in paths),
        label=_label(entry.get("label"), folder, reading) if labels else None,
        patient=str(patient) if patient is not None else None,
        modality=modality,
        label_names=names_of_labels,
    )


def _label(stated: Any, folder: Path, reading: Reading) -> Label:
    """Return the label image that an entry names, or what it states itself: a class, several labels, values."""
    if stated is None or stated == "":
        raise InputError("label-missing", "its label is not there")
    found = label_in_json(stated)
    if found is not None:
        return found
    path = folder / stated
    if not path.is_file():
        raise InputError("label-missing", "its label is not there", path=path)
    return label_source_of(path, reading)
