"""A batch is drawn by seed and step alone, and a patch lies where it is documented to lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from medvision.errors import InputError
from medvision.training import Sample, Training
from medvision.training.samples import Sampler


def numbered(shape: tuple[int, ...], *, at: tuple[int, ...] | None = None, name: str = "a") -> Sample:
    """A sample whose values tell their place (from 1 on), with a label of 2 in one voxel."""
    image = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(1, *shape)
    target = np.zeros(shape, dtype=np.uint8)
    if at is not None:
        target[at] = 2
    return Sample(name, image, target)


def batch_of(samples: list[Sample], step: int = 0, **fields: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    images, targets = Sampler(samples, Training(**fields)).batch(step)
    return images.numpy(), targets.numpy()


def test_a_batch_depends_on_the_seed_and_the_step_alone() -> None:
    samples = [numbered((9, 7), at=(3, 3), name=str(n)) for n in range(5)]
    fields: dict[str, Any] = {"batch": 4, "patch": (4, 4)}
    sampler = Sampler(samples, Training(**fields))
    first = [sampler.batch(step)[0].numpy() for step in range(6)]
    again = [batch_of(samples, step, **fields)[0] for step in reversed(range(6))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], batch_of(samples, 0, **fields, seed=1)[0])


def test_drawing_leaves_the_global_generators_alone() -> None:
    before, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - it is what must not move
    batch_of([numbered((9, 7))], batch=4, patch=(4, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numbers)  # noqa: NPY002


def test_a_batch_has_the_types_and_shapes_that_the_loop_needs() -> None:
    images, targets = Sampler([numbered((9, 7, 5), at=(1, 1, 1))], Training(batch=3, patch=(4, 8, 2))).batch(0)
    assert (images.shape, images.dtype) == ((3, 1, 4, 8, 2), torch.float32)
    assert (targets.shape, targets.dtype) == ((3, 4, 8, 2), torch.int64)
    images, targets = Sampler([Sample("a", np.zeros((2, 6, 6), np.float32), 1)], Training(batch=3)).batch(0)
    assert (images.shape, targets.tolist(), targets.dtype) == ((3, 2, 6, 6), [1, 1, 1], torch.int64)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(3, 12), st.integers(3, 12)),
    patch=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    foreground=st.sampled_from([0.0, 0.5, 1.0]),
    step=st.integers(0, 99),
    place=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_a_patch_lies_inside_the_image_or_holds_all_of_it(
    shape: tuple[int, int], patch: tuple[int, int], foreground: float, step: int, place: tuple[int, int]
) -> None:
    sample = numbered(shape, at=place)
    images, targets = batch_of([sample], step, batch=2, patch=patch, foreground=foreground)
    for image, target in zip(images[:, 0], targets, strict=True):
        rows, columns = ((image.astype(int) - 1) // shape[1], (image.astype(int) - 1) % shape[1])
        for places, axis in ((rows[:, 0], 0), (columns[0], 1)):
            steps = np.diff(places)
            inside = min(patch[axis], shape[axis])
            assert len(np.unique(places)) == inside, "as much of the image as fits"
            assert set(steps.tolist()) <= {0, 1}, "in order, its edge repeated outside"
            assert patch[axis] > shape[axis] or (steps == 1).all(), "nothing is repeated where there is room"
        assert np.array_equal(rows, np.broadcast_to(rows[:, :1], rows.shape))
        if foreground == 1.0:
            assert (target == 2).sum() == 1, "the patch holds the labelled voxel, once: padding is background"
            assert image[target == 2] == sample.image[0][place], "and labels lie on their voxels"


def test_patches_around_a_labelled_voxel_hold_it_in_their_middle_half() -> None:
    images, targets = batch_of([numbered((40, 40), at=(20, 20))], batch=200, patch=(8, 12), foreground=1.0)
    places = np.argwhere(targets == 2)[:, 1:]
    assert len(places) == len(images)
    assert (places.min(0).tolist(), places.max(0).tolist()) == ([2, 3], [5, 8])


def test_the_share_of_foreground_is_kept() -> None:
    sample = numbered((100, 100), at=(50, 50))
    shares = [
        float((batch_of([sample], batch=300, patch=(4, 4), foreground=share)[1] == 2).any((1, 2)).mean())
        for share in (0.0, 0.5, 1.0)
    ]
    assert shares[0] < 0.02
    assert 0.4 < shares[1] < 0.6
    assert shares[2] == 1.0


def test_a_sample_without_labelled_voxels_is_cut_anywhere() -> None:
    images, targets = batch_of([numbered((30, 4))], batch=200, patch=(10, 4), foreground=1.0)
    starts = {int(image[0, 0, 0] - 1) // 4 for image in images}
    assert (min(starts), max(starts)) == (0, 20)
    assert not targets.any()


def test_balanced_draws_both_classes_equally_often() -> None:
    samples = [Sample(str(n), np.zeros((1, 2, 2), np.float32), int(n == 0)) for n in range(50)]
    _, even = batch_of(samples, batch=2000, balanced=True)
    _, found = batch_of(samples, batch=2000)
    assert 0.45 < even.mean() < 0.55
    assert found.mean() < 0.05


def test_whole_images_of_different_sizes_are_refused_with_a_cure() -> None:
    samples = [Sample("a", np.zeros((1, 4, 4), np.float32), 0), Sample("b", np.zeros((1, 4, 6), np.float32), 1)]
    with pytest.raises(InputError, match="2 sizes") as caught:
        Sampler(samples, Training())
    assert caught.value.finding.cure is not None
    assert "patch" in caught.value.finding.cure
    Sampler(samples, Training(patch=(4, 4)))


def test_training_without_a_sample_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        Sampler([], Training())
    assert caught.value.code == "too-few-cases"


def test_a_batch_is_a_copy_of_the_samples() -> None:
    sample = Sample("a", np.ones((1, 4, 4), np.float32), np.ones((4, 4), np.uint8))
    for fields in ({}, {"patch": (4, 4)}, {"patch": (2, 2)}):
        images, targets = Sampler([sample], Training(batch=1, **fields)).batch(0)
        images.zero_()
        targets.zero_()
    assert sample.image.all()
    assert isinstance(sample.target, np.ndarray)
    assert sample.target.all()
