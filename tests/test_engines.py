"""Engines: the same answer from each, whatever is computed beside it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from medvision.engines import NAMES, Cache, Model, candidates, open_engine, table, to_onnx, to_openvino
from medvision.engines.ahead import in_order
from medvision.engines.cuda import CudaEngine
from medvision.engines.openvino_cpu import OpenVinoEngine
from medvision.engines.protocol import Array
from medvision.engines.torch_cpu import TorchEngine
from medvision.errors import ExtraMissingError, PipelineError, UsageError
from medvision.networks import AnyNetwork, DenseNet, DynUNet, ResNet, SegResNet, ViT, ensemble_of

HERE = [each.name for each in candidates() if each.lacks is None]
PROCESSOR = [name for name in HERE if not name.startswith("cuda") and not name.endswith("int8")]
UNET = DynUNet(channels=(8, 16, 16), residual=False)
NETWORKS: dict[str, tuple[AnyNetwork, int, tuple[int, ...]]] = {
    "dynunet": (UNET, 3, (16, 24, 16)),
    "segresnet": (SegResNet(channels=8), 3, (16, 16, 16)),
    "resnet": (ResNet(channels=(8, 8, 16, 16)), 2, (32, 32)),
    "densenet": (DenseNet(blocks=(2, 2), channels=8, growth=4), 2, (32, 32)),
    "vit": (ViT(image_size=(32, 32), channels=16, blocks=2, heads=2), 2, (32, 32)),
}


def network(settings: AnyNetwork = UNET, dimensions: int = 3, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return settings.build(in_channels=1, out_channels=3, dimensions=dimensions).eval()


def model(module: Any = None, identity: str = "unet") -> Model:
    module = network() if module is None else module
    return Model(lambda: module, identity, "segmentation")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """Return a cache for what many tests convert alike: a conversion to ONNX takes seconds."""
    return Cache(tmp_path_factory.mktemp("engines"))


def images(count: int, shape: tuple[int, ...] = (16, 24, 16)) -> list[Array]:
    return [np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32) for seed in range(count)]


def torch_says(module: Any, values: Array) -> Array:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(values)[None])[0].numpy())
    finally:
        torch.set_num_threads(before)


def test_these_engines_can_run_here() -> None:
    assert {"torch-fp32", "openvino-fp32", "onnx-fp32"} <= set(HERE)  # bf16 and GPU are the machine's


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_engine_says_what_torch_says(kind: str, kept: Cache) -> None:
    settings, dimensions, shape = NETWORKS[kind]
    module = network(settings, dimensions)
    wanted = [torch_says(module, values) for values in images(2, shape)]
    largest = max(float(np.abs(each).max()) for each in wanted)
    for name in PROCESSOR:
        found = list(open_engine(name, model(module, kind), cache=kept).over(images(2, shape)))
        for ours, theirs in zip(found, wanted, strict=True):
            assert (ours.dtype, ours.shape, ours.flags.c_contiguous) == (np.float32, theirs.shape, True)
            # fp32 has 24 bits and bf16 8; a network of a few layers loses a few of them
            assert np.abs(ours - theirs).max() <= largest * (2**-5 if name.endswith("bf16") else 1e-4), name
    assert np.array_equal(next(open_engine("torch-fp32", model(module)).over(images(1, shape))), wanted[0])


def test_an_ensemble_goes_through_the_same_door(kept: Cache) -> None:
    module = ensemble_of([network(seed=1), network(seed=2)], "segmentation")
    wanted = torch_says(module, images(1)[0])
    for name in PROCESSOR:
        (found,) = open_engine(name, model(module, "ensemble"), cache=kept).over(images(1))
        assert np.abs(found - wanted).max() <= (0.1 if name.endswith("bf16") else 1e-4), name


@pytest.mark.parametrize("name", PROCESSOR)
def test_bits_depend_neither_on_threads_nor_on_the_other_inputs(name: str, kept: Cache) -> None:
    mixed = [*images(3), *images(2, (16, 16, 16)), *images(1)]
    alone = [next(open_engine(name, model(), cache=kept).over([each])) for each in mixed]
    for threads in (1, 2, 3, 8):
        together = list(open_engine(name, model(), threads=threads, cache=kept).over(iter(mixed)))
        assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True)), threads


@pytest.mark.parametrize("name", ["openvino-fp32", "onnx-fp32"])
def test_a_network_is_converted_alike_whatever_the_first_input_is(name: str) -> None:
    blank, varied = np.zeros((1, 16, 16, 16), np.float32), images(1, (16, 16, 16))[0]
    engine = open_engine(name, model())
    next(engine.over([blank]))  # of one value throughout: what rounding leaves of it is no measure of a conversion
    assert np.array_equal(next(engine.over([varied])), next(open_engine(name, model()).over([varied])))


@pytest.mark.parametrize("name", PROCESSOR)
def test_inputs_that_cannot_be_written_are_read_and_left_as_they_are(name: str, kept: Cache) -> None:
    values = images(1)[0]
    before = values.copy()
    turned = np.asfortranarray(values)
    turned.flags.writeable = False
    engine = open_engine(name, model(), cache=kept)
    assert np.array_equal(next(engine.over([values])), next(engine.over([turned])))
    assert np.array_equal(values, before)


@pytest.mark.parametrize("threads", [1, 2])
def test_torch_has_as_many_threads_afterwards_as_before(threads: int) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        running = open_engine("torch-fp32", model(), threads=threads).over(images(3))
        next(running)
        assert torch.get_num_threads() == 3
        running.close()
        assert torch.get_num_threads() == 3
        seen: list[int] = []
        in_later_thread = in_order(lambda _: seen.append(torch.get_num_threads()), [0], 2)
        list(in_later_thread)
        assert seen == [3]
    finally:
        torch.set_num_threads(before)


def test_torch_computes_each_input_by_one_thread() -> None:
    seen: list[int] = []

    class Watched(nn.Module):
        def forward(self, image: Any) -> Any:
            seen.append(torch.get_num_threads())
            return image

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        for threads in (1, 2):
            list(TorchEngine(Watched().eval(), threads=threads).over(images(2)))
    finally:
        torch.set_num_threads(before)
    assert seen == [1] * 4


def test_a_network_in_training_mode_is_refused() -> None:
    training = network().train()
    with pytest.raises(ValueError, match="training mode"):
        TorchEngine(training)
    with pytest.raises(ValueError, match="training mode"):
        CudaEngine(training, device="cpu")
    with pytest.raises(ValueError, match="training mode"):
        to_openvino(training, images(1)[0])


def test_few_inputs_are_taken_ahead_of_the_output_that_is_waited_for() -> None:
    taken = 0

    def counted() -> Iterator[int]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    running = in_order(str, counted(), 2)
    assert next(running) == "0"
    assert taken == 3
    running.close()  # type: ignore[attr-defined]
    assert taken == 3


def test_what_fails_for_one_input_is_told_when_its_turn_comes() -> None:
    running = in_order(lambda each: 1 // each, [1, 0, 1], 2)
    assert next(running) == 1
    with pytest.raises(ZeroDivisionError):
        next(running)


def test_the_engine_of_a_gpu_batches_inputs_of_one_shape_and_fills_the_last_batch_up() -> None:
    sizes: list[int] = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, image: Any) -> Any:
            sizes.append(len(image))
            return self.inner(image)

    module = Watched().eval()
    inputs = [*images(3), *images(1, (16, 16, 16))]
    found = list(CudaEngine(module, "fp32", batch=2, device="cpu").over(inputs))
    assert sizes == [2, 2, 2]
    for ours, values in zip(found, inputs, strict=True):
        assert np.abs(ours - torch_says(module.inner, values)).max() < 1e-4
    sizes.clear()
    (alone,) = CudaEngine(module, "fp32", batch=2, device="cpu").over(inputs[:1])
    assert np.array_equal(alone, found[0])
    assert sizes == [2]


def test_the_engine_of_a_gpu_leaves_network_and_flags_as_they_were() -> None:
    module = network()
    flags = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32
    strides = [each.stride() for each in module.parameters()]
    engine = CudaEngine(module, "amp", device="cpu")
    assert engine.name == "cuda-amp"
    assert len(list(engine.over(images(1)))) == 1
    assert [each.stride() for each in module.parameters()] == strides
    now = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32
    assert now == flags


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    gone = ("openvino", "onnxruntime")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in gone else find(name))
    reasons = {each.name: each for each in candidates()}
    assert reasons["onnx-fp32"].lacks == "onnxruntime is not installed"
    with pytest.raises(ExtraMissingError, match=r"medvision-toolkit\[openvino\]"):
        open_engine("openvino-fp32", model())


def test_without_bf16_a_processor_has_no_such_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "processor_features", lambda: {"avx2"})
    lacking = {each.name: each.lacks for each in candidates() if each.name.endswith(("bf16", "int8"))}
    assert lacking == {
        **dict.fromkeys(["torch-bf16", "openvino-bf16"], "the processor does not compute in bf16"),
        "openvino-int8": "the processor does not compute in int8",
    }
    with pytest.raises(UsageError, match="engine-unavailable"):
        open_engine("torch-bf16", model())


def test_a_gpu_that_torch_cannot_use_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "driver").touch()
    for devices in ((), (str(tmp_path / "driver"),)):
        monkeypatch.setattr(table, "_DEVICES", devices)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert {each.lacks for each in candidates() if each.name.startswith("cuda")} == {
            "there is no GPU that torch can use"
        }
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert {each.lacks for each in candidates() if each.name.startswith("cuda")} == {None}


def test_an_unknown_engine_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="torch-fp32, torch-bf16"):
        open_engine("tensorrt", model())
    assert [each.name for each in candidates()] == list(NAMES)


def test_more_shapes_than_are_kept_are_compiled_anew(tmp_path: Path) -> None:
    engine = OpenVinoEngine(model(), cache=Cache(tmp_path))
    shapes = [(8 * n, 8, 8) for n in range(2, 8)]
    first = [next(engine.over(images(1, shape))) for shape in shapes]
    assert len(engine._compiled._made) == 4
    again = [next(engine.over(images(1, shape))) for shape in shapes]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


class Counting(nn.Module):
    """Says something else at every call, so that no conversion can be right."""

    def forward(self, image: Any) -> Any:
        self.calls = getattr(self, "calls", 0) + 1
        return image * self.calls


class Several(nn.Module):
    def forward(self, image: Any) -> Any:
        return image, image


@pytest.mark.parametrize("convert", [to_openvino, to_onnx])
def test_a_network_that_cannot_be_converted_is_refused(convert: Any) -> None:
    with pytest.raises(PipelineError, match="cannot be converted"):
        convert(Several().eval(), images(1)[0])


def test_a_conversion_that_says_something_else_than_the_network_is_refused() -> None:
    with pytest.raises(PipelineError, match="differs from the network by"):
        to_onnx(Counting().eval(), images(1)[0])


def test_conversions_are_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        to_openvino(network(), images(1)[0])
        to_onnx(network(), images(1)[0])
    assert not heard
    assert capfd.readouterr() == ("", "")


def test_a_conversion_gives_files_that_stand_alone(tmp_path: Path) -> None:
    import onnxruntime
    import openvino

    values = images(1)[0]
    to_openvino(network(), values).save(tmp_path / "model.xml")
    compiled = openvino.Core().compile_model(tmp_path / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    (tmp_path / "model.onnx").write_bytes(to_onnx(network(), values))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    wanted = torch_says(network(), values)
    assert np.abs(compiled({0: values[None]})[0][0] - wanted).max() < 1e-4
    assert np.abs(session.run(["output"], {"image": values[None]})[0][0] - wanted).max() < 1e-4


def test_no_package_writes_into_the_home_folder_or_sends_anything(tmp_path: Path) -> None:
    script = """
import socket, sys
import numpy as np
from torch import nn
from medvision.engines import Model, open_engine
socket.socket.connect = socket.getaddrinfo = lambda *args: sys.exit("a connection was tried")
net = nn.Conv3d(1, 2, 3).eval()
for name in ("openvino-fp32", "onnx-fp32"):
    list(open_engine(name, Model(lambda: net, "one", "segmentation")).over([np.ones((1, 4, 4, 4), np.float32)]))
assert "openvino_telemetry" not in sys.modules
import openvino_telemetry  # another user of the process can import it
"""
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "matplotlib" not in path.parts]
    assert written == []
