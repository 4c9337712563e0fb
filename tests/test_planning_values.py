"""Which values the network sees."""

from __future__ import annotations

import numpy as np
import pytest
from planned import channel, chosen, classification, segmentation

from medvision.fingerprint import Fingerprint
from medvision.geometry import Geometry
from medvision.planning.values import is_eight_bits, is_two_valued, values_of
from medvision.steps import STEPS, apply
from medvision.volume import Volume


def test_ct_is_cut_at_the_percentiles_of_the_foreground_and_scaled_by_the_data_set() -> None:
    ct = channel(least=-1024, greatest=3000, mean=99.0, sd=39.0, low=-21.0, high=189.0)
    found = chosen(values_of(segmentation(modality="CT", channels=(ct,))))
    assert found == {
        "steps.clip": {"low": -21.0, "high": 189.0},
        "steps.rescale": {"source": [60.0, 138.0], "low": -1.0, "high": 1.0},
    }
    steps = [STEPS[name.removeprefix("steps.")](**value) for name, value in found.items()]
    scan = Volume(
        np.array([-1000.0, 99.0, 138.0, 500.0]).reshape(1, 4, 1, 1), Geometry.from_spacing((1, 1, 1), (4, 1, 1))
    )
    assert np.allclose(apply(steps, scan).voxels.ravel(), [(-21 - 99) / 39, 0, 1, (189 - 99) / 39])


def test_ct_without_labelled_voxels_is_measured_over_all() -> None:
    ct = channel(least=-1024, greatest=3000, mean=0.0, sd=500.0, low=-1000.0, high=1000.0, labelled=False)
    data = classification(modality="CT", shape=(64, 64, 64), dimensions=3, channels=(ct,))
    assert "of all voxels of" in values_of(data)[0].reason


def test_values_of_one_range_are_not_cut() -> None:
    flat = channel(least=0, greatest=3000, low=5.0, high=5.0, mean=5.0, sd=1.0)
    assert list(chosen(values_of(segmentation(modality="CT", channels=(flat,))))) == ["steps.rescale"]


def test_mr_is_measured_in_each_image_and_without_the_zeros_where_there_are_many() -> None:
    assert chosen(values_of(segmentation())) == {"steps.zscore": {}}
    empty = segmentation(channels=(channel(zeros=0.6),))
    assert chosen(values_of(empty)) == {"steps.zscore": {"threshold": 0.0}}
    assert "60%" in values_of(empty)[0].reason
    below = segmentation(channels=(channel(zeros=0.6, least=-5),))
    assert chosen(values_of(below)) == {"steps.zscore": {}}


@pytest.mark.parametrize(
    "data",
    [
        segmentation(modality="CT", channels=(channel(), channel())),
        segmentation(modality="CT", channels=(channel(sd=0.0, low=5, high=5, mean=5),)),
    ],
    ids=["several channels", "constant"],
)
def test_absolute_values_of_which_one_mapping_cannot_be_made_are_measured_in_each_image(data: Fingerprint) -> None:
    assert list(chosen(values_of(data))) == ["steps.zscore"]


def test_pictures_of_8_bits_keep_their_range_whatever_they_show() -> None:
    assert chosen(values_of(classification())) == {"steps.rescale": {"source": [0.0, 255.0], "low": -1.0, "high": 1.0}}
    ct = classification(modality="CT", shape=(64, 64, 64), dimensions=3)
    assert "steps.clip" in chosen(values_of(ct))


def test_a_volume_in_mm_of_8_bits_is_measured_in_each_image_as_a_scaled_mr() -> None:
    eight = channel(greatest=255, high=250, sd=50)
    volume = segmentation(modality=None, absolute=True, channels=(eight,))
    assert chosen(values_of(volume)) == {"steps.zscore": {}}
    assert not is_eight_bits(volume)
    stated = segmentation(modality=None, absolute=True, channels=(eight,), units={"HU": 200})
    assert "steps.rescale" in chosen(values_of(stated))
    assert is_eight_bits(classification(shape=(64, 64, 64), dimensions=3))


def test_two_values_show_in_mean_and_deviation() -> None:
    values = np.array([0.0, 0.0, 255.0, 255.0, 255.0])
    assert is_two_valued(channel(greatest=255, mean=float(values.mean()), sd=float(values.std()), high=255))
    third = np.array([0.0, 0.0, 200.0, 255.0, 255.0])
    assert not is_two_valued(channel(greatest=255, mean=float(third.mean()), sd=float(third.std()), high=255))
    assert not is_two_valued(channel(least=5, greatest=5, low=5, high=5, mean=5, sd=0))
