"""Losses have the values computed by hand, those of MONAI and torch, and the same ones however a batch is shared."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from torch.nn import functional

from medvision.errors import PipelineError
from medvision.frameworks import monai_module
from medvision.training.losses import (
    LOSSES,
    BinaryCrossEntropy,
    CrossEntropy,
    DiceCE,
    Focal,
    Huber,
    Loss,
    MeanSquared,
    Tversky,
    Weighing,
    default_loss,
    supervised,
)

WEIGHTS = torch.tensor([0.2, 1.0, 3.0])
VOXELWISE: list[Any] = [DiceCE(), DiceCE(background=True), Tversky(cross_entropy=0.5), Tversky(exponent=0.75), Focal()]


def volumes(seed: int = 0, batch: int = 2) -> tuple[Any, Any]:
    """Logits (B, 3, 4, 6, 2) and classes (B, 4, 6, 2)."""
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(batch, 3, 4, 6, 2, generator=random)
    return logits, torch.randint(0, 3, (batch, 4, 6, 2), generator=random)


def samples(seed: int = 0) -> tuple[Any, Any]:
    """Logits (6, 3) and classes (6,)."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(6, 3, generator=random), torch.randint(0, 3, (6,), generator=random)


def theirs(name: str, **given: Any) -> Any:
    return getattr(monai_module("losses"), name)(to_onehot_y=True, **given)


def certain(classes: list[int], count: int = 3) -> Any:
    """Return logits (1, count, N) that are all but certain of these classes."""
    return 40.0 * functional.one_hot(torch.tensor([classes]), count).movedim(-1, 1).float()


# values by hand


def test_dice_of_certain_answers_is_that_of_the_sets() -> None:
    outputs, targets = certain([0, 1, 1, 2]), torch.tensor([[0, 1, 0, 2]])
    # class 1: 2 * 1 / (2 + 1); class 2: found
    only = DiceCE(cross_entropy=0.0)
    assert float(only(outputs, targets)) == pytest.approx((1 / 3 + 0) / 2, abs=1e-4)
    # background: 2 * 1 / (1 + 2)
    assert float(DiceCE(cross_entropy=0.0, background=True)(outputs, targets)) == pytest.approx(2 / 9, abs=1e-4)


def test_dice_is_taken_over_the_batch_and_not_by_its_members() -> None:
    outputs, targets = torch.cat([certain([1, 1], 2), certain([0, 0], 2)]), torch.tensor([[1, 1], [1, 0]])
    # both: 2, predicted: 2, true: 3; by its members it would be the mean of 0 and 1
    assert float(DiceCE(cross_entropy=0.0)(outputs, targets)) == pytest.approx(1 - 4 / 5, abs=1e-4)


def test_dice_and_cross_entropy_are_added_by_their_weights() -> None:
    outputs, targets = volumes()
    dice, entropy = DiceCE(cross_entropy=0.0)(outputs, targets), CrossEntropy()(outputs, targets)
    assert torch.allclose(DiceCE(dice=2.0, cross_entropy=0.5)(outputs, targets), 2 * dice + 0.5 * entropy)


def test_a_class_that_is_neither_there_nor_predicted_costs_nothing() -> None:
    outputs, targets = certain([0, 1, 0, 1]), torch.tensor([[0, 1, 0, 1]])
    assert float(DiceCE()(outputs, targets)) == pytest.approx(0, abs=1e-4)


def test_tversky_of_certain_answers_weighs_false_alarms_and_misses_apart() -> None:
    outputs, targets = certain([1, 1, 0, 0, 0, 0], 2), torch.tensor([[1, 0, 1, 1, 0, 0]])
    # TP 1, FP 1, FN 2
    assert float(Tversky(alpha=0.3, beta=0.7)(outputs, targets)) == pytest.approx(1 - 1 / 2.7, abs=1e-4)
    assert float(Tversky(alpha=0.7, beta=0.3)(outputs, targets)) == pytest.approx(1 - 1 / 2.3, abs=1e-4)
    assert float(Tversky(exponent=0.75)(outputs, targets)) == pytest.approx((1 - 1 / 2.7) ** 0.75, abs=1e-4)


