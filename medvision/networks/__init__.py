"""Networks by name, and the files that hold their weights.

A network's settings are a frozen dataclass whose fields are the keys of the pipeline's ``[network]`` table;
``build`` makes the module. The architectures are MONAI's, and nnU-Net's own U-Nets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from medvision.networks.classification import DenseNet as DenseNet
from medvision.networks.classification import ResNet as ResNet
from medvision.networks.deep import plain_state as plain_state
from medvision.networks.ensemble import ensemble_of as ensemble_of
from medvision.networks.ensemble import first_of as first_of
from medvision.networks.ensemble import members_of as members_of
from medvision.networks.residual import ResidualUNet as ResidualUNet
from medvision.networks.segmentation import DynUNet as DynUNet
from medvision.networks.segmentation import SegResNet as SegResNet
from medvision.networks.transformers import SwinUNETR as SwinUNETR
from medvision.networks.transformers import ViT as ViT
from medvision.networks.unet import PlainUNet as PlainUNet
from medvision.networks.unet import ResEncUNet as ResEncUNet
from medvision.networks.weights import WeightsCard as WeightsCard
from medvision.networks.weights import load_weights as load_weights
from medvision.networks.weights import save_weights as save_weights

DEEP = (DynUNet, PlainUNet, ResEncUNet)
"""The networks that can be supervised at several depths."""
AnyNetwork = DynUNet | SegResNet | ResNet | DenseNet | ViT | SwinUNETR | PlainUNet | ResEncUNet | ResidualUNet
Network = Annotated[AnyNetwork, Field(discriminator="use")]

NETWORKS: Mapping[str, type[AnyNetwork]] = {
    "dynunet": DynUNet,
    "segresnet": SegResNet,
    "resnet": ResNet,
    "densenet": DenseNet,
    "vit": ViT,
    "swin-unetr": SwinUNETR,
    "plain-unet": PlainUNet,
    "resenc-unet": ResEncUNet,
    "residual-unet": ResidualUNet,
}
