"""What the pipeline is made for, so that other cases are noticed; and how its answers are explained."""

from __future__ import annotations

from medvision.explain import SALIENCY
from medvision.fingerprint import UNKNOWN, WORLD, Fingerprint
from medvision.planning.augmentation import sides_of
from medvision.planning.decision import Decision, Request
from medvision.planning.values import EIGHT_BITS, is_eight_bits
from medvision.report.wording import many

SPACING_MARGIN = 2.0
"""How much finer or coarser than all training images one may be: beyond, resampling invents or loses too much."""

EXTENT_MARGIN = 1.5
"""How much smaller or larger than all training images' a field of view may be."""


def contract_of(data: Fingerprint, request: Request) -> tuple[Decision, ...]:
    """Return the contract: what is known of the training data, with margins."""
    shows = f"{_capital(kind_of(data))} {_size(data)}, like those of the training data"
    flat = "Every image is one slice." if data.dimensions == 2 else "Images have several slices."
    names = [channel.name for channel in data.channels]
    return (
        Decision("contract.shows", shows, "What the data state. Which part of the body it is, they do not."),
        Decision("contract.dimensions", data.dimensions, flat),
        _modality(data),
        Decision("contract.channels", names, f"Every image has {many(len(names), 'channel')}."),
        *_side(data, request),
        *_limits(data),
    )


def kind_of(data: Fingerprint) -> str:
    """Return what one image is, in words, e.g. ``"MR volume"``."""
    return " ".join(filter(None, (data.modality, "picture" if data.dimensions == 2 else "volume")))


def _size(data: Fingerprint) -> str:
    """Return how large a typical image is: in mm where that is known, along left-right, front-back and foot-head."""
    axes = data.plane
    if data.extent_mm is None:
        unit = "pixels" if data.dimensions == 2 else "voxels"
        return f"of about {' x '.join(f'{data.shape[axis].p50:.0f}' for axis in axes)} {unit}"
    sides = [data.extent_mm[axis].p50 for axis in axes]
    shown = " x ".join(f"{side:.0f}" if side >= 10 else f"{side:.2g}" for side in sides)
    return f"of about {shown} mm ({', '.join(WORLD[axis] for axis in axes)})"


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def explain_of(data: Fingerprint) -> tuple[Decision, ...]:
    """Return the saliency methods that fit the task."""
    why = "Which parts of the image spoke for the answer: it fits the task."
    return tuple(Decision(f"explain.{name}", {}, why) for name, method in SALIENCY.items() if data.task in method.tasks)


def _modality(data: Fingerprint) -> Decision:
    found = ", ".join(f"{count:,} {name}" for name, count in data.modalities.items())
    if data.modality is not None:
        why = f"Every case is {data.modality}."
    elif set(data.modalities) == {UNKNOWN}:
        why = "No case states one: it is not checked."
    else:
        why = f"Not all cases state the same ({found}): it is not checked."
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
