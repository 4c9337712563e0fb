"""torch and MONAI come late, and leave what they find as it was."""

from __future__ import annotations

import copy
import platform
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from medvision import frameworks
from medvision.errors import UsageError

HEAVY = "torch monai scipy skimage nibabel pydicom PIL matplotlib"


def python(code: str) -> str:
    """Run a program in a fresh interpreter, where warnings are errors, and return what it prints."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_after(code: str, names: str = HEAVY) -> str:
    return python(f"import sys\n{textwrap.dedent(code)}\nprint(*[n for n in {names.split()!r} if n in sys.modules])")


MODULES = (
    "networks training predict frameworks batch contract pipeline results workflows.scoring.scores "
    "workflows.fitting.card workflows.pipeline"
)


def test_importing_any_stage_loads_neither_torch_nor_another_heavy_package() -> None:
    imports = "\n".join(f"import medvision.{name}" for name in MODULES.split())
    assert loaded_after(imports) == ""


def test_importing_medvision_loads_not_even_numpy() -> None:
    assert loaded_after("import medvision", HEAVY + " numpy pydantic") == ""


def test_the_help_of_the_command_loads_not_even_numpy() -> None:
    code = """
        import contextlib, io
        sys.argv = ["medvision", "--help"]
        from medvision_cli.app import main
        with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
            main()
        assert "pipelines" in shown.getvalue()
    """
    assert loaded_after(code, HEAVY + " numpy pydantic") == ""


def test_listing_the_pipelines_loads_neither_torch_nor_monai() -> None:
    code = """
        import contextlib, io
        sys.argv = ["medvision", "pipelines", "list"]
        from medvision_cli.app import main
        with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
            main()
        assert "mr-hippocampus" in shown.getvalue()
    """
    assert loaded_after(code) == ""


def test_importing_monai_leaves_the_warning_machinery_and_the_seed_as_found() -> None:
    code = """
        import sys, warnings
        import torch
        from medvision.frameworks import monai_module
        torch.manual_seed(7)
        shown, filters, state = warnings.showwarning, list(warnings.filters), torch.get_rng_state()
        threads, grad = torch.get_num_threads(), torch.is_grad_enabled()
        assert "monai" not in sys.modules
        nets = monai_module("networks.nets")
        assert nets is sys.modules["monai.networks.nets"]
        assert warnings.showwarning is shown
        assert warnings.filters == filters
        assert torch.equal(torch.get_rng_state(), state)
        assert (torch.get_num_threads(), torch.is_grad_enabled()) == (threads, grad)
        print("well")
    """
    assert python(code) == "well"


def test_a_module_that_is_not_there_is_an_import_error_and_filters_are_put_back() -> None:
    filters = list(warnings.filters)
    with pytest.raises(ModuleNotFoundError):
        frameworks.monai_module("no_such_part")
    assert warnings.filters == filters


@pytest.mark.parametrize(
    ("wanted", "gpu", "chosen"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_a_gpu_is_taken_where_there_is_one_or_as_asked(
    monkeypatch: pytest.MonkeyPatch, wanted: str, gpu: bool, chosen: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert frameworks.choose_device(wanted) == chosen


@pytest.mark.parametrize("wanted", ["cuda", "gpu", ""])
def test_a_device_that_is_not_there_is_never_replaced_in_silence(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="cannot be used here"):
        frameworks.choose_device(wanted)


@pytest.mark.parametrize(
    ("wanted", "device", "features", "precision"),
    [
        ("auto", "cpu", {"avx2"}, "fp32"),
        ("auto", "cpu", {"avx2", "amx_bf16"}, "bf16"),
        ("auto", "cpu", {"avx512_bf16"}, "bf16"),
        ("auto", "cuda", {(8, 0)}, "bf16"),
        ("auto", "cuda", {(7, 5), "avx512_bf16"}, "fp32"),
        ("fp32", "cuda", {"amx_bf16"}, "fp32"),
        ("bf16", "cpu", set(), "bf16"),
    ],
)
def test_training_is_in_bf16_where_the_device_computes_in_it(
    monkeypatch: pytest.MonkeyPatch, wanted: str, device: str, features: set[Any], precision: str
) -> None:
    monkeypatch.setattr(frameworks, "processor_features", lambda: features)
    capability = next((each for each in features if isinstance(each, tuple)), None)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda: capability)
    assert frameworks.training_precision(wanted, device) == precision


def test_processor_features_are_words_of_the_list_that_linux_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "flags : fpu avx2 avx512f_not amx_bf16\n")
    assert frameworks.processor_features() == {"avx2", "amx_bf16"}


def test_a_system_without_that_list_has_no_known_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: Any, **__: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)
    assert frameworks.processor_features() == set()


@pytest.mark.parametrize(("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast_computes_in_the_precision_asked_for_and_only_in_its_block(precision: Any, kind: torch.dtype) -> None:
    layer, value = torch.nn.Linear(2, 2), torch.ones(1, 2)
    with frameworks.autocast("cpu", precision):
        assert layer(value).dtype == kind
    assert layer(value).dtype == torch.float32


def gradient(convolution: Any, image: Any, away: Any) -> Any:
    convolution.zero_grad()
    with frameworks.autocast("cpu", "bf16"):
        found = convolution(image)
    found.backward(away.to(found.dtype))
    return convolution.weight.grad.double()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(2, 2, 2), (2, 3, 3), (5, 5, 1), (4, 4, 4)])
def test_gradients_of_small_inputs_are_right_in_bf16_training(size: tuple[int, int, int], stride: int) -> None:
    """Without the block most of these differ by any amount, up to NaN, on processors with AVX-512 BF16."""
    draws = torch.Generator().manual_seed(0)
    convolution = torch.nn.Conv3d(8, 8, 3, stride, padding=1).to(memory_format=torch.channels_last_3d)
    image = torch.randn(2, 8, *size, generator=draws).contiguous(memory_format=torch.channels_last_3d)
    exact = copy.deepcopy(convolution).double()
    result = exact(image.double())
    away = torch.randn(result.shape, generator=draws)
    result.backward(away.double())
    with frameworks.small_convolutions_in_fp32(convolution):
        for _ in range(5):
            found = gradient(convolution, image, away)
            assert torch.allclose(found, exact.weight.grad, atol=0.05 * float(exact.weight.grad.abs().max()))


def test_only_small_inputs_are_computed_in_fp32_and_the_network_is_left_as_found() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1))
    before = dict(vars(network[0]))
    with frameworks.small_convolutions_in_fp32(network), frameworks.autocast("cpu", "bf16"):
        kinds = [network(torch.zeros(1, 1, *size)).dtype for size in ((3, 3), (3, 2), (2, 9))]
    assert kinds == [torch.bfloat16, torch.float32, torch.float32]
    assert vars(network[0]) == before
    with pytest.raises(RuntimeError), frameworks.small_convolutions_in_fp32(network):
        network(torch.zeros(1, 7, 3, 3))
    assert vars(network[0]) == before


class Tied(torch.nn.Module):
    """Two names for one weight, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.one = torch.nn.Linear(2, 2, bias=False)
        self.other = self.one
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))


