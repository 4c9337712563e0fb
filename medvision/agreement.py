"""How far values that were found lie from the true ones, and how well yes and no agree with the truth.

What cannot be known is None: the correlation of values that are all the same, the F1 where nothing is and nothing was
found.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvision.errors import InputError

_WITHIN = 1.96  # standard deviations: 95 % of a normal distribution


def mean_absolute_error(found: ArrayLike, truth: ArrayLike) -> float | None:
    """Return the mean distance from the true value, in the unit of the values; None without cases.

    >>> mean_absolute_error([1.0, 4.0], [2.0, 2.0])
    1.5
    """
    error = _errors(found, truth)
    return float(np.abs(error).mean()) if error.size else None


def root_mean_square_error(found: ArrayLike, truth: ArrayLike) -> float | None:
    """Return the root of the mean squared distance, in the unit of the values; None without cases.

    >>> root_mean_square_error([1.0, 9.0], [2.0, 2.0])
    5.0
    """
    error = _errors(found, truth)
    return float(np.sqrt(np.square(error).mean())) if error.size else None


def bias(found: ArrayLike, truth: ArrayLike) -> float | None:
    """Return by how much too great the values are found on the average; None without cases.

    >>> bias([1.0, 4.0], [2.0, 2.0])
    0.5
    """
    error = _errors(found, truth)
    return float(error.mean()) if error.size else None


def limits_of_agreement(found: ArrayLike, truth: ArrayLike) -> tuple[float, float] | None:
    """Return between which errors 95 % of cases are expected, where errors are normal: bias -/+ 1.96 sd.

    Returns
    -------
    Lower and upper limit in the unit of the values; None for fewer than two cases.

    References
    ----------
    J. M. Bland, D. G. Altman: Statistical methods for assessing agreement between two methods of clinical measurement.
    Lancet 327 (1986).

    Examples
    --------
    >>> limits_of_agreement([1.0, 3.0], [2.0, 2.0])
    (-2.7718585822512662, 2.7718585822512662)
    """
    error = _errors(found, truth)
    if error.size < 2:
        return None
    reach = _WITHIN * float(error.std(ddof=1))
    return float(error.mean()) - reach, float(error.mean()) + reach


def pearson(found: ArrayLike, truth: ArrayLike) -> float | None:
    """Return the linear correlation, -1 to 1; None for fewer than two cases, or where one side is all the same.

    >>> round(pearson([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]), 6)
    1.0
    """
    one, other = _columns(found, truth)
    if one.size < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    a, b = one - one.mean(), other - other.mean()
    size = float(np.sqrt(np.square(a).sum()) * np.sqrt(np.square(b).sum()))
    return float(np.clip((a * b).sum() / size, -1, 1)) if size else None


def f1(found: ArrayLike, truth: ArrayLike) -> float | None:
    """Return the harmonic mean of sensitivity and precision; None where nothing is and nothing was found.

    Parameters
    ----------
    found, truth
        (N,) True (or 1) for positive cases.

    Examples
    --------
    >>> f1([1, 1, 0, 0], [1, 0, 1, 0]), f1([0, 0], [0, 0])
    (0.5, None)
    """
    one, other = _columns(found, truth)
    if not np.isin(np.concatenate([one, other]), (0, 1)).all():
        raise InputError("bad-labels", "only True and False (or 1 and 0) are allowed")
    total = float(one.sum() + other.sum())
    return 2 * float((one * other).sum()) / total if total else None


def _errors(found: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    one, other = _columns(found, truth)
    return one - other


def _columns(found: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    one, other = np.asarray(found, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if one.ndim != 1 or one.shape != other.shape:
        raise InputError("bad-labels", f"{one.shape} values and {other.shape} true ones cannot be compared")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise InputError("not-finite", "values are finite numbers: leave out cases for which none is known")
    return one, other
