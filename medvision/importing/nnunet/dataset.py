"""What ``dataset.json`` says: channels and labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic.dataclasses import dataclass

from medvision.errors import PipelineError
from medvision.importing.nnunet.documents import FOREIGN, unsupported

_Number = int | str
_MODALITIES = {
    "CT": ("ct",),
    "MR": ("mri", "mr", "t1", "t1w", "t1c", "t1ce", "t1gd", "t2", "t2w", "flair", "dwi", "adc", "pd", "swi"),
    "PT": ("pet", "pt"),
}


@dataclass(frozen=True, config=FOREIGN)
class Dataset:
    """The data set of a training; before nnU-Net 2, `channel_names` were called `modality`."""

    labels: Mapping[str, _Number | tuple[_Number, ...]]
    channel_names: Mapping[str, str] | None = None
    modality: Mapping[str, str] | None = None
    regions_class_order: tuple[int, ...] | None = None
    file_ending: str = "not stated"

    def channels(self, path: Path) -> tuple[str, ...]:
        """Return what each channel holds, in order.

        Raises
        ------
        PipelineError
            ``import-invalid``: there are none, or they are not numbered from 0.
        """
        stated = self.channel_names or self.modality or {}
        if not stated or set(stated) != {str(number) for number in range(len(stated))}:
            message = f"channel_names: they are numbered from 0 without gaps, got {sorted(stated)}"
            raise PipelineError("import-invalid", message, path=path)
        return tuple(stated[str(number)] for number in range(len(stated)))

    def names(self, path: Path) -> dict[int, str]:
        """Return the name of each label from 1; the network has an output for each, and one for background.

        Raises
        ------
        PipelineError
            ``import-unsupported``: labels are regions, which can overlap. ``import-invalid``: their numbers are none,
            or are not those from 0 for the background on.
        """
        regions = [name for name, number in self.labels.items() if isinstance(number, tuple) and len(number) > 1]
        if regions:
            message = f"labels: regions of several numbers ({', '.join(map(repr, regions[:3]))}) can overlap"
            raise unsupported(f"{message}; a voxel has one label here", path)
        numbers = {name: _number(number, name, path) for name, number in self.labels.items() if name != "ignore"}
        if sorted(numbers.values()) != list(range(len(numbers))) or len(numbers) < 2:
            message = f"labels: they are numbered from 0, the background, without gaps, got {sorted(numbers.values())}"
            raise PipelineError("import-invalid", message, path=path)
        return {number: name for name, number in sorted(numbers.items(), key=lambda each: each[1]) if number}


def modality_of(channels: tuple[str, ...]) -> str | None:
    """Return the DICOM modality that all channels are named for; None where they are not, or are of several.

    >>> modality_of(("T1", "FLAIR")), modality_of(("CT", "PET")), modality_of(("zscore",))
    ('MR', None, None)
    """
    found = {next((code for code, names in _MODALITIES.items() if each.casefold() in names), None) for each in channels}
    return found.pop() if len(found) == 1 else None


def _number(stated: _Number | tuple[_Number, ...], name: str, path: Path) -> int:
    number = stated[0] if isinstance(stated, tuple) and stated else stated
    try:
        return int(number)  # type: ignore[arg-type]  # an empty tuple is refused below
    except (TypeError, ValueError):
        message = f"labels.{name}: a whole number is wanted, got {stated!r}"
        raise PipelineError("import-invalid", message, path=path) from None
