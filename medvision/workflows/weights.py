"""Look at weights that were trained elsewhere, and start a network from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medvision.errors import Finding
from medvision.files import write_json
from medvision.pipeline import PipelineFolder, builtin_names, find
from medvision.transfer import Foreign, Hub, Match, Origin, locate_weights, match, read_weights, recognise, require
from medvision.transfer.overview import StageCounts, stages
from medvision.workflows.fitting.source_card import compared

_PUBLIC = Hub()


@dataclass(frozen=True, eq=False)
class Inspection:
    """What a source of weights holds, and what of it a pipeline's network can take.

    Parameters
    ----------
    origin
        Where the weights come from, with their SHA-256 and licence.
    parameters
        How many numbers they are.
    shapes
        Name to shape of each tensor.
    family
        The key layout that was recognised; None where none was.
    network
        The network of ours that the layout is one of, by its ``use``.
    pipeline
        The pipeline that they were matched with; None where none was named.
    match
        Tensor by tensor; None where no pipeline was named.
    stages
        The match by the stages of the pipeline's network, from stem to head.
    findings
        What was taken for granted, and how the source's own input and labels differ from the pipeline's.
    """

    origin: Origin
    parameters: int
    shapes: Mapping[str, tuple[int, ...]]
    family: str | None
    network: str | None
    pipeline: str | None = None
    match: Match | None = None
    stages: tuple[StageCounts, ...] = ()
    findings: tuple[Finding, ...] = ()

    def require(self, *, partial: bool = False) -> None:
        """Raise PipelineError where a training with the pipeline would refuse to start from this."""
        if self.match is not None:
            require(self.match, partial=partial)

    def to_json(self) -> dict[str, Any]:
        """Return the inspection as JSON values."""
        return {
            "schema": "medvision.weights/1",
            "origin": self.origin.to_json(),
            "parameters": self.parameters,
            "family": self.family,
            "network": self.network,
            "pipeline": self.pipeline,
            "match": self.match.to_json() if self.match else None,
            "stages": [asdict(stage) for stage in self.stages],
            "findings": [finding.unplaced().to_json() for finding in self.findings],
            "tensors": {name: list(shape) for name, shape in self.shapes.items()},
        }


@dataclass(frozen=True, eq=False)
class Transferred:
    """What a network was started from.

    Parameters
    ----------
    origin
        Where the weights come from.
    match
        What of them was taken.
    findings
        What was taken for granted, and how the source's own input and labels differ from the training's.
    """

    origin: Origin
    match: Match
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the start as JSON values, for the record of a training."""
        return {"origin": self.origin.to_json(), "match": self.match.to_json()}

    def facts(self) -> dict[str, str]:
        """Return what the card of the weights keeps, under ``trained_with``."""
        return {
            "started_from": self.origin.source,
            "started_from_sha256": self.origin.sha256,
            "started_from_licence": self.origin.licence or "not stated",
            "started_from_family": self.match.family or "the network's own names",
            "started_from_share_of_encoder": f"{self.match.share_of_parameters:.4f}",
        }

    def sentence(self) -> str:
        """Return the same as a sentence, for the card that people read."""
        counts = self.match.counts
        return (
            f"Started from {self.origin.source} (SHA-256 {self.origin.sha256}; licence:"
            f" {self.origin.licence or 'not stated'}), of which {self.match.share_of_parameters:.1%} of the encoder's"
            f" parameters were taken: {counts['loaded']} tensors as they are, {counts['adapted']} adapted. Its terms"
            " hold for these weights too."
        )

    def started(self) -> Started:
        """Return what is kept of it beside the checkpoints."""
        return Started(self.to_json(), self.facts(), self.sentence(), self.findings)


@dataclass(frozen=True)
class Started:
    """What a training has started from, as it is kept: a training that goes on later states what it really began with.

    Parameters
    ----------
    record
        For ``transfer.json``.
    facts
        For the card of the weights.
    sentence
        For the card that people read.
    findings
        What was noticed about it.
    """

    record: Mapping[str, Any]
    facts: Mapping[str, str]
    sentence: str
    findings: tuple[Finding, ...] = ()

    def write(self, path: Path, *, source: str, identity: str) -> None:
        """Keep it, with the words that named the source and what :func:`identity_of_source` said of it."""
        findings = [finding.unplaced().to_json() for finding in self.findings]
        write_json(path, {"source": source, "identity": identity, **asdict(self), "findings": findings})

    @classmethod
    def read(cls, path: Path) -> Started:
        """Return what :meth:`write` kept."""
        content = json.loads(path.read_text(encoding="utf-8"))
        findings = [Finding(e["code"], e["grade"], e["message"], cure=e["cure"]) for e in content["findings"]]
        return cls(content["record"], content["facts"], content["sentence"], tuple(findings))


