"""Training without labels: tasks that images set themselves, as objective and batches for the training loop."""

from medvision.training.pretext.masked import HeldOutMasks as HeldOutMasks
from medvision.training.pretext.masked import MaskedBatches as MaskedBatches
from medvision.training.pretext.masked import Masking as Masking
from medvision.training.pretext.masked import Reconstruction as Reconstruction
from medvision.training.pretext.vicreg import COLLAPSED as COLLAPSED
from medvision.training.pretext.vicreg import Agreement as Agreement
from medvision.training.pretext.vicreg import HeldOutViews as HeldOutViews
from medvision.training.pretext.vicreg import TwoViews as TwoViews
from medvision.training.pretext.vicreg import Views as Views
from medvision.training.pretext.vicreg import has_collapsed as has_collapsed
from medvision.training.pretext.vicreg import with_projector as with_projector
