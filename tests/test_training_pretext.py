"""Training without labels: what is hidden, what is compared, and when a network has come to say one thing of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from medvision.errors import InputError, PipelineError
from medvision.networks import DynUNet, ResNet, SegResNet
from medvision.training import Augmentation, Batch, Sample, Sampler, Store, Training, optimise
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
from medvision.training.pretext.images import MOST_HELD_OUT, held_out_images
from medvision.training.pretext.masked import hide
from medvision.training.pretext.vicreg import disagreement
from medvision.training.samples import centre_of

STILL = Augmentation(strength=0.0)


def waves(count: int, shape: tuple[int, ...] = (16, 16)) -> list[Sample]:
    """Return images of waves, each of another length and phase; one part tells the rest."""
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"))
    found = []
    for number in range(count):
        phase = np.random.default_rng(number).uniform(0, 6)
        image = np.sin(grid[0] * (0.3 + 0.1 * (number % 4)) + phase) + 0.2 * np.cos(grid[1] * 0.5)
        found.append(Sample(f"w{number}", image[None].astype(np.float32), None))
    return found


def trained(**values: Any) -> Training:
    given = {"epochs": 2, "steps_per_epoch": 15, "batch": 8, "optimiser": "adamw", "learning_rate": 0.01}
    return Training(**given | {"precision": "fp32", "augmentation": STILL, "validate_every": 1} | values)


def unet(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return DynUNet(channels=(4, 4, 4), residual=False).build(in_channels=1, out_channels=1, dimensions=2)


def resnet() -> Any:
    torch.manual_seed(0)
    network = ResNet(blocks=(1, 1, 1, 1), channels=(4, 4, 8, 8), stem_kernel=3, stem_stride=1, stem_pool=False)
    return network.build(in_channels=1, out_channels=16, dimensions=2)


VIEWS = Views(width=16, embedding=4)


# samples that nobody has labelled


def test_a_sample_without_a_label_is_one_in_memory_and_on_disk(tmp_path: Path) -> None:
    sample = waves(1)[0]
    stored = Store(tmp_path).put("ab", sample, {"digest": "x"})
    opened = Store(tmp_path).get("ab")
    assert opened is not None
    for one in (sample, stored, opened, opened.in_memory()):
        image, labels = one.part((slice(0, 4), slice(2, 6)))
        assert labels is None
        assert one.whole is None
        assert not one.voxelwise
        assert dict(one.labelled) == {}
        assert np.array_equal(image, sample.image[:, 0:4, 2:6])


def test_batches_of_samples_without_labels_have_no_targets() -> None:
    images, targets = Sampler(waves(3), trained(batch=4, patch=(8, 8))).batch(0)
    assert images.shape == (4, 1, 8, 8)
    assert targets is None


def test_the_middle_of_an_image_is_taken_and_its_edge_repeated() -> None:
    image = np.arange(6, dtype=np.float32).reshape(1, 6, 1).repeat(2, axis=2)
    sample = Sample("a", image, None)
    assert centre_of(sample, (2, 2))[0, :, 0].tolist() == [2, 3]
    assert centre_of(sample, (10, 2))[0, :, 0].tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 5, 5]
    assert centre_of(sample, None).shape == (1, 6, 2)


def test_of_many_held_out_images_some_are_looked_at() -> None:
    assert len(held_out_images(waves(MOST_HELD_OUT), None)) == MOST_HELD_OUT
    assert len(held_out_images(waves(MOST_HELD_OUT + 2, (4, 4)), None)) == MOST_HELD_OUT // 2 + 1


# masks


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(2, 24), min_size=2, max_size=3),
    ratio=st.floats(0.05, 0.95),
    block=st.integers(1, 10),
    seed=st.integers(0, 2**31),
)
def test_masks_hide_whole_blocks_and_as_many_as_asked_for(
    shape: list[int], ratio: float, block: int, seed: int
) -> None:
    masking = Masking(ratio=ratio, block=block)
    masks = masking.draw(3, shape, torch.Generator().manual_seed(seed))
    assert masks.shape == (3, 1, *shape)
    sides = masking.sides(shape)
    assert all(side <= max(1, min(block, size // 4)) for side, size in zip(sides, shape, strict=True))
    corners = masks[(slice(None), 0, *(slice(None, None, side) for side in sides))]  # one voxel a block
    whole = corners
    for axis, (size, side) in enumerate(zip(shape, sides, strict=True), 1):
        whole = whole.repeat_interleave(side, axis).narrow(axis, 0, size)
    assert torch.equal(whole, masks[:, 0])
    blocks = corners[0].numel()
    hidden = corners.flatten(1).sum(1)
    assert hidden.tolist() == [min(max(1, round(ratio * blocks)), max(1, blocks - 1))] * 3


def test_masks_depend_on_seed_and_step_alone() -> None:
    samples = waves(4)
    batches = MaskedBatches(Sampler(samples, trained()), trained(), Masking(block=4))
    again = MaskedBatches(Sampler(samples, trained()), trained(), Masking(block=4))
    other = MaskedBatches(Sampler(samples, trained(seed=1)), trained(seed=1), Masking(block=4))
    _, first = batches(3).targets
    again(0)
    assert torch.equal(first, again(3).targets[1])
    assert not torch.equal(first, batches(4).targets[1])
    assert not torch.equal(first, other(3).targets[1])


@pytest.mark.parametrize("values", [{"ratio": 0.0}, {"ratio": 1.0}, {"block": 0}, {"bolck": 4}])
def test_masks_that_hide_nothing_or_everything_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Masking(**values)


def test_hidden_voxels_have_the_mean_of_the_visible_ones_of_their_channel() -> None:
    images = torch.tensor([[[[1.0, 3.0], [50.0, 2.0]], [[5.0, 5.0], [9.0, 8.0]]]])
    masks = torch.tensor([[[[False, False], [True, False]]]])
    hidden = hide(images, masks)
    assert hidden[0, 0].tolist() == [[1, 3], [2, 2]]
    assert hidden[0, 1].tolist() == [[5, 5], [6, 8]]
    assert images[0, 0, 1, 0] == 50


def test_only_hidden_voxels_count_in_the_loss() -> None:
    batch = MaskedBatches(Sampler(waves(4), trained()), trained(), Masking(block=4))(0)
    images, masks = batch.targets
    shown = torch.nn.Identity()
    far = Batch(batch.images + 100 * ~masks, batch.targets)
    loss = Reconstruction()(shown, batch)
    assert loss == Reconstruction()(shown, far)
    assert loss == pytest.approx(float((batch.images - images)[masks].square().mean()), rel=1e-5)
    assert Reconstruction()(shown, Batch(images, batch.targets)) == 0
    assert torch.equal(batch.images[~masks], images[~masks])


def test_two_channels_are_hidden_together_and_count_alike() -> None:
    images, masks = torch.randn(2, 2, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    masks[..., :4] = True
    answer = torch.zeros_like(images)
    loss = Reconstruction()(lambda _: answer, Batch(hide(images, masks), (images, masks)))
    assert loss == pytest.approx(float(images[..., :4].square().mean()), rel=1e-5)


def test_a_network_that_knows_everything_explains_all_and_one_that_fills_in_nothing() -> None:
    samples = waves(3)
    held_out = HeldOutMasks(samples, trained(), Masking(block=4))
    whole = iter([torch.from_numpy(sample.image)[None] for sample in samples])
    known = held_out(lambda _: next(whole))
    assert known.score == 1
    assert known.figures["masked error"] == 0
    filled = held_out(lambda images: images)
    assert filled.score == 0
    assert filled.figures["masked error"] > 0.1
    blank = [Sample("flat", np.ones((1, 16, 16), np.float32), None)]
    assert HeldOutMasks(blank, trained())(lambda images: images).score == 0


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_loss_falls_while_a_network_learns_what_is_hidden(dimensions: int, tmp_path: Path) -> None:
    samples = waves(6, (16,) * dimensions)
    values = trained(batch=4, steps_per_epoch=25 if dimensions == 2 else 12)
    torch.manual_seed(0)
    kind = SegResNet(channels=8, blocks_down=(1, 1), blocks_up=(1,)) if dimensions == 3 else None
    network = kind.build(in_channels=1, out_channels=1, dimensions=3) if kind else unet()
    masking = Masking(ratio=0.5, block=2)
    fitted = optimise(
        network,
        MaskedBatches(Sampler(samples[:4], values), values, masking),
        Reconstruction(),
        HeldOutMasks(samples[4:], values, masking),
        values,
        folder=tmp_path,
    )
    assert fitted.rows[-1]["loss"] < 0.8 * fitted.rows[0]["loss"]
    assert fitted.rows[-1]["explained share"] > fitted.rows[0]["explained share"]


# views


def test_views_of_an_image_differ_and_depend_on_seed_and_step_alone() -> None:
    samples = waves(4)
    views = TwoViews(Sampler(samples, trained()), trained(), VIEWS)
    batch = views(5)
    assert batch.images.shape == (16, 1, 16, 16)
    assert batch.targets is None
    first, second = batch.images.chunk(2)
    assert not torch.equal(first, second)
    views(0)
    assert torch.equal(views(5).images, batch.images)
    assert not torch.equal(views(6).images, batch.images)


def test_a_view_varies_more_than_a_sample_and_never_mirrors_what_is_not_mirrored() -> None:
    own = Augmentation(rotation_degrees=10, scale=0.3, strength=0.0, mirror_axes=(1,))
    seen = Views().augmentation(own)
    assert seen.resolved().rotation_degrees == 20
    assert (seen.scale, seen.shift, seen.erase) == (0.3, 0.1, 0.3)
    assert seen.mirror_axes == (1,)
    assert Views().augmentation(Augmentation(strength=4.0)).strength == 5


def test_a_batch_too_small_to_tell_a_spread_is_refused() -> None:
    with pytest.raises(PipelineError, match="8 or more"):
        TwoViews(Sampler(waves(2), trained(batch=4)), trained(batch=4))


def test_one_image_has_no_spread() -> None:
    with pytest.raises(InputError, match="two held-out images"):
        HeldOutViews(waves(1), trained())


def test_the_loss_of_views_is_that_of_hand_computed_embeddings() -> None:
    apart = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    assert disagreement(apart, apart, Views()) == pytest.approx(0, abs=1e-6)  # spread by 1.6, uncorrelated, equal
    one = torch.zeros(4, 2)
    assert disagreement(one, one, Views()) == pytest.approx(0.99)  # no spread: 1 less the root of 1e-4
    assert disagreement(apart, apart + 0.5, Views()) == pytest.approx(0.25, abs=1e-6)
    same = torch.tensor([[2.0, 2.0], [-2.0, -2.0]])  # both axes say the same: covariance 8, twice, of two axes
    assert disagreement(same, same, Views()) == pytest.approx(0.04 * 2 * (2 * 8**2) / 2)


def test_a_network_learns_to_know_views_without_collapse(tmp_path: Path) -> None:
    samples, values = waves(16), trained(epochs=3, batch=12)
    network = with_projector(resnet(), VIEWS, seed=0)
    held_out = HeldOutViews(samples[10:], values, VIEWS)
    batches = TwoViews(Sampler(samples[:10], values), values, VIEWS)
    fitted = optimise(network, batches, Agreement(VIEWS), held_out, values, folder=tmp_path)
    assert fitted.rows[-1]["loss"] < fitted.rows[0]["loss"]
    found = held_out(network)
    assert not has_collapsed(found.figures)
    assert found.score == -found.figures["held-out loss"]
    assert 1 <= found.figures["effective rank"] <= 4


def test_a_network_that_gives_one_answer_for_all_images_has_collapsed() -> None:
    network = with_projector(resnet(), VIEWS, seed=0).eval()
    with torch.no_grad():
        for parameter in network.backbone.parameters():
            parameter.zero_()
    found = HeldOutViews(waves(4), trained(), VIEWS)(network)
    assert has_collapsed(found.figures)
    assert found.figures["spread"] == 0
    assert found.figures["effective rank"] == 0


def test_a_projector_leaves_the_callers_seed_and_has_its_own() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    backbone = torch.nn.Linear(2, 16)
    torch.set_rng_state(before)
    weights = [with_projector(backbone, VIEWS, seed=seed).projector[2].weight for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


# stopped and gone on with


@pytest.mark.parametrize("method", ["masked", "vicreg"])
def test_a_pretraining_that_was_stopped_ends_bit_by_bit_as_one_that_was_not(method: str, tmp_path: Path) -> None:
    samples, values = waves(6), trained(steps_per_epoch=3, average=0.9, augmentation=Augmentation())

    def run(folder: Path, *, stop: bool) -> list[Any]:
        network = unet() if method == "masked" else with_projector(resnet(), VIEWS, seed=0)
        batches: Any = MaskedBatches(Sampler(samples, values), values)
        objective: Any = Reconstruction()
        validate: Any = HeldOutMasks(samples[:2], values)
        if method == "vicreg":
            batches, objective = TwoViews(Sampler(samples, values), values, VIEWS), Agreement(VIEWS)
            validate = HeldOutViews(samples[:2], values, VIEWS)

        def given(step: int) -> Batch:
            if stop and step == 4:
                raise KeyboardInterrupt
            return batches(step)

        optimise(network, given, objective, validate, values, folder=folder)
        return list(network.state_dict().values())

    whole = run(tmp_path / "whole", stop=False)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", stop=True)
    resumed = run(tmp_path / "parts", stop=False)
    assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))