def test_cross_entropy_and_focal_of_three_to_one_are_computed_by_hand() -> None:
    outputs, targets = torch.tensor([[math.log(3.0), 0.0]]), torch.tensor([1])
    assert float(CrossEntropy()(outputs, targets)) == pytest.approx(math.log(4))
    assert float(Focal(gamma=2.0)(outputs, targets)) == pytest.approx(0.75**2 * math.log(4))
    smooth = 0.9 * math.log(4) + 0.05 * (math.log(4) + math.log(4 / 3))
    assert float(CrossEntropy()(outputs, targets, Weighing(label_smoothing=0.1))) == pytest.approx(smooth)


def test_a_class_of_weight_0_costs_nothing() -> None:
    outputs, targets = torch.tensor([[0.0, 0.0], [5.0, 0.0]]), torch.tensor([0, 1])
    assert float(CrossEntropy()(outputs, targets, Weighing([1.0, 0.0]))) == pytest.approx(math.log(2))


@pytest.mark.parametrize("unknown", [float("nan"), -1.0])
def test_unknown_labels_cost_nothing_and_teach_nothing(unknown: float) -> None:
    outputs = torch.tensor([[0.0, 3.0], [math.log(3.0), -2.0]], requires_grad=True)
    loss = BinaryCrossEntropy()(outputs, torch.tensor([[1.0, unknown], [0.0, unknown]]))
    assert float(loss.detach()) == pytest.approx((math.log(2) + math.log(4)) / 2)
    loss.backward()
    assert outputs.grad is not None
    assert torch.equal(outputs.grad[:, 1], torch.zeros(2))
    assert torch.allclose(outputs.grad[:, 0], torch.tensor([-0.25, 0.375]))


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), Huber(), MeanSquared()])
def test_a_batch_of_which_nothing_is_known_costs_nothing(loss: Any) -> None:
    outputs = torch.randn(2, 3, requires_grad=True)
    value = loss(outputs, torch.full((2, 3), float("nan")))
    value.backward()
    assert float(value.detach()) == 0
    assert outputs.grad is not None
    assert torch.equal(outputs.grad, torch.zeros(2, 3))


def test_smoothed_labels_are_drawn_towards_one_half() -> None:
    outputs, targets = torch.tensor([[0.3, -1.0]]), torch.tensor([[1.0, 0.0]])
    found = BinaryCrossEntropy()(outputs, targets, Weighing(label_smoothing=0.2))
    assert torch.allclose(found, BinaryCrossEntropy()(outputs, torch.tensor([[0.9, 0.1]])))


def test_errors_are_squared_when_small_and_taken_as_they_are_when_large() -> None:
    outputs, targets = torch.tensor([[0.5, 3.0], [9.0, -1.0]]), torch.tensor([[0.0, 0.0], [float("nan"), -1.0]])
    # -1 is a value here as any other
    assert float(Huber(delta=1.0)(outputs, targets)) == pytest.approx((0.125 + 2.5 + 0) / 3)
    assert float(MeanSquared()(outputs, targets)) == pytest.approx((0.25 + 9 + 0) / 3)


# values of others


@pytest.mark.parametrize("background", [False, True])
def test_dice_and_cross_entropy_are_those_of_monai(background: bool) -> None:
    outputs, targets = volumes()
    expected = theirs("DiceCELoss", include_background=background, softmax=True, batch=True)
    assert torch.allclose(DiceCE(background=background)(outputs, targets), expected(outputs, targets[:, None]))


def test_tversky_is_that_of_monai() -> None:
    outputs, targets = volumes()
    expected = theirs("TverskyLoss", include_background=False, softmax=True, batch=True, alpha=0.2, beta=0.8)
    assert torch.allclose(Tversky(alpha=0.2, beta=0.8)(outputs, targets), expected(outputs, targets[:, None]))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_is_that_of_monai_but_for_its_mean_over_classes(gamma: float) -> None:
    outputs, targets = volumes()
    expected = theirs("FocalLoss", gamma=gamma, use_softmax=True)
    assert torch.allclose(Focal(gamma=gamma)(outputs, targets), 3 * expected(outputs, targets[:, None]))


