"""What is timed is the step that the loop does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from medvision.training import Alone, Batch, Training, loop, rehearsal, step
from medvision.training import gpu as device


def network() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))


def batches(number: int) -> Batch:
    generator = torch.Generator().manual_seed(number)
    return Batch(100 * torch.randn(3, 1, 2, 2, generator=generator), torch.tensor([0, 1, 0]))


def objective(called: Any, batch: Batch) -> Any:
    return nn.functional.cross_entropy(called(batch.images), batch.targets)


@pytest.mark.parametrize("settings", [Training(clip=0.01), Training(average=0.9), Training(optimiser="adamw")])
def test_the_step_that_is_timed_clips_and_averages_as_the_loop_does(
    settings: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    averages: list[Any] = []
    kept = step.averaged
    monkeypatch.setattr(step, "averaged", lambda network: averages.append(kept(network)) or averages[-1])
    trained, wanted = network(), network()
    done = rehearsal(trained, batches, objective, settings, place=Alone())
    done(0)
    done(1)
    optimiser = loop.build_optimiser(settings, loop.Whole().groups(wanted))
    average = kept(wanted)
    for number in range(2):
        loop.optimiser_step(wanted, wanted, batches(number), objective, optimiser, Alone(), settings.clip)
        loop.update_average(average, wanted, decay=settings.average, step=number)
    assert all(torch.equal(one, other) for one, other in zip(trained.parameters(), wanted.parameters(), strict=True))
    assert len(averages) == bool(settings.average)
    for found in averages:
        assert all(torch.equal(one, other) for one, other in zip(found.parameters(), average.parameters(), strict=True))


def test_a_step_on_a_gpu_has_ended_when_its_time_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []
    monkeypatch.setattr(step, "finish", waited.append)
    rehearsal(network(), batches, objective, Training(), place=Alone())(0)
    assert waited == ["cpu"]
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waited.append("synchronised"))
    device.finish("cpu")
    assert waited == ["cpu"]
    device.finish("cuda:1")
    assert waited == ["cpu", "synchronised"]


def test_a_rehearsal_leaves_the_caller_s_flags_alone() -> None:
    before = torch.are_deterministic_algorithms_enabled()
    rehearsal(network(), batches, objective, Training(), place=Alone())(0)
    assert torch.are_deterministic_algorithms_enabled() == before
