from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from scipy import ndimage

from medvision.errors import UsageError
from medvision.explain import SALIENCY, ExplainedMap, HiResCam, Method, Output, SmoothedGradient


class Pooled(torch.nn.Module):
    """Means of 2 x 2 pixels, weighted and summed: the logit of class c is sum(pooled * weights[c])."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.pool = torch.nn.AvgPool2d(2)
        self.head = torch.nn.Linear(weights[0].numel(), len(weights), bias=False)
        self.head.weight = torch.nn.Parameter(weights.flatten(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(x).flatten(1))


class Conv(torch.nn.Module):
    """A convolution with a stride, ReLU in place, dropout, the mean over all places, and a linear layer."""

    def __init__(self, axes: int = 2, classes: int = 3, stride: int = 2) -> None:
        super().__init__()
        kind = torch.nn.Conv2d if axes == 2 else torch.nn.Conv3d
        norm = torch.nn.BatchNorm2d if axes == 2 else torch.nn.BatchNorm3d
        self.conv = kind(1, 4, 3, stride=stride, padding=1)
        self.norm = norm(4)
        self.act = torch.nn.ReLU(inplace=True)
        self.drop = torch.nn.Dropout(0.5)
        self.head = torch.nn.Linear(4, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.norm(self.conv(x)))
        return self.head(self.drop(x.flatten(2).mean(-1)))


METHODS: list[Callable[..., ExplainedMap]] = [HiResCam(), SmoothedGradient(samples=2)]


def images(seed: int = 0, *shape: int) -> torch.Tensor:
    return torch.rand(1, 1, *(shape or (16, 16)), generator=torch.Generator().manual_seed(seed))


def network(seed: int = 0, **settings: int) -> Conv:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = Conv(**settings)
    # All channels speak for class 0, so that its maps are never empty.
    with torch.no_grad():
        made.head.weight[:] = 0.0
        made.head.weight[0] = 1.0
    return made


def test_hirescam_of_a_linear_network_is_activation_times_weight_as_computed_by_hand() -> None:
    weights = torch.zeros(2, 8, 8)
    weights[0, 2, 3], weights[0, 5, 5], weights[1, 5, 5], weights[1, 7, 0] = 4.0, 1.0, 3.0, 9.0
    x = torch.ones(1, 1, 16, 16)
    found = HiResCam(layer="pool")(Pooled(weights), x, 0)
    # Class 0 less class 1: +4 at (2, 3), -2 at (5, 5), -9 at (7, 0); what speaks against is left out.
    cells = np.zeros((1, 1, 8, 8), dtype=np.float32)
    cells[0, 0, 2, 3] = 4.0
    wanted = torch.nn.functional.interpolate(torch.from_numpy(cells), size=(16, 16), mode="bilinear")
    assert np.allclose(found.values, wanted[0, 0].numpy())
    # A cell's centre lies between its two pixels: 9/16 of its value in each of the four.
    assert found.values[4:6, 6:8] == pytest.approx(4.0 * 9 / 16)
    assert found.parameters["score"] == pytest.approx(5.0 - 12.0)


def test_hirescam_states_layer_score_and_cell_size() -> None:
    found = HiResCam()(Pooled(torch.ones(2, 8, 8)), torch.ones(1, 1, 16, 16), 1, spacing_mm=(0.5, 2.0))
    assert dict(found.parameters) == {
        "layer": "pool",
        "score": 0.0,
        "cell_voxels": [2.0, 2.0],
        "cell_mm": [1.0, 4.0],
        "coarse": False,
    }


def test_the_cells_of_a_picture_have_no_size_in_mm() -> None:
    assert HiResCam()(Pooled(torch.ones(2, 8, 8)), images(), 0).parameters["cell_mm"] is None


def test_hirescam_takes_an_activation_before_a_later_layer_overwrites_it() -> None:
    torch_network = network()
    before = HiResCam(layer="norm")(torch_network, images(), 0)
    torch_network.act = torch.nn.ReLU(inplace=False)
    assert np.array_equal(before.values, HiResCam(layer="norm")(torch_network, images(), 0).values)
    assert before.values.max() > 0


def test_smoothed_gradient_of_a_linear_network_is_its_smoothed_weights() -> None:
    weights = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(3))
    x = images()
    found = SmoothedGradient(samples=3)(Pooled(weights), x, 1)
    logits = Pooled(weights)(x)[0].detach()
    rival = 0 if logits[0] > logits[2] else 2
    # A pixel is a quarter of its cell; noise changes nothing for a linear network.
    size = np.kron((weights[1] - weights[rival]).abs().numpy() / 4, np.ones((2, 2)))
    assert np.allclose(found.values, ndimage.gaussian_filter(size, 2.0), atol=1e-5)
    assert found.parameters["score"] == pytest.approx((logits[1] - logits[rival]).item())


def test_smoothed_gradient_sums_over_channels() -> None:
    class Sum(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            total = x.sum(dim=(2, 3))
            return torch.stack([total[:, 0] - 2 * total[:, 1], torch.zeros(1)], dim=1)

    found = SmoothedGradient(samples=1)(Sum(), torch.rand(1, 2, 8, 8), 0)
    assert np.allclose(found.values, 3.0)


def test_smoothed_gradient_records_noise_sigma_and_seed() -> None:
    x = 20 * images(0, 300, 310)
    found = SmoothedGradient(samples=1, noise=0.1, seed=7)(network(), x, 0, spacing_mm=(2.0, 0.5))
    assert found.parameters["noise_sd"] == pytest.approx(0.1 * float(x.max() - x.min()))
    assert (found.parameters["sigma_voxels"], found.parameters["sigma_mm"]) == (3.0, [6.0, 1.5])
    assert (found.parameters["samples"], found.parameters["seed"]) == (1, 7)


def test_noisy_copies_are_averaged_against_the_rival_of_the_clean_image() -> None:
    class Switching(torch.nn.Module):
        """Class 1 and class 2 are equal at 0 with slopes +1 and -1; class 0 is fixed."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mean = x.mean(dim=(1, 2, 3))
            return torch.stack([torch.zeros(1), 0.01 + mean * 5, mean * 1], dim=1)

    x = images() - 0.5
    x -= x.mean()
    found = SmoothedGradient(samples=8, noise=0.5)(Switching(), x, 0)
    # Against class 1 throughout, whose slope is 5 / 256 a pixel.
    assert np.allclose(found.values, 5 / 256)


