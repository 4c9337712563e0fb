"""What nnU-Net's own U-Nets answer, for the known answers in tests/test_networks_unet.py.

    python benchmarks/unet_answers.py     # in an environment with dynamic_network_architectures (that of nnU-Net)

Weights and image follow from their shapes alone, so that no file is needed to make the same ones again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

STRIDES = [[1, 1, 1], [1, 2, 2], [2, 2, 2]]
KERNELS = [[1, 3, 3], [3, 3, 3], [3, 3, 3]]


def waves(shape: tuple[int, ...]) -> Any:
    """Return numbers that follow from a shape."""
    count = torch.Size(shape).numel()
    return torch.sin(0.37 * torch.arange(count) + count).reshape(shape)


def answers(network: Any) -> list[float]:
    """Return the logits of a network for an image, at four voxels."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(waves(tuple(parameter.shape)))
        logits = network.eval()(waves((1, 2, 4, 12, 8)))[0]
    return [float(logits[c, i, j, k]) for c, i, j, k in ((0, 0, 0, 0), (1, 1, 5, 2), (2, 2, 7, 4), (0, 3, 11, 7))]


def main() -> None:
    """Print the answers of both networks."""
    from dynamic_network_architectures.architectures import unet

    given: dict[str, Any] = {
        "n_stages": 3,
        "features_per_stage": [3, 4, 5],
        "conv_op": nn.Conv3d,
        "kernel_sizes": KERNELS,
        "strides": STRIDES,
        "conv_bias": True,
        "norm_op": nn.InstanceNorm3d,
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
    }
    plain = unet.PlainConvUNet(
        input_channels=2, num_classes=3, n_conv_per_stage=[2, 1, 2], n_conv_per_stage_decoder=[1, 2], **given
    )
    residual = unet.ResidualEncoderUNet(
        input_channels=2, num_classes=3, n_blocks_per_stage=[1, 2, 2], n_conv_per_stage_decoder=[1, 2], **given
    )
    print("plain-unet ", [round(value, 5) for value in answers(plain)])
    print("resenc-unet", [round(value, 5) for value in answers(residual)])


if __name__ == "__main__":
    main()