@pytest.mark.parametrize("make", [volumes, samples])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_that_of_torch(make: Callable[[], Any], weights: Any, smoothing: float) -> None:
    outputs, targets = make()
    expected = functional.cross_entropy(outputs, targets, weight=weights, label_smoothing=smoothing)
    given = Weighing(weights, smoothing)
    assert torch.allclose(CrossEntropy()(outputs, targets, given), expected)
    assert torch.allclose(Focal(gamma=0.0)(outputs, targets, given), expected)
    if outputs.ndim > 2:
        assert torch.allclose(DiceCE(dice=0.0)(outputs, targets, given), expected)


def test_binary_cross_entropy_huber_and_mean_squared_are_those_of_torch() -> None:
    outputs, _ = samples()
    labels, values = (outputs.roll(1) > 0).float(), outputs.roll(1)
    expected = functional.binary_cross_entropy_with_logits(outputs, labels, pos_weight=WEIGHTS)
    assert torch.allclose(BinaryCrossEntropy()(outputs, labels, Weighing(WEIGHTS)), expected)
    assert torch.allclose(Huber(delta=0.5)(outputs, values), functional.huber_loss(outputs, values, delta=0.5))
    assert torch.allclose(MeanSquared()(outputs, values), functional.mse_loss(outputs, values))


# laws


def cases() -> list[Any]:
    voxels = [(loss, *volumes()) for loss in VOXELWISE]
    outputs, classes = samples()
    labels = torch.tensor([[1.0, 0.0, -1.0]] * 5 + [[float("nan"), 1.0, 0.0]])
    values = outputs.roll(1).where(outputs > -0.5, float("nan"))
    others = [(CrossEntropy(), outputs, classes), (Focal(), outputs, classes), (BinaryCrossEntropy(), outputs, labels)]
    return [*voxels, *others, (Huber(), outputs, values), (MeanSquared(), outputs, values)]


class Shared(torch.autograd.Function):  # type: ignore[misc]
    """Adds what the other process has; backwards, adds up the gradients of both, which are the same."""

    @staticmethod
    def forward(context: Any, own: Any, other: Any) -> Any:
        return own + other

    @staticmethod
    def backward(context: Any, gradient: Any) -> Any:
        return 2 * gradient, None


@pytest.mark.parametrize(("loss", "outputs", "targets"), cases(), ids=lambda value: getattr(value, "use", ""))
def test_two_processes_have_the_loss_and_the_gradient_of_one_with_the_whole_batch(
    loss: Any, outputs: Any, targets: Any
) -> None:
    given = Weighing(WEIGHTS, 0.1)
    whole = outputs.clone().requires_grad_()
    expected = loss(whole, targets, given)
    expected.backward()

    cut = 1 if len(outputs) == 2 else 2  # shares of unlike sizes, where there are enough samples
    sides = [(outputs[:cut], targets[:cut]), (outputs[cut:], targets[cut:])]
    told: list[Any] = []
    for side in sides:
        loss(*side, replace(given, gather=lambda sums: told.append(sums.detach()) or sums))  # type: ignore[func-returns-value]
    gradients = []
    for number, (part, truth) in enumerate(sides):
        leaf = part.clone().requires_grad_()
        value = loss(leaf, truth, replace(given, gather=lambda sums, n=1 - number: Shared.apply(sums, told[n])))
        assert torch.allclose(value, expected)
        value.backward()
        gradients.append(leaf.grad / 2)  # DDP takes the mean over the processes
    assert whole.grad is not None
    assert torch.allclose(torch.cat(gradients), whole.grad, atol=1e-7)


@pytest.mark.parametrize(("loss", "outputs", "targets"), cases(), ids=lambda value: getattr(value, "use", ""))
def test_a_loss_is_finite_and_positive_at_any_logits_and_in_fp32(loss: Any, outputs: Any, targets: Any) -> None:
    for scale in (0.0, 1e-3, 50.0, 1e3):
        scaled = (scale * outputs).bfloat16().requires_grad_()
        value = loss(scaled, targets)
        assert value.dtype == torch.float32
        assert 0 <= float(value.detach()) < math.inf
        value.backward()
        assert scaled.grad is not None
        assert scaled.grad.isfinite().all()


