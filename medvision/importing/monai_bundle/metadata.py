"""What a bundle says of itself: its input, the names of its labels, and words for the card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medvision.errors import PipelineError
from medvision.importing.monai_bundle.document import Document

_MODALITIES = {"CT": "CT", "MR": "MR", "MRI": "MR", "PET": "PT", "PT": "PT", "US": "US", "CR": "CR", "DX": "DX"}
_LIMIT = 2_000  # characters of words for the card


@dataclass(frozen=True)
class Metadata:
    """A bundle's ``metadata.json``.

    Parameters
    ----------
    path
        The file.
    content
        Its JSON.
    """

    path: Path
    content: Mapping[str, Any] = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> Metadata:
        """Read the file; PipelineError where it is missing or no table of JSON."""
        return cls(path, Document.open(path).content)

    @property
    def input_key(self) -> str:
        """The entry that holds the image."""
        return self._key("inputs", "image")

    @property
    def output_key(self) -> str:
        """The entry that holds what the network says."""
        return self._key("outputs", "pred")

    @property
    def modality(self) -> str | None:
        """The DICOM modality of the images; None where it is not stated, or by a word that is none."""
        stated = self._format("inputs", self.input_key).get("modality")
        return _MODALITIES.get(stated.upper()) if isinstance(stated, str) else None

    def channels(self, count: int) -> tuple[str, ...]:
        """Return what each channel of the image holds.

        Raises
        ------
        PipelineError
            ``import-invalid``: the metadata state another number of them than the network has.
        """
        names = self._names("inputs", self.input_key, count)
        return names or tuple(f"channel {n + 1}" for n in range(count)) if count > 1 else names or ("image",)

    def labels(self, count: int) -> tuple[str, ...]:
        """Return the name of each of the network's outputs.

        Raises
        ------
        PipelineError
            ``import-invalid``: they are not stated, or another number of them than the network has.
        """
        names = self._names("outputs", self.output_key, count)
        if not names:
            place = f"network_data_format.outputs.{self.output_key}.channel_def"
            message = f"{place} does not name the {count} outputs of the network"
            cure = "Write a name for each number there, in a copy of the bundle."
            raise PipelineError("import-invalid", message, path=self.path, cure=cure)
        return names

    def words(self, key: str) -> str | None:
        """Return a text of the metadata on one line; None where there is none."""
        value = self.content.get(key)
        if isinstance(value, list):
            value = "; ".join(part for part in value if isinstance(part, str))
        if not isinstance(value, str):
            return None
        return " ".join(value.split())[:_LIMIT] or None

    @property
    def version(self) -> str:
        """Of the bundle."""
        return self.words("version") or "unknown"

    def _key(self, side: str, usual: str) -> str:
        entries = self._format(side)
        return usual if usual in entries or not entries else next(iter(entries))

    def _format(self, *keys: str) -> Mapping[str, Any]:
        node: Any = self.content.get("network_data_format")
        for key in keys:
            node = node.get(key) if isinstance(node, Mapping) else None
        return node if isinstance(node, Mapping) else {}

    def _names(self, side: str, key: str, count: int) -> tuple[str, ...]:
        """Return the names of channels in order; none where they are not stated, or not for all."""
        entry = self._format(side, key)
        stated = entry.get("num_channels")
        if isinstance(stated, int) and stated != count:
            place = f"network_data_format.{side}.{key}.num_channels"
            message = f"{place} is {stated}, but the network has {count}"
            raise PipelineError("import-invalid", message, path=self.path)
        defined = entry.get("channel_def")
        names = defined if isinstance(defined, Mapping) else {}
        found = [names.get(str(number)) for number in range(count)]
        if len(names) != count or not all(isinstance(name, str) and name.strip() for name in found):
            return ()
        return tuple(" ".join(str(name).split()) for name in found)


def slug(words: str) -> str:
    """Return words as the name of a pipeline.

    >>> slug("Spleen_CT segmentation"), slug("--")
    ('spleen-ct-segmentation', 'bundle')
    """
    return re.sub("[^a-z0-9]+", "-", words.lower()).strip("-") or "bundle"
