"""Images that are there twice: voxel by voxel, or as good as."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medvision.grouping import grouped
from medvision.quality.limits import LIKELY, NEIGHBOURS, SAME_PICTURE
from medvision.quality.measured import Measured

Mirrored = tuple[bool, ...]
_ROWS = 256  # images compared with all others at once: 10,000 x 256 similarities are 10 MB
_PAIRS = 256
_DAMPING = 0.3  # of the root mean square: below it, what is noise is not made as strong as the rest


@dataclass(frozen=True)
class _Scale:
    """What of a thumbnail is compared: frequencies below `coarse` to find likely pairs, below `fine` to judge them."""

    side: int
    coarse: int
    fine: int
    reach: float  # blocks up to which a pair may be shifted


_FLAT = _Scale(side=32, coarse=8, fine=9, reach=2.5)
_SOLID = _Scale(side=16, coarse=6, fine=6, reach=1.5)


@dataclass(frozen=True)
class NearCopy:
    """Two images that show the same, though their voxels differ.

    Parameters
    ----------
    first, second
        The ids of the cases, in order.
    similarity
        Correlation of the whitened spectra at the best shift, up to 1.
    mirrored
        Whether they are mirror images of each other, or turned by 180 degrees.
    """

    first: str
    second: str
    similarity: float
    mirrored: bool


def exact_copies(cohort: Mapping[str, Measured]) -> tuple[tuple[str, ...], ...]:
    """Return the ids of cases whose images hold the same values, in groups of two or more."""
    groups = grouped(sorted(cohort), key=lambda case: cohort[case].digest)
    return tuple(group for group in groups if len(group) > 1)


def near_copies(cohort: Mapping[str, Measured]) -> tuple[NearCopy, ...]:
    """Return the pairs of cases that show the same image: rescaled, compressed, noisy, resampled, shifted or mirrored.

    Pairs with a similar coarse pattern (low frequencies of the discrete cosine transform, in every mirror image) are
    looked at in detail: correlated at small shifts, with all frequencies made about equally strong, so that anatomy
    which all patients share counts little. Of exact copies, one takes part. Whether two images are a pair does not
    depend on the others. Crops by more than a few per cent, rotations and images of unrelated intensities (another
    sequence of the same scan) are not found.

    Notes
    -----
    The detail is the amplitude-normalised correlation of Kuglin and Hines (The phase correlation image alignment
    method, 1975), damped where the spectrum is weak. Time grows with the square of the number of cases: 10,000
    volumes that are all alike take 11 s on one core, and 350 MB.
    """
    seen: dict[str, str] = {}
    for case, entry in sorted(cohort.items()):
        if entry.thumbnail.any():
            seen.setdefault(entry.digest, case)
    found: list[NearCopy] = []
    for flat, scale in ((True, _FLAT), (False, _SOLID)):
        cases = sorted(case for case in seen.values() if cohort[case].is_flat == flat)
        if len(cases) > 1:
            found += _pairs(cases, [cohort[case].thumbnail for case in cases], scale)
    return tuple(sorted(found, key=lambda pair: (pair.first, pair.second)))


def _pairs(cases: Sequence[str], thumbnails: Sequence[NDArray[np.float16]], scale: _Scale) -> Iterator[NearCopy]:
    patterns = np.stack([_pattern(thumbnail, scale) for thumbnail in thumbnails])
    spectra = np.stack([_spectrum(thumbnail, scale) for thumbnail in thumbnails])
    mirrors = list(itertools.product((False, True), repeat=2 if thumbnails[0].shape[2] == 1 else 3))
    likely = _likely(patterns, mirrors, scale)
    while chunk := list(itertools.islice(likely, _PAIRS)):
        firsts = np.stack([np.flip(spectra[i], tuple(np.flatnonzero(mirrors[m]).tolist())) for i, _, m in chunk])
        scores = _registered(firsts, spectra[[j for _, j, _ in chunk]], scale)
        for (i, j, m), score in zip(chunk, scores.tolist(), strict=True):
            if score >= SAME_PICTURE:
                yield NearCopy(cases[i], cases[j], score, any(mirrors[m]))


def _pattern(thumbnail: NDArray[np.float16], scale: _Scale) -> NDArray[np.float32]:
    """Return the low frequencies of the cosine transform, without the mean, as a unit vector."""
    places = (np.arange(scale.side) + 0.5) / scale.side
    cosines = np.cos(np.pi * np.outer(np.arange(scale.coarse), places))
    cosines[0] /= 2**0.5
    pattern = _transformed(thumbnail.astype(np.float64), cosines).ravel()
    pattern[0] = 0.0
    return np.asarray(pattern / max(float(np.linalg.norm(pattern)), 1e-9), dtype=np.float32)


def _spectrum(thumbnail: NDArray[np.float16], scale: _Scale) -> NDArray[np.complex64]:
    """Return the low frequencies about the middle of the image, made about equally strong, of norm 1.

    About the middle, mirroring the image reverses the axis of its spectrum.
    """
    frequencies = np.arange(1 - scale.fine, scale.fine)
    places = (np.arange(scale.side) - (scale.side - 1) / 2) / scale.side
    waves = _transformed(thumbnail.astype(np.complex128), np.exp(-2j * np.pi * np.outer(frequencies, places)))
    waves[tuple(size // 2 for size in waves.shape)] = 0.0
    strength = np.abs(waves)
    waves /= np.sqrt(strength**2 + _DAMPING**2 * np.mean(strength**2) + 1e-12)
    return np.asarray(waves / max(float(np.linalg.norm(waves)), 1e-9), dtype=np.complex64)


def _transformed(values: NDArray[Any], matrix: NDArray[Any]) -> NDArray[Any]:
    """Return `values` with `matrix` applied along every axis longer than 1."""
    for axis, size in enumerate(values.shape):
        if size > 1:
            values = np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis)
    return values


def _likely(
    patterns: NDArray[np.float32], mirrors: Sequence[Mirrored], scale: _Scale
) -> Iterator[tuple[int, int, int]]:
    """Yield i, j > i and the mirror image of i whose pattern is most like that of j, the best few for each i."""
    signs = [_signs(mirrored, scale) for mirrored in mirrors]
    for start in range(0, len(patterns), _ROWS):
        rows, later = patterns[start : start + _ROWS], patterns[start:].T
        best = rows @ later
        which = np.zeros(best.shape, dtype=np.uint8)
        for number, sign in enumerate(signs[1:], start=1):
            alike = (rows * sign) @ later
            which[alike > best] = number
            np.maximum(best, alike, out=best)
        best[np.tril_indices_from(best)] = -1.0  # itself, and pairs that are met from the other side
        count = min(NEIGHBOURS, best.shape[1])
        nearest = np.argpartition(-best, count - 1, axis=1)[:, :count]
        for row, columns in enumerate(nearest):
            for column in np.sort(columns[best[row, columns] >= LIKELY]).tolist():
                yield start + row, start + column, int(which[row, column])


def _signs(mirrored: Mirrored, scale: _Scale) -> NDArray[np.float32]:
    """Return what a pattern is multiplied by when its image is mirrored: odd frequencies change their sign."""
    alternating = np.where(np.arange(scale.coarse) % 2, -1.0, 1.0)
    signs = np.ones(1)
    for flip in mirrored:
        signs = np.multiply.outer(signs, alternating if flip else np.ones(scale.coarse))
    return signs.ravel().astype(np.float32)


def _registered(firsts: NDArray[np.complex64], seconds: NDArray[np.complex64], scale: _Scale) -> NDArray[np.float32]:
    """Return the greatest correlation of each pair over shifts of half a block, up to the reach of the scale."""
    shifts = np.arange(-scale.reach, scale.reach + 0.25, 0.5) / scale.side
    phases = np.exp(2j * np.pi * np.outer(shifts, np.arange(1 - scale.fine, scale.fine))).astype(np.complex64)
    products = firsts * seconds.conj()
    for axis in (3, 2, 1):
        if products.shape[axis] > 1:
            products = np.moveaxis(np.tensordot(products, phases, axes=(axis, 1)), -1, axis)
    return np.asarray(products.real.max(axis=(1, 2, 3)))
