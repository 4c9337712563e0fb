"""Images without labels: found, read, taken through a pipeline's steps, and kept; what cannot be read is told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from medvision import io
from medvision.errors import Finding, InputError, OutputError
from medvision.errors import MedvisionError as AnyError
from medvision.files import sha256_of_text
from medvision.frameworks import versions
from medvision.pipeline import PipelineFolder
from medvision.progress import Progress, silent
from medvision.study import Case, Collection
from medvision.training import Prepared, Sample, Store, StoredSample, at_hand
from medvision.workflows.training_data.label_images import holds_labels, labels_by_name
from medvision.workflows.training_data.network_input import as_network_input

_FORMAT = "images 4"  # of the stored cases
_MOST_BYTES = 2 << 30  # of images that are held in memory; more stay on disk, and are read patch by patch


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """An image as the network sees it, and what is known of it.

    Parameters
    ----------
    case
        The case, without a label.
    sample
        Its voxels after the steps.
    digest
        The hash of the image's own voxels.
    grid_digest
        The hash of where they lie.
    size, spacing_mm
        Of the image as stored; no spacing for pictures without a physical size.
    modality
        The DICOM modality, where it is stated.
    findings
        What was noticed about it.
    """

    case: Case
    sample: Prepared
    digest: str
    grid_digest: str
    size: tuple[int, ...]
    spacing_mm: tuple[float, ...] | None
    modality: str | None
    findings: tuple[Finding, ...]


def unlabelled(data: Sequence[Path]) -> Collection:
    """Return all images of the data without what is stated of them.

    Cases of the split ``"test"`` are among them, label images or not: whose they are decides who may be learned from.
    Of the others, files that are label images by their names are passed over, with the reason.

    Parameters
    ----------
    data
        Anything that :func:`medvision.io.scan` takes. No label is looked at.
    """
    found = io.scan(data, labels=False)
    labels = labels_by_name([case for case in found.cases if case.split != "test"])
    images = tuple(case for case in found.cases if case.id not in labels)
    return replace(found, cases=images, skipped=(*found.skipped, *labels.values()))


def prepare_images(
    cases: Sequence[Case], pipeline: PipelineFolder, store: Store, *, progress: Progress = silent
) -> tuple[dict[str, PreparedImage], tuple[Finding, ...]]:
    """Return the prepared images by id, in their order, and why others are not among them (``label-as-image``: none).

    What lies in `store`, made from the same files by the same steps and versions, is used again.

    Raises
    ------
    OutputError
        The store cannot be written.
    """
    means, kept = _meaning(pipeline), list[tuple[Case, StoredSample]]()
    refused = []
    for number, case in enumerate(cases):
        try:
            kept.append((case, _stored(case, means, pipeline, store)))
        except OutputError:
            raise
        except AnyError as error:
            refused.append(error.finding)
        except OSError as error:
            refused.append(Finding("unreadable", "error", f"the file cannot be read: {error.strerror}", case.path))
        progress(number + 1, len(cases), "images prepared")
    samples = at_hand([stored for _, stored in kept], most_bytes=_MOST_BYTES)
    pairs = zip(kept, samples, strict=True)
    return {case.id: _prepared(case, sample, stored.facts) for (case, stored), sample in pairs}, tuple(refused)


def _meaning(pipeline: PipelineFolder) -> str:
    """Return the hash of all that every prepared image depends on: steps, contract, versions."""
    settings = pipeline.settings
    steps = json.dumps(settings.to_json()["steps"], sort_keys=True)
    return sha256_of_text([_FORMAT, steps, repr(settings.contract), json.dumps(dict(versions()), sort_keys=True)])


def _stored(case: Case, means: str, pipeline: PipelineFolder, store: Store) -> StoredSample:
    return store.get_or_put(sha256_of_text([means, case.id, case.digest()]), partial(_made, case, pipeline))


def _made(case: Case, pipeline: PipelineFolder) -> tuple[Sample, Mapping[str, str]]:
    settings = pipeline.settings
    volume = io.read_volume(case)
    if case.images[0].kind != "npz" and holds_labels(volume.voxels):  # an archive says which arrays are its images
        text = f"case {case.id} holds few values, all of them whole numbers, as a label image does"
        raise InputError("label-as-image", text, path=case.path)
    noticed = [*volume.findings, *settings.contract.check(volume, case)]
    image = as_network_input(case, volume, settings).image
    spacing = [round(float(side), 6) for side in volume.geometry.spacing] if volume.geometry.physical else None
    facts: dict[str, Any] = {
        "size": volume.geometry.shape,
        "spacing_mm": spacing,
        "modality": volume.modality or case.modality,
        "findings": [entry.unplaced().to_json() for entry in noticed],
    }
    return Sample(case.id, image, None), {
        "digest": volume.digest(),
        "grid": volume.geometry.digest(),
        "facts": json.dumps(facts),
    }


def _prepared(case: Case, sample: Prepared, stored: Mapping[str, str]) -> PreparedImage:
    facts = json.loads(stored["facts"])
    spacing = facts["spacing_mm"]
    return PreparedImage(
        case=case,
        sample=sample,
        digest=stored["digest"],
        grid_digest=stored["grid"],
        size=tuple(facts["size"]),
        spacing_mm=None if spacing is None else tuple(spacing),
        modality=facts["modality"],
        findings=tuple(map(Finding.from_json, facts["findings"])),
    )