def test_a_state_holds_each_tensor_once_and_is_no_copy() -> None:
    network = Tied()
    state = frameworks.state_of(network)
    assert sorted(state) == ["count", "one.weight"]
    state["one.weight"].zero_()
    assert not network.other.weight.any()
    assert network.one.weight.requires_grad


def test_a_state_is_set_by_name_and_shape_or_not_at_all() -> None:
    network, other = Tied(), Tied()
    frameworks.set_state(network, frameworks.state_of(other))
    assert torch.equal(network.one.weight, other.one.weight)
    with pytest.raises(ValueError, match=r"1 of 2 tensors do not fit the network, first: one\.weight"):
        frameworks.set_state(network, {"count": torch.zeros(()), "one.weight": torch.zeros(2, 3)})
    with pytest.raises(ValueError, match="first: count"):
        frameworks.set_state(network, {"one.weight": torch.zeros(2, 2)})
    assert torch.equal(network.one.weight, other.one.weight)


def test_versions_name_what_a_result_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    found = frameworks.versions()
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__
    assert "absent" not in found.values()
    monkeypatch.setattr(frameworks, "_VERSIONED", ("no-such-package",))
    assert frameworks.versions()["no-such-package"] == "absent"


def test_monai_for_networks_alone_gives_the_same_networks_and_leaves_other_packages_as_they_were() -> None:
    code = """
import sys, torch
from medvision import frameworks
from medvision.networks import DynUNet
{prepared}
torch.manual_seed(0)
network = DynUNet(channels=(8, 8, 8)).build(in_channels=1, out_channels=2, dimensions=3).eval()
print(float(network(torch.ones(1, 1, 8, 8, 8)).double().sum()), "scipy" in sys.modules)
import scipy.ndimage, skimage, pandas
assert not [name for name, module in sys.modules.items() if module is None]
"""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code.format(prepared=prepared)], capture_output=True, text=True, check=True
        ).stdout.split()
        for prepared in ("frameworks.import_monai_for_networks()", "")
    ]
    assert outputs[0][0] == outputs[1][0]
    assert [words[1] for words in outputs] == ["False", "True"], "what takes the time is left out, and only then"
