"""Which values the network sees: how those of the images are brought to a common scale."""

from __future__ import annotations

import math
from collections.abc import Iterator

from medvision.fingerprint import UNKNOWN, Channel, Fingerprint, Pooled
from medvision.planning.decision import Decision

EMPTY = 0.25
"""Share of voxels that are exactly 0, above which the object alone is measured (nnU-Net's for its crop to non-zero)."""

EIGHT_BITS = (0.0, 255.0)
"""The range of pictures of 8 bits."""


def values_of(data: Fingerprint) -> tuple[Decision, ...]:
    """Return the steps that change values.

    Values that mean the same in all cases keep their meaning: one mapping for all, from the statistics of the data set.
    All others are measured in each image.
    """
    if is_eight_bits(data):
        mapped = {"source": list(EIGHT_BITS), "low": -1.0, "high": 1.0}
        why = "Pictures of 8 bits: one mapping for all keeps what is bright and what is dark; centred on 0."
        return (Decision("steps.rescale", mapped, why),)
    if _is_stated(data) and len(data.channels) == 1 and _spread(data.channels[0]).sd > 0:
        return tuple(_by_data_set(data))
    return (_by_image(data),)


def is_eight_bits(data: Fingerprint) -> bool:
    """Whether the values are those of pictures of 8 bits, whose range is known before any image is read."""
    low, high = EIGHT_BITS
    inside = all(low <= channel.whole.least and channel.whole.greatest <= high for channel in data.channels)
    # A picture uses much of the range; CT or SUV that happen to lie within it do not say so. A volume in mm that does
    # is mostly MR, scaled to 8 bits case by case.
    picture = data.dimensions == 2 or not data.physical
    return inside and data.absolute and picture and data.modality not in ("CT", "PT")


def _is_stated(data: Fingerprint) -> bool:
    """Whether modality or unit say that values mean the same in all cases, and not their range alone."""
    return data.absolute and (data.modality == "CT" or UNKNOWN not in data.units)


def is_two_valued(channel: Channel) -> bool:
    """Whether a channel has two values only, as a mask has.

    Of all values between two ends, those that are either end alone have the greatest variance for their mean (Bhatia
    and Davis, American Mathematical Monthly 2000), so that the figures of a fingerprint tell.
    """
    found = channel.whole
    span = found.greatest - found.least
    most = (found.mean - found.least) * (found.greatest - found.mean)
    return span > 0 and math.isclose(found.sd**2, most, abs_tol=1e-6 * span**2)


def _spread(channel: Channel) -> Pooled:
    return channel.foreground or channel.whole


def _by_data_set(data: Fingerprint) -> Iterator[Decision]:
    channel = data.channels[0]
    found, where = _spread(channel), "the labelled voxels" if channel.foreground else "all voxels"
    unit = "CT states HU" if data.modality == "CT" else "The values mean the same in all cases"
    low, high = (float(f"{edge:.4g}") for edge in (found.low, found.high))
    if low < high:
        why = (
            f"{unit}: cut at the percentiles 0.5 and 99.5 of {where} of all cases, beyond which nothing is to be told."
        )
        yield Decision("steps.clip", {"low": low, "high": high}, why)
    mean, sd = float(f"{found.mean:.5g}"), float(f"{found.sd:.5g}")
    ends = [round(mean - sd, 6), round(mean + sd, 6)]
    why = f"The mean {mean:g} of {where} becomes 0, and their standard deviation {sd:g} becomes 1, alike in every case."
    yield Decision("steps.rescale", {"source": ends, "low": -1.0, "high": 1.0}, why)


def _by_image(data: Fingerprint) -> Decision:
    kind = f"{data.modality} has" if data.modality else "These images have"
    why = f"{kind} no absolute values: each image has its own mean and standard deviation"
    if _is_stated(data) and len(data.channels) > 1:
        why = "Channels of different meaning have one mapping each: by their own mean and standard deviation"
    empty = min(channel.whole_per_case.share_zero.p50 for channel in data.channels)
    if empty > EMPTY and min(channel.whole.least for channel in data.channels) >= 0:
        return Decision(
            "steps.zscore", {"threshold": 0.0}, f"{why}, without the zeros around it, typically {empty:.0%}."
        )
    return Decision("steps.zscore", {}, f"{why}.")
