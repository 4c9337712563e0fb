"""Analyse one case: read, check, predict, measure, explain; everything comes back in the geometry of the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from medvision import io
from medvision.engines import versions_of
from medvision.errors import Finding
from medvision.fingerprint import Fingerprint, check, check_absent, compare, measure_case
from medvision.frameworks import versions
from medvision.measure import measure
from medvision.pipeline import PipelineFolder
from medvision.results import Manifest, Measurement, MultiLabel, Record, Regression, Saliency, Segmentation
from medvision.study import Case
from medvision.volume import Volume
from medvision.workflows.cases.classify import Answer, classify
from medvision.workflows.cases.network import ReadyNetwork
from medvision.workflows.cases.segment import segment


@dataclass(frozen=True, eq=False)
class Analysis:
    """What is known of a case once it has been analysed.

    Parameters
    ----------
    record
        All that is not voxels.
    volume
        The input.
    result
        What the network says.
    saliency
        The maps, on the input's grid.
    """

    record: Record
    volume: Volume
    result: Segmentation | Answer
    saliency: tuple[Saliency, ...]


def analyse(case: Case, pipeline: PipelineFolder, network: ReadyNetwork) -> Analysis:
    """Return the analysis of one case.

    Parameters
    ----------
    network
        The pipeline's.

    Raises
    ------
    MedvisionError
        The case is refused: it cannot be read, or the pipeline cannot take it.
    """
    volume = io.read_volume(case)
    settings = pipeline.settings
    noticed = [*volume.findings, *settings.contract.check(volume, case)]
    unlike, compared = _compared(volume, case, pipeline)
    if network.compared:
        compared["engine"] = dict(network.compared)
    noticed += _not_told(unlike, noticed)
    record = Record(
        case=case.id,
        task=settings.task,
        geometry=volume.geometry,
        modality=volume.modality or case.modality,
        findings=(),
        manifest=_manifest(case, pipeline, network),
    )
    if settings.task == "segmentation":
        segmented = segment(volume, case, settings, network)
        labels = segmented.segmentation.labels
        measurements = measure(labels, volume)
        return Analysis(
            replace(
                record,
                findings=(*noticed, *segmented.findings, *_noticed_of(measurements, pipeline.fingerprint)),
                measurements=measurements,
                confidence=dict(segmented.segmentation.confidence),
                checks={**segmented.checks, **compared},
                saliency=tuple(entry.to_json() for entry in segmented.saliency),
            ),
            volume,
            segmented.segmentation,
            segmented.saliency,
        )
    classified = classify(volume, settings, network)
    answer = classified.answer
    return Analysis(
        replace(
            record,
            findings=(*noticed, *classified.findings),
            probabilities=None if isinstance(answer, Regression) else dict(answer.probabilities),
            thresholds=dict(answer.thresholds) if isinstance(answer, MultiLabel) else None,
            values=answer.values if isinstance(answer, Regression) else (),
            checks=compared,
            saliency=tuple(entry.to_json() for entry in classified.saliency),
        ),
        volume,
        answer,
        classified.saliency,
    )


def _compared(volume: Volume, case: Case, pipeline: PipelineFolder) -> tuple[tuple[Finding, ...], dict[str, Any]]:
    """Return how the case differs from the training data, and every figure with its limits."""
    if pipeline.fingerprint is None:
        return (), {}
    figures = measure_case(volume, id=case.id, modality=case.modality)
    entries = {entry.figure: entry.to_json() for entry in compare(figures, pipeline.fingerprint)}
    return check(figures, pipeline.fingerprint), {"fingerprint": entries}


def _not_told(findings: Sequence[Finding], told: Sequence[Finding]) -> list[Finding]:
    """Return the findings on matters that nobody told yet, or told as a note where they are warnings."""
    codes = {(finding.code, grade) for finding in told for grade in (finding.grade, "note")}
    return [finding for finding in findings if (finding.code, finding.grade) not in codes]


def _noticed_of(measurements: Sequence[Measurement], fingerprint: Fingerprint | None) -> list[Finding]:
    """Return what the measurements themselves say against a result."""
    findings = [*check_absent([entry.name for entry in measurements if not entry.voxels], fingerprint)]
    cut = [entry.name for entry in measurements if entry.touches_edge]
    if cut:
        findings.append(Finding("label-at-edge", "warning", f"{' and '.join(cut)} at the edge of the image"))
    return findings


def _manifest(case: Case, pipeline: PipelineFolder, network: ReadyNetwork) -> Manifest:
    return Manifest(
        command=f"medvision run {pipeline.settings.name} {case.path.name}",
        pipeline=pipeline.name,
        pipeline_sha256=pipeline.settings_sha256,
        weights_sha256=pipeline.require_weights().sha256,
        input_sha256=case.images_digest(),
        versions={**versions(), **versions_of(network.engine.name)},
        device=network.device,
        engine=network.engine.name,
        seed=pipeline.settings.train.seed,
        side=case.side,
    )
