"""What the pipeline is made for, so that other cases are noticed; and how its answers are explained."""

from __future__ import annotations

from medvision.explain import SALIENCY
from medvision.fingerprint import Fingerprint
from medvision.planning.augmentation import sides_of
from medvision.planning.decision import Decision, Request
from medvision.planning.values import EIGHT_BITS, is_eight_bits

SPACING_MARGIN = 2.0
"""How much finer or coarser than all training images one may be: beyond, resampling invents or loses too much."""

EXTENT_MARGIN = 1.5
"""How much smaller or larger than all training images' a field of view may be."""


def contract_of(data: Fingerprint, request: Request) -> tuple[Decision, ...]:
    """Return the contract: what is known of the training data, with margins."""
    kind = " ".join(filter(None, (data.modality, "picture" if data.dimensions == 2 else "volume")))
    shows = request.shows or f"{kind}, as in the training data (say here in words what it must show)"
    flat = "Every image is one slice." if data.dimensions == 2 else "Images have several slices."
    names = [channel.name for channel in data.channels]
    return (
        Decision("contract.shows", shows, "Only a person knows; it stands on each page and in the card."),
        Decision("contract.dimensions", data.dimensions, flat),
        _modality(data),
        Decision("contract.channels", names, f"Every image has {len(names)} channel(s)."),
        *_side(data, request),
        *_limits(data),
    )


def explain_of(data: Fingerprint) -> tuple[Decision, ...]:
    """Return the saliency methods that fit the task."""
    why = "Which parts of the image spoke for the answer: it fits the task."
    return tuple(Decision(f"explain.{name}", {}, why) for name, method in SALIENCY.items() if data.task in method.tasks)


def _modality(data: Fingerprint) -> Decision:
    found = ", ".join(f"{count} {name}" for name, count in data.modalities.items())
    if data.modality is None:
        why = f"The cases do not agree on one, or do not state it ({found}): it is not checked."
    else:
        why = f"All {data.cases} cases are {data.modality}."
    return Decision("contract.modality", data.modality, why)


def _side(data: Fingerprint, request: Request) -> tuple[Decision, ...]:
    if data.task != "segmentation" or not request.sides or sides_of(data) or not data.physical or data.dimensions == 2:
        return ()
    why = (
        "Every case states its side: right ones are mirrored, so that the network knows one side, from twice the cases."
    )
    return (Decision("contract.side", "left", why),)


def _limits(data: Fingerprint) -> tuple[Decision, ...]:
    found = []
    if is_eight_bits(data):
        found.append(
            Decision("contract.values", list(EIGHT_BITS), "Pictures of 8 bits; others would be scaled wrongly.")
        )
    if data.spacing_mm is None or data.extent_mm is None:
        return tuple(found)
    # A flat image is judged by the thickness that it states, too: the contract knows no plane.
    steps, sides = data.spacing_mm, data.extent_mm
    fine, coarse = min(axis.least for axis in steps), max(axis.greatest for axis in steps)
    small, large = min(axis.least for axis in sides), max(axis.greatest for axis in sides)
    given = f"{fine:.3g} mm" if fine == coarse else f"{fine:.3g} to {coarse:.3g} mm"
    why = f"The cases have {given}; up to {SPACING_MARGIN:g} times finer or coarser comes close."
    found.append(Decision("contract.spacing_mm", _widened(fine, coarse, SPACING_MARGIN), why))
    given = f"{small:.3g} mm" if small == large else f"{small:.3g} to {large:.3g} mm"
    why = f"The cases' fields of view are {given} a side, with a margin of {EXTENT_MARGIN:g}."
    found.append(Decision("contract.extent_mm", _widened(small, large, EXTENT_MARGIN), why))
    return tuple(found)


def _widened(least: float, greatest: float, margin: float) -> list[float]:
    return [float(f"{least / margin:.2g}"), float(f"{greatest * margin:.2g}")]
