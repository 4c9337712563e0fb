"""What makes a GPU faster. There is none here: flags and choices are tested, with clocks whose times are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from medvision.errors import Finding
from medvision.training import gpu
from medvision.training.gpu import gpu_arithmetic, measured_compile


class _Work:
    """A step that takes a known time on a clock of its own: 10 ms, and less or more when compiled."""

    def __init__(self, compiled_ms: float, first_ms: float = 0.0) -> None:
        self.now = 0.0
        self.compiled_ms, self.first_ms = compiled_ms, first_ms
        self.steps: list[str] = []

    def clock(self) -> float:
        return self.now

    def compiler(self, network: Any) -> Callable[..., Any]:
        def compiled(images: Any) -> Any:
            return network(images)

        return compiled

    def step(self, called: Any) -> None:
        kind = "plain" if isinstance(called, torch.nn.Module) else "compiled"
        self.now += (10.0 if kind == "plain" else self.compiled_ms) / 1000
        if kind not in self.steps:
            self.now += self.first_ms / 1000
        self.steps.append(kind)
        called(torch.ones(4, 2)).sum().backward()


def _network() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 1))


@pytest.mark.parametrize(("compiled_ms", "taken"), [(5.0, True), (9.9, False), (20.0, False)])
def test_the_compiled_network_is_taken_where_it_is_faster_by_more_than_noise(compiled_ms: float, taken: bool) -> None:
    network, work = _network(), _Work(compiled_ms)
    chosen = measured_compile(network, work.step, compiler=work.compiler, clock=work.clock)
    assert (chosen.called is not network) == taken
    words = "the network is compiled" if taken else "the network is used as it is"
    assert chosen.finding.message == f"a step takes 10.0 ms, and {compiled_ms:.1f} ms compiled: {words}"


def test_the_time_of_the_compilation_itself_is_not_counted() -> None:
    network, work = _network(), _Work(5.0, first_ms=90_000)
    chosen = measured_compile(network, work.step, compiler=work.compiler, clock=work.clock)
    assert chosen.called is not network
    assert work.steps.count("plain") == work.steps.count("compiled")


def test_the_network_is_left_as_it_was() -> None:
    network, work = _network(), _Work(5.0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    measured_compile(network, work.step, compiler=work.compiler, clock=work.clock)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_compiler_that_fails_leaves_the_network_to_be_used() -> None:
    def broken(network: Any) -> Any:
        raise RuntimeError("no backend")

    network, work = _network(), _Work(5.0)
    chosen = measured_compile(network, work.step, compiler=broken, clock=work.clock)
    assert chosen.called is network
    assert chosen.finding.message == "torch.compile failed (RuntimeError): the network is used as it is"
    assert network[0].num_batches_tracked == 0


@pytest.mark.parametrize(
    ("device", "steps", "deterministic", "measured"),
    [
        ("cuda:0", 2000, False, True),
        ("cuda:0", 1999, False, False),
        ("cuda:0", 5000, True, False),
        ("cpu", 5000, False, False),
    ],
)
def test_compilation_is_measured_only_where_it_can_pay(
    monkeypatch: pytest.MonkeyPatch, device: str, steps: int, deterministic: bool, measured: bool
) -> None:
    finding = Finding("network-compiled", "note", "compiled")
    monkeypatch.setattr(gpu, "measured_compile", lambda *_, **__: gpu.Chosen("compiled", finding))
    found = gpu.fastest("network", print, device=device, steps=steps, deterministic=deterministic)
    assert found == (("compiled", (finding,)) if measured else ("network", ()))


def _flags() -> tuple[bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return cudnn.benchmark, cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(
    ("precision", "deterministic", "within"),
    [("bf16", False, (True, True, True)), ("fp32", True, (False, False, False)), ("fp32", False, (True, False, False))],
)
def test_flags_are_set_within_and_put_back_even_after_an_error(
    precision: Any, deterministic: bool, within: tuple[bool, ...]
) -> None:
    before = _flags()

    def failing() -> None:
        with gpu_arithmetic(precision, deterministic=deterministic):
            assert _flags() == within
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert _flags() == before
