"""A batch is drawn by seed and step alone, and a patch lies where it is documented to lie."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from medvision.errors import InputError, PipelineError
from medvision.training import Prepared, Sample, Store, Training
from medvision.training.samples import Sampler, class_counts, require_divisible


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
            assert (target == 2).any(), "the patch holds the labelled voxel"
        assert np.array_equal(target == 2, image == sample.image[0][place]), "outside, labels go on as the image does"


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


@pytest.mark.parametrize(
    ("shape", "divisor", "fault"),
    [
        ((16, 16, 19), 4, "16 x 16 x 19 voxels after the steps; the network takes multiples of 4"),
        ((16, 8, 6), (4, 4, 4), "16 x 8 x 6 voxels after the steps; the network takes multiples of 4"),
        ((16, 8, 6), (8, 8, 4), "16 x 8 x 6 voxels after the steps; the network takes multiples of 8 x 8 x 4"),
        ((8, 8), (8, 8), "the network leaves one voxel of it, from which nothing can be told"),
        ((8, 8), 8, "the network leaves one voxel of it, from which nothing can be told"),
    ],
)
def test_whole_images_that_the_network_cannot_take_are_refused_with_a_cure(
    shape: tuple[int, ...], divisor: int | tuple[int, ...], fault: str
) -> None:
    fits = numbered((16,) * len(shape))
    with pytest.raises(PipelineError) as caught:
        require_divisible([fits, numbered(shape, name="b")], Training(), divisor)
    assert caught.value.code == "pipeline-invalid"
    message = caught.value.finding.message
    assert message.startswith("case b is ")
    assert message.endswith(fault)
    assert caught.value.finding.cure is not None
    assert "`patch` in [train], or add a step `resize` or `pad`" in caught.value.finding.cure
    require_divisible([numbered(shape)], Training(patch=(8,) * len(shape)), divisor)


def test_whole_images_that_the_network_can_take_are_not_refused() -> None:
    require_divisible([numbered((1, 1)), numbered((7, 5))], Training(), 1)
    require_divisible([numbered((16, 8, 6))], Training(), (8, 4, 2))
    require_divisible([numbered((8, 8, 4))], Training(), (8, 8, 2))


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


def stored(samples: list[Sample], folder: Path) -> list[Prepared]:
    """The samples on disk, and opened there anew."""
    store, found = Store(folder), []
    for number, sample in enumerate(samples):
        store.put(f"{number:02d}", sample, {})
        found.append(store.get(f"{number:02d}"))
    assert None not in found
    return found  # type: ignore[return-value]


def blobs(name: str, shape: tuple[int, ...], labels: tuple[int, ...]) -> Sample:
    random = np.random.default_rng(len(name) + sum(labels))
    target = random.choice(np.array((0, *labels), np.uint8), shape)
    return Sample(name, random.normal(size=(2, *shape)).astype(np.float32), target)


@pytest.mark.parametrize(
    ("samples", "fields"),
    [
        ([blobs("a", (9, 8, 7), (1, 2, 10)), blobs("b", (6, 12, 5), (2,))], {"patch": (4, 8, 6), "foreground": 0.7}),
        ([blobs("a", (9, 8), (3,)), blobs("b", (9, 8), ())], {"foreground": 0.5}),
        ([Sample(n, np.full((1, 4, 4), int(n), np.float32), int(n) % 2) for n in "1234"], {"balanced": True}),
        ([Sample("v", np.ones((1, 4, 4), np.float32), np.array([0.5, np.nan], np.float32))], {"patch": (3, 3)}),
    ],
)
def test_samples_on_disk_give_the_same_batches_as_in_memory_bit_by_bit(
    tmp_path: Path, samples: list[Sample], fields: dict[str, Any]
) -> None:
    settings = Training(batch=5, **fields)
    kept = stored(samples, tmp_path)
    one, other = Sampler(samples, settings), Sampler(kept, settings)
    for step in range(12):
        for ours, theirs in zip(one.batch(step), other.batch(step), strict=True):
            assert ours.dtype == theirs.dtype
            assert ours.numpy().tobytes() == theirs.numpy().tobytes()
    assert class_counts(kept) == class_counts(samples)


@settings(max_examples=20, deadline=None)
@given(step=st.integers(0, 99), shares=st.sampled_from([1, 2, 3, 6]))
def test_processes_that_share_a_batch_read_the_rows_of_one(step: int, shares: int) -> None:
    sampler = Sampler([blobs("a", (9, 8), (1,)), blobs("b", (7, 9), (2,))], Training(batch=6, patch=(4, 4)))
    whole, _ = sampler.batch(step)
    each = 6 // shares
    parts = [sampler.batch(step, slice(n * each, (n + 1) * each))[0] for n in range(shares)]
    assert torch.equal(torch.cat(parts), whole)


def test_every_label_is_drawn_equally_often_however_small_it_is() -> None:
    target = np.ones((40, 40), np.uint8)
    target[0, 0], target[20:23, 20:23] = 2, 5
    sample = Sample("a", np.zeros((1, 40, 40), np.float32), target)
    _, targets = Sampler([sample], Training(batch=600, patch=(4, 4), foreground=1.0)).batch(0)
    for number in (2, 5):
        assert 0.28 < float((targets == number).any(-1).any(-1).double().mean()) < 0.39


def test_voxels_of_a_label_are_drawn_from_all_of_it_and_kept_in_bounds() -> None:
    target = np.ones((30, 30, 30), np.uint8)
    (voxels,) = Sample("a", np.zeros((1, 30, 30, 30), np.float32), target).labelled.values()
    assert (voxels.shape, voxels.dtype) == ((10_000, 3), np.int32)
    assert len(np.unique(voxels, axis=0)) == 10_000
    assert np.allclose(voxels.mean(0), 14.5, atol=0.5)
    again, other = (Sample(name, np.zeros((1, 30, 30, 30), np.float32), target).labelled[1] for name in "ab")
    assert np.array_equal(again, voxels)
    assert not np.array_equal(other, voxels)


class Watched:
    """A case that keeps what was asked of it."""

    def __init__(self, sample: Sample) -> None:
        self.id, self.shape, self.whole, self.labelled = sample.id, sample.shape, sample.whole, sample.labelled
        self.sample, self.asked = sample, list[tuple[slice, ...]]()

    def part(self, where: tuple[slice, ...]) -> Any:
        self.asked.append(where)
        return self.sample.part(where)


def test_no_more_is_read_than_a_batch_needs() -> None:
    case = Watched(blobs("a", (20, 30), (1,)))
    Sampler([case], Training(batch=50, patch=(8, 40), foreground=0.5)).batch(0)  # type: ignore[list-item]
    assert len(case.asked) == 50
    for rows, columns in case.asked:
        assert 0 <= rows.start < rows.stop <= 20
        assert rows.stop - rows.start == 8
        assert (columns.start, columns.stop) == (0, 30), "what lies outside is not asked for"


def test_drawing_from_many_stored_samples_takes_no_more_memory_than_from_few(tmp_path: Path) -> None:
    settings, peaks = Training(batch=4, patch=(8, 8, 8), foreground=0.5), []
    target = np.ones((16, 16, 16), np.uint8)
    image = np.zeros((1, 16, 16, 16), np.float32)
    names = [f"{number:03d}" for number in range(300)]
    store = Store(tmp_path)
    for name in names:
        store.put(name, Sample(name, image, target), {})
    for count in (3, 300):
        samples = [found for found in map(store.get, names[:count]) if found is not None]
        assert len(samples) == count
        tracemalloc.start()
        kept = [found for found in map(store.get, names[:count]) if found is not None]
        sampler = Sampler(kept, settings)
        for step in range(40):
            sampler.batch(step)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    a_case = image.nbytes + target.nbytes + 16**3 * 12
    assert (peaks[1] - peaks[0]) / 297 < a_case / 20, "a case that is not being read takes next to nothing"
