"""Batches that a thread makes ahead are those that would have been made without it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import SPHERES_TOML, write_sphere_data

from medvision.errors import InputError
from medvision.pipeline import PipelineFolder
from medvision.training import Alone, Batch, Sample, Sampler, Store, Training, VariedBatches
from medvision.training.ahead import Ahead, ahead
from medvision.workflows.fitting.job import Job
from medvision.workflows.train import train
from medvision.workflows.training_data import prepare as preparing
from medvision.workflows.training_data.labelled import labelled_cases

SETTINGS = Training(epochs=2, steps_per_epoch=4, batch=3, patch=(8, 8, 8))


def samples() -> list[Sample]:
    random = np.random.default_rng(1)
    images = random.normal(size=(3, 1, 12, 10, 9)).astype(np.float32)
    return [Sample(f"s{number}", image, (image[0] > 1).astype(np.uint8)) for number, image in enumerate(images)]


def test_batches_are_the_same_bit_by_bit_in_any_order_of_steps() -> None:
    plain = VariedBatches(Sampler(samples(), SETTINGS), SETTINGS)
    with Ahead(VariedBatches(Sampler(samples(), SETTINGS), SETTINGS)) as made:
        for step in (0, 1, 2, 2, 5, 0, 1):
            expected, found = plain(step), made(step)
            assert torch.equal(expected.images, found.images)
            assert torch.equal(expected.targets, found.targets)


def test_the_next_batch_is_made_while_this_one_is_used() -> None:
    asked, begun = [], threading.Event()

    def batches(step: int) -> Batch:
        asked.append((step, threading.current_thread() is threading.main_thread()))
        if step == 1:
            begun.set()
        return Batch(step, None)

    with Ahead(batches) as made:
        made(0)
        assert begun.wait(10)
        assert [made(0).images, made(1).images] == [0, 1]
    assert asked[:2] == [(0, False), (1, False)]
    assert [step for step, _ in asked].count(0) == 1, "a step that is asked for again is not made again"


def test_what_goes_wrong_with_a_batch_is_raised_where_it_is_asked_for() -> None:
    broken = {1}

    def batches(step: int) -> Batch:
        if step in broken:
            raise InputError("truncated", f"step {step}")
        return Batch(step, None)

    with Ahead(batches) as made:
        assert made(0).images == 0
        with pytest.raises(InputError, match="step 1"):
            made(1)
        broken.clear()
        assert made(1).images == 1, "a batch that failed is tried anew"


def test_no_thread_is_left_after_the_last_batch() -> None:
    before = threading.active_count()
    with Ahead(lambda step: Batch(step, None)) as made:
        made(0)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_batches_are_made_ahead_on_a_gpu_and_from_a_disk_alone(tmp_path: Path) -> None:
    def batches(step: int) -> Batch:
        return Batch(step, None)

    held = samples()
    stored = Store(tmp_path).put("abc", held[0], {})
    with ahead(batches, Alone(), held) as given:
        assert given is batches
    for device, cases in (("cuda", held), ("cuda:1", held), ("cpu", [*held[1:], stored])):
        with ahead(batches, Alone(device), cases) as given:
            assert isinstance(given, Ahead)


@pytest.fixture(scope="module")
def spheres(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PipelineFolder]:
    """Return a data set of spheres and an untrained pipeline for it."""
    folder = tmp_path_factory.mktemp("spheres")
    (folder / "pipeline.toml").write_text(SPHERES_TOML, encoding="utf-8")
    return write_sphere_data(folder / "data"), PipelineFolder.open(folder)


def test_batches_from_disk_are_those_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spheres: tuple[Path, PipelineFolder]
) -> None:
    data, pipeline = spheres
    found = []
    for most in (2 << 30, 0):
        monkeypatch.setattr(preparing, "_MOST_BYTES", most)
        prepared = list(preparing.prepare(labelled_cases([data]), pipeline, Store(tmp_path)).values())
        with Job(pipeline, prepared, (), Alone()).ahead() as batches:
            found.append([batches(step) for step in range(3)])
    assert isinstance(batches, Ahead)
    for memory, disk in zip(*found, strict=True):
        assert torch.equal(memory.images, disk.images)
        assert torch.equal(memory.targets, disk.targets)


def test_a_training_that_is_interrupted_leaves_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spheres: tuple[Path, PipelineFolder]
) -> None:
    before, seen = threading.active_count(), []

    def interrupted(_: object, batches: Any, *__: object, **___: object) -> None:
        batches(0)
        seen.append((batches, threading.active_count()))
        raise KeyboardInterrupt

    monkeypatch.setattr(preparing, "_MOST_BYTES", 0)
    monkeypatch.setattr("medvision.workflows.fitting.fit.optimise", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(spheres[1], [spheres[0]], tmp_path / "out")
    [(batches, threads)] = seen
    assert isinstance(batches, Ahead)
    assert (threads, threading.active_count()) == (before + 1, before)
