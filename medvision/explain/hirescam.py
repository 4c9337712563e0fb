"""The methods `hirescam` and `seg-hirescam`: class activation maps that show what the network used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from medvision.explain.cam import activation_map
from medvision.explain.layers import bottleneck, finest_needed, stages_by_grid, stages_in_order
from medvision.explain.maps import ExplainedMap
from medvision.explain.probing import own_copy, undisturbed
from medvision.explain.scores import Output, Region, margin, region_score, runner_up
from medvision.strict import STRICT

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, config=STRICT, kw_only=True)
class HiResCam:
    """HiResCAM of the margin between a class and the best other class, or of an output that stands by itself.

    The map is relu(sum over channels of activation x gradient) at one layer, so that, unlike with Grad-CAM, no place
    counts for more than the network made of it. One value stands for one cell of the layer; the size of a cell is in
    the parameters of the map.

    Parameters
    ----------
    use
        The name of the method.
    layer
        The name of a module; None for the deepest whose cells are at most 8 mm (or half of `lesion_mm` if that is
        more) with at least 8 cells an axis, or else the finer of the last two stages, with ``coarse`` true.
    lesion_mm
        Diameter of the smallest lesion of interest, in mm; None where not known.

    References
    ----------
    R. L. Draelos, L. Carin: Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
    networks. arXiv:2011.08891, 2020.
    """

    tasks: ClassVar[tuple[str, ...]] = ("classification", "multilabel", "regression")

    use: Literal["hirescam"] = "hirescam"
    layer: str | None = None
    lesion_mm: Annotated[float, Field(gt=0)] | None = None

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
            More than one image, no such class or layer, or a network that has no grid of cells.
        """

        def score(logits: Any) -> torch.Tensor:
            return margin(logits, target, runner_up(logits, target))

        with undisturbed(network):
            x = own_copy(x, spacing_mm)
            layers = (self.layer,) if self.layer is not None else self._chosen(network, x, spacing_mm)
            return activation_map(network, x, layers, score, spacing_mm)

    def _chosen(self, network: torch.nn.Module, x: torch.Tensor, spacing_mm: Sequence[float] | None) -> tuple[str, ...]:
        return finest_needed(stages_by_grid(network, x), x.shape[2:], spacing_mm, self.lesion_mm).layers


@dataclass(frozen=True, config=STRICT, kw_only=True)
class SegHiResCam:
    """HiResCAM of a segmentation: where the logits of a region came from.

    The score is the sum of a label's logits over the region. Late layers repeat the segmentation instead of
    explaining it, which is why the layer is the bottleneck, or the first stage of the decoder where that is coarse.

    Parameters
    ----------
    use
        The name of the method.
    layer
        The name of a module; None for the bottleneck or the first stage of the decoder.

    References
    ----------
    R. L. Draelos, L. Carin: arXiv:2011.08891, 2020; for regions: K. Vinogradova, A. Dibrov, G. Myers: Towards
    interpretable semantic segmentation via gradient-weighted class activation mapping. AAAI 2020.
    """

    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)

    use: Literal["seg-hirescam"] = "seg-hirescam"
    layer: str | None = None

    def __call__(
        self, network: torch.nn.Module, x: torch.Tensor, target: Region, *, spacing_mm: Sequence[float] | None = None
    ) -> ExplainedMap:
        """Return the map of one image for a region.

        Parameters
        ----------
        network
            Gives logits (1, classes, I, J[, K]) in evaluation mode; it is left as found.
        x
            (1, C, I, J[, K]), on the network's device.
        target
            The region and its label.
        spacing_mm
            Of the voxels of `x`; None for a picture.

        Raises
        ------
        UsageError
            More than one image, no such label or layer, an empty region, or a network without a bottleneck.
        """
        with undisturbed(network):
            x = own_copy(x, spacing_mm)
            layers = (
                (self.layer,) if self.layer is not None else bottleneck(stages_in_order(network, x), x.shape[2:]).layers
            )
            return activation_map(network, x, layers, lambda logits: region_score(logits, target), spacing_mm)
