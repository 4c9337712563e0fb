"""What one frame states: a file of a classic series, or one frame of a multi-frame file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

Numbers = tuple[float, ...]
_MEASURES = ("echo time", "inversion time", "b-value", "trigger time")
_PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"


@dataclass(frozen=True)
class Frame:
    """One frame's header; it knows identities in order to compare them, and they are never shown or written.

    Attributes are named as in DICOM; None where the tag is missing or empty. In a multi-frame file, what its
    functional groups state of a frame stands here as if the frame were a file of its own.

    Parameters
    ----------
    file, number
        Where the frame is: the file, and which frame of it, from 0.
    transfer_syntax
        How the pixels are encoded.
    is_assumed
        Whether the file does not state its Transfer Syntax, so that it was told from its first elements.
    position, orientation
        Image Position and Image Orientation (Patient), LPS in mm; None where the frame has no place in the patient.
    tile
        Rows, columns and place (row, column) of the frame in a picture that is tiled with frames (a mosaic).
    scaling
        Dose Grid Scaling of a dose; it stands in for a slope.
    order
        What tells volumes at one place from each other, by its name: echo, time, b-value, ...
    pixels
        Tag, offset and length of the pixel data where these can be read as they stand.
    person
        Name, birth date and sex of the patient.
    technique
        What changes values and not places: tube voltage, kernel, flip angle.
    images_stated, slices_stated
        How many images the acquisition, and how many slices the volume has, where that is stated.
    concatenation
        The concatenation that the file is a part of: its UID, the number of the part (from 1), how many there are.
    has_one_rescale
        Whether no slope, intercept or scaling has several values.
    dose
        Dose Units and Dose Type.
    presentation
        Presentation LUT Shape.
    float_padding
        The ends of what is padding among floating-point pixels.
    """

    file: Path
    number: int
    transfer_syntax: str
    is_assumed: bool
    sop_class: str
    sop_instance: str | None
    study: str | None
    series: str | None
    patient: str | None
    frame_of_reference: str | None
    modality: str | None
    image_type: tuple[str, ...]
    description: str | None
    series_number: int | None
    position: Numbers | None
    orientation: Numbers | None
    patient_orientation: tuple[str, ...]
    pixel_spacing: Numbers | None
    imager_spacing: Numbers | None
    slice_thickness: float | None
    spacing_between: float | None
    rows: int | None
    columns: int | None
    frames: int
    samples: int | None
    photometric: str | None
    bits_allocated: int | None
    bits_stored: int | None
    high_bit: int | None
    pixel_representation: int | None
    slope: float | None
    intercept: float | None
    rescale_type: str | None
    has_modality_lut: bool
    has_real_world_map: bool
    units: str | None
    padding: int | None
    padding_limit: int | None
    is_lossy: bool
    scaling: float | None
    order: tuple[tuple[str, float | str | Numbers], ...]
    pixels: tuple[int, int, int | None] | None
    tile: tuple[int, int, int, int] | None = None
    person: tuple[str | None, ...] = ()
    technique: tuple[str, ...] = ()
    images_stated: int | None = None
    slices_stated: int | None = None
    concatenation: tuple[str, int, int] | None = None
    has_one_rescale: bool = True
    dose: tuple[str | None, str | None] = (None, None)
    presentation: str | None = None
    float_padding: tuple[float, float] | None = None

    @property
    def has_float_pixels(self) -> bool:
        """Whether the pixels are floating-point numbers, as in parametric maps: then no Bits Stored is stated."""
        return self.bits_stored is None and self.high_bit is None and self.sop_class == _PARAMETRIC_MAP

    def ordered_by(self, name: str) -> float | str | Numbers | None:
        """Return the value by which volumes at one place are told apart, e.g. ``"echo time"``."""
        return next((value for key, value in self.order if key == name), None)


def rounded(frame: Frame, name: str) -> float | str | Numbers | None:
    """Return a value by which volumes are told apart; measures to three digits, for writers state them differently."""
    value = frame.ordered_by(name)
    return float(f"{value:.3g}") if name in _MEASURES and isinstance(value, float) else value
