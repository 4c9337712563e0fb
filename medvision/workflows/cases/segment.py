"""Segment a volume: also mirrored and turned where the pipeline asks for it, and never with a guess kept quiet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.errors import Finding
from medvision.explain import ExplainedMap, Region
from medvision.geometry import Geometry
from medvision.pipeline import Settings
from medvision.placing import Placing
from medvision.predict import Labelling, labelled, parts_of, slabs, to_tensor
from medvision.results import Saliency, Segmentation
from medvision.steps import apply, as_float32, orders_back, undo
from medvision.study import Case
from medvision.volume import Labels, Volume
from medvision.workflows.cases.network import ReadyNetwork
from medvision.workflows.cases.saliency import explained_by

AS_STORED = "as stored"
MIRRORED = "mirrored left to right"
TURNS: Mapping[str, tuple[int, int, int]] = {
    AS_STORED: (1, 1, 1),
    MIRRORED: (-1, 1, 1),
    "turned by half about the long axis": (-1, -1, 1),
    "mirrored front to back": (1, -1, 1),
}
"""The ways in which an image is tried, as signs of the world's axes."""


@dataclass(frozen=True, eq=False)
class Segmented:
    """A segmentation with the maps that explain it, and what was noticed."""

    segmentation: Segmentation
    saliency: tuple[Saliency, ...]
    findings: tuple[Finding, ...]
    checks: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class _Tried:
    """What the network says of the image in one orientation."""

    turn: str
    before: Geometry
    prepared: Volume
    labelling: Labelling

    @property
    def agreement(self) -> float:
        return self.labelling.agreement


def segment(volume: Volume, case: Case, settings: Settings, network: ReadyNetwork) -> Segmented:
    """Return the segmentation of `volume`, on its own grid.

    A case of the other side than the one that the network knows is mirrored before and back after. Where the side is
    not stated, both are tried, and the one on which the network agrees with itself more is taken, and said.
    """
    stated = stated_turn(case, settings)
    tried = {turn: _try(turn, volume, settings, network) for turn in ways_tried(settings, stated)}
    chosen, findings = _choose(tried, stated, settings)
    segmentation = _segmentation(chosen.labelling, volume, settings)
    methods = settings.explain if segmentation.confidence else ()  # nothing found: nothing to explain
    maps = [_explain(method, chosen, volume, settings, network.module) for method in methods]
    checks: dict[str, Any] = {"orientation": chosen.turn}
    if len(tried) > 1:
        checks["agreement"] = {turn: round(entry.agreement, 4) for turn, entry in tried.items()}
    return Segmented(segmentation, (segmentation.entropy, *maps), findings, checks)


def stated_turn(case: Case, settings: Settings) -> str | None:
    """Return how the image is to be shown to the network; None where that depends on a side nobody stated."""
    known = settings.contract.side
    if known is None:
        return AS_STORED
    if case.side is None:
        return None
    return AS_STORED if case.side == known else MIRRORED


def ways_tried(settings: Settings, stated: str | None = None) -> list[str]:
    """Return in which orientations an image is tried; `stated` is the one of its side, None where that is not known."""
    if settings.contract.orientation_check:
        return list(TURNS)
    return [AS_STORED, MIRRORED] if stated is None else [stated]


def _try(turn: str, volume: Volume, settings: Settings, network: ReadyNetwork) -> _Tried:
    before = volume.geometry.turned(TURNS[turn])
    prepared = apply(settings.steps, replace(volume, geometry=before))
    dimensions, divisor = settings.contract.dimensions, settings.network.divisor
    voxels = as_float32(prepared.voxels)
    found = slabs(network.engine.over, voxels, settings.predict, dimensions=dimensions, divisor=divisor)
    orders = orders_back(settings.steps, prepared.geometry, before)
    placing = Placing.between(prepared.geometry, before, orders)
    return _Tried(turn, before, prepared, labelled(found, placing, settings.predict, classes=settings.outputs))


