"""What a pipeline was made for, and how a case compares with it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from medvision.errors import Finding, InputError
from medvision.strict import STRICT
from medvision.study import Case
from medvision.volume import Volume


@dataclass(frozen=True, config=STRICT)
class Contract:
    """What a pipeline was made for: its ``[contract]`` table.

    Parameters
    ----------
    shows
        What an image must show, in words for a person.
    dimensions
        2 for pictures, 3 for volumes.
    slices
        Whether a network of two dimensions segments volumes too, slice by slice along the last axis of the grid that
        the steps leave; each slice is seen by itself.
    modality
        The DICOM modality, e.g. ``"MR"``; None accepts all.
    channels
        What each channel holds, in order.
    side
        The side of the body as which the network knows its structure. A case of the other side is mirrored before
        the network and its result mirrored back; where a case does not state its side, both are tried.
    orientation_check
        Whether a segmentation is also tried on mirrored and turned images, so that an image that lies otherwise
        than its header says is marked for review.
    orientation_margin
        How far the agreements of two orientations must lie apart to tell them from each other, 0 to 1.
    least_agreement
        How far the network must agree with itself (see `orientation_check`), 0 to 1; below it, the case is for review.
    values
        The least and the greatest value that an image can have, in its own unit; outside them, or on less than a
        tenth of the span between them, the case is for review.
    spacing_mm
        The least and the greatest accepted distance of voxels, in mm; outside it, the case is for review.
    extent_mm
        The least and the greatest accepted side of the field of view, in mm; outside it, the case is for review, and
        beyond four times the greatest it is refused.
    unsized
        Whether an image that states no size in mm, as one in an ``.npz``, is taken to have the known one, with a note.
        Without it such a case is for review.
    axes_as_stored
        Whether the network was trained on NIfTI files with their axes as they are stored, wherever these point to. What
        comes from another kind of file is stored otherwise, and the case is for review.

    Raises
    ------
    ValueError
        `slices` comes with three dimensions; limits are not above 0, or do not rise; `unsized` comes without a size for
        known.
    """

    shows: str
    dimensions: Literal[2, 3] = 3
    slices: bool = False
    modality: str | None = None
    channels: tuple[str, ...] = Field(default=("image",), min_length=1)
    side: Literal["left", "right"] | None = None
    orientation_check: bool = False
    orientation_margin: float = Field(default=0.01, ge=0.0, le=1.0)
    least_agreement: float = Field(default=0.0, ge=0.0, le=1.0)
    values: tuple[float, float] | None = None
    spacing_mm: tuple[float, float] | None = None
    extent_mm: tuple[float, float] | None = None
    unsized: bool = False
    axes_as_stored: bool = False

    def __post_init__(self) -> None:
        if self.slices and self.dimensions == 3:
            raise ValueError("slices is for dimensions = 2; a network of three sees the whole volume")
        for name, limits in (("spacing_mm", self.spacing_mm), ("extent_mm", self.extent_mm)):
            if limits is not None and not 0 < limits[0] <= limits[1]:
                raise ValueError(f"{name} is the least and the greatest, above 0, got {list(limits)}")
        if self.unsized and not (self.spacing_mm or self.extent_mm):
            raise ValueError("unsized takes a size for known: give it as spacing_mm or extent_mm")

    def check(self, volume: Volume, case: Case) -> tuple[Finding, ...]:
        """Return how the case differs from what the pipeline was made for.

        Raises
        ------
        InputError
            The network cannot take it: other channels, a picture for a volume, or a volume for a picture; or its
            size in mm can only be a wrong unit, and would cost memory without end.
        """
        if volume.channels != len(self.channels):
            wanted = ", ".join(self.channels)
            raise InputError(
                "channels-differ",
                f"{len(self.channels)} channel(s) wanted ({wanted}), got {volume.channels}",
                path=case.path,
            )
        flat = volume.geometry.shape[2] == 1
        if flat != (self.dimensions == 2) and not self.slices:
            wanted = "a picture" if self.dimensions == 2 else "a volume"
            raise InputError("not-3d", f"{wanted} is wanted, the image is {volume.geometry.shape}", path=case.path)
        if self.extent_mm and volume.geometry.physical and max(volume.geometry.extent) > 4 * self.extent_mm[1]:
            message = f"the field of view is {max(volume.geometry.extent):.4g} mm; {self.extent_mm[1]:.4g} mm is known"
            raise InputError("size-outside", message, path=case.path, cure="Check the unit of the file's spacing.")
        return tuple(self._differences(volume, case))

    def _differences(self, volume: Volume, case: Case) -> list[Finding]:
        found = [self._modality(volume.modality or case.modality)]
        if volume.geometry.physical:
            found.append(_outside("spacing-outside", "spacing", volume.geometry.spacing, self.spacing_mm))
            found.append(_outside("size-outside", "field of view", volume.geometry.extent, self.extent_mm))
        elif self.spacing_mm or self.extent_mm:
            found.append(self._unsized())
        if (
            self.dimensions == 2
            and not self.slices
            and volume.geometry.physical
            and volume.geometry.orientation[1] in "SA"
        ):
            # Rows of a picture run downwards: to the feet, or to the back.
            message = "the rows of the image run upwards, unlike those of a picture"
            found.append(Finding("orientation-doubted", "warning", message))
        found.append(self._stored(case))
        if volume.geometry.is_sheared:
            found.append(Finding("sheared", "warning", "the axes of the voxels are not at right angles"))
        found.append(self._values(volume))
        for name, voxels in zip(self.channels, volume.voxels, strict=True):
            if voxels.min() == voxels.max():
                message = f"all voxels of the channel {name!r} have the same value"
                found.append(Finding("constant-image", "warning", message))
        return [finding for finding in found if finding is not None]

    def _stored(self, case: Case) -> Finding | None:
        kinds = sorted({source.kind for source in case.images} - {"nifti"})
        if not self.axes_as_stored or not kinds:
            return None
        message = f"the network takes axes as NIfTI files store them; this is {' and '.join(kinds)}"
        cure = "Import the model with --orientation, or give the NIfTI file that its training would have been given."
        return Finding("orientation-doubted", "warning", message, cure=cure)

    def _unsized(self) -> Finding:
        if not self.unsized:
            message = "the file states no physical size, so spacing and field of view cannot be checked"
            return Finding("spacing-outside", "warning", message)
        known = (("a spacing", self.spacing_mm), ("a field of view", self.extent_mm))
        taken = " and ".join(f"{what} of {limits[0]:.4g} to {limits[1]:.4g} mm" for what, limits in known if limits)
        return Finding("spacing-outside", "note", f"the file states no physical size; {taken} is assumed")

    def _values(self, volume: Volume) -> Finding | None:
        if self.values is None:
            return None
        low, high = float(volume.voxels.min()), float(volume.voxels.max())
        least, greatest = self.values
        if least <= low and high <= greatest and high - low >= (greatest - least) / 10:
            return None
        message = f"the values lie between {low:.4g} and {high:.4g}; {least:.4g} to {greatest:.4g} is known"
        return Finding("values-outside", "warning", message)

    def _modality(self, stated: str | None) -> Finding | None:
        if self.modality is None or stated == self.modality:
            return None
        if stated is None:
            return Finding("modality-unknown", "note", f"{self.modality} is wanted; the file states no modality")
        return Finding("modality-differs", "warning", f"{self.modality} is wanted, the image is {stated}")


def _outside(code: str, what: str, values: tuple[float, ...], limits: tuple[float, float] | None) -> Finding | None:
    rounding = 1e-5  # headers hold spacings in 32 bits
    if limits is None or all(limits[0] * (1 - rounding) <= value <= limits[1] * (1 + rounding) for value in values):
        return None
    given = " x ".join(f"{value:.4g}" for value in values)
    return Finding(code, "warning", f"the {what} is {given} mm; {limits[0]:.4g} to {limits[1]:.4g} mm is known")
