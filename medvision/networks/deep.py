"""Supervision at several depths: while it is trained, a decoder answers on its coarser grids too.

The heads that do so are no part of the network that is used later: :func:`plain_state` leaves them out, and what is
left is what the plain network has, tensor by tensor.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from medvision.frameworks import monai_module, state_of

_HEADS = "deep_supervision_heads"


def deeply_supervised(given: Mapping[str, Any]) -> Any:
    """Return a ``DynUNet`` that gives a list of logits while it is trained, the finest first, and plain logits else.

    As in nnU-Net, every stage of the decoder answers but the coarsest; with three stages, it does too. MONAI's own way
    resizes all answers to the full grid, at the price of their memory and time, and names its heads twice. Fresh
    weights are those of the plain network, with the same seed: the heads are drawn after all others.

    Parameters
    ----------
    given
        The arguments of MONAI's ``DynUNet``.
    """
    return _supervised_class()(given, heads=max(1, len(given["strides"]) - 3))


def plain_state(network: Any) -> dict[str, Any]:
    """Return the parameters and buffers without the heads that only training needs; see ``frameworks.state_of``."""
    return {name: tensor for name, tensor in state_of(network).items() if not name.startswith(f"{_HEADS}.")}


@functools.cache
def _supervised_class() -> Any:
    """Return the class; made here since its base is imported late, and once, so that copies are of one type."""
    from torch import nn

    class DeeplySupervised(monai_module("networks.nets").DynUNet):  # type: ignore[misc]
        def __init__(self, given: Mapping[str, Any], *, heads: int) -> None:
            super().__init__(**given)
            self.deep_supervision_heads = nn.ModuleList([self.get_output_block(n + 1) for n in range(heads)])
            self.deep_supervision_heads.apply(self.initialize_weights)

        def forward(self, image: Any) -> Any:
            if not self.training:
                return super().forward(image)
            ways = [self.input_block(image)]
            for down in self.downsamples:
                ways.append(down(ways[-1]))
            features = [self.bottleneck(ways[-1])]
            for up, way in zip(self.upsamples, reversed(ways), strict=True):
                features.append(up(features[-1], way))
            finest, *coarser = reversed(features)
            answers = [head(part) for head, part in zip(self.deep_supervision_heads, coarser, strict=False)]
            return [self.output_block(finest), *answers]

    return DeeplySupervised