def test_the_same_seed_gives_the_same_map_and_another_seed_another() -> None:
    first, again, other = (SmoothedGradient(seed=s)(network(), images(), 0).values for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("method", METHODS)
def test_maps_do_not_fade_where_the_network_is_sure(method: Callable[..., ExplainedMap]) -> None:
    # With softmax, logits of hundreds leave a gradient of exactly 0.
    weights = 1000 * torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(1))
    weights[1] = 0
    assert method(Pooled(weights), images(), 0).values.max() > 1


@pytest.mark.parametrize("method", METHODS)
def test_a_map_of_zeros_stays_a_map_of_zeros(method: Callable[..., ExplainedMap]) -> None:
    found = method(Pooled(torch.zeros(2, 8, 8)), images(), 0)
    assert found.values.dtype == np.float32
    assert not found.values.any()


def test_a_single_logit_speaks_for_class_1_and_against_class_0() -> None:
    one = Pooled(torch.ones(1, 8, 8))
    x = torch.ones(1, 1, 16, 16)
    for_it, against_it = HiResCam()(one, x, 1), HiResCam()(one, x, 0)
    assert (for_it.parameters["score"], against_it.parameters["score"]) == (64.0, -64.0)
    assert np.allclose(for_it.values, 1.0)
    assert not against_it.values.any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("axes", [2, 3])
