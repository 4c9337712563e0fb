"""Starting from weights that were trained elsewhere: reading and matching them, and what of them is trained further."""

from medvision.transfer.families import FAMILIES as FAMILIES
from medvision.transfer.families import recognise as recognise
from medvision.transfer.foreign import Foreign as Foreign
from medvision.transfer.foreign import Origin as Origin
from medvision.transfer.hub import Hub as Hub
from medvision.transfer.match import Match as Match
from medvision.transfer.match import Row as Row
from medvision.transfer.match import match as match
from medvision.transfer.match import require as require
from medvision.transfer.reading import Located as Located
from medvision.transfer.reading import locate_weights as locate_weights
from medvision.transfer.reading import read_weights as read_weights
