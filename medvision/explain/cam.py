"""The class activation map itself: what a layer holds, times what it counts for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from medvision.errors import UsageError
from medvision.explain.layers import Stage
from medvision.explain.maps import ExplainedMap
from medvision.explain.probing import gradient, hooked

if TYPE_CHECKING:
    import torch

Score = Callable[[Any], "torch.Tensor"]


def activation_map(
    network: torch.nn.Module,
    x: torch.Tensor,
    layers: Sequence[str],
    score: Score,
    spacing_mm: Sequence[float] | None,
) -> ExplainedMap:
    """Return the HiResCAM of a score: relu of the sum over channels of activation x gradient, on the input's grid.

    Parameters
    ----------
    network
        In evaluation mode, with gradients enabled; see :func:`medvision.explain.probing.undisturbed`.
    x
        (1, C, I, J[, K]).
    layers
        Names of modules; the first that the score depends on is taken (auxiliary outputs count for nothing).
    score
        Makes one number of what the network gives.

    Raises
    ------
    UsageError
        A layer gives no grid of cells, or is called more than once, or the score depends on none of them.
    """
    import torch

    for layer in layers:
        value, activation = _scored(network, x, layer, score)
        slope = gradient(value, activation)
        if slope is None:
            continue
        cells = (activation.detach() * slope).sum(dim=1, keepdim=True).relu().float()
        mode = "bilinear" if x.ndim == 4 else "trilinear"
        values = torch.nn.functional.interpolate(cells, size=x.shape[2:], mode=mode, align_corners=False)
        stage = Stage(tuple(cells.shape[2:]), (layer,))
        return ExplainedMap(
            values[0, 0].cpu().numpy(), _parameters(stage, x.shape[2:], float(value.detach()), spacing_mm)
        )
    raise UsageError("not-explainable", f"the score does not depend on {' or '.join(layers)}")


def _scored(network: torch.nn.Module, x: torch.Tensor, layer: str, score: Score) -> tuple[Any, Any]:
    """Return the score and the layer's activation, as the origin of the graph that leads to the score."""
    modules = dict(network.named_modules())
    if layer not in modules:
        raise UsageError("usage", f"the network has no layer {layer!r}")
    kept: list[Any] = []

    def keep(module: torch.nn.Module, inputs: Any, output: Any) -> Any:
        if getattr(output, "ndim", 0) != x.ndim:
            raise UsageError("usage", f"layer {layer!r} does not give a grid of cells")
        kept.append(output.detach().requires_grad_())
        # A copy goes on, so that a later layer that works in place does not change what is kept.
        return kept[-1].clone()

    with hooked([(modules[layer], keep)]):
        value = score(network(x.clone()))
    if len(kept) != 1:
        raise UsageError("usage", f"layer {layer!r} is called {len(kept)} times; name one that is called once")
    return value, kept[0]


def _parameters(
    stage: Stage, size: Sequence[int], score: float, spacing_mm: Sequence[float] | None
) -> dict[str, object]:
    cell = stage.cell_voxels(size)
    return {
        "layer": stage.layers[0],
        "score": score,
        "cell_voxels": list(cell),
        "cell_mm": [float(a * b) for a, b in zip(cell, spacing_mm, strict=True)] if spacing_mm is not None else None,
        "coarse": stage.is_coarse(size),
    }