def test_everything_is_left_as_found(method: Callable[..., ExplainedMap], axes: int) -> None:
    subject = network(axes=axes)
    subject.train()
    subject.norm.eval()
    subject.conv.weight.requires_grad_(False)
    subject.head.weight.grad = torch.full_like(subject.head.weight, 3.0)
    state = {name: value.clone() for name, value in subject.state_dict().items()}
    modes = [module.training for module in subject.modules()]
    x = images(0, *[8] * axes)
    x_before = x.clone()
    random = torch.get_rng_state()
    numpy_random = str(np.random.get_state(legacy=False))  # noqa: NPY002

    method(subject, x, 0)

    assert [module.training for module in subject.modules()] == modes
    assert sum(len(module._forward_hooks) + len(module._backward_hooks) for module in subject.modules()) == 0
    assert [p.requires_grad for p in subject.parameters()] == [False, True, True, True, True, True]
    assert bool((subject.head.weight.grad == 3.0).all())
    assert all(p.grad is None for name, p in subject.named_parameters() if name != "head.weight")
    assert all(torch.equal(value, state[name]) for name, value in subject.state_dict().items())
    assert torch.equal(x, x_before)
    assert not x.requires_grad
    assert torch.equal(torch.get_rng_state(), random)
    assert str(np.random.get_state(legacy=False)) == numpy_random  # noqa: NPY002


@pytest.mark.parametrize("method", METHODS)
def test_everything_is_left_as_found_after_a_refusal(method: Callable[..., ExplainedMap]) -> None:
    subject = network()
    subject.train()
    with pytest.raises(UsageError):
        method(subject, images(), 5)
    assert all(module.training for module in subject.modules())
    assert sum(len(module._forward_hooks) for module in subject.modules()) == 0


def test_hooks_of_the_caller_stay() -> None:
    subject = network()
    handle = subject.conv.register_forward_hook(lambda *_: None)
    HiResCam()(subject, images(), 0)
    assert list(subject.conv._forward_hooks) == [handle.id]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_the_callers_grad_and_precision_modes_change_nothing(
    method: Callable[..., ExplainedMap], mode: Callable[[], Any]
) -> None:
    subject = network()
    wanted = method(subject, images(), 0).values
    with mode():
        found = method(subject, images(), 0).values
        assert torch.is_grad_enabled() == (not isinstance(mode(), torch.no_grad | torch.inference_mode))
    assert np.array_equal(found, wanted)
    assert found.max() > 0


