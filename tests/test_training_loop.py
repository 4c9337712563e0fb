"""The loop learns what can be learnt, and a training that was stopped ends as one that was not."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from medvision import sealed
from medvision.errors import InputError, PipelineError
from medvision.frameworks import state_of
from medvision.networks import DynUNet
from medvision.progress import Progress, silent
from medvision.training import (
    Alone,
    Augmentation,
    Fitted,
    Sample,
    Sampler,
    Supervised,
    Training,
    Validation,
    VariedBatches,
    checkpoint,
    default_loss,
    ended_early,
    optimise,
    write_curves,
)
from medvision.training.checkpoint import TrainingState
from medvision.training.curves import _shown

CALM = Augmentation(rotation_degrees=5, noise=0.05)
QUICK: dict[str, Any] = {"epochs": 3, "steps_per_epoch": 2, "batch": 2, "validate_every": 1, "augmentation": CALM}


def fit(
    network: Any,
    samples: list[Sample],
    validate: Callable[[Any], Validation],
    settings: Training,
    *,
    folder: Path,
    precision: Any = "fp32",
    progress: Progress = silent,
) -> list[dict[str, float]]:
    """Train as the workflow does, and return the rows without their durations."""
    batches = VariedBatches(Sampler(samples, settings), settings)
    loss = default_loss("classification" if isinstance(samples[0].target, int) else "segmentation")
    objective = Supervised(loss, None, settings.label_smoothing, Alone("cpu", precision))
    fitted = optimise(network, batches, objective, validate, settings, folder=folder, progress=progress)
    return [{name: value for name, value in row.items() if "seconds" not in name} for row in fitted.rows]


class Stopped(Exception):  # noqa: N818 - it is no error
    """What a stopped training dies of."""


def spots(count: int = 4) -> list[Sample]:
    """Pictures of a bright square on a dark ground, and where it is."""
    samples = []
    for number in range(count):
        target = np.zeros((12, 12), dtype=np.uint8)
        target[number : number + 5, 3:9] = 1
        samples.append(Sample(str(number), (target * 2.0 - 1.0).astype(np.float32)[None], target))
    return samples


def shades(count: int = 6) -> list[Sample]:
    """Bright and dark pictures, and which they are."""
    return [Sample(str(n), np.full((1, 6, 6), 2.0 * (n % 2) - 1, np.float32), n % 2) for n in range(count)]


def marker(seed: int = 0) -> Any:
    """A network that labels pixels; its dropout and its normalisation have a state of their own."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Conv2d(4, 2, 1)
        )


def sorter(seed: int = 0) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def overlap(samples: list[Sample]) -> Callable[[Any], Validation]:
    """Return the validation by the Dice of all pixels."""

    def validate(network: Any) -> Validation:
        assert not network.training
        images = torch.from_numpy(np.stack([sample.image for sample in samples]))
        true = np.stack([np.asarray(sample.target) for sample in samples]) == 1
        with torch.inference_mode():
            found = network(images).argmax(1).numpy() == 1
        score = 2 * (found & true).sum() / max(1, found.sum() + true.sum())
        return Validation(float(score), {"Dice": float(score)})

    return validate


def right(samples: list[Sample]) -> Callable[[Any], Validation]:
    """Return the validation by the share of classes found."""

    def validate(network: Any) -> Validation:
        with torch.inference_mode():
            found = network(torch.from_numpy(np.stack([sample.image for sample in samples]))).argmax(1)
        score = float(np.mean(found.numpy() == [sample.target for sample in samples]))
        return Validation(score, {"accuracy": score})

    return validate


def scores(*values: float) -> Callable[[Any], Validation]:
    """Return a validation that gives these scores, one after another."""
    left = iter(values)
    return lambda _: Validation(next(left), {})


