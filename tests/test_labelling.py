"""Labels from slabs are those of the whole answer, on any parallel grid, and never more is held than a slab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from phantoms import ORIENTATIONS

from medvision.explain import entropy
from medvision.geometry import Geometry
from medvision.placing import Placing
from medvision.predict import Labelling, Prediction, Slab, labelled
from medvision.resampling import resample


def cut(values: NDArray[np.float32], axis: int, thick: int) -> Iterator[Slab]:
    """Return an answer (K, I, J, K') in slabs along an axis."""
    for first in range(0, values.shape[1 + axis], thick):
        yield Slab(axis, first, values.take(range(first, min(first + thick, values.shape[1 + axis])), axis=1 + axis))


def sure(grid: Geometry, classes: int = 3, seed: int = 0) -> NDArray[np.float32]:
    """Return smooth probabilities (K, I, J, K') that make large connected labels."""
    from scipy import ndimage

    noise = np.random.default_rng(seed).normal(size=(classes, *grid.shape))
    logits = 8 * np.stack([ndimage.gaussian_filter(each, 1.5, mode="nearest") for each in noise])
    powers = np.exp(logits)
    return (powers / powers.sum(0)).astype(np.float32)


def label(values: NDArray[np.float32], source: Geometry, target: Geometry, axis: int = 0, thick: int = 3) -> Labelling:
    slabs = cut(values, axis, thick)
    return labelled(slabs, Placing.between(source, target), Prediction(), classes=len(values))


@settings(max_examples=30, deadline=None)
@given(
    orientation=st.sampled_from(ORIENTATIONS),
    spacing=st.sampled_from([(1.0, 1.0, 1.0), (0.7, 1.3, 2.1), (2.0, 1.0, 0.5), (3.0, 3.0, 3.0)]),
    axis=st.integers(0, 2),
    thick=st.integers(1, 9),
    seed=st.integers(0, 3),
)
def test_labels_are_the_largest_of_the_probabilities_brought_to_the_grid_of_the_input(
    orientation: str, spacing: tuple[float, float, float], axis: int, thick: int, seed: int
) -> None:
    source = Geometry.from_spacing((1.0, 1.5, 2.0), (9, 8, 7))
    target = source.resampled(spacing).reoriented(orientation)
    values = sure(source, seed=seed)
    found = label(values, source, target, axis, thick)
    whole = np.stack([resample(each, source, target, fill=float(n == 0)) for n, each in enumerate(values)])
    ranked = np.sort(whole, axis=0)
    clear = ranked[-1] - ranked[-2] > 1e-5
    assert clear.mean() > 0.95
    assert np.array_equal(found.labels[clear], whole.argmax(0)[clear])
    assert np.array_equal(found.seen, values.argmax(0))
    assert np.allclose(found.entropy, resample(entropy(values), source, target), atol=1e-5)


def test_slabs_of_any_thickness_give_the_same_bits() -> None:
    source = Geometry.from_spacing((1, 1, 1), (12, 10, 8))
    target = source.resampled((0.7, 0.7, 0.7)).reoriented("SPL")
    values = sure(source)
    first, *others = (label(values, source, target, 0, thick) for thick in (12, 1, 5))
    for other in others:
        assert other.labels.tobytes() == first.labels.tobytes()
        assert other.entropy.tobytes() == first.entropy.tobytes()
        assert other.agreement == pytest.approx(first.agreement, abs=1e-12)


def test_beyond_the_grid_of_the_network_is_background_that_is_certain() -> None:
    source = Geometry.from_spacing((1, 1, 1), (4, 4, 4))
    target = source.cropped((-2, 0, 1), (4, 5, 4))
    values = np.zeros((2, 4, 4, 4), np.float32)
    values[0], values[1] = 0.4, 0.6
    found = label(values, source, target)
    assert found.labels[2:, :4].all()
    assert not found.labels[:2].any()
    assert not found.labels[:, 4].any()
    assert not found.entropy[:2].any()
    assert found.entropy[2:, :4].min() > 0.9


def test_half_way_between_two_voxels_the_mean_of_all_classes_decides() -> None:
    """Neither neighbour has class 2 as its largest, and yet it is the largest between them."""
    source = Geometry.from_spacing((2, 1, 1), (2, 1, 1))
    target = Geometry(np.array([[1.0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), (1, 1, 1))
    values = np.array([[0.5, 0.1], [0.1, 0.5], [0.4, 0.4]], np.float32).reshape(3, 2, 1, 1)
    assert label(values, source, target).labels.item() == 2


def test_axes_that_are_not_parallel_are_refused() -> None:
    turned = np.eye(4)
    turned[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    with pytest.raises(ValueError, match="not parallel"):
        Placing.between(Geometry.from_spacing((1, 1, 1), (4, 4, 4)), Geometry(turned, (4, 4, 4)))


def test_along_an_axis_of_order_0_the_nearest_neighbour_counts_alone() -> None:
    source = Geometry.from_spacing((1, 1, 5), (2, 2, 2))
    target = source.resampled((1, 1, 1))
    values = np.zeros((2, 2, 2, 2), np.float32)
    values[0, ..., 0], values[1, ..., 1] = 1, 0.6
    values[1, ..., 0], values[0, ..., 1] = 0, 0.4
    for order, expected in ((0, [0] * 5 + [1] * 5), (1, [0] * 7 + [1] * 3)):
        placing = Placing.between(source, target, (1, 1, order))  # type: ignore[arg-type]
        found = labelled(cut(values, 0, 1), placing, Prediction(), classes=2)
        assert found.labels[0, 0].tolist() == expected


@pytest.mark.parametrize("kind", [np.uint8, np.float16])
@pytest.mark.parametrize("combine", ["probabilities", "logits"])
def test_probabilities_are_kept_on_the_grid_of_the_input_where_they_are_asked_for(
    tmp_path: Path, kind: Any, combine: Any
) -> None:
    source = Geometry.from_spacing((1.0, 1.5, 2.0), (9, 8, 7))
    target = source.resampled((0.7, 1.0, 3.0)).reoriented("SPL").cropped((-1, 0, 0), (5, 12, 9))
    values = sure(source)
    answers = np.log(values) if combine == "logits" else values
    kept = np.memmap(tmp_path / "kept", dtype=kind, mode="w+", shape=(3, *target.shape))
    placing, how = Placing.between(source, target), Prediction(combine=combine)
    found = labelled(cut(answers, 0, 4), placing, how, classes=3, kept=kept)
    whole = np.stack([resample(each, source, target) for each in answers])
    inside = resample(np.ones(source.shape, np.float32), source, target) > 0.5
    wanted = np.where(inside, np.exp(whole) / np.exp(whole).sum(0) if combine == "logits" else whole, 0)
    wanted[0][~inside] = 1
    scale = 255 if kind == np.uint8 else 1
    assert np.abs(kept.astype(np.float64) / scale - wanted).max() < (0.51 / 255 if kind == np.uint8 else 1e-3)
    plain = labelled(cut(answers, 0, 4), placing, how, classes=3)
    assert np.array_equal(plain.labels, found.labels)


def of(values: Any) -> Labelling:
    grid = Geometry.from_spacing((1, 1, 1), values.shape[1:])
    return label(np.asarray(values, np.float32), grid, grid)


def test_agreement_is_one_for_certainty_and_falls_with_doubt_and_with_labels_not_found() -> None:
    certain = np.zeros((3, 4, 4, 4), dtype=np.float32)
    certain[0], certain[0, 0], certain[0, 1] = 1, 0, 0
    certain[1, 0], certain[2, 1] = 1, 1
    assert of(certain).agreement == pytest.approx(1, abs=1e-5)
    assert of(0.8 * certain + 0.2 / 3).agreement < 0.9
    half = certain.copy()
    half[0, 1], half[2, 1] = 1, 0
    assert of(half).agreement == pytest.approx(0.5, abs=1e-5)


def test_confidence_is_the_mean_probability_of_a_label_where_it_is_found() -> None:
    values = np.zeros((3, 2, 1, 1), dtype=np.float32)
    values[:, 0, 0, 0], values[:, 1, 0, 0] = [0.1, 0.9, 0.0], [0.3, 0.7, 0.0]
    assert of(values).confidence == pytest.approx({1: 0.8})


def test_logits_are_brought_to_the_grid_of_the_input_as_logits() -> None:
    """The mean of logits 9 and -1 is above 0, the mean of their probabilities below a half of another class's."""
    source = Geometry.from_spacing((2, 1, 1), (2, 1, 1))
    target = Geometry(np.array([[1.0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), (1, 1, 1))
    values = np.array([[0.0, 0.0], [9.0, -3.0], [2.5, 2.5]], np.float32).reshape(3, 2, 1, 1)
    found = labelled(cut(values, 0, 1), Placing.between(source, target), Prediction(combine="logits"), classes=3)
    assert found.labels.item() == 1
    assert found.confidence == pytest.approx(
        {1: float(np.exp(9) / np.exp([0, 9, 2.5]).sum()), 2: float(np.exp(2.5) / np.exp([0, -3, 2.5]).sum())}
    )


def test_probabilities_of_mean_logits_can_be_brought_back_in_place_of_the_logits() -> None:
    source = Geometry(np.eye(4), (2, 1, 1))
    logits = np.array([[0.0, 0.0], [-1.0, 8.0]], dtype=np.float32).reshape(2, 2, 1, 1)
    target = Geometry(np.diag([0.25, 1, 1, 1]), (5, 1, 1))
    found = {}
    for what in ("combined", "probabilities"):
        how = Prediction(combine="logits", brought_back=what)
        found[what] = labelled(cut(logits, 0, 2), Placing.between(source, target), how, classes=2)
    assert found["combined"].labels.ravel().tolist() == [0, 1, 1, 1, 1], "the mean of -1 and 8 passes 0 at a ninth"
    assert found["probabilities"].labels.ravel().tolist() == [0, 0, 1, 1, 1], "that of 0.27 and 1 passes 0.5 at 0.32"
    assert found["combined"].confidence == found["probabilities"].confidence
