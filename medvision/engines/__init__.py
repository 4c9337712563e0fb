"""Engines: what computes a network's outputs, and which one is fastest on this machine without changing the answer."""

from medvision.engines.cache import Cache as Cache
from medvision.engines.cache import user_cache as user_cache
from medvision.engines.choice import Choice as Choice
from medvision.engines.choice import Memory as Memory
from medvision.engines.choice import Row as Row
from medvision.engines.choosing import AUTO as AUTO
from medvision.engines.choosing import Terms as Terms
from medvision.engines.choosing import choose as choose
from medvision.engines.choosing import kept_choice as kept_choice
from medvision.engines.closeness import Closeness as Closeness
from medvision.engines.convert import Ir as Ir
from medvision.engines.convert import example_of as example_of
from medvision.engines.convert import to_onnx as to_onnx
from medvision.engines.convert import to_openvino as to_openvino
from medvision.engines.protocol import Calibration as Calibration
from medvision.engines.protocol import Engine as Engine
from medvision.engines.protocol import Model as Model
from medvision.engines.table import NAMES as NAMES
from medvision.engines.table import REFERENCE as REFERENCE
from medvision.engines.table import Candidate as Candidate
from medvision.engines.table import EngineName as EngineName
from medvision.engines.table import candidates as candidates
from medvision.engines.table import open_engine as open_engine
from medvision.engines.table import versions_of as versions_of
