"""What a training without labels gives its loop: network, batches, loss and validation, by the method."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from medvision.errors import PipelineError, UsageError
from medvision.pipeline import PipelineFolder, Settings
from medvision.training import Place, Sampler, Training, Validation, rehearsal, require_divisible
from medvision.training.pretext import (
    Agreement,
    HeldOutMasks,
    HeldOutViews,
    MaskedBatches,
    Masking,
    Reconstruction,
    TwoViews,
    Views,
    has_collapsed,
    with_projector,
)
from medvision.workflows.training_data.unlabelled import PreparedImage

_QUICK_SECONDS = 1.0  # what takes less is done twice: the first one also pays for what is set up once
_FEW = 4  # images by which a validation is timed: one alone has no other to be told from
Method = Literal["masked", "vicreg"]
METHODS: Mapping[Method, str] = {
    "masked": "what is hidden of an image is told from the rest",
    "vicreg": "two views of an image are alike, and those of different images spread",
}


def method_for(settings: Settings, wanted: str | None) -> Method:
    """Return the method that is wanted, or the one for the pipeline's kind of network.

    Raises
    ------
    UsageError
        There is no such method, or it is for another kind of network; or the network sees volumes slice by slice.
    """
    if settings.contract.slices:
        cure = "Leave `slices` out, and give pictures."
        raise UsageError("usage", "a pretraining does not see volumes slice by slice", cure=cure)
    fitting: Method = "masked" if settings.task == "segmentation" else "vicreg"
    if wanted is None or wanted == fitting:
        return fitting
    if wanted not in METHODS:
        raise UsageError("usage", f"there is no method {wanted!r}", cure=f"Choose {' or '.join(METHODS)}.")
    kind = "every voxel" if fitting == "masked" else "an image as a whole"
    message = f"the network {settings.network.use!r} of this pipeline answers for {kind}, {wanted!r} is not for it"
    raise UsageError("usage", message, cure=f"Leave --method out, or give {fitting}.")


@dataclass(frozen=True, eq=False)
class PretextJob:
    """What is pretrained, on what, and where.

    Parameters
    ----------
    pipeline
        With the settings in force.
    method
        See :data:`METHODS`.
    training, held_out
        The images of each side.
    place
        Where the network computes, and in what.
    deterministic
        Whether every run gives the same bits.
    masking, views
        How the methods hide and vary.
    """

    pipeline: PipelineFolder
    method: Method
    training: Sequence[PreparedImage]
    held_out: Sequence[PreparedImage]
    place: Place
    deterministic: bool
    masking: Masking = field(default_factory=Masking)
    views: Views = field(default_factory=Views)

    def changed(self, settings: Settings) -> PretextJob:
        """Return the same with other settings."""
        return replace(self, pipeline=replace(self.pipeline, settings=settings))

    def at(self, place: Place) -> PretextJob:
        """Return the same at another place."""
        return replace(self, place=place)

    @property
    def train(self) -> Training:
        """The settings of the training, without what needs labels."""
        return replace(self.pipeline.settings.train, balanced=False)

    @property
    def method_settings(self) -> dict[str, Any]:
        """The settings of the method, as JSON values."""
        return asdict(self.masking if self.method == "masked" else self.views)

    def network(self) -> Any:
        """Return what is trained, with fresh weights; the caller's seed stays as it was."""
        import torch

        settings, views, seed = self.pipeline.settings, self.views, self.train.seed
        channels = len(settings.contract.channels)
        outputs = channels if self.method == "masked" else views.width
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = settings.network.build(
                in_channels=channels, out_channels=outputs, dimensions=settings.contract.dimensions
            )
        return network if self.method == "masked" else with_projector(network, views, seed=seed)

    def encoder(self, network: Any) -> Any:
        """Return what of the trained network a pipeline can start from."""
        return network if self.method == "masked" else network.backbone

    def batches(self) -> MaskedBatches | TwoViews:
        """Return what gives each step its batch."""
        sampler = Sampler([image.sample for image in self.training], self.train)
        seen = [image.sample for image in (*self.training, *self.held_out)]  # those held out are not padded either
        require_divisible(seen, self.train, self.pipeline.settings.network.divisor)
        if self.method == "masked":
            return MaskedBatches(sampler, self.train, self.masking, self.place)
        return TwoViews(sampler, self.train, self.views, self.place)

    def objective(self) -> Reconstruction | Agreement:
        """Return the loss."""
        return Reconstruction(self.place) if self.method == "masked" else Agreement(self.views, self.place)

    @cached_property
    def validate(self) -> HeldOutMasks | HeldOutViews:
        """What says how well a network does on the images held out."""
        samples = [image.sample for image in self.held_out]
        if self.method == "masked":
            return HeldOutMasks(samples, self.train, self.masking, self.place)
        return HeldOutViews(samples, self.train, self.views, self.place)

    def require_learned(self, network: Any) -> Validation:
        """Return the figures of the trained network on the images held out.

        Raises
        ------
        PipelineError
            It gives nearly the same answer for all of them.
        """
        result = self.validate(network.eval())
        if self.method == "vicreg" and has_collapsed(result.figures):
            message = (
                f"the embeddings of different images spread by {result.figures['spread']:.3g}, where 1 is asked for"
            )
            raise PipelineError("pretraining-collapsed", message)
        return result

    def step(self) -> Callable[[int], None]:
        """Return one step of the training as a function of its number, on a network that is thrown away."""
        network = self.network()
        how: dict[str, Any] = {"place": self.place, "deterministic": self.deterministic}
        return rehearsal(network, self.batches(), self.objective(), self.train, **how)

    def validation_seconds(self) -> float:
        """Return the time that a validation takes, by that of a few images; of quick ones, after a try to warm up."""
        network = self.network().to(self.place.device).eval()
        few = replace(self, held_out=self.held_out[:_FEW])

        def validated() -> float:
            began = time.monotonic()
            few.validate(network)
            return time.monotonic() - began

        first = validated()
        return (first if first > _QUICK_SECONDS else validated()) / len(few.held_out) * len(self.held_out)
