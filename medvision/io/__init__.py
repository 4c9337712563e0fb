"""Reading images of any kind that is known, and writing NIfTI: the only place where world conventions are converted.

``scan`` looks at headers and lists cases; ``read_volume`` and ``read_labels`` read one; ``load`` does it all. What
cannot be read right is refused with a reason; one reader's refusal never falls through to another reader.
"""

from medvision.io.collect import scan as scan
from medvision.io.headers import ImageHeader as ImageHeader
from medvision.io.headers import read_header as read_header
from medvision.io.read import Loaded as Loaded
from medvision.io.read import check_names as check_names
from medvision.io.read import load as load
from medvision.io.read import read_labels as read_labels
from medvision.io.read import read_volume as read_volume
from medvision.io.write import write_labels as write_labels
from medvision.io.write import write_map as write_map
from medvision.io.write import write_probabilities as write_probabilities
from medvision.io.write import write_volume as write_volume
