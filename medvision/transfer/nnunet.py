"""The names of nnU-Net's U-Nets, and the axes of their kernels.

Each stage of an encoder or decoder holds its layers under several names; the rules take the first, and of the heads
that supervise the training at several depths the last, which is the network's answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medvision.transfer.named import Named, renamed

_LAYER = r"(conv|norm)\."
_BLOCK = r"encoder\.stages\.(\d+)\.blocks\.(\d+)\."


def unet_rules(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    r"""Return the rules from the names of a plain or residual U-Net of nnU-Net to those of ours.

    >>> unet_rules(["decoder.seg_layers.0.weight", "decoder.seg_layers.3.weight"])[-1]
    ('decoder\\.seg_layers\\.3\\.', 'head.')
    """
    heads = [int(found[1]) for name in names if (found := re.match(r"decoder\.seg_layers\.(\d+)\.", name))]
    return (
        (r"encoder\.stem\.convs\.0\." + _LAYER, r"stem.\1."),
        (r"encoder\.stages\.(\d+)\.0\.convs\.(\d+)\." + _LAYER, r"encoder.\1.\2.\3."),
        (_BLOCK + r"conv1\." + _LAYER, r"encoder.\1.\2.first.\3."),
        (_BLOCK + r"conv2\." + _LAYER, r"encoder.\1.\2.second.\3."),
        (_BLOCK + r"skip\.\d+\." + _LAYER, r"encoder.\1.\2.shortcut.\3."),
        (r"decoder\.stages\.(\d+)\.convs\.(\d+)\." + _LAYER, r"decoder.\1.\2.\3."),
        (r"decoder\.transpconvs\.(\d+)\.", r"up.\1."),
        (rf"decoder\.seg_layers\.{max(heads, default=0)}\.", "head."),
    )


def unet_tensors(tensors: Mapping[str, Any], axes: Sequence[int]) -> dict[str, Any]:
    """Return the tensors of a U-Net of nnU-Net under the names of ours, their kernels turned.

    Parameters
    ----------
    tensors
        By the names of nnU-Net.
    axes
        Which of its axes each of ours is, e.g. (2, 1, 0).
    """
    found = renamed({name: Named(tensor, (name,)) for name, tensor in tensors.items()}, unet_rules(tensors))
    return {name: _turned(value.tensor, axes) for name, value in found.items() if value.tensor is not None}


def _turned(tensor: Any, axes: Sequence[int]) -> Any:
    if tensor.ndim != 2 + len(axes):
        return tensor
    return tensor.permute(0, 1, *(2 + axis for axis in axes)).contiguous()
