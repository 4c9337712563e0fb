"""Whether a data set can be trusted: labels, intensities, duplicates, and patients on both sides of a split.

One pass: :func:`measured` keeps a few kilobytes of each case; :func:`check_case` judges one by itself, and
:func:`check_cohort` all of them together. :func:`compare_grids` explains why labels do not lie on their image.
"""

from medvision.quality.case import check_case as check_case
from medvision.quality.cohort import check_cohort as check_cohort
from medvision.quality.copies import NearCopy as NearCopy
from medvision.quality.copies import exact_copies as exact_copies
from medvision.quality.copies import near_copies as near_copies
from medvision.quality.grids import GridDifference as GridDifference
from medvision.quality.grids import compare_grids as compare_grids
from medvision.quality.measured import Measured as Measured
from medvision.quality.measured import measured as measured
from medvision.quality.outliers import Outlier as Outlier
from medvision.quality.outliers import outliers as outliers