def identity_of_source(source: str, *, hub: Hub = _PUBLIC, kept: Path | None = None) -> str:
    """Return what tells the weights of a source from others: the hash of their file; of the hub, its commit too.

    Parameters
    ----------
    source
        See :func:`inspect`.
    hub
        Where ``hf:`` leads.
    kept
        What :meth:`Started.write` kept of a training that has begun: what ``hf:`` named then still counts, also where
        the hub cannot be reached any more, or has a newer commit.
    """
    if source.startswith("hf:") and kept is not None and kept.is_file():
        content = json.loads(kept.read_text(encoding="utf-8"))
        if content["source"] == source:
            return str(content["identity"])
    return digest_of_source(source, hub=hub)


def digest_of_source(source: str | None, *, hub: Hub = _PUBLIC) -> str:
    """Return the hash of the file that a source names, whatever :func:`inspect` takes; of the hub, with its commit.

    Raises
    ------
    PipelineError
        There is no such file, or the hub cannot be reached.
    """
    if source is None:
        return "scratch"
    origin = locate_weights(place_of(source), hub=hub).origin
    return f"{origin.source} {origin.sha256}" if source.startswith("hf:") else origin.sha256


def pinned(source: str, *, hub: Hub = _PUBLIC) -> str:
    """Return a source that stays the same: of the hub, the commit and the file that it names now.

    Raises
    ------
    PipelineError
        The hub cannot be reached.
    """
    return locate_weights(source, hub=hub).origin.source if source.startswith("hf:") else source


def inspect(source: str | Path, pipeline: PipelineFolder | None = None, *, hub: Hub = _PUBLIC) -> Inspection:
    """Read weights, and say what they are; with a pipeline, what its network can take of them.

    Parameters
    ----------
    source
        See :func:`medvision.transfer.read_weights`; or the name of a shipped pipeline.
    pipeline
        Whose network is meant; it needs no weights of its own.
    hub
        Where ``hf:`` leads.

    Raises
    ------
    PipelineError
        The weights cannot be read. That too little of the encoder fits is no error here: :meth:`Inspection.require`.
    """
    foreign = read_weights(place_of(source), hub=hub)
    found = recognise(foreign.tensors)
    matched, findings = _matched(foreign, pipeline.build_network(), pipeline) if pipeline else (None, ())
    return Inspection(
        origin=foreign.origin,
        parameters=foreign.parameters,
        shapes={name: tuple(tensor.shape) for name, tensor in foreign.tensors.items()},
        family=found.family.name if found else None,
        network=found.family.network if found else None,
        pipeline=pipeline.settings.name if pipeline else None,
        match=matched,
        stages=stages(matched, pipeline.settings.network.parts) if matched and pipeline else (),
        findings=findings,
    )


def start_from(
    network: Any, source: str | Path, pipeline: PipelineFolder, *, partial: bool = False, hub: Hub = _PUBLIC
) -> Transferred:
    """Load what fits of a source into `network`, in place, and say what was taken.

    Parameters
    ----------
    network
        A fresh network of the pipeline; what is not taken stays as it is.
    source
        See :func:`inspect`.
    pipeline
        Whose network it is.
    partial
        Accept any share of the encoder but none.
    hub
        Where ``hf:`` leads.

    Raises
    ------
    PipelineError
        The weights cannot be read, or less than 80 % of the encoder's parameters fit; the network is as it was.
    """
    foreign = read_weights(place_of(source), hub=hub)
    matched, findings = _matched(foreign, network, pipeline)
    require(matched, partial=partial)
    matched.load(network)
    return Transferred(foreign.origin, matched, findings)


def place_of(source: str | Path) -> str | Path:
    """Return a source as the reader takes it: the folder of a shipped pipeline in place of its name."""
    return find(source) if not Path(source).exists() and str(source) in builtin_names() else source


def _matched(foreign: Foreign, network: Any, pipeline: PipelineFolder) -> tuple[Match, tuple[Finding, ...]]:
    found = compared(foreign.card, foreign.origin.source, pipeline.settings)
    settings = pipeline.settings.network
    grid = None
    if settings.use == "vit":
        grid = [size // patch for size, patch in zip(settings.image_size, settings.patch_size, strict=True)]
    matched = match(foreign, network, settings.parts, grid=grid, fresh_head=found.fresh_head)
    return matched, (*matched.findings, *found.findings)
