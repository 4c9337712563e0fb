"""Opens a pipeline: one folder that holds everything needed to run it again elsewhere.

``pipeline.toml`` holds the settings, ``weights.safetensors`` the weights, ``weights.json`` what these are, and
``card.md`` what a person must know. The TOML is data: nothing in it is ever executed.
"""

from medvision.pipeline.folder import FINGERPRINT as FINGERPRINT
from medvision.pipeline.folder import PRETRAINING as PRETRAINING
from medvision.pipeline.folder import SEEN as SEEN
from medvision.pipeline.folder import PipelineFolder as PipelineFolder
from medvision.pipeline.folder import builtin_folder as builtin_folder
from medvision.pipeline.folder import builtin_names as builtin_names
from medvision.pipeline.folder import copy as copy
from medvision.pipeline.folder import find as find
from medvision.pipeline.reading import explained as explained
from medvision.pipeline.reading import parse_settings as parse_settings
from medvision.pipeline.reading import read_settings as read_settings
from medvision.pipeline.reading import schema as schema
from medvision.pipeline.settings import NAME as NAME
from medvision.pipeline.settings import Card as Card
from medvision.pipeline.settings import Settings as Settings
from medvision.pipeline.settings import input_spacing_mm as input_spacing_mm
from medvision.pipeline.sides import lateral_faults as lateral_faults
