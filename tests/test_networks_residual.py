"""The U-Net of residual units is MONAI's, tensor by tensor and bit by bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from medvision.frameworks import monai_module
from medvision.networks import ResidualUNet

SHAPE: dict[str, Any] = {"in_channels": 2, "out_channels": 3}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ResidualUNet(channels=(4, 8, 16)), {"strides": (2, 2), "norm": "batch"}),
        (ResidualUNet(channels=(4, 8, 16), norm="instance-plain"), {"strides": (2, 2)}),
        (
            ResidualUNet(channels=(4, 8, 16), norm="instance", units=3, activation="relu", bias=False),
            {
                "strides": (2, 2),
                "norm": ("instance", {"affine": True}),
                "num_res_units": 3,
                "act": "relu",
                "bias": False,
            },
        ),
        (
            ResidualUNet(channels=(4, 8, 16), strides=((2, 2, 1), (2, 2, 2)), dropout=0.1),
            {"strides": ((2, 2, 1), (2, 2, 2)), "norm": "batch", "dropout": 0.1},
        ),
    ],
)
def test_it_takes_monais_weights_and_gives_monais_answers(ours: ResidualUNet, theirs: dict[str, Any]) -> None:
    given = {"spatial_dims": 3, "channels": (4, 8, 16), "num_res_units": 2, **SHAPE, **theirs}
    reference = monai_module("networks.nets").UNet(**given).eval()
    network = ours.build(**SHAPE, dimensions=3).eval()
    network.load_state_dict(reference.state_dict())
    image = torch.rand(1, 2, 8, 12, 8)
    with torch.inference_mode():
        assert torch.equal(network(image), reference(image))


def test_its_divisor_is_the_product_of_its_strides() -> None:
    assert ResidualUNet(channels=(4, 8, 16)).divisor == 4
    assert ResidualUNet(channels=(4, 8, 16), strides=((2, 2, 1), (2, 4, 2))).divisor == (4, 8, 2)


@pytest.mark.parametrize("rows", [((2, 2),), ((2, 2), (2, 2, 2)), ((2,), (2,))])
def test_strides_have_a_row_for_each_stage_but_the_last_and_a_number_for_each_axis(rows: Any) -> None:
    with pytest.raises(ValidationError, match="strides has 2 rows for 3 stages"):
        ResidualUNet(channels=(4, 8, 16), strides=rows)