@pytest.mark.parametrize("method", METHODS)
def test_a_network_whose_parameters_need_no_gradient_is_explained_all_the_same(
    method: Callable[..., ExplainedMap],
) -> None:
    frozen = network()
    frozen.requires_grad_(False)
    assert np.array_equal(method(frozen, images(), 0).values, method(network(), images(), 0).values)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("x", "target", "message"),
    [
        (torch.rand(2, 1, 16, 16), 0, "one image"),
        (torch.rand(1, 16, 16), 0, "one image"),
        (torch.rand(1, 1, 16, 16), 3, "no class 3: the network has 3"),
        (torch.rand(1, 1, 16, 16), -1, "no class -1"),
    ],
)
def test_wrong_requests_are_refused(
    method: Callable[..., ExplainedMap], x: torch.Tensor, target: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        method(network(), x, target)


def test_a_spacing_with_another_number_of_axes_is_refused() -> None:
    with pytest.raises(UsageError, match="2 axes, its spacing 3"):
        HiResCam()(network(), images(), 0, spacing_mm=(1, 1, 1))


class Tokens(torch.nn.Module):
    """Vectors from the start, without a grid."""

    def __init__(self) -> None:
        super().__init__()
        self.line = torch.nn.Linear(256, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.line(x.flatten(1))


class Pair(Tokens):
    """Logits with something beside them, as some transformers give."""

    def forward(self, x: torch.Tensor) -> Any:
        return super().forward(x), x


class Cut(Conv):
    """Gradients end before the first layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.detach())


class Ignoring(Conv):
    """The answer does not depend on the grid of cells."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        super().forward(x)
        return torch.zeros(1, 2) + self.head.bias[:2]


class Twice(Conv):
    """One layer, called twice."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.act(x.clone())
        return super().forward(x)


class Overflowing(Conv):
    """Logits beyond float32."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * 1e30 * 1e30


class Steep(Pooled):
    """Logits of 0 whose gradient is infinite."""

    def __init__(self) -> None:
        super().__init__(torch.stack([-torch.ones(8, 8), torch.zeros(8, 8)]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = self.pool(x)
        return self.head((cells - cells.detach()).sqrt().flatten(1))


@pytest.mark.parametrize(
    ("method", "subject", "code", "message"),
    [
        (HiResCam(), Tokens(), "not-explainable", "no layer"),
        (SmoothedGradient(), Pair(), "usage", r"logits \(1, classes\) is needed, this one gives tuple"),
        (SmoothedGradient(), torch.nn.Identity(), "usage", r"this one gives \(1, 1, 16, 16\)"),
        (SmoothedGradient(), Cut(), "not-explainable", "no gradient flows"),
        (HiResCam(), Ignoring(), "not-explainable", "does not depend on act"),
        (HiResCam(layer="act"), Twice(), "usage", "called 2 times"),
        (HiResCam(layer="layer9"), Conv(), "usage", "no layer 'layer9'"),
        (HiResCam(layer="head"), Conv(), "usage", "does not give a grid of cells"),
        (HiResCam(), Overflowing(), "not-explainable", "logits are not finite"),
        (SmoothedGradient(), Overflowing(), "not-explainable", "logits are not finite"),
        (HiResCam(), Steep(), "not-explainable", "gradient is not finite"),
        (SmoothedGradient(), Steep(), "not-explainable", "gradient is not finite"),
    ],
)
def test_a_network_that_cannot_be_explained_is_refused(
    method: Callable[..., ExplainedMap], subject: torch.nn.Module, code: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        method(subject, images(), 0)
    assert caught.value.code == code


def test_a_layer_that_is_called_twice_is_not_chosen() -> None:
    assert HiResCam()(Twice(), images(), 0).parameters["layer"] == "norm"


def test_a_score_that_does_not_depend_on_the_image_at_all_has_no_gradient() -> None:
    class Constant(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros(1, 2)

    with pytest.raises(UsageError, match="no gradient flows"):
        SmoothedGradient()(Constant(), images(), 0)


def test_every_method_is_registered_under_the_name_that_selects_it() -> None:
    assert list(SALIENCY) == ["hirescam", "smoothed-gradient", "seg-hirescam"]
    whole = ("classification", "multilabel", "regression")
    assert [kind.tasks for kind in SALIENCY.values()] == [whole, whole, ("segmentation",)]
    for name, kind in SALIENCY.items():
        assert type(TypeAdapter(Method).validate_python({"use": name})) is kind


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (HiResCam, {"lesion_mm": 0}),
        (HiResCam, {"layers": "act"}),
        (SmoothedGradient, {"samples": 0}),
        (SmoothedGradient, {"noise": -0.1}),
        (SmoothedGradient, {"seed": -1}),
        (SmoothedGradient, {"use": "hirescam"}),
    ],
)
def test_settings_that_make_no_sense_are_refused(kind: type, settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        kind(**settings)


def test_a_map_cannot_be_changed() -> None:
    found = ExplainedMap(np.zeros((2, 2), dtype=np.float32))
    with pytest.raises(ValueError, match="read-only"):
        found.values[0, 0] = 1


def test_a_map_with_values_that_are_not_finite_is_refused() -> None:
    with pytest.raises(UsageError, match="not finite") as caught:
        ExplainedMap(np.array([np.inf, 0.0], dtype=np.float32))
    assert caught.value.code == "not-explainable"


@pytest.mark.parametrize("method", METHODS)
def test_an_output_is_explained_by_itself_whatever_the_others_say(method: Callable[..., ExplainedMap]) -> None:
    alone, beside = network(), network()
    with torch.no_grad():
        beside.head.weight[1:] = 7.0
        beside.head.bias[1:] = 9.0
    maps = [method(made, images(), Output(0)) for made in (alone, beside)]
    assert np.array_equal(maps[0].values, maps[1].values)
    with torch.no_grad():
        logits = alone.eval()(images())
    assert maps[0].parameters["score"] == pytest.approx(float(logits[0, 0]), rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_single_output_can_be_explained_and_no_other(method: Callable[..., ExplainedMap]) -> None:
    assert method(network(classes=1), images(), Output(0)).values.max() > 0
    with pytest.raises(UsageError, match="no class 1: the network has 1"):
        method(network(classes=1), images(), Output(1))