def _choose(tried: Mapping[str, _Tried], stated: str | None, settings: Settings) -> tuple[_Tried, tuple[Finding, ...]]:
    """Return the orientation to use, and what must be said about it."""
    findings = []
    chosen = tried[stated] if stated else max((tried[AS_STORED], tried[MIRRORED]), key=lambda entry: entry.agreement)
    if stated is None:
        other = tried[MIRRORED if chosen.turn == AS_STORED else AS_STORED]
        sides = {AS_STORED: settings.contract.side, MIRRORED: _opposite(settings.contract.side)}
        figures = f"agreement {chosen.agreement:.3f}, as the other side {other.agreement:.3f}"
        if chosen.agreement - other.agreement < settings.contract.orientation_margin:
            message = f"the side is not stated and cannot be told: taken as {sides[chosen.turn]} ({figures})"
            findings.append(Finding("side-uncertain", "warning", message))
        else:
            message = f"the side is not stated; it looks like a {sides[chosen.turn]} one ({figures})"
            findings.append(Finding("side-detected", "note", message))
    elif stated == MIRRORED:
        findings.append(
            Finding("side-mirrored", "note", f"stated as a {_opposite(settings.contract.side)} one: mirrored and back")
        )
    least = settings.contract.least_agreement
    if chosen.agreement < least:
        message = f"the network agrees with itself to {chosen.agreement:.3f}; at least {least:.3f} is known"
        findings.append(Finding("agreement-low", "warning", message))
    best = max(tried.values(), key=lambda entry: entry.agreement)
    if best.agreement - chosen.agreement >= settings.contract.orientation_margin:
        message = (
            f"the network agrees better with the image {best.turn} ({best.agreement:.3f}) "
            f"than {chosen.turn} ({chosen.agreement:.3f})"
        )
        findings.append(Finding("orientation-doubted", "warning", message))
    return chosen, tuple(findings)


def _opposite(side: str | None) -> str:
    return "right" if side == "left" else "left"


def _segmentation(found: Labelling, volume: Volume, settings: Settings) -> Segmentation:
    """Return the labels on the input's grid, with what says how sure they are."""
    names = dict(settings.labels)
    present = set(np.unique(found.labels).tolist())
    return Segmentation(
        labels=Labels(found.labels, volume.geometry, names),
        entropy=Saliency(
            found.entropy,
            volume.geometry,
            method="entropy",
            target="all labels",
            unit="bit",
            parameters={"classes": settings.outputs},
        ),
        confidence={name: found.confidence[n] for n, name in names.items() if n in present and n in found.confidence},
    )


def _explain(method: Any, tried: _Tried, volume: Volume, settings: Settings, network: Any) -> Saliency:
    """Return the map of one method for all that was labelled."""
    dimensions = settings.contract.dimensions
    spacing = tried.prepared.geometry.spacing[:dimensions] if volume.geometry.physical else None
    parts = parts_of(tried.prepared.voxels, dimensions=dimensions)
    masks = parts_of(tried.labelling.seen > 0, dimensions=dimensions)
    pairs = zip(parts, masks, strict=True)
    maps = [_explained(method, part, mask, settings, network, spacing) for part, mask in pairs]
    values = np.concatenate([each for each, _ in maps], axis=-1)
    return Saliency(
        undo(values, tried.prepared.geometry, tried.before, order=1, fill=0.0),
        volume.geometry,
        method=method.use,
        target="all labels",
        parameters=_parameters_of([each.parameters for _, each in maps if each is not None]),
    )


def _explained(
    method: Any,
    voxels: NDArray[np.float32],
    found: NDArray[np.bool_],
    settings: Settings,
    network: Any,
    spacing_mm: Sequence[float] | None,
) -> tuple[NDArray[np.float32], ExplainedMap | None]:
    """Return the map (I, J, K) of what the network sees at once; zeros and None where it found nothing there."""
    if not found.any():
        return np.zeros(found.shape, dtype=np.float32), None
    dimensions = settings.contract.dimensions
    device = str(next(network.parameters()).device)
    image = to_tensor(voxels, dimensions=dimensions, device=device)
    region = Region(found.reshape(tuple(image.shape[2:])))
    axes, divisor = settings.predict.mirror_axes, settings.network.divisor
    explained = explained_by(method, network, image, region, spacing_mm=spacing_mm, mirror_axes=axes, divisor=divisor)
    return explained.values.reshape(found.shape), explained


def _parameters_of(slices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the parameters of a map; of one made slice by slice with the mean of the scores, and how many they are."""
    if len(slices) == 1:
        return dict(slices[0])
    score = float(np.mean([each["score"] for each in slices]))
    return {**slices[0], "score": score, "slices": len(slices)}
