"""Who is told what happens during a training: files and servers, none of which can stop it.

`curves.csv` and `curves.png` are always written; TensorBoard and MLflow are chosen by name.
"""

from medvision.training.loggers.curves import CurvesLogger as CurvesLogger
from medvision.training.loggers.logger import Logger as Logger
from medvision.training.loggers.logger import Logs as Logs
from medvision.training.loggers.logger import Row as Row
from medvision.training.loggers.mlflow import MLflowLogger as MLflowLogger
from medvision.training.loggers.opening import open_logs as open_logs
from medvision.training.loggers.tensorboard import TensorBoardLogger as TensorBoardLogger