def weights_of(network: Any) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in state_of(network).items()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("optimiser", "rate", "average"), [("sgd", 0.05, 0.0), ("adamw", 0.3, 0.5)])
def test_one_convolution_learns_to_mark_what_is_bright(
    tmp_path: Path, optimiser: Any, rate: float, average: float
) -> None:
    network, samples = nn.Conv2d(1, 2, 1), spots()
    with torch.no_grad():
        network.weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))  # it starts with the very opposite
        network.bias.zero_()
    settings = Training(
        epochs=3, steps_per_epoch=8, batch=2, optimiser=optimiser, learning_rate=rate, average=average,
        augmentation=CALM,
    )  # fmt: skip
    assert overlap(samples)(network.eval()).score == 0
    rows = fit(network, samples, overlap(samples), settings, folder=tmp_path)
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert overlap(samples)(network).score == 1.0
    assert not network.training


def test_a_tiny_network_learns_to_tell_bright_from_dark(tmp_path: Path) -> None:
    network, samples = sorter(), shades()
    settings = Training(
        epochs=3, steps_per_epoch=20, batch=6, optimiser="adamw", learning_rate=0.05, balanced=True,
        label_smoothing=0.05, augmentation=CALM,
    )  # fmt: skip
    fit(network, samples, right(samples), settings, folder=tmp_path)
    assert right(samples)(network).score == 1.0


def test_volumes_are_learnt_from_too(tmp_path: Path) -> None:
    target = np.zeros((6, 8, 4), np.uint8)
    target[1:4, 2:6, 1:3] = 1
    network = nn.Conv3d(1, 2, 1)
    settings = Training(epochs=1, steps_per_epoch=2, batch=1, patch=(4, 4, 4), augmentation=CALM)
    rows = fit(network, [Sample("a", target[None].astype(np.float32), target)], scores(0.5), settings, folder=tmp_path)
    assert np.isfinite(rows[0]["loss"])


def test_rows_tell_each_epoch_its_rate_its_loss_and_its_validation(tmp_path: Path) -> None:
    settings = Training(**{**QUICK, "epochs": 5, "steps_per_epoch": 1, "validate_every": 2, "learning_rate": 0.1})
    rows = fit(marker(), spots(), lambda _: Validation(0.5, {"Dice": 0.25}), settings, folder=tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row.get("score") for row in rows] == [None, 0.5, None, 0.5, 0.5], "the last epoch is always validated"
    assert rows[1]["Dice"] == 0.25
    assert rows[0]["learning_rate"] == pytest.approx(0.1)
    assert rows[-1]["learning_rate"] == pytest.approx(0.1 * (1 - 4 / 5) ** 0.9)


def test_the_rate_of_adamw_falls_by_a_cosine(tmp_path: Path) -> None:
    settings = Training(**{**QUICK, "epochs": 2, "steps_per_epoch": 2, "optimiser": "adamw", "learning_rate": 0.1})
    rows = fit(marker(), spots(), lambda _: Validation(0.5, {}), settings, folder=tmp_path)
    assert rows[0]["learning_rate"] == pytest.approx(0.1 * (1 + np.cos(np.pi / 4)) / 2)


