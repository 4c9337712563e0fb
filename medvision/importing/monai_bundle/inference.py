"""How a bundle applies its network, and what it makes of the answers: inferer and postprocessing, as our settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from medvision.importing.monai_bundle.component import NEEDED, Component, unsupported
from medvision.importing.monai_bundle.transforms import ALWAYS, listed, works_on

_SLIDING = ("SlidingWindowInferer", "SlidingWindowInfererAdapt")
_MEMORY = (
    "sw_batch_size",
    "sw_device",
    "device",
    "progress",
    "cache_roi_weight_map",
    "cpu_thresh",
    "buffer_steps",
    "buffer_dim",
)
"""Arguments of a sliding window that say where and how many at once, and change no number."""

_WEIGHTING: Mapping[str, Literal["gaussian", "constant"]] = {"gaussian": "gaussian", "constant": "constant"}
_PADDING: Mapping[str, Literal["zero", "edge"]] = {"constant": "zero", "replicate": "edge"}
_UNUSED = {
    "EnsureTyped": (*ALWAYS, "data_type", "device", "wrap_sequence", "track_meta", "dtype"),
    "ToTensord": (*ALWAYS, "device", "wrap_sequence", "track_meta", "dtype"),
    "ToDeviced": (*ALWAYS, "device", "non_blocking"),
    "Identityd": ALWAYS,
    "Decollated": ("keys", "detach", "allow_missing_keys"),
    "CopyItemsd": ("keys", "times", "names", "allow_missing_keys"),
}


@dataclass(frozen=True)
class Applied:
    """How a network is applied.

    Parameters
    ----------
    window
        The sliding window; None where the network sees the whole image.
    overlap
        Share of the window that neighbours have in common.
    weighting
        ``"gaussian"`` or ``"constant"``: how much each voxel of a window counts.
    padding
        ``"zero"`` or ``"edge"``: what lies beyond an image that is smaller than the window.
    slices
        Whether a network of 2 dimensions sees a volume slice by slice.
    """

    window: tuple[int, ...] | None = None
    overlap: float = 0.5
    weighting: Literal["gaussian", "constant"] = "gaussian"
    padding: Literal["zero", "edge"] = "zero"
    slices: bool = False


@dataclass(frozen=True)
class Answered:
    """What becomes of a network's answers.

    Parameters
    ----------
    exclusive
        Whether one label holds (softmax, argmax), or each is a question of its own (sigmoid).
    threshold
        From which probability on a label holds, where each is a question of its own.
    labels_moved
        Whether labels, and not probabilities, are brought back to the image's grid.
    """

    exclusive: bool
    threshold: float = 0.5
    labels_moved: bool = False


def applied_by(inferer: Component | None, dimensions: int) -> Applied:
    """Return how a bundle's inferer applies its network of 2 or 3 dimensions; None is MONAI's ``SimpleInferer``.

    Raises
    ------
    PipelineError
        ``import-unsupported``: it does what we do not.
    """
    if inferer is None or inferer.name == "SimpleInferer":
        if inferer is not None:
            inferer.read({})
        return Applied()
    if inferer.name in _SLIDING:
        return _sliding(inferer, dimensions, slices=False)
    if inferer.name == "SliceInferer":
        if dimensions != 2:
            raise unsupported(inferer.path, inferer.place, "SliceInferer is for a network of two dimensions")
        return _sliding(inferer, dimensions, slices=True)
    raise unsupported(inferer.path, inferer.place, f"the inferer {inferer.name} is not known here")


def _sliding(inferer: Component, dimensions: int, *, slices: bool) -> Applied:
    known = {"roi_size": NEEDED, "overlap": 0.25, "mode": "constant", "padding_mode": "constant"}
    if slices:
        known["spatial_dim"] = 0
    fixed = {"sigma_scale": 0.125, "cval": 0.0, "with_coord": False}
    given = inferer.read(known, fixed=fixed, ignored=_MEMORY)
    if slices and given["spatial_dim"] != 2:
        raise inferer.refused("spatial_dim", "only slices along the last axis, 2, can be done here")
    overlap = given["overlap"]
    if isinstance(overlap, list) and len(set(overlap)) == 1:
        overlap = overlap[0]
    if not isinstance(overlap, int | float) or not 0 <= overlap < 1:
        raise inferer.refused("overlap", "one share from 0 to below 1 is wanted for all axes")
    if given["mode"] not in _WEIGHTING:
        raise inferer.refused("mode", "only 'constant' or 'gaussian' can be done here")
    if given["padding_mode"] not in _PADDING:
        raise inferer.refused("padding_mode", "only 'constant' or 'replicate' can be done here")
    window = _window(inferer, given["roi_size"], dimensions)
    return Applied(window, float(overlap), _WEIGHTING[given["mode"]], _PADDING[given["padding_mode"]], slices)


def _window(inferer: Component, size: Any, dimensions: int) -> tuple[int, ...] | None:
    sizes = size if isinstance(size, list) else [size] * dimensions
    if len(sizes) == dimensions and all(n is None or n == -1 for n in sizes):
        return None
    if len(sizes) != dimensions or not all(isinstance(n, int) and n > 0 for n in sizes):
        raise inferer.refused("roi_size", f"{dimensions} sizes above 0 are wanted")
    return tuple(sizes)


def answered_by(postprocessing: Any, key: str) -> Answered | None:
    """Return what a bundle makes of the entry `key`; None where it does not say.

    Raises
    ------
    PipelineError
        ``import-unsupported``: a transform changes the answers as we do not.
    """
    parts = [part for part in listed(postprocessing, "postprocessing") if _matters(part, key)]
    found = [_of_one(part) for part in parts]
    exclusive = {each for each, _ in found if each is not None}
    thresholds = [limit for _, limit in found if limit is not None]
    if not exclusive:
        return None
    if len(exclusive) == 2:
        why = "labels that exclude each other (softmax, argmax) and labels that do not (sigmoid, threshold) in one"
        raise unsupported(parts[0].path, "postprocessing", why)
    return Answered(exclusive.pop(), thresholds[-1] if thresholds else 0.5, _moves_labels(parts))


def _matters(part: Component, key: str) -> bool:
    if part.name in ("SaveImaged", "SaveClassificationd", "DeleteItemsd", "SelectItemsd"):
        return False
    return works_on(part, key) is not None


def _of_one(part: Component) -> tuple[bool | None, float | None]:
    """Return whether labels exclude each other after a transform, and its threshold; None for what it does not say."""
    if part.name in _UNUSED:
        part.read({}, ignored=_UNUSED[part.name])
        return None, None
    if part.name == "Activationsd":
        given = part.read({"softmax": False, "sigmoid": False}, fixed={"other": None}, ignored=ALWAYS)
        softmax, sigmoid = (_flag(given[name]) for name in ("softmax", "sigmoid"))
        return (True if softmax else False if sigmoid else None), None
    if part.name == "AsDiscreted":
        given = part.read(
            {"argmax": False, "threshold": None}, fixed={"rounding": None}, ignored=(*ALWAYS, "to_onehot")
        )
        limit = given["threshold"]
        if _flag(given["argmax"]):
            return True, None
        if limit is None:
            return None, None
        if not isinstance(limit, int | float) or not 0 < limit < 1:
            raise part.refused("threshold", "a probability above 0 and below 1 is wanted")
        return False, float(limit)
    if part.name == "Invertd":
        unused = ("transform", "orig_keys", "orig_meta_keys", "to_tensor", "device", "nearest_interp")
        part.read({}, fixed={"post_func": None}, ignored=(*ALWAYS, *unused))
        return None, None
    raise unsupported(part.path, part.place, f"the transform {part.name} changes the answers as is not known here")


def _moves_labels(parts: Sequence[Component]) -> bool:
    """Whether labels are made before they are brought back, or are brought back by the nearest voxel."""
    names = [part.name for part in parts]
    if "Invertd" not in names:
        return False
    place = names.index("Invertd")
    return "AsDiscreted" in names[:place] or parts[place].arguments.get("nearest_interp") is not False


def _flag(value: Any) -> bool:
    return any(value) if isinstance(value, list) else bool(value)
