"""Variation of a batch of samples: :func:`draw` chooses its parameters, :func:`apply` makes it.

Drawn apart, the parameters of any step can be looked at, a step can be made again, and each of several processes can
make its share of one batch.
"""

from medvision.training.augment.applying import apply as apply
from medvision.training.augment.drawing import draw as draw
from medvision.training.augment.variation import Variation as Variation
