"""What training data are like, and whether a new case is like them.

:class:`Fingerprint` is the value that travels with a pipeline as ``fingerprint.json``.
"""

from medvision.fingerprint.value import Channel as Channel
from medvision.fingerprint.value import ClassFigures as ClassFigures
from medvision.fingerprint.value import Fingerprint as Fingerprint
from medvision.fingerprint.value import LabelFigures as LabelFigures
from medvision.fingerprint.value import PerCase as PerCase
from medvision.fingerprint.value import Pooled as Pooled
from medvision.fingerprint.value import Spread as Spread
from medvision.fingerprint.value import TargetFigures as TargetFigures
from medvision.fingerprint.value import Task as Task