def test_the_best_weights_are_kept_not_the_last(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    values = iter([0.1, 0.7, 0.7, 0.2])

    def validate(network: Any) -> Validation:
        seen.append(weights_of(network))
        return Validation(next(values), {})

    network = marker()
    fit(network, spots(), validate, Training(**{**QUICK, "epochs": 4, "steps_per_epoch": 1}), folder=tmp_path)
    assert same(weights_of(network), seen[2]), "and of equals the last"
    assert not same(seen[1], seen[2])
    assert same(load_file(tmp_path / "best.safetensors"), seen[2])


def test_what_is_validated_and_kept_is_the_running_average(tmp_path: Path) -> None:
    """With w the weights after each step: d = min(0.5, (1 + n) / (10 + n)); a = d a + (1 - d) w."""
    plain, averaged = marker(), marker()
    start = weights_of(plain)
    fields = {**QUICK, "epochs": 1, "steps_per_epoch": 1}
    fit(plain, spots(), scores(1.0), Training(**fields), folder=tmp_path / "plain")
    fit(averaged, spots(), scores(1.0), Training(**fields, average=0.5), folder=tmp_path / "averaged")
    for name, value in weights_of(averaged).items():
        wanted = weights_of(plain)[name]
        if wanted.is_floating_point():
            wanted = 0.1 * start[name] + 0.9 * wanted
        assert torch.allclose(value.double(), wanted.double(), atol=1e-6), name


@pytest.mark.parametrize(
    ("optimiser", "average", "stop"),
    [("sgd", 0.0, 2), ("sgd", 0.9, 3), ("adamw", 0.0, 3), ("adamw", 0.9, 2), ("sgd", 0.0, 1)],
)
def test_a_training_that_was_stopped_ends_bit_by_bit_as_one_that_was_not(
    tmp_path: Path, optimiser: str, average: float, stop: int
) -> None:
    settings = Training(**QUICK, optimiser=optimiser, average=average, learning_rate=0.01)
    samples, calls = spots(), 0
    undisturbed = marker()
    rows = fit(undisturbed, samples, overlap(samples), settings, folder=tmp_path / "a")

    def dying(network: Any) -> Validation:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise Stopped
        return overlap(samples)(network)

    stopped = marker()
    with pytest.raises(Stopped):
        fit(stopped, samples, dying, settings, folder=tmp_path / "b")
    assert (tmp_path / "b" / "last.safetensors").exists() == (stop > 1)
    fresh = marker()
    torch.manual_seed(99)
    assert fit(fresh, samples, overlap(samples), settings, folder=tmp_path / "b") == rows
    assert same(weights_of(fresh), weights_of(undisturbed))
    for name in ("last", "best"):
        one, other = (load_file(tmp_path / side / f"{name}.safetensors") for side in "ab")
        assert same(one, other)


def test_a_stopped_unet_in_3d_goes_on_bit_by_bit_in_bf16_too(tmp_path: Path) -> None:
    target = np.zeros((12, 10, 9), np.uint8)
    target[3:8, 2:7, 3:6] = 1
    samples = [Sample("a", (target[None] * 2.0 - 1.0).astype(np.float32), target)]
    settings = Training(**{**QUICK, "steps_per_epoch": 1}, patch=(8, 8, 8), average=0.9)
    found = []
    for folder, limits in (("a", [0.1, 0.2, 0.3]), ("b", [0.1]), ("b", [0.2, 0.3])):
        with torch.random.fork_rng():
            torch.manual_seed(3)
            network = DynUNet(channels=(4, 4, 4)).build(in_channels=1, out_channels=2, dimensions=3)
        with contextlib.suppress(StopIteration):
            fit(network, samples, scores(*limits), settings, folder=tmp_path / folder, precision="bf16")
        found.append(weights_of(network))
    assert same(found[0], found[2])
    assert not same(found[0], found[1])


def test_a_training_that_is_done_is_not_done_again_nor_is_it_tried_what_would_be_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def fastest(called: Any, *_: Any, **__: Any) -> tuple[Any, tuple[()]]:
        tried.append(called)
        return called, ()

    monkeypatch.setattr("medvision.training.loop.fastest", fastest)
    network = marker()
    rows = fit(network, spots(), lambda _: Validation(0.5, {}), Training(**QUICK), folder=tmp_path)
    assert tried == [network]
    again = marker(seed=5)
    assert fit(again, spots(), scores(), Training(**QUICK), folder=tmp_path) == rows
    assert same(weights_of(again), weights_of(network))
    assert tried == [network]


def test_the_callers_seed_is_as_before_and_has_no_influence(tmp_path: Path) -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before, network = torch.get_rng_state(), marker()
        fit(network, spots(), scores(*[0.5] * 3), Training(**QUICK), folder=tmp_path / str(seed))
        assert torch.equal(torch.get_rng_state(), before)
        found.append(weights_of(network))
    assert same(*found)


def test_another_seed_is_another_training(tmp_path: Path) -> None:
    found = []
    for seed in (1, 2):
        network = marker()
        fit(network, spots(), scores(*[0.5] * 3), Training(**QUICK, seed=seed), folder=tmp_path / str(seed))
        found.append(weights_of(network))
    assert not same(*found)


def test_the_greatest_seed_can_be_used(tmp_path: Path) -> None:
    settings = Training(**{**QUICK, "epochs": 1}, seed=2**32 - 1)
    network = marker()
    before = weights_of(network)
    fit(network, spots(), scores(0.5), settings, folder=tmp_path)
    assert not same(weights_of(network), before)
    assert all(torch.isfinite(tensor).all() for tensor in weights_of(network).values())


def test_progress_is_told_of_every_step(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    fit(
        marker(), spots(), scores(*[0.5] * 3), Training(**QUICK), folder=tmp_path,
        progress=lambda *words: told.append(words),
    )  # fmt: skip
    assert [(done, total) for done, total, _ in told] == [(n, 6) for n in range(1, 7)]
    assert told[0][2] == ""
    assert told[2][2].startswith("loss ")
    assert told[2][2].endswith("best score 0.5000")


def test_a_training_that_goes_on_says_from_where(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    settings = Training(**QUICK)
    batches, objective = VariedBatches(Sampler(spots(), settings), settings), Supervised(default_loss("segmentation"))
    with pytest.raises(StopIteration):
        optimise(marker(), batches, objective, scores(0.5, 0.6), settings, folder=tmp_path)
    fitted = optimise(
        marker(), batches, objective, scores(0.7), settings, folder=tmp_path, progress=lambda *words: told.append(words)
    )
    assert (fitted.before, len(fitted.rows)) == (2, 3)
    assert told[0] == (0, 0, "goes on after epoch 2")
    assert [done for done, _, _ in told[1:]] == [5, 6]


def test_training_in_bf16_learns_and_leaves_weights_in_fp32(tmp_path: Path) -> None:
    network, samples = sorter(), shades()
    settings = Training(epochs=2, steps_per_epoch=20, batch=6, optimiser="adamw", learning_rate=0.05, augmentation=CALM)
    fit(network, samples, right(samples), settings, folder=tmp_path, precision="bf16")
    assert right(samples)(network).score == 1.0
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_a_loss_that_is_not_finite_is_an_error_and_no_checkpoint(tmp_path: Path) -> None:
    sample = spots(1)[0]
    endless = Sample("a", np.full_like(sample.image, np.inf), sample.target)
    with pytest.raises(PipelineError, match="the loss is not finite at step 0") as caught:
        fit(marker(), [endless], scores(), Training(**QUICK), folder=tmp_path)
    assert caught.value.code == "training-diverged"
    assert "images of this step hold values that are not finite" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_steps_have_thrown_off_is_told_with_its_step_and_a_cure(tmp_path: Path) -> None:
    settings = Training(**{**QUICK, "learning_rate": 1e30, "clip": 0.0})
    with pytest.raises(PipelineError, match=r"the loss is not finite at step [1-5]: .* too large") as caught:
        fit(sorter(), shades(), scores(), settings, folder=tmp_path)
    assert caught.value.code == "training-diverged"
    assert "learning_rate" in (caught.value.finding.cure or "")


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_an_error(tmp_path: Path, score: float) -> None:
    with pytest.raises(PipelineError, match="the score is not finite at step 1") as caught:
        fit(marker(), spots(), scores(score), Training(**QUICK), folder=tmp_path)
    assert caught.value.code == "training-diverged"


def fitted_by(validate: Callable[[Any], Validation], folder: Path, **more: Any) -> tuple[Fitted, list[dict[str, Any]]]:
    """Train, and return what was done and the weights at each validation; those kept come last."""
    network, settings, seen = marker(), Training(**{**QUICK, **more}), list[dict[str, Any]]()

    def watched(network: Any) -> Validation:
        seen.append(weights_of(network))
        return validate(network)

    batches, objective = VariedBatches(Sampler(spots(), settings), settings), Supervised(default_loss("segmentation"))
    fitted = optimise(network, batches, objective, watched, settings, folder=folder)
    return fitted, [*seen, weights_of(network)]


def undefined(*values: float | None) -> Callable[[Any], Validation]:
    left = iter(values)
    return lambda _: Validation(next(left), {"AUC of others": 0.5})


def test_without_any_score_the_last_weights_are_kept_and_it_is_said(tmp_path: Path) -> None:
    fitted, seen = fitted_by(undefined(None, None, None), tmp_path, early_stopping=1)
    assert [finding.code for finding in fitted.findings] == ["score-undefined"]
    assert (fitted.epoch, len(fitted.rows), same(seen[-1], seen[-2])) == (3, 3, True)
    assert not any("score" in row for row in fitted.rows)
    assert all(row["AUC of others"] == 0.5 for row in fitted.rows)


def test_a_time_that_was_over_before_any_validation_is_not_called_a_score_that_is_not_defined(tmp_path: Path) -> None:
    class Hurried:
        def left(self, state: TrainingState) -> int:
            return 0 if state.epoch else 9

    settings = Training(**{**QUICK, "epochs": 9, "validate_every": 5})
    batches, objective = VariedBatches(Sampler(spots(), settings), settings), Supervised(default_loss("segmentation"))
    fitted = optimise(marker(), batches, objective, scores(), settings, folder=tmp_path, pace=Hurried())
    (told,) = fitted.findings
    assert (told.code, fitted.epoch) == ("budget", 1)
    assert told.message == "the time was over before the first validation; the last weights are kept"


def test_an_epoch_whose_score_is_not_defined_is_neither_best_nor_worst(tmp_path: Path) -> None:
    """-0.5 is worse than 0, and better than nothing."""
    fitted, seen = fitted_by(undefined(None, -0.5, None), tmp_path)
    assert (fitted.epoch, fitted.findings, same(seen[-1], seen[1])) == (2, (), True)


def test_a_training_killed_after_its_best_weights_and_before_its_checkpoint_keeps_those_of_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epoch 2 was best and then lost; done again on a machine that gives other numbers, it is not: epoch 1 is best."""
    save = checkpoint.save

    def killed(folder: Path, network: Any, kept: Any, optimiser: Any, state: TrainingState) -> None:
        if state.epoch == 2:
            raise Stopped
        save(folder, network, kept, optimiser, state)

    monkeypatch.setattr(checkpoint, "save", killed)
    with pytest.raises(Stopped):
        fitted_by(scores(0.5, 0.9), tmp_path)
    monkeypatch.undo()
    fitted, seen = fitted_by(scores(0.1, 0.2), tmp_path)
    assert (fitted.epoch, fitted.findings) == (1, ())
    assert same(load_file(tmp_path / "best-before.safetensors"), seen[-1])
    assert not same(seen[-1], seen[-2])


def test_what_a_network_drops_is_another_stream_than_what_varies_samples(tmp_path: Path) -> None:
    drawn: dict[int, list[Any]] = {0: [], 1: []}
    for rank, each in drawn.items():
        network = nn.Linear(1, 1)

        def objective(network: Any, _: Any, each: list[Any] = each) -> Any:
            each.append(torch.rand(4))
            return network(torch.ones(1, 1)).sum()

        settings = Training(**QUICK, seed=3)
        batches = VariedBatches(Sampler(spots(), settings), settings)
        optimise(network, batches, objective, None, settings, folder=tmp_path / str(rank), place=Alone(rank=rank))
    streams = [*drawn[0], *drawn[1]]
    streams += [torch.rand(4, generator=torch.Generator().manual_seed(3 * 1_000_003 + step)) for step in range(6)]
    assert len({tuple(numbers.tolist()) for numbers in streams}) == len(streams) == 18


def test_nothing_to_train_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sample"):
        fit(marker(), [], scores(), Training(**QUICK), folder=tmp_path)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """Return a folder with the checkpoints of two of three epochs."""
    with pytest.raises(StopIteration):
        fit(marker(), spots(), scores(0.1, 0.2), Training(**QUICK), folder=tmp_path)
    return tmp_path


def refused(folder: Path, network: Any | None = None, **fields: Any) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        fit(network or marker(), spots(), scores(0.3), Training(**{**QUICK, **fields}), folder=folder)
    assert caught.value.finding.cure is not None
    return caught.value


@pytest.mark.parametrize("size", [0, 7, 500, -1])
def test_a_checkpoint_that_is_cut_short_is_passed_over_for_the_one_before(begun: Path, size: int) -> None:
    undisturbed = marker()
    fit(undisturbed, spots(), scores(0.1, 0.2, 0.3), Training(**QUICK), folder=begun.parent / "whole")
    path = begun / "last.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    network, settings = marker(), Training(**QUICK)
    batches, objective = VariedBatches(Sampler(spots(), settings), settings), Supervised(default_loss("segmentation"))
    fitted = optimise(network, batches, objective, scores(0.2, 0.3), settings, folder=begun)
    assert [finding.code for finding in fitted.findings] == ["checkpoint-damaged"]
    assert "last.safetensors" in fitted.findings[0].message
    assert same(weights_of(network), weights_of(undisturbed))


def test_a_checkpoint_in_which_one_bit_has_turned_is_passed_over(begun: Path) -> None:
    path = begun / "last.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    (begun / "before.safetensors").unlink()
    error = refused(begun)
    assert (error.code, error.path) == ("unreadable", path)


def test_where_the_best_weights_are_gone_the_last_are_kept_and_said(begun: Path) -> None:
    (begun / "best.safetensors").unlink()
    network, settings = marker(), Training(**QUICK)
    batches, objective = VariedBatches(Sampler(spots(), settings), settings), Supervised(default_loss("segmentation"))
    seen: list[dict[str, Any]] = []

    def validate(network: Any) -> Validation:
        seen.append(weights_of(network))
        return Validation(0.0, {})

    fitted = optimise(network, batches, objective, validate, settings, folder=begun)
    assert [finding.code for finding in fitted.findings] == ["checkpoint-damaged"]
    assert (fitted.epoch, same(weights_of(network), seen[-1])) == (3, True)


def test_a_checkpoint_of_another_network_is_refused(begun: Path) -> None:
    other = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1))
    error = refused(begun, other)
    assert (error.code, error.path) == ("weights-mismatch", begun / "last.safetensors")


def test_a_checkpoint_without_an_average_is_refused_where_one_is_wanted(begun: Path) -> None:
    assert refused(begun, average=0.9).code == "weights-mismatch"


def test_the_best_weights_of_another_network_are_refused(begun: Path) -> None:
    facts = sealed.facts_of(begun / "best.safetensors")
    sealed.save(begun / "best.safetensors", {"x": np.zeros(1)}, facts)
    with pytest.raises(PipelineError) as caught:
        fit(marker(), spots(), scores(0.0), Training(**QUICK), folder=begun)
    assert (caught.value.code, caught.value.path) == ("weights-mismatch", begun / "best.safetensors")


@pytest.mark.parametrize(
    "state", [None, "no JSON", "[]", "{}", json.dumps({"epoch": 1, "best": "high", "rows": []}), '{"epoch":1,"best":1}']
)
def test_a_checkpoint_whose_state_cannot_be_read_is_refused(begun: Path, state: str | None) -> None:
    path = begun / "last.safetensors"
    arrays, _ = sealed.load(path)
    (begun / "before.safetensors").unlink()
    sealed.save(path, arrays, {"state": state} if state is not None else {})
    assert refused(begun).code == "unreadable", "it is damaged, and not another network's"


def test_checkpoints_that_cannot_be_written_stop_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="output-unwritable"):
        fit(marker(), spots(), scores(0.1), Training(**QUICK), folder=tmp_path / "file")


def test_progress_in_words_starts_empty() -> None:
    assert TrainingState().words == ""
    assert TrainingState().advanced({"loss": 0.25}, share=0.1, seconds=1.0).words == "loss 0.2500"


ROWS = (
    {"epoch": 1.0, "learning_rate": 0.1, "loss": 0.75},
    {"epoch": 2.0, "learning_rate": 0.05, "loss": 1 / 3, "score": 0.5, "Dice": 0.5},
)


def test_curves_are_a_table_with_gaps_where_nothing_was_measured(tmp_path: Path) -> None:
    write_curves(ROWS, tmp_path)
    assert (tmp_path / "curves.csv").read_text() == (
        "epoch,learning_rate,loss,score,Dice\n1,0.1,0.75,,\n2,0.05,0.333333,0.5,0.5\n"
    )


def test_the_last_columns_of_the_curves_are_what_the_time_went_to(tmp_path: Path) -> None:
    write_curves(
        [{"epoch": 1.0, "loss": 0.5, "seconds_data": 0.25}, {"epoch": 2.0, "loss": 0.4, "score": 1.0}], tmp_path
    )
    assert (tmp_path / "curves.csv").read_text() == "epoch,loss,score,seconds_data\n1,0.5,,0.25\n2,0.4,1,\n"


def test_the_legend_of_the_curves_names_figures_and_the_score_only_where_none_is_it() -> None:
    assert _shown(ROWS) == ["Dice"]
    assert _shown(({"epoch": 1.0, "loss": 1.0, "score": -1.0, "MAE age": 2.0, "seconds_data": 1.0},)) == [
        "score",
        "MAE age",
    ]


def test_curves_are_a_picture_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("a", "b"):
        write_curves(ROWS, tmp_path / name)
    one, other = ((tmp_path / name / "curves.png").read_bytes() for name in ("a", "b"))
    assert one == other
    with Image.open(tmp_path / "a" / "curves.png") as picture:
        assert picture.size == (1200, 480)
        assert len(set(picture.convert("RGB").tobytes())) > 10


def test_curves_without_a_validation_have_no_legend_and_no_warning(tmp_path: Path) -> None:
    write_curves(ROWS[:1], tmp_path)
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_where_nobody_is_held_out_the_last_weights_are_kept_and_nothing_is_measured(tmp_path: Path) -> None:
    settings = Training(**{**QUICK, "early_stopping": 1})
    batches, objective = VariedBatches(Sampler(spots(), settings), settings), Supervised(default_loss("segmentation"))
    fitted = optimise(marker(), batches, objective, None, settings, folder=tmp_path)
    assert (len(fitted.rows), fitted.epoch, fitted.findings) == (3, 3, ())
    assert not ended_early(fitted.findings)
    assert not any("score" in row for row in fitted.rows)
    assert not (tmp_path / "best.safetensors").exists()


def test_a_training_does_not_end_for_want_of_gain_before_it_was_ever_validated(tmp_path: Path) -> None:
    settings = Training(**{**QUICK, "epochs": 9, "validate_every": 3, "early_stopping": 3})
    rows = fit(marker(), spots(), scores(0.5, 0.4), settings, folder=tmp_path)
    assert len(rows) == 6, "validated after epoch 3, and three epochs later not better"


def test_an_equal_score_is_no_gain_and_its_weights_are_kept(tmp_path: Path) -> None:
    fitted, _ = fitted_by(undefined(0.5, 0.9, 0.9, 0.9, 0.9), tmp_path, epochs=5, early_stopping=2)
    assert ended_early(fitted.findings)
    assert (len(fitted.rows), fitted.epoch) == (4, 4), (
        "ended two epochs after the score rose, with the latest of equals"
    )


def test_a_training_cannot_end_before_a_validation_could_show_a_gain() -> None:
    with pytest.raises(ValueError, match="early_stopping = 2 is less than validate_every = 3"):
        Training(**{**QUICK, "validate_every": 3, "early_stopping": 2})


def test_only_epochs_up_to_the_last_validation_count_as_without_gain(tmp_path: Path) -> None:
    """Of scores at 3, 6 and 9 the first is the best: four epochs without gain are known at 9, and not at 7."""
    settings = {"epochs": 12, "validate_every": 3, "early_stopping": 4}
    fitted, _ = fitted_by(undefined(0.9, 0.5, 0.5, 0.5), tmp_path, **settings)
    assert len(fitted.rows) == 9
