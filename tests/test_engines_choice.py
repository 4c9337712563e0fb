"""The choice of an engine: the fastest that says the same as torch, told with what was measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from medvision.engines import Cache, Choice, Closeness, Memory, Model, Row, Terms, candidates, choose, choosing, trial
from medvision.engines import memory as memory_module
from medvision.engines.closeness import closeness
from medvision.engines.memory import forget_peak, peak_bytes, resident_bytes
from medvision.engines.trial import Trial
from medvision.errors import PipelineError, UsageError

STRICT, LOOSE = Terms(labels=0.9999, probability=0.01), Terms(labels=0.0, probability=1.0)
HERE = {each.name for each in candidates() if each.lacks is None}
IMAGES = [np.random.default_rng(seed).normal(size=(1, 8, 8, 8)).astype(np.float32) for seed in range(3)]
REFERENCE = np.array([[2.0, 0.0], [0.0, 2.0]], np.float32)  # of two voxels, with labels 0 and 1

Fake = Callable[..., Trial]


def network() -> Any:
    torch.manual_seed(0)
    return nn.Conv3d(1, 2, 3, padding=1).eval()


def model(identity: str = "one") -> Model:
    return Model(network, identity, "segmentation")


def fake(monkeypatch: pytest.MonkeyPatch, **engines: Any) -> list[str]:
    """Let every engine named, ``_`` for ``-``, do as stated: seconds, by how much logits differ, or an error."""
    stated = {"torch_fp32": (1.0, 0.0), **engines}
    names = [name.replace("_", "-") for name in stated]
    monkeypatch.setattr(choosing, "candidates", lambda: tuple(each for each in candidates() if each.name in names))
    tried: list[str] = []

    def try_engine(name: str, model: Model, inputs: Any, *, best: Trial | None, **_: Any) -> Trial:
        tried.append(name)
        said = stated[name.replace("-", "_")]
        if isinstance(said, Exception):
            raise said
        seconds, off = said
        turned = REFERENCE + np.array([[-off], [off]], np.float32)
        told = 9.0 if seconds is None and best is None else seconds  # nothing is stopped that is faster than no other
        return Trial((turned,) * len(inputs), 9.0, told, Memory(10, 20, 30))

    monkeypatch.setattr(choosing, "try_engine", try_engine)
    return tried


def test_the_fastest_within_the_tolerance_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, torch_bf16=(0.5, 0.001), openvino_fp32=(0.4, 0.0), openvino_bf16=(0.2, 0.9))
    choice = choose(model(), IMAGES, STRICT)
    assert choice.engine == "openvino-fp32"
    assert (choice.threads, choice.inputs, choice.wanted) == (1, 3, "auto")
    rows = {row.name: row for row in choice.rows}
    assert [row.name for row in choice.rows] == ["torch-fp32", "torch-bf16", "openvino-fp32", "openvino-bf16"]
    assert rows["openvino-bf16"].inexact
    assert "beyond the tolerance: 100 % of labels are the same, largest difference 0.33" in str(
        rows["openvino-bf16"].why_not
    )
    assert rows["torch-bf16"].why_not == "openvino-fp32 is used"
    assert choice.used.seconds == 0.4
    assert choice.used.memory == Memory(10, 20, 30)
    assert choose(model(), IMAGES, LOOSE).engine == "openvino-bf16"


def test_of_two_that_are_as_fast_the_more_exact_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, torch_bf16=(0.400, 0.02), openvino_bf16=(0.410, 0.01))
    assert choose(model(), IMAGES, LOOSE).engine == "openvino-bf16"
    fake(monkeypatch, torch_bf16=(0.400, 0.02), openvino_bf16=(0.430, 0.01))
    assert choose(model(), IMAGES, LOOSE).engine == "torch-bf16"
    fake(monkeypatch, torch_bf16=(0.98, 0.02))
    assert choose(model(), IMAGES, LOOSE).engine == "torch-fp32"


def test_labels_that_change_are_beyond_the_tolerance_however_small_the_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake(monkeypatch, openvino_bf16=(0.1, 1.1))  # the first voxel: 2 - 1.1 is below 0 + 1.1
    choice = choose(model(), IMAGES, Terms(labels=0.9, probability=1.0))
    assert choice.engine == "torch-fp32"
    assert choice.rows[1].closeness is not None
    assert choice.rows[1].closeness.labels == 0.5


def test_values_that_are_not_finite_are_beyond_every_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, openvino_bf16=(0.1, float("nan")))
    choice = choose(model(), IMAGES, LOOSE)
    assert choice.engine == "torch-fp32"
    assert choice.rows[1].why_not == "beyond the tolerance: values that are not finite"


def test_an_engine_that_fails_is_passed_over_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = PipelineError("not-convertible", "the network cannot be converted to OpenVINO (TypeError)")
    fake(monkeypatch, torch_bf16=RuntimeError("at /home/doe"), openvino_fp32=refused, onnx_fp32=MemoryError())
    choice = choose(model(), IMAGES, STRICT)
    assert choice.engine == "torch-fp32"
    assert [row.why_not for row in choice.rows[1:]] == [
        "it failed (RuntimeError)",
        "the network cannot be converted to OpenVINO (TypeError)",
        "it failed (MemoryError)",
    ]


def test_a_failure_of_the_reference_or_of_the_engine_asked_for_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, torch_fp32=RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        choose(model(), IMAGES, STRICT)
    fake(monkeypatch, openvino_fp32=PipelineError("not-convertible", "no"), onnx_fp32=RuntimeError("broken"))
    with pytest.raises(PipelineError, match="not-convertible"):
        choose(model(), IMAGES, STRICT, wanted="openvino-fp32")
    with pytest.raises(RuntimeError, match="broken"):
        choose(model(), IMAGES, STRICT, wanted="onnx-fp32")


def test_an_engine_asked_for_is_compared_with_the_reference_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = fake(monkeypatch, torch_bf16=(0.1, 0.0), openvino_fp32=(2.0, 0.001))
    choice = choose(model(), IMAGES, STRICT, wanted="openvino-fp32")
    assert (choice.engine, tried) == ("openvino-fp32", ["torch-fp32", "openvino-fp32"])
    assert choice.rows[1].why_not == "openvino-fp32 was asked for"
    assert choose(model(), IMAGES, STRICT, wanted="torch-fp32").engine == "torch-fp32"


def test_an_engine_asked_for_is_used_though_it_was_much_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, openvino_fp32=(None, 0.001))
    choice = choose(model(), IMAGES, STRICT, wanted="openvino-fp32")
    assert (choice.engine, choice.used.seconds) == ("openvino-fp32", 9.0)
    assert choose(model(), IMAGES, STRICT).rows[1].why_not == "much slower than another: stopped after one input"


def test_an_engine_asked_for_that_is_beyond_the_tolerance_is_refused_with_the_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake(monkeypatch, openvino_fp32=(0.1, 0.9))
    with pytest.raises(PipelineError, match=r"beyond the tolerance: 100 % .* difference 0\.33.* \[engine-inexact\]"):
        choose(model(), IMAGES, STRICT, wanted="openvino-fp32")
    with pytest.raises(UsageError, match="there is no engine 'tensorrt'"):
        choose(model(), IMAGES, STRICT, wanted="tensorrt")


def test_an_engine_that_makes_a_model_for_each_shape_is_left_out_where_images_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake(monkeypatch, openvino_fp32=(0.1, 0.0), onnx_fp32=(0.1, 0.0), torch_bf16=(0.5, 0.0))
    choice = choose(model(), IMAGES, Terms(0.9999, 0.01, fixed=False))
    assert choice.engine == "torch-bf16"
    assert choice.rows[2].why_not == "it makes a model for each shape, and images differ in theirs"
    asked = choose(model(), IMAGES, Terms(0.9999, 0.01, fixed=False), wanted="openvino-fp32")
    assert asked.engine == "openvino-fp32"


def test_onnx_is_tried_where_openvino_does_not_take_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = fake(monkeypatch, openvino_fp32=(0.5, 0.0), onnx_fp32=(0.1, 0.0))
    assert choose(model(), IMAGES, STRICT).rows[2].why_not == "not tried: OpenVINO takes the network"
    assert tried == ["torch-fp32", "openvino-fp32"]
    fake(monkeypatch, openvino_fp32=RuntimeError(), onnx_fp32=(0.1, 0.0))
    assert choose(model(), IMAGES, STRICT).engine == "onnx-fp32"


def test_when_the_time_is_up_no_further_engine_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = fake(monkeypatch, openvino_bf16=(0.1, 0.0), torch_bf16=(0.1, 0.0))
    choice = choose(model(), IMAGES, STRICT, seconds=0.0)
    assert (choice.engine, tried) == ("torch-fp32", ["torch-fp32"])
    assert choice.rows[1].why_not == "the time for trying engines was up"
    now = iter([0.0, 21.0, 22.0, 23.0, 24.0])
    monkeypatch.setattr(choosing.time, "monotonic", lambda: next(now))
    assert choose(model("busy"), IMAGES, STRICT, seconds=20.0).engine == "openvino-bf16"  # and torch-bf16 is not tried
    assert tried[1:] == ["torch-fp32", "openvino-bf16"]
    monkeypatch.undo()
    fake(monkeypatch, openvino_bf16=(0.1, 0.0), torch_bf16=(0.1, 0.0))
    assert choose(model(), IMAGES, STRICT, seconds=0.0, wanted="torch-bf16").engine == "torch-bf16"


def test_a_choice_is_kept_and_not_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = Cache(tmp_path)
    tried = fake(monkeypatch, torch_bf16=(0.5, 0.001))
    first = choose(model(), IMAGES, STRICT, cache=kept)
    tried.clear()
    assert choose(model(), IMAGES, STRICT, threads=2, cache=kept) == first
    assert tried == []
    for change in (
        lambda: choose(model("two"), IMAGES, STRICT, cache=kept),
        lambda: choose(model(), [each[:, :4] for each in IMAGES], STRICT, cache=kept),
        lambda: choose(model(), IMAGES, LOOSE, cache=kept),
        lambda: choose(model(), IMAGES, STRICT, wanted="torch-bf16", cache=kept),
    ):
        change()
        assert tried
        tried.clear()


def test_a_kept_choice_of_another_form_is_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = Cache(tmp_path)
    tried = fake(monkeypatch)
    first = choose(model(), IMAGES, STRICT, cache=kept)
    for arrays in ({"choice": np.frombuffer(b'{"engine": 1}', np.uint8)}, {"other": np.zeros(1)}):
        kept.save(choosing._key(model(), IMAGES[0].shape, STRICT, "auto"), arrays)
        tried.clear()
        assert choose(model(), IMAGES, STRICT, cache=kept) == first
        assert tried == ["torch-fp32"]


def test_there_is_no_choice_without_an_input() -> None:
    with pytest.raises(ValueError, match="one input or more"):
        choose(model(), [], STRICT)


def test_a_choice_survives_json_and_one_that_contradicts_itself_is_none() -> None:
    close = Closeness(labels=None, largest=0.5, mean=0.25)
    rows = (Row("torch-fp32", "slow", 1.5, Memory(1, 2, None)), Row("onnx-fp32", closeness=close))
    choice = Choice("onnx-fp32", "auto", 2, 3, rows)
    assert Choice.from_json(json.loads(json.dumps(choice.to_json()))) == choice
    with pytest.raises(ValueError, match="one row"):
        Choice("torch-fp32", "auto", 2, 3, rows)
    with pytest.raises(ValueError, match="engine"):
        Choice.from_json({"rows": []})


def test_a_record_is_told_what_does_not_differ_from_run_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, torch_bf16=(0.5, 0.001), openvino_bf16=(0.2, 0.9))
    choice = choose(model(), IMAGES, STRICT)
    said = choice.for_record()
    assert (said["engine"], said["inputs"]) == ("torch-bf16", 3)
    assert said["closeness"]["labels"] == 1.0
    assert set(said) == {"engine", "inputs", "closeness"}, "neither seconds nor what was found of other engines"
    first, second = choice.told()
    assert first == "the engine is torch-bf16"
    assert second.startswith("openvino-bf16 is not used: beyond the tolerance")


def test_every_engine_is_tried_for_real(tmp_path: Path) -> None:
    choice = choose(model(), IMAGES, LOOSE, threads=2, cache=Cache(tmp_path))
    rows = {row.name: row for row in choice.rows}
    assert rows["torch-fp32"].closeness == Closeness(labels=1.0, largest=0.0, mean=0.0)
    for name in HERE - {"onnx-fp32", "openvino-int8"}:
        row = rows[name]
        assert row.closeness is not None
        assert row.closeness.largest < 0.05
        assert row.memory is not None
        assert row.memory.opening is not None
    assert choice.used.seconds is not None
    assert choice.used.seconds < 1
    assert set(rows) - HERE == {each.name for each in candidates() if each.lacks is not None}


def test_a_trial_gives_the_outputs_in_their_order_and_stops_what_is_much_slower() -> None:
    built = network()
    given = Model(lambda: built, "one", "segmentation")
    clock = {"threads": 2, "cache": Cache(None), "seconds_left": lambda: 0.0}
    full = trial.try_engine("torch-fp32", given, IMAGES, best=None, **clock)  # type: ignore[arg-type]
    with torch.inference_mode():
        for said, image in zip(full.outputs, IMAGES, strict=True):
            assert np.allclose(said, built(torch.from_numpy(image)[None])[0].numpy(), atol=1e-5)
    assert full.seconds is not None
    fast = Trial((), 1e-9, 1e-9, Memory(None, None, None))
    stopped = trial.try_engine("torch-fp32", given, IMAGES, best=fast, **clock)  # type: ignore[arg-type]
    assert (stopped.seconds, len(stopped.outputs)) == (None, 1)
    assert stopped.memory.further is None


@pytest.mark.parametrize(("threads", "wanted"), [(1, [1, 2]), (2, [1, 2]), (3, [1, 2, 0]), (4, [1, 2, 0, 1])])
def test_every_thread_has_as_many_inputs_in_a_round(threads: int, wanted: list[int]) -> None:
    assert trial._filled([0, 1, 2], threads) == wanted  # type: ignore[list-item]
    assert trial._filled([0], threads) == [0] * threads  # type: ignore[list-item]


def test_a_round_is_repeated_where_it_can_matter_and_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = iter([4.0, 6.0, 1.0])
    monkeypatch.setattr(trial, "_timed", lambda *_: (next(rounds), []))
    engine: Any = None
    assert trial._least(engine, IMAGES[:2], 5.0, None, lambda: 101.0) == 2.0  # rounds of two inputs: 2 and 3 s each
    rival = Trial((), 1.0, 1.0, Memory(None, None, None))
    assert trial._least(engine, IMAGES[:2], 5.0, rival, lambda: 101.0) == 5.0
    assert trial._least(engine, IMAGES[:2], 5.0, None, lambda: 99.0) == 5.0
    assert next(rounds) == 1.0


def test_the_memory_of_an_engine_is_that_of_its_inputs() -> None:
    class Large(nn.Module):
        def forward(self, image: Any) -> Any:
            return torch.zeros(1, 2, 10_000_000)[:, :, :1] + image.sum()  # 80 MB for the time of a call

    large = Large().eval()
    given = Model(lambda: large, "one", "segmentation")
    first = trial.try_engine(
        "torch-fp32", given, IMAGES[:1], threads=1, cache=Cache(None), best=None, seconds_left=lambda: 0.0
    )
    assert first.memory.first is not None
    assert 75e6 < first.memory.first < 100e6
    assert first.memory.further == first.memory.first


def test_what_every_further_input_adds_is_known_by_hand() -> None:
    assert trial._further(100, 360, 10, 3) == 125  # 360 - 10 - 100, for two more
    assert trial._further(100, 100, 10, 2) == 0
    assert trial._further(100, None, 10, 2) == 100
    assert trial._further(None, 300, 10, 2) is None
    assert Memory(None, 1, 1).at_once(2) is None
    assert Memory(900, 500, 100).at_once(2) == 900


def test_the_peak_of_memory_is_forgotten_and_measured() -> None:
    held, at_first = resident_bytes(), peak_bytes()
    assert held is not None
    assert at_first is not None
    del (block := [np.ones(20_000_000)])[:]
    risen = peak_bytes()
    assert risen is not None
    assert risen > held + 150e6
    assert forget_peak()
    now = peak_bytes()
    assert now is not None
    assert now < risen - 100e6
    assert block == []


def test_a_system_that_does_not_tell_leaves_memory_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory_module, "_STATE", tmp_path / "none")
    monkeypatch.setattr(memory_module, "_RESET", tmp_path / "none" / "none")
    assert (resident_bytes(), peak_bytes(), forget_peak()) == (None, None, False)
    built = network()
    tried = trial.try_engine(
        "torch-fp32",
        Model(lambda: built, "one", "segmentation"),
        IMAGES,
        threads=2,
        cache=Cache(None),
        best=None,
        seconds_left=lambda: 0.0,
    )
    assert tried.memory == Memory(None, None, None)


def figures(close: Closeness | None) -> tuple[float, float, float]:
    assert close is not None
    assert close.labels is not None
    return close.labels, close.largest, close.mean


def test_closeness_is_measured_in_the_terms_of_the_task() -> None:
    wanted = [np.array([0.0, 0.0], np.float32), np.array([2.0, -2.0], np.float32)]
    found = [np.array([0.0, np.log(3)], np.float32), np.array([2.0, -2.0], np.float32)]
    # softmax: 1/4 and 3/4 in place of 1/2 each; the label changes from the first to the second in one of two inputs
    assert figures(closeness(found, wanted, "classification")) == pytest.approx((0.5, 0.25, 0.125))
    # logistic: 3/4 in place of 1/2, which is present in both
    assert figures(closeness(found, wanted, "multilabel")) == pytest.approx((1.0, 0.25, 0.0625))
    values = closeness(found, wanted, "regression")
    assert values is not None
    assert values.labels is None
    assert (values.largest, values.mean) == pytest.approx((np.log(3), np.log(3) / 4))
    assert values.within(labels=1.0, probability=1.1)
    assert not values.within(labels=1.0, probability=1.0)
    assert str(values) == "largest difference 1.1"


def test_large_logits_overflow_nowhere() -> None:
    large = [np.array([1e4, -1e4], np.float32)]
    for task in ("classification", "multilabel"):
        assert closeness(large, large, task) == Closeness(labels=1.0, largest=0.0, mean=0.0)  # type: ignore[arg-type]
