"""What training data are like, and whether a new case is like them.

:func:`measure_case` keeps a few kilobytes of each case, :func:`summarise` puts them together as a :class:`Fingerprint`,
which travels with a pipeline as ``fingerprint.json``; :func:`check` holds a new case against it, and
:func:`check_absent` what a network did not find in it.
"""

from medvision.fingerprint.case import CaseFigures as CaseFigures
from medvision.fingerprint.case import Target as Target
from medvision.fingerprint.case import measure_case as measure_case
from medvision.fingerprint.check import WORLD as WORLD
from medvision.fingerprint.check import Comparison as Comparison
from medvision.fingerprint.check import check as check
from medvision.fingerprint.check import check_absent as check_absent
from medvision.fingerprint.check import compare as compare
from medvision.fingerprint.laterality import lateral_pairs as lateral_pairs
from medvision.fingerprint.summary import doubts as doubts
from medvision.fingerprint.summary import summarise as summarise
from medvision.fingerprint.value import UNKNOWN as UNKNOWN
from medvision.fingerprint.value import Channel as Channel
from medvision.fingerprint.value import ClassFigures as ClassFigures
from medvision.fingerprint.value import Fingerprint as Fingerprint
from medvision.fingerprint.value import LabelFigures as LabelFigures
from medvision.fingerprint.value import PerCase as PerCase
from medvision.fingerprint.value import Pooled as Pooled
from medvision.fingerprint.value import Spread as Spread
from medvision.fingerprint.value import TargetFigures as TargetFigures
