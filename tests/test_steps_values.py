from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.steps import STEPS, Clip, Percentile, Rescale, Standardise, Step, Window, ZScore, ZScoreNonzero
from medvision.volume import Volume


def volume_of(*channels: list[float], unit: str | None = "HU") -> Volume:
    """A row of voxels for each list of values."""
    voxels = np.array(channels)[:, :, None, None]
    return Volume(voxels, Geometry.from_spacing((1, 1, 1), (voxels.shape[1], 1, 1)), modality="CT", unit=unit)


def values(volume: Volume, channel: int = 0) -> list[float]:
    return [float(value) for value in volume.voxels[channel].ravel()]


def test_clip_limits_values_and_keeps_their_unit() -> None:
    clipped = Clip(low=-10, high=10)(volume_of([-100, -10, 3, 10, 99]))
    assert values(clipped) == [-10, -10, 3, 10, 10]
    assert clipped.unit == "HU"


def test_clip_takes_limits_that_the_image_cannot_hold() -> None:
    picture = Volume(np.array([0, 255], dtype=np.uint8).reshape(1, 2, 1, 1), Geometry.of_picture(2, 1))
    assert values(Clip(low=-1.5, high=100000)(picture)) == [0, 255]


def test_window_maps_its_edges_to_0_and_1() -> None:
    windowed = Window(center=50, width=100)(volume_of([-1, 0, 25, 100, 101]))
    assert values(windowed) == [0, 0, 0.25, 1, 1]
    assert windowed.unit is None


def test_rescale_maps_each_channels_own_range() -> None:
    rescaled = Rescale(low=-1, high=1)(volume_of([10, 20, 30], [0, 1, 4]))
    assert values(rescaled, 0) == [-1, 0, 1]
    assert values(rescaled, 1) == [-1, -0.5, 1]


def test_rescale_from_a_stated_range_does_not_clip() -> None:
    assert values(Rescale(source=(0, 100))(volume_of([-50, 0, 100, 200]))) == [-0.5, 0, 1, 2]


def test_rescale_from_a_stated_range_takes_a_constant_image() -> None:
    assert values(Rescale(source=(0, 10))(volume_of([5, 5]))) == [0.5, 0.5]


def test_zscore_gives_mean_0_and_deviation_1() -> None:
    scaled = ZScore()(volume_of([2, 4, 6, 8], [1, 1, 1, 5]))
    assert scaled.voxels.mean(axis=(1, 2, 3)).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert scaled.voxels.std(axis=(1, 2, 3)).tolist() == pytest.approx([1, 1], abs=1e-6)


def test_zscore_over_the_foreground_leaves_the_background_out_of_the_mean() -> None:
    # The foreground 10, 20 has mean 15 and deviation 5.
    assert values(ZScore(threshold=1)(volume_of([0, 0, 0, 10, 20]))) == [-3, -3, -3, -1, 1]


def test_zscore_of_what_is_not_0_leaves_zeros_and_measures_each_channel_by_itself() -> None:
    stepped = ZScoreNonzero()(volume_of([0, 4, 6, 0], [-3, 0, 0, 3]))
    assert values(stepped) == [0, -1, 1, 0]
    assert values(stepped, 1) == [-1, 0, 0, 1]


def test_standardise_takes_one_mean_for_all_channels_or_one_for_each() -> None:
    volume = volume_of([10, 30], [0, 4])
    assert values(Standardise(mean=(10,), sd=(10,))(volume), 1) == pytest.approx([-1, -0.6])
    stepped = Standardise(mean=(20, 2), sd=(10, 2))(volume)
    assert [values(stepped), values(stepped, 1)] == [[-1, 1], [-1, 1]]
    assert stepped.unit is None


@pytest.mark.parametrize(
    ("step", "name", "given_"),
    [
        (ZScoreNonzero(), "NormalizeIntensity", {"nonzero": True, "channel_wise": True}),
        (ZScore(), "NormalizeIntensity", {"channel_wise": True}),
        (
            Standardise(mean=(1, 2), sd=(3, 4)),
            "NormalizeIntensity",
            {"subtrahend": [1, 2], "divisor": [3, 4], "channel_wise": True},
        ),
        (Rescale(low=-1), "ScaleIntensity", {"minv": -1.0, "channel_wise": True}),
        (
            Percentile(lower=5, upper=90),
            "ScaleIntensityRangePercentiles",
            {"lower": 5, "upper": 90, "b_min": 0, "b_max": 1, "clip": True, "channel_wise": True},
        ),
        (
            Window(center=1, width=4),
            "ScaleIntensityRange",
            {"a_min": -1, "a_max": 3, "b_min": 0, "b_max": 1, "clip": True},
        ),
    ],
)
def test_values_are_those_of_monais_transform(step: Step, name: str, given_: dict[str, object]) -> None:
    import torch

    from medvision.frameworks import monai_module

    voxels = np.random.default_rng(0).normal(2, 3, (2, 5, 6, 7)).astype(np.float32)
    voxels[:, :2] = 0
    theirs = getattr(monai_module("transforms"), name)(**given_)(torch.from_numpy(voxels.copy()))
    ours = step(Volume(voxels, Geometry.from_spacing((1, 1, 1), (5, 6, 7))))
    np.testing.assert_allclose(ours.voxels, np.asarray(theirs), atol=2e-6)


