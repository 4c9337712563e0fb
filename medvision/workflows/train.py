"""Train a pipeline: cases, split, steps, the loop, and a folder that `run` takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision import io
from medvision.batch import holding
from medvision.errors import Finding, InputError, PipelineError
from medvision.evaluate import dice
from medvision.files import sha256_of_text, write_bytes, write_json, write_text
from medvision.frameworks import choose_device, training_precision, versions
from medvision.geometry import Geometry
from medvision.networks import WeightsCard, save_weights
from medvision.pipeline import PipelineFolder, input_spacing_mm, read_settings
from medvision.predict import class_probabilities, from_tensor, to_tensor, voxel_probabilities
from medvision.progress import Progress, silent
from medvision.steps import apply, apply_to_labels
from medvision.study import Case, Source
from medvision.training import Sample, Split, Validation, find_copies, fit, split, write_curves
from medvision.volume import Labels, Volume
from medvision.workflows.card import card_text
from medvision.workflows.scores import Scored, estimates, scores_csv, sentences
from medvision.workflows.segment import AS_STORED, TURNS, stated_turn


@dataclass(frozen=True)
class TrainingResult:
    """What a training found and left.

    Parameters
    ----------
    folder
        The new pipeline folder.
    results
        What was measured on the held-out cases, with intervals; a sentence each.
    findings
        What was noticed about the data.
    train, val
        Ids of the cases on each side of the split.
    """

    folder: Path
    results: tuple[str, ...]
    findings: tuple[Finding, ...]
    train: tuple[str, ...]
    val: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "schema": "medvision.training/1",
            "folder": str(self.folder),
            "results": list(self.results),
            "findings": [finding.unplaced().to_json() for finding in self.findings],
            "split": {"train": list(self.train), "val": list(self.val)},
        }


def train(
    pipeline: PipelineFolder, data: Sequence[Path], out: Path, *, device: str = "auto", progress: Progress = silent
) -> TrainingResult:
    """Train the pipeline's network on `data`, and leave a complete pipeline folder in `out`.

    A training that was stopped goes on where its last epoch ended, when the same command is given again.

    Parameters
    ----------
    pipeline
        Its settings are taken, its weights are not.
    data
        Data sets with labels; see :func:`medvision.io.scan`.
    out
        The new pipeline folder.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    progress
        Told of every case that is prepared, and of every step.

    Raises
    ------
    InputError
        A case cannot be read, or lacks a label; patients stand on both sides of a split.
    PipelineError
        `out` holds a training of other settings or other data, or the loss is not finite.
    """
    settings = pipeline.settings
    device = choose_device(device)
    precision = training_precision(settings.train.precision, device)
    with holding(out):
        parts = split(_labelled_cases(data), validation=settings.train.validation, seed=settings.train.seed)
        training = _prepare(parts.train, pipeline, progress, "training cases")
        held_out = _prepare(parts.val, pipeline, progress, "validation cases")
        digests = training.digests | held_out.digests
        noticed = _counted([*training.findings, *held_out.findings])
        findings = (*parts.findings, *find_copies(parts, digests), *noticed)
        _claim(out, pipeline, parts, digests)

        network = pipeline.build_network()
        rows = fit(
            network,
            training.samples,
            lambda trained: _validation(_score(trained, held_out.samples, parts.val, pipeline), settings.task),
            settings.train,
            folder=out / "checkpoints",
            device=device,
            precision=precision,
            progress=progress,
        )
        write_curves(rows, out)
        scored = _score(network, held_out.samples, parts.val, pipeline)
        write_text(out / "validation.csv", scores_csv(scored))
        results = sentences(estimates(scored, seed=settings.train.seed), held_out=len(parts.val))
        sha256 = save_weights(out / "weights.safetensors", network)
        trained_with = {
            **versions(),
            "device": device,
            "precision": precision,
            "steps": str(settings.train.total_steps),
            "seed": str(settings.train.seed),
        }
        card = _weights_card(pipeline, sha256, results, trained_with)
        _write_folder(out, pipeline, card, parts, findings)
        train_ids, val_ids = (tuple(case.id for case in side) for side in (parts.train, parts.val))
        result = TrainingResult(out, results, findings, train_ids, val_ids)
        write_json(out / "training.json", result.to_json() | {"folder": "."})
    return result


def _labelled_cases(data: Sequence[Path]) -> list[Case]:
    """Return all cases; for a training, anything that cannot be used is an error, so that nothing is missed."""
    found = io.scan(data)
    if found.rejected:
        first = found.rejected[0]
        message = f"{len(found.rejected)} of the files named cannot be used, first: {first.message}"
        raise InputError(first.code, message, path=first.path)
    unlabelled = [case.id for case in found.cases if case.label is None]
    if unlabelled or not found.cases:
        message = f"{len(unlabelled)} of {len(found.cases)} cases have no label, first: {(unlabelled or ['none'])[0]}"
        raise InputError("label-missing", message, path=data[0])
    return list(found.cases)


@dataclass(frozen=True)
class _Prepared:
    """Cases after the pipeline's steps, with the hash of each one's own voxels, and what was noticed about each."""

    samples: list[Sample]
    digests: dict[str, str]
    findings: list[tuple[str, Finding]]


def _prepare(cases: Sequence[Case], pipeline: PipelineFolder, progress: Progress, words: str) -> _Prepared:
    prepared = _Prepared([], {}, [])
    for number, case in enumerate(cases):
        volume = io.read_volume(case)
        noticed = [*volume.findings, *pipeline.settings.contract.check(volume, case), *_assumed(case, pipeline)]
        prepared.samples.append(_sample(case, volume, pipeline))
        prepared.digests[case.id] = volume.digest()
        prepared.findings.extend((case.id, finding) for finding in noticed)
        progress(number + 1, len(cases), words)
    return prepared


def _assumed(case: Case, pipeline: PipelineFolder) -> list[Finding]:
    """Return what is taken for granted about a case: the side it looks like, where none is stated."""
    if pipeline.settings.contract.side is None or case.side is not None:
        return []
    message = f"no side is stated: taken to look like a {pipeline.settings.contract.side} one"
    return [Finding("side-assumed", "note", message)]


def _counted(findings: Sequence[tuple[str, Finding]]) -> list[Finding]:
    """Return one finding for each code, with the number of cases and the first of them."""
    found: dict[str, list[tuple[str, Finding]]] = {}
    for case, finding in findings:
        found.setdefault(finding.code, []).append((case, finding))
    return [
        Finding(code, first.grade, f"{len(entries)} cases, first {case}: {first.message}", cure=first.cure)
        for code, entries in found.items()
        for case, first in entries[:1]
    ]


def _sample(case: Case, volume: Volume, pipeline: PipelineFolder) -> Sample:
    """Return a case as the network sees it: of the side that it knows, after the pipeline's steps."""
    settings = pipeline.settings
    flat = settings.contract.dimensions == 2
    turned = volume.geometry.turned(TURNS[stated_turn(case, settings) or AS_STORED])
    prepared = apply(settings.steps, replace(volume, geometry=turned))
    image = np.asarray(prepared.voxels[..., 0] if flat else prepared.voxels, dtype=np.float32)
    if settings.task == "classification":
        if not isinstance(case.label, int) or case.label not in settings.labels:
            known = ", ".join(f"{number} {name}" for number, name in settings.labels.items())
            raise InputError("label-missing", f"case {case.id} has no label of {known}", path=case.path)
        return Sample(case.id, image, case.label)
    if not isinstance(case.label, Source):
        raise InputError("label-missing", f"case {case.id} has no label image", path=case.path)
    labels = replace(io.read_labels(case, settings.labels, volume.geometry), geometry=turned)
    moved = apply_to_labels(settings.steps, labels, prepared.geometry)
    return Sample(case.id, image, moved.voxels[..., 0] if flat else moved.voxels)


