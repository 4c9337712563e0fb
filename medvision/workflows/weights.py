"""Look at weights that were trained elsewhere, and start a network from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medvision.errors import Finding
from medvision.pipeline import PipelineFolder
from medvision.transfer import Hub, Match, Origin, recognise, require
from medvision.transfer.overview import StageCounts, stages
from medvision.workflows.starting.source import PUBLIC, matched, read_network
from medvision.workflows.starting.source import start_from as start_from


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


def inspect(source: str | Path, pipeline: PipelineFolder | None = None, *, hub: Hub = PUBLIC) -> Inspection:
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
    foreign, noticed = read_network(source, hub=hub)
    found = recognise(foreign.tensors)
    taken, findings = matched(foreign, pipeline.build_network(), pipeline) if pipeline else (None, ())
    return Inspection(
        origin=foreign.origin,
        parameters=foreign.parameters,
        shapes={name: tuple(tensor.shape) for name, tensor in foreign.tensors.items()},
        family=found.family.name if found else None,
        network=found.family.network if found else None,
        pipeline=pipeline.settings.name if pipeline else None,
        match=taken,
        stages=stages(taken, pipeline.settings.network.parts) if taken and pipeline else (),
        findings=(*noticed, *findings),
    )
