"""Axes in another order, as stored."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from medvision.geometry import Geometry
from medvision.steps import Transpose, undo
from medvision.volume import Volume

SHAPE = (2, 3, 4)


def scan() -> Volume:
    grid = Geometry.from_spacing((1, 2, 3), SHAPE).reoriented("LPS")
    return Volume(np.arange(24, dtype=np.int16).reshape(1, *SHAPE), grid, modality="MR")


@given(st.sampled_from(list(itertools.permutations(range(3)))))
def test_every_value_stays_at_its_place_in_the_world_and_comes_back(axes: tuple[int, int, int]) -> None:
    volume = scan()
    moved = Transpose(axes=axes)(volume)  # type: ignore[arg-type]
    assert moved.geometry.shape == tuple(SHAPE[axis] for axis in axes)
    assert moved.geometry.spacing == tuple(volume.geometry.spacing[axis] for axis in axes)
    index = (1, 2, 3)
    there = tuple(index[axis] for axis in axes)
    assert moved.voxels[(0, *there)] == volume.voxels[(0, *index)]
    assert np.allclose(moved.geometry.to_world(there), volume.geometry.to_world(index))
    assert (moved.voxels.dtype, moved.modality) == (np.int16, "MR")
    back = undo(moved.voxels[0], moved.geometry, volume.geometry, order=1, fill=-1)
    assert np.array_equal(back, volume.voxels[0])


@pytest.mark.parametrize("axes", [(0, 0, 1), (0, 1), (0, 1, 3)])
def test_axes_that_are_not_each_there_once_are_refused(axes: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Transpose).validate_python({"axes": axes})