def _score(network: Any, samples: Sequence[Sample], cases: Sequence[Case], pipeline: PipelineFolder) -> list[Scored]:
    """Return what the network says of each held-out sample, on the network's grid, beside the truth."""
    settings = pipeline.settings
    device = str(next(network.parameters()).device)
    dimensions = settings.contract.dimensions
    names = dict(settings.labels)
    network.eval()
    scored = []
    for sample, case in zip(samples, cases, strict=True):
        image = to_tensor(
            sample.image[..., None] if dimensions == 2 else sample.image, dimensions=dimensions, device=device
        )
        patient = case.patient if case.patient is not None else case.id
        if isinstance(sample.target, int):
            values = class_probabilities(network, image, settings.predict)
            chances = {names[number]: float(values[number]) for number in names}
            scored.append(Scored(case.id, patient, probabilities=chances, truth=names[sample.target]))
            continue
        found = voxel_probabilities(network, image, settings.predict, divisor=settings.network.divisor)
        winner = from_tensor(found, dimensions=dimensions).argmax(0)
        scored.append(Scored(case.id, patient, dice=_dice(winner, sample.target.reshape(winner.shape), names)))
    return scored


def _dice(winner: NDArray[Any], truth: NDArray[Any], names: Mapping[int, str]) -> dict[str, float | None]:
    i, j, k = winner.shape
    grid = Geometry(np.eye(4), (i, j, k), physical=False)
    return dice(Labels(winner, grid, names), Labels(truth, grid, names))