def test_percentile_clips_single_bright_voxels() -> None:
    scaled = Percentile(lower=0, upper=50)(volume_of([0, 1, 2, 3, 4000]))
    assert values(scaled) == [0, 0.5, 1, 1, 1]


@pytest.mark.parametrize(
    ("step", "image", "code"),
    [
        (Rescale(), [3, 3, 3], "constant-image"),
        (ZScore(), [0.1, 0.1, 0.1], "constant-image"),
        (ZScore(threshold=1), [0, 0, 7], "constant-image"),
        (ZScore(threshold=9), [0, 1, 2], "no-foreground"),
        (ZScore(threshold=9), [2, 2, 2], "constant-image"),
        (Percentile(), [3, 3, 3], "constant-image"),
        (Percentile(lower=10, upper=50), [0, 0, 0, 0, 9], "constant-image"),
        (ZScoreNonzero(), [0, 0, 0], "constant-image"),
        (ZScoreNonzero(), [0, 5, 5], "constant-image"),
        (Standardise(mean=(1.0, 2.0), sd=(1.0, 1.0)), [0, 5, 5], "channels-differ"),
    ],
)
def test_an_image_without_a_range_is_refused(step: Step, image: list[float], code: str) -> None:
    with pytest.raises(InputError) as caught:
        step(volume_of(image))
    assert caught.value.code == code


def test_one_constant_channel_is_enough_to_refuse() -> None:
    with pytest.raises(InputError):
        ZScore()(volume_of([1, 2, 3], [4, 4, 4]))


@pytest.mark.parametrize(
    ("step", "settings"),
    [
        (Clip, {"low": 1, "high": 1}),
        (Clip, {"low": 0}),
        (Clip, {"low": 0, "high": float("inf")}),
        (Window, {"center": 0, "width": 0}),
        (Rescale, {"low": 1, "high": 0}),
        (Rescale, {"source": (5, 5)}),
        (Percentile, {"lower": 50, "upper": 50}),
        (Percentile, {"lower": -1}),
        (Percentile, {"upper": 101}),
        (ZScore, {"treshold": 0}),
        (ZScore, {"use": "rescale"}),
        (Standardise, {"mean": (), "sd": ()}),
        (Standardise, {"mean": (1.0,), "sd": (0.0,)}),
        (Standardise, {"mean": (1.0,), "sd": (1.0, 2.0)}),
    ],
)
def test_settings_that_make_no_sense_are_refused(step: type, settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        step(**settings)


@pytest.mark.parametrize("step", [Clip(low=1, high=3), Window(center=2, width=3), Rescale(), ZScore(), Percentile()])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
def test_value_steps_give_float32_on_the_same_grid_and_leave_their_input_alone(step: Step, kind: type) -> None:
    volume = Volume(np.arange(8, dtype=kind).reshape(1, 2, 2, 2), Geometry.from_spacing((1, 1, 1), (2, 2, 2)))
    stepped = step(volume)
    assert stepped.voxels.dtype == np.float32
    assert stepped.geometry is volume.geometry
    assert np.array_equal(volume.voxels.ravel(), np.arange(8))
    assert volume.voxels.dtype == kind


def test_values_that_float32_cannot_hold_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        Rescale(low=0, high=1e300)(volume_of([0, 1]))
    assert caught.value.code == "not-finite"


@settings(deadline=None)
@given(
    image=st.lists(st.integers(-1000, 1000), min_size=3, max_size=20).filter(lambda v: len(set(v)) > 2),
    gain=st.floats(0.1, 10),
    offset=st.floats(-100, 100),
)
def test_zscore_rescale_and_percentile_do_not_depend_on_the_scanners_gain_and_offset(
    image: list[int], gain: float, offset: float
) -> None:
    plain = volume_of([float(v) for v in image])
    amplified = volume_of([gain * v + offset for v in image])
    for step in (ZScore(), Rescale(), Percentile(lower=0, upper=100)):
        assert np.allclose(step(plain).voxels, step(amplified).voxels, atol=1e-4)


def test_every_step_is_registered_under_the_name_that_selects_it() -> None:
    adapter = TypeAdapter(Step)
    needed = {
        "resample": {"spacing_mm": [1, 1, 1]},
        "resize": {"shape": [8, 8, 1]},
        "clip": {"low": 0, "high": 1},
        "window": {"center": 40, "width": 400},
        "standardise": {"mean": [1.0], "sd": [2.0]},
        "normalise": {"channels": [{"use": "own"}]},
        "resample_apart": {"spacing_mm": [1, 1, 1]},
        "transpose": {"axes": [0, 1, 2]},
    }
    names = "reorient resample resize crop_foreground pad clip window rescale zscore zscore_nonzero standardise"
    names += " percentile normalise crop_nonzero resample_apart transpose"
    assert list(STEPS) == names.split()
    for name, kind in STEPS.items():
        assert type(adapter.validate_python({"use": name, **needed.get(name, {})})) is kind


def test_an_unknown_step_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValidationError, match="'zscore'"):
        TypeAdapter(Step).validate_python({"use": "z-score"})


def test_steps_can_be_compared_and_not_changed() -> None:
    assert Clip(low=0, high=1) == Clip(low=0, high=1)
    with pytest.raises(AttributeError):
        ZScore().threshold = 3  # type: ignore[misc]
