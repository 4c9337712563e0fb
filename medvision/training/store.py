"""Prepared cases on disk: found again by the hash of all that they depend on, and checked before they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medvision.sealed import SealBrokenError
from medvision.training.samples import Prepared, Sample, StoredSample, StoredVoxels


@dataclass(frozen=True)
class Store:
    """A folder of prepared cases.

    Parameters
    ----------
    folder
        Where they lie; it may be shared by trainings, and deleted whenever none runs.
    """

    folder: Path

    def get(self, key: str) -> StoredSample | None:
        """Return the case of that key; None where it is not there, or is damaged and must be made again."""
        try:
            return StoredSample.open(self._path(key))
        except SealBrokenError:
            return None

    def get_or_put(self, key: str, make: Callable[[], tuple[Sample, Mapping[str, str]]]) -> StoredSample:
        """Return the case of that key, made now where it is not there; OutputError where it cannot be written."""
        found = self.get(key)
        return found if found is not None else self.put(key, *make())

    def put(self, key: str, sample: Sample, facts: Mapping[str, str]) -> StoredSample:
        """Keep a case under a key, with further facts about it; OutputError where that cannot be written."""
        sample.save(self._path(key), facts)
        voxels = StoredVoxels(self._path(key), tuple(sample.labelled))
        known = (sample.whole, voxels, dict(facts), sample.voxelwise, sample.counts)
        return StoredSample(self._path(key), sample.id, sample.shape, *known)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"


def at_hand(samples: Sequence[StoredSample], *, most_bytes: int) -> tuple[Prepared, ...]:
    """Return the samples in memory where all of them together take no more than `most_bytes`, else as they are."""
    if sum(sample.path.stat().st_size for sample in samples) > most_bytes:
        return tuple(samples)
    return tuple(sample.in_memory() for sample in samples)
