"""From how many patients on an interval can be told at all."""

from __future__ import annotations

import math


def least_patients(level: float) -> int:
    """Return the least number of patients whose values can have an interval of this level.

    No interval that resampling gives for a mean reaches beyond the least and the greatest value. Even between these
    two, the middle of the distribution lies in only 1 - 2^(1 - n) of all cases of n values: it does not where all n
    lie on one side of it. Two patients hold it in 1 case of 2, five in 0.94, and six are the first to hold it in 0.95.
    It is a bound from below: intervals of so few are still too narrow rather than too wide.

    Parameters
    ----------
    level
        What part of such intervals are to hold the true figure, above 0 and below 1.

    References
    ----------
    W. R. Thompson: On confidence ranges for the median and other expectation distributions for populations of unknown
    distribution form. Ann. Math. Stat. 7 (1936).

    Examples
    --------
    >>> least_patients(0.95), least_patients(0.9), least_patients(0.5)
    (6, 5, 2)
    """
    return max(2, math.ceil(1 - math.log2(1 - level) - 1e-9))
