"""Networks by name, and the files that hold their weights.

A network's settings are a frozen dataclass whose fields are the keys of the pipeline's ``[network]`` table;
``build`` makes the module. The architectures are MONAI's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from medvision.networks.classification import DenseNet as DenseNet
from medvision.networks.classification import ResNet as ResNet
from medvision.networks.segmentation import DynUNet as DynUNet
from medvision.networks.segmentation import SegResNet as SegResNet
from medvision.networks.weights import WeightsCard as WeightsCard
from medvision.networks.weights import load_weights as load_weights
from medvision.networks.weights import save_weights as save_weights

Network = Annotated[DynUNet | SegResNet | ResNet | DenseNet, Field(discriminator="use")]

NETWORKS: Mapping[str, type[DynUNet | SegResNet | ResNet | DenseNet]] = {
    "dynunet": DynUNet,
    "segresnet": SegResNet,
    "resnet": ResNet,
    "densenet": DenseNet,
}