def _validation(scored: Sequence[Scored], task: str) -> Validation:
    found = estimates(scored, seed=None).items()
    figures = {name: estimate.value for name, estimate in found if estimate.value is not None}
    return Validation(figures.get("mean Dice" if task == "segmentation" else "AUC", 0.0), figures)


def _claim(out: Path, pipeline: PipelineFolder, parts: Split, digests: dict[str, str]) -> None:
    """Mark `out` as the place of this training, and keep its settings, or refuse to go on with another one's."""
    settings = pipeline.settings
    file = pipeline.folder / "pipeline.toml"
    if read_settings(file) != settings:
        cure = "Open the pipeline again, or write the settings to its file."
        raise PipelineError("pipeline-invalid", "the file does not say what is in force", path=file, cure=cure)
    sides = [
        f"{side}:{case.id}:{digests[case.id]}:{case.side}:{_label_digest(case)}"
        for side in ("train", "val")
        for case in getattr(parts, side)
    ]
    identity = {
        "settings": sha256_of_text([str(settings.meaning()), str(asdict(settings.train))]),
        "data": sha256_of_text(sides),
    }
    path = out / "checkpoints" / "identity.json"
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != identity:
        raise PipelineError(
            "weights-mismatch",
            "a training of other settings or data lies here",
            path=out,
            cure="Choose another --out.",
        )
    write_json(path, identity)
    write_bytes(out / "pipeline.toml", file.read_bytes())


def _label_digest(case: Case) -> str:
    return case.label.digest() if isinstance(case.label, Source) else str(case.label)


def _weights_card(
    pipeline: PipelineFolder, sha256: str, results: tuple[str, ...], trained_with: Mapping[str, str]
) -> WeightsCard:
    settings = pipeline.settings
    unit = next((step.use for step in reversed(settings.steps) if step.use in _VALUE_STEPS), "as stored")
    return WeightsCard(
        sha256=sha256,
        meaning=settings.meaning(),
        input_spacing_mm=input_spacing_mm(settings),
        input_unit=unit,
        modality=settings.contract.modality,
        training_data=settings.card.training_data,
        licence=settings.card.licence,
        results=results,
        trained_with=trained_with,
    )


def _write_folder(
    out: Path, pipeline: PipelineFolder, card: WeightsCard, parts: Split, findings: Sequence[Finding]
) -> None:
    """Write the cards that make `out` a pipeline; its settings have lain there since the start."""
    card.save(out / "weights.json")
    write_text(out / "card.md", card_text(pipeline.settings, card, parts, findings))


_VALUE_STEPS = {"clip", "window", "rescale", "zscore", "percentile"}
