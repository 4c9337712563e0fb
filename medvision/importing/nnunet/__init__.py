"""Models that nnU-Net (version 2) has trained: the files of a results folder, and what they are in our settings."""

from medvision.importing.nnunet.folder import Trained as Trained
from medvision.importing.nnunet.folder import trained_in as trained_in
from medvision.importing.nnunet.model import Model as Model
from medvision.importing.nnunet.model import model_of as model_of
