"""Each channel's values on a scale of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.steps import Normalise, Step
from medvision.steps.channelwise import AsStored, ByKnownMean, ByOwnMean, ByOwnRange, OfBytes
from medvision.volume import Volume


def scan(*channels: Any) -> Volume:
    voxels = np.array(channels, dtype=np.float32).reshape(len(channels), -1, 1, 1)
    return Volume(voxels, Geometry.from_spacing((1, 1, 1), voxels.shape[1:]), unit="HU")


def scaled(scale: Any, *values: float) -> list[float]:
    found: list[float] = Normalise(channels=(scale,))(scan(values)).voxels.ravel().round(5).tolist()
    return found


def test_each_way_gives_what_is_known_by_hand() -> None:
    assert scaled(ByOwnMean(), 1, 3) == [-1, 1]
    assert scaled(ByKnownMean(low=-10, high=30, mean=10, sd=20), -100, 10, 100) == [-1, 0, 1]
    assert scaled(ByOwnRange(), -2, 0, 6) == [0, 0.25, 1]
    assert scaled(OfBytes(), 0, 51, 255) == pytest.approx([0, 0.2, 1])
    assert scaled(AsStored(), -2, 7) == [-2, 7]


def test_channels_have_each_their_own_way_and_lose_their_unit() -> None:
    given = scan([0, 4], [0, 4])
    found = Normalise(channels=(ByOwnRange(), AsStored()))(given)
    assert found.voxels[..., 0, 0].tolist() == [[0, 1], [0, 4]]
    assert (found.unit, found.voxels.dtype) == (None, np.float32)


def test_of_the_object_alone_only_its_voxels_count_and_change() -> None:
    # the object: what is not 0 in some channel
    step = Normalise(channels=(ByOwnMean(object_only=True), ByOwnMean()))
    found = step(scan([0, 0, 2, 6], [0, 3, 0, 0]))
    # of the first channel 0, 2 and 6 count: mean 8/3, deviation sqrt(56/9)
    deviation = np.sqrt(56 / 9)
    wanted = [0, -8 / 3 / deviation, -2 / 3 / deviation, 10 / 3 / deviation]
    assert found.voxels[0].ravel().tolist() == pytest.approx(wanted)
    assert found.voxels[1].ravel().tolist() == pytest.approx([-0.57735, 1.73205, -0.57735, -0.57735], abs=1e-5)


def test_a_channel_of_one_value_becomes_0_as_a_sequence_that_was_not_acquired() -> None:
    assert scaled(ByOwnMean(), 7, 7) == scaled(ByOwnRange(), 7, 7) == [0, 0]


@pytest.mark.parametrize("values", [(-1, 20), (0, 256)])
def test_values_that_are_no_colour_are_refused(values: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="go from 0 to 255") as caught:
        scaled(OfBytes(), *values)
    assert caught.value.code == "values-outside"


def test_another_number_of_channels_is_refused() -> None:
    with pytest.raises(InputError, match="for 1 channels, the image has 2") as caught:
        Normalise(channels=(AsStored(),))(scan([1], [2]))
    assert caught.value.code == "channels-differ"


def test_tables_name_their_way_by_use() -> None:
    table = {"use": "normalise", "channels": [{"use": "own", "object_only": True}, {"use": "stored"}]}
    read = TypeAdapter(Step).validate_python(table)
    assert read == Normalise(channels=(ByOwnMean(object_only=True), AsStored()))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"use": "known", "low": 2, "high": 2, "mean": 0, "sd": 1}, "low is below high, got 2 and 2"),
        ({"use": "known", "low": 0, "high": 2, "mean": 0, "sd": 0}, "greater than 0"),
        ({"use": "own", "masked": True}, "masked"),
    ],
)
def test_impossible_scales_are_refused(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(Normalise).validate_python({"channels": [table]})
