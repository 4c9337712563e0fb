"""Rules that turn what training data are like into the settings of a pipeline, each with its reason.

The rules are written down in one module a matter (`grid`, `values`, `patch`, `network`, `loss`, `training`,
`augmentation`, `contract`), and their constants stand in one place each. They are those of nnU-Net (Isensee et al.,
Nature Methods 2021) where it has one; where a rule is another, its module says why.
"""

from medvision.planning.changed import changed_toml as changed_toml
from medvision.planning.decision import MEMORY_GB as MEMORY_GB
from medvision.planning.decision import Decision as Decision
from medvision.planning.decision import Plan as Plan
from medvision.planning.decision import Request as Request
from medvision.planning.rules import plan as plan
from medvision.planning.toml import pipeline_toml as pipeline_toml
