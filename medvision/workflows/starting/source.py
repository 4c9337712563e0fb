"""Where a training's first weights come from: located, told from others, and loaded into its network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from medvision.errors import Finding
from medvision.files import write_json
from medvision.networks import first_of
from medvision.pipeline import PipelineFolder, builtin_names, find
from medvision.transfer import Foreign, Hub, Match, Origin, locate_weights, match, read_weights, require
from medvision.workflows.starting.source_card import differences_of
from medvision.workflows.training_folder.state import state_in

PUBLIC = Hub()
"""Where ``hf:`` leads, unless another hub is named."""


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
        For ``start.json``.
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
        with state_in(path) as content:
            findings = tuple(map(Finding.from_json, content["findings"]))
            return cls(content["record"], content["facts"], content["sentence"], findings)


def identity_of_source(source: str, *, hub: Hub = PUBLIC, kept: Path | None = None) -> str:
    """Return what tells the weights of a source from others: the hash of their file; of the hub, its commit too.

    Parameters
    ----------
    source
        See :func:`medvision.workflows.weights.inspect`.
    hub
        Where ``hf:`` leads.
    kept
        What :meth:`Started.write` kept of a training that has begun: what ``hf:`` named then still counts, also where
        the hub cannot be reached any more, or has a newer commit.
    """
    if source.startswith("hf:") and kept is not None and kept.is_file():
        with state_in(kept) as content:
            if content["source"] == source:
                return str(content["identity"])
    return digest_of_source(source, hub=hub)


def digest_of_source(source: str, *, hub: Hub = PUBLIC) -> str:
    """Return the hash of the file that a source names; of the hub, with its commit.

    Raises
    ------
    PipelineError
        There is no such file, or the hub cannot be reached.
    """
    origin = locate_weights(place_of(source), hub=hub).origin
    return f"{origin.source} {origin.sha256}" if source.startswith("hf:") else origin.sha256


def pinned(source: str, *, hub: Hub = PUBLIC) -> str:
    """Return a source that stays the same: of the hub, the commit and the file that it names now, with its hash.

    Raises
    ------
    PipelineError
        The hub cannot be reached.
    """
    if not source.startswith("hf:"):
        return source
    origin = locate_weights(source, hub=hub).origin
    return f"{origin.source}#sha256={origin.sha256}"


def start_from(
    network: Any, source: str | Path, pipeline: PipelineFolder, *, partial: bool = False, hub: Hub = PUBLIC
) -> Transferred:
    """Load what fits of a source into `network`, in place, and say what was taken.

    Parameters
    ----------
    network
        A fresh network of the pipeline; what is not taken stays as it is.
    source
        See :func:`medvision.workflows.weights.inspect`.
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
    foreign, noticed = read_network(source, hub=hub)
    taken, findings = matched(foreign, network, pipeline)
    require(taken, partial=partial)
    taken.load(network)
    return Transferred(foreign.origin, taken, (*noticed, *findings))


def read_network(source: str | Path, *, hub: Hub = PUBLIC) -> tuple[Foreign, tuple[Finding, ...]]:
    """Return the weights of one network: of an ensemble those of the first, with a word about it.

    Raises
    ------
    PipelineError
        The weights cannot be read.
    """
    foreign = read_weights(place_of(source), hub=hub)
    tensors, count = first_of(foreign.tensors)
    if count == 1:
        return foreign, ()
    text = f"{foreign.origin.source} is an ensemble of {count} networks, of which the first is taken"
    return replace(foreign, tensors=tensors), (Finding("start-differs", "note", text),)


def place_of(source: str | Path) -> str | Path:
    """Return a source as the reader takes it: the folder of a shipped pipeline in place of its name."""
    return find(source) if not Path(source).exists() and str(source) in builtin_names() else source


def matched(foreign: Foreign, network: Any, pipeline: PipelineFolder) -> tuple[Match, tuple[Finding, ...]]:
    """Return what a network of the pipeline can take of weights, and what was taken for granted or differs."""
    found = differences_of(foreign.card, foreign.origin.source, pipeline.settings)
    settings = pipeline.settings.network
    grid = None
    if settings.use == "vit":
        grid = [size // patch for size, patch in zip(settings.image_size, settings.patch_size, strict=True)]
    taken = match(foreign, network, settings.parts, grid=grid, fresh_head=found.fresh_head)
    return taken, (*taken.findings, *found.findings, *_unknown(foreign, taken))


def _unknown(foreign: Foreign, taken: Match) -> Iterator[Finding]:
    """Yield what nobody can know of weights without a card."""
    if foreign.card is None:
        text = f"{foreign.origin.source}: no card says which images they have seen; held-out ones may be among them"
        has_head = any(row.part == "head" and row.state in ("loaded", "adapted") for row in taken.rows)
        if has_head:
            text += "; nor for which labels in which order their head was trained, which is taken as it is"
        yield Finding("start-unknown", "warning" if has_head else "note", text)
