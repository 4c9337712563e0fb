"""The method `smoothed-gradient`: how much each voxel would sway the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from medvision.errors import UsageError
from medvision.explain.maps import ExplainedMap
from medvision.explain.probing import gradient, own_copy, undisturbed
from medvision.explain.scores import Output, margin, runner_up
from medvision.strict import STRICT

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, config=STRICT, kw_only=True)
class SmoothedGradient:
    """The size of the gradient of the margin with respect to the image, averaged over noisy copies and smoothed.

    The margin is that between a class and the class that comes second on the image without noise; of several labels
    that can hold at once, and of values, it is the output itself. The map is summed
    over channels and smoothed by a Gaussian of 1 % of the shortest axis, at least 2 voxels. It has no sign: it shows
    where the network looks, not what speaks for or against.

    Parameters
    ----------
    use
        The name of the method.
    samples
        Number of noisy copies.
    noise
        Standard deviation of the noise, as a part of the range of the image's values; 0 for none.
    seed
        Of the noise. It is drawn by a generator of its own, on the CPU, so that a device changes nothing.

    References
    ----------
    D. Smilkov et al.: SmoothGrad: removing noise by adding noise. arXiv:1706.03825, 2017.
    """

    tasks: ClassVar[tuple[str, ...]] = ("classification", "multilabel", "regression")

    use: Literal["smoothed-gradient"] = "smoothed-gradient"
    samples: Annotated[int, Field(ge=1)] = 8
    noise: Annotated[float, Field(ge=0)] = 0.05
    seed: Annotated[int, Field(ge=0)] = 0

    def __call__(
        self,
        network: torch.nn.Module,
        x: torch.Tensor,
        target: int | Output,
        *,
        spacing_mm: Sequence[float] | None = None,
    ) -> ExplainedMap:
        """Return the map of one image for a class, or for an output by itself.

        Parameters
        ----------
        network
            Gives logits (1, classes), in any mode; it is left as found.
        x
            (1, C, I, J[, K]), on the network's device.
        target
            The class. With a single logit 1 is what it speaks for, 0 what it speaks against.
            An :class:`Output` is explained by itself: what raises it.
        spacing_mm
            Of the voxels of `x`; None for a picture.

        Raises
        ------
        UsageError
            More than one image, no such class, or a network through which no gradient flows.
        """
        from scipy import ndimage

        with undisturbed(network):
            x = own_copy(x, spacing_mm)
            sd = self.noise * float(x.max() - x.min())
            score, mean = self._mean_size(network, x, target, sd)
        sigma = max(2.0, 0.01 * min(x.shape[2:]))
        parameters = {
            "score": score,
            "samples": self.samples,
            "noise_sd": sd,
            "seed": self.seed,
            "sigma_voxels": sigma,
            "sigma_mm": [float(sigma * step) for step in spacing_mm] if spacing_mm is not None else None,
        }
        return ExplainedMap(ndimage.gaussian_filter(mean.cpu().numpy(), sigma), parameters)

    def _mean_size(
        self, network: torch.nn.Module, x: torch.Tensor, target: int | Output, sd: float
    ) -> tuple[float, torch.Tensor]:
        """Return the margin without noise, and the mean size of its gradient, (I, J[, K])."""
        import torch

        with torch.no_grad():
            logits = network(x.clone())
            rival = runner_up(logits, target)
        generator = torch.Generator().manual_seed(self.seed)
        total = torch.zeros_like(x[0, 0], dtype=torch.float32)
        for _ in range(self.samples):
            drawn = torch.randn(x.shape, generator=generator)
            noisy = (x + sd * drawn.to(x)).requires_grad_()
            slope = gradient(margin(network(noisy.clone()), target, rival), noisy)
            if slope is None:
                raise UsageError("not-explainable", "no gradient flows from the answer back to the image")
            total += slope[0].float().abs().sum(dim=0)
        return float(margin(logits, target, rival)), total / self.samples