@pytest.mark.parametrize("loss", VOXELWISE, ids=lambda loss: loss.use)
def test_a_certain_right_answer_costs_almost_nothing_and_has_a_finite_gradient(loss: Any) -> None:
    outputs = certain([0, 1, 2, 1]).requires_grad_()
    value = loss(outputs, torch.tensor([[0, 1, 2, 1]]))
    assert float(value.detach()) == pytest.approx(0, abs=1e-3)
    value.backward()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), order=st.permutations(range(3)))
def test_the_order_of_the_batch_says_nothing(seed: int, order: list[int]) -> None:
    outputs, targets = volumes(seed, batch=3)
    for loss in VOXELWISE:
        assert torch.allclose(loss(outputs, targets), loss(outputs[order], targets[order]), atol=1e-5)


# several depths


def test_an_only_output_has_the_plain_loss() -> None:
    outputs, targets = volumes()
    plain = DiceCE()(outputs, targets)
    assert torch.equal(supervised(DiceCE(), outputs, targets), plain)
    assert torch.equal(supervised(DiceCE(), [outputs], targets), plain)
    outputs, targets = samples()
    assert torch.equal(supervised(CrossEntropy(), outputs, targets), CrossEntropy()(outputs, targets))
    labels = torch.ones(6, 3)
    assert torch.equal(supervised(BinaryCrossEntropy(), outputs, labels), BinaryCrossEntropy()(outputs, labels))


def test_each_depth_weighs_half_of_the_finer_one_and_sees_every_second_voxel() -> None:
    outputs, targets = volumes()
    coarse, coarser = outputs[:, :, ::2, ::2, ::2] + 1, outputs[:, :, :1, :2, :1] - 1
    given = Weighing(WEIGHTS, 0.1)
    parts = [
        DiceCE()(outputs, targets, given),
        DiceCE()(coarse, targets[:, ::2, ::2, ::2], given),
        DiceCE()(coarser, targets[:, ::4, ::3, ::2], given),
    ]
    found = supervised(DiceCE(), (outputs, coarse, coarser), targets, given)
    assert torch.allclose(found, (4 * parts[0] + 2 * parts[1] + parts[2]) / 7)


def test_an_axis_that_a_depth_does_not_halve_keeps_all_its_voxels() -> None:
    outputs, targets = volumes()
    coarse = outputs[:, :, ::2]
    found = supervised(CrossEntropy(), [outputs, coarse], targets)
    parts = CrossEntropy()(outputs, targets), CrossEntropy()(coarse, targets[:, ::2])
    assert torch.allclose(found, (2 * parts[0] + parts[1]) / 3)


def test_every_depth_is_gathered() -> None:
    outputs, targets = volumes()
    calls: list[Any] = []
    supervised(DiceCE(), [outputs, outputs], targets, Weighing(gather=lambda sums: calls.append(sums) or sums))  # type: ignore[func-returns-value]
    assert len(calls) == 2


# settings


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_name_of_a_loss_chooses_it(name: str) -> None:
    loss = TypeAdapter(Loss).validate_python({"use": name})
    assert loss == LOSSES[name]()
    assert loss.use == name


@pytest.mark.parametrize(
    "fields",
    [
        {"use": "dice"},
        {"use": "dice-ce", "dice": -1.0},
        {"use": "dice-ce", "dice": 0.0, "cross_entropy": 0.0},
        {"use": "tversky", "alpha": 0.0, "beta": 0.0},
        {"use": "tversky", "exponent": 0.0},
        {"use": "focal", "gamma": -0.5},
        {"use": "focal", "gama": 2.0},
        {"use": "huber", "delta": 0.0},
    ],
)
def test_a_setting_that_makes_no_loss_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Loss).validate_python(fields)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("segmentation", "dice-ce"),
        ("classification", "cross-entropy"),
        ("multilabel", "binary-cross-entropy"),
        ("regression", "huber"),
    ],
)
def test_each_task_has_a_loss_of_its_own_that_is_made_for_it(task: str, name: str) -> None:
    loss = default_loss(task)
    assert loss.use == name
    assert task in loss.tasks


def test_a_task_that_nobody_knows_has_no_loss() -> None:
    with pytest.raises(PipelineError, match="'detection'") as caught:
        default_loss("detection")
    assert caught.value.code == "pipeline-invalid"
