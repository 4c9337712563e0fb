"""Training: one explicit loop, and the parts it is made of."""

from medvision.training.curves import write_curves as write_curves
from medvision.training.loop import Validation as Validation
from medvision.training.loop import fit as fit
from medvision.training.samples import Sample as Sample
from medvision.training.settings import Augmentation as Augmentation
from medvision.training.settings import Training as Training
from medvision.training.split import Split as Split
from medvision.training.split import find_copies as find_copies
from medvision.training.split import split as split
