"""Networks looked into without a trace: modes, hooks and gradients are left as found."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from medvision.errors import UsageError

if TYPE_CHECKING:
    import torch


@contextlib.contextmanager
def undisturbed(network: torch.nn.Module) -> Iterator[None]:
    """Let gradients flow through the network in evaluation mode; afterwards every module is as it was.

    It works inside ``torch.no_grad()`` and ``torch.inference_mode()``, and switches autocast off: gradients of half
    precision underflow. Parameters keep their ``requires_grad`` and ``.grad``, modules their mode and what else they
    keep as public attributes.
    """
    import torch

    modules = list(network.modules())
    attributes = [_public(module) for module in modules]
    # MONAI's DynUNet keeps intermediate outputs in a list; with their graph in it, it could not be copied any more.
    lists = [(value, value.copy()) for before in attributes for value in before.values() if isinstance(value, list)]
    device = next((parameter.device.type for parameter in network.parameters()), "cpu")
    network.eval()
    try:
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device, enabled=False):
            yield
    finally:
        for module, before in zip(modules, attributes, strict=True):
            for name in _public(module).keys() - before.keys():
                delattr(module, name)
            vars(module).update(before)
        for value, content in lists:
            value[:] = content


@contextlib.contextmanager
def hooked(hooks: Sequence[tuple[torch.nn.Module, Callable[..., Any]]]) -> Iterator[None]:
    """Attach forward hooks to modules, and take exactly these off again."""
    handles = []
    try:
        for module, hook in hooks:
            handles.append(module.register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


def own_copy(x: torch.Tensor, spacing_mm: Sequence[float] | None) -> torch.Tensor:
    """Return a copy of one input that can be computed with, whatever mode its owner is in.

    Raises
    ------
    UsageError
        `x` is not one image (1, C, I, J[, K]) in 2D or 3D, or `spacing_mm` has another number of axes.
    """
    if x.ndim not in (4, 5) or x.shape[0] != 1:
        raise UsageError("usage", f"one image (1, C, 2 or 3 axes) is explained at a time, got {tuple(x.shape)}")
    if spacing_mm is not None and len(spacing_mm) != x.ndim - 2:
        raise UsageError("usage", f"the image has {x.ndim - 2} axes, its spacing {len(spacing_mm)}")
    return x.detach().clone()


def gradient(score: torch.Tensor, origin: torch.Tensor) -> torch.Tensor | None:
    """Return the gradient of a score with respect to a tensor; None where the score does not depend on it.

    Raises
    ------
    UsageError
        The gradient is not finite. (The relu of a map would turn minus infinity into a clean 0.)
    """
    import torch

    if not score.requires_grad:
        return None
    found: torch.Tensor | None = torch.autograd.grad(score, origin, allow_unused=True)[0]
    if found is not None and not bool(found.isfinite().all()):
        raise UsageError("not-explainable", "the network's gradient is not finite")
    return found


def _public(module: torch.nn.Module) -> dict[str, Any]:
    """Return the public attributes of a module itself, `training` among them; its parameters are not."""
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}
