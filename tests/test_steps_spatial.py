from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from medvision.errors import GeometryError, InputError
from medvision.geometry import Geometry
from medvision.steps import (
    Clip,
    CropForeground,
    Pad,
    Reorient,
    Resample,
    Resize,
    Step,
    apply,
    apply_to_labels,
    undo,
)
from medvision.volume import Labels, Volume

ORIENTATIONS = [
    "".join(letters) for order in itertools.permutations(("RL", "AP", "SI")) for letters in itertools.product(*order)
]
SHAPE = (9, 8, 7)


def geometry(spacing: Sequence[float], shape: tuple[int, int, int], orientation: str, angle: float) -> Geometry:
    """A grid in any axis order, turned by `angle` (radians) about the superior axis and moved off the origin."""
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turn[:3, 3] = (-12.5, 40.0, 7.25)
    plain = Geometry.from_spacing(spacing, shape).reoriented(orientation)
    return Geometry(turn @ plain.affine, plain.shape)


def sphere(grid: Geometry, radius_mm: float) -> np.ndarray:
    """The voxels within `radius_mm` of the middle of the field of view."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    centre = grid.to_world((np.asarray(grid.shape) - 1) / 2)
    return (np.linalg.norm(grid.to_world(index) - centre, axis=-1) <= radius_mm).astype(np.uint8)


def scan(shape: tuple[int, int, int] = SHAPE, *, dtype: type = np.int16) -> Volume:
    """Small numbers, different in all voxels and at least 1."""
    voxels = np.arange(1, 1 + np.prod(shape), dtype=dtype).reshape(1, *shape)
    return Volume(voxels, Geometry.from_spacing((1.0, 1.5, 2.0), shape), modality="MR", unit="HU")


spacings = st.tuples(*[st.floats(0.5, 3.0)] * 3)
grids = st.builds(
    geometry, spacings, st.tuples(*[st.integers(4, 9)] * 3), st.sampled_from(ORIENTATIONS), st.floats(-0.6, 0.6)
)
exact_steps = st.one_of(
    st.builds(Reorient, orientation=st.sampled_from(ORIENTATIONS)),
    st.builds(CropForeground, threshold=st.just(0.5), margin_mm=st.floats(0, 4)),
    st.builds(Pad, multiple=st.tuples(*[st.integers(1, 5)] * 3), minimum=st.tuples(*[st.integers(1, 12)] * 3)),
)


@settings(max_examples=60, deadline=None)
@given(grid=grids, steps=st.lists(exact_steps, max_size=4), seed=st.integers(0, 99))
def test_labels_come_back_bit_by_bit_after_reorientation_crops_and_padding(
    grid: Geometry, steps: list[Step], seed: int
) -> None:
    voxels = np.random.default_rng(seed).integers(0, 3, grid.shape).astype(np.uint8)
    voxels[0, 0, 0] = 1
    labels = Labels(voxels, grid, {1: "a", 2: "b"})
    stepped = apply(steps, Volume(voxels[None], grid))
    moved = apply_to_labels(steps, labels, stepped.geometry)
    assert np.array_equal(moved.voxels, stepped.voxels[0])
    assert np.array_equal(undo(moved.voxels, stepped.geometry, grid, order=0, fill=0), voxels)


@settings(max_examples=25, deadline=None)
@given(
    grid=st.builds(
        geometry,
        st.tuples(*[st.floats(0.8, 1.4)] * 3),
        st.just((28, 28, 28)),
        st.sampled_from(ORIENTATIONS),
        st.floats(-0.6, 0.6),
    ),
    spacing=st.tuples(*[st.floats(0.7, 1.5)] * 3),
    orientation=st.sampled_from(ORIENTATIONS),
)
def test_a_resampled_sphere_comes_back_with_a_dice_above_097(
    grid: Geometry, spacing: tuple[float, float, float], orientation: str
) -> None:
    truth = sphere(grid, 10.0)
    steps = [Reorient(orientation=orientation), Resample(spacing_mm=spacing), Pad(multiple=(8, 8, 8))]
    stepped = apply(steps, Volume(truth[None], grid))
    back = undo(stepped.voxels[0], stepped.geometry, grid, order=1, fill=0.0) > 0.5
    assert 2 * (back & (truth > 0)).sum() / (back.sum() + truth.sum()) > 0.97


@settings(max_examples=80, deadline=None)
@given(
    grid=grids,
    at=st.tuples(*[st.floats(0, 1)] * 3),
    first=st.lists(exact_steps, max_size=2),
    interpolating=st.none()
    | st.builds(Resample, spacing_mm=st.tuples(*[st.floats(0.4, 2.0)] * 3), order=st.sampled_from([1, 3]))
    | st.builds(Resize, shape=st.tuples(*[st.integers(6, 14)] * 3)),
    last=st.lists(exact_steps, max_size=2),
)
def test_a_bright_voxel_never_moves_in_the_world(
    grid: Geometry, at: tuple[float, float, float], first: list[Step], interpolating: Step | None, last: list[Step]
) -> None:
    index = tuple(round(part * (size - 1)) for part, size in zip(at, grid.shape, strict=True))
    voxels = np.zeros((1, *grid.shape))
    voxels[(0, *index)] = 1000.0
    steps = [*first, *([interpolating] if interpolating else []), *last]
    stepped = apply(steps, Volume(voxels, grid))
    found = np.argwhere(stepped.voxels[0] == stepped.voxels[0].max()).mean(axis=0)
    distance = np.linalg.norm(stepped.geometry.to_world(found) - grid.to_world(index))
    # Half a new voxel along each axis; at the edge a quarter more, where the number of voxels is rounded, and a quarter
    # of an old one, whose value reaches unchanged from its centre to its face. A cubic spline is not constant there:
    # its greatest value may lie anywhere between the two, so up to half an old one away.
    old, new = np.asarray(grid.spacing), np.asarray(stepped.geometry.spacing)
    cubic = isinstance(interpolating, Resample) and interpolating.order == 3
    allowed = 0.75 * np.linalg.norm(new) + (0.5 if cubic else 0.25) * np.linalg.norm(old) if interpolating else 1e-6
    assert distance <= allowed


@pytest.mark.parametrize(
    "step",
    [
        Reorient(orientation="LPS"),
        Resample(spacing_mm=(2, 2, 2)),
        Resize(shape=(4, 4, 4)),
        CropForeground(threshold=100),
        Pad(multiple=(4, 4, 4)),
    ],
)
def test_spatial_steps_give_float32_keep_unit_and_modality_and_leave_their_input_alone(step: Step) -> None:
    given_scan = scan()
    before = given_scan.voxels.copy()
    stepped = step(given_scan)
    assert stepped.voxels.dtype == np.float32
    assert (stepped.unit, stepped.modality) == ("HU", "MR")
    assert np.array_equal(given_scan.voxels, before)
    assert given_scan.geometry.shape == SHAPE


def test_no_steps_give_the_volume_itself() -> None:
    volume = scan()
    assert apply([], volume) is volume


def test_steps_are_applied_in_their_order() -> None:
    cropped_first = apply([CropForeground(threshold=400), Pad(minimum=SHAPE)], scan())
    padded_first = apply([Pad(minimum=SHAPE), CropForeground(threshold=400)], scan())
    assert cropped_first.geometry.shape == SHAPE
    assert padded_first.geometry.shape != SHAPE


def test_reorient_flips_the_first_axis_of_a_ras_volume_to_lps() -> None:
    volume = scan()
    turned = Reorient(orientation="LAS")(volume)
    assert np.array_equal(turned.voxels[0], volume.voxels[0, ::-1])
    assert turned.geometry.orientation == "LAS"
    assert Reorient()(turned).geometry.matches(volume.geometry)


def test_reorient_refuses_a_picture() -> None:
    with pytest.raises(GeometryError, match="states no orientation"):
        Reorient()(Volume(np.ones((1, 4, 4, 1)), Geometry.of_picture(4, 4)))


@pytest.mark.parametrize("orientation", ["RAR", "XYZ", "RA", ""])
def test_reorient_refuses_letters_that_are_no_orientation(orientation: str) -> None:
    with pytest.raises(ValidationError, match="one of R/L, A/P and S/I"):
        Reorient(orientation=orientation)


def test_resample_to_the_same_spacing_changes_no_bit() -> None:
    volume = scan()
    same = Resample(spacing_mm=volume.geometry.spacing_mm, order=3)(volume)
    assert same.geometry.matches(volume.geometry)
    assert np.array_equal(same.voxels, volume.voxels)


def test_resample_blurs_before_it_goes_coarser_so_that_stripes_do_not_alias() -> None:
    stripes = np.zeros((1, 32, 4, 4))
    stripes[:, ::2] = 1.0
    coarse = Resample(spacing_mm=(4, 1, 1))(Volume(stripes, Geometry.from_spacing((1, 1, 1), (32, 4, 4))))
    assert coarse.geometry.shape == (8, 4, 4)
    assert np.abs(coarse.voxels[0, 1:-1] - 0.5).max() < 0.05


def test_resample_with_order_0_makes_no_new_values() -> None:
    volume = scan()
    assert set(np.unique(Resample(spacing_mm=(0.7, 2.2, 1.3), order=0)(volume).voxels)) <= set(volume.voxels.ravel())


def test_resample_with_cubic_splines_does_not_wrap_8_bit_values() -> None:
    edge = np.zeros((1, 8, 8, 8), dtype=np.uint8)
    edge[:, 4:] = 255
    finer = Resample(spacing_mm=(0.5, 0.5, 0.5), order=3)(Volume(edge, Geometry.from_spacing((1, 1, 1), (8, 8, 8))))
    assert finer.voxels[0, 6].max() < 20
    assert finer.voxels[0, 9].min() > 235


def test_resample_refuses_a_picture_and_names_resize() -> None:
    with pytest.raises(GeometryError, match="resize"):
        Resample(spacing_mm=(1, 1, 1))(Volume(np.ones((1, 4, 4, 1)), Geometry.of_picture(4, 4)))


@pytest.mark.parametrize("spacing", [(0, 1, 1), (-1, 1, 1), (1, 1), (float("nan"), 1, 1), (float("inf"), 1, 1)])
def test_resample_refuses_a_spacing_that_is_none(spacing: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        Resample(spacing_mm=spacing)  # type: ignore[arg-type]


def test_resize_brings_a_picture_to_its_shape_over_the_same_field_of_view() -> None:
    picture = Volume(np.full((3, 10, 20, 1), 7, dtype=np.uint8), Geometry.of_picture(10, 20))
    resized = Resize(shape=(5, 5, 1))(picture)
    assert resized.voxels.shape == (3, 5, 5, 1)
    assert resized.geometry.extent == pytest.approx(picture.geometry.extent)
    assert not resized.geometry.physical
    assert np.allclose(resized.voxels, 7)


@settings(deadline=None)
@given(shape=st.tuples(*[st.integers(1, 60)] * 3), wanted=st.tuples(*[st.integers(1, 60)] * 3), grid=grids)
def test_resize_always_gives_the_shape_that_was_asked_for(
    shape: tuple[int, int, int], wanted: tuple[int, int, int], grid: Geometry
) -> None:
    source = Geometry(grid.affine, shape)
    spacing = np.asarray(source.extent) / wanted
    assert source.resampled(spacing.tolist()).shape == wanted


def test_crop_keeps_the_box_around_the_foreground_and_its_margin() -> None:
    voxels = np.zeros((2, *SHAPE))
    voxels[0, 3:5, 2:4, 1] = 9
    voxels[1] = 5
    volume = Volume(voxels, Geometry.from_spacing((1.0, 1.5, 2.0), SHAPE))
    cropped = CropForeground(threshold=1, margin_mm=2)(volume)
    # 2 mm are 2, 2 (1.33 rounded up) and 1 voxels; at the low ends of j and k the volume ends first.
    assert np.array_equal(cropped.voxels, voxels[:, 1:7, 0:6, 0:3])
    assert cropped.geometry.to_world((0, 0, 0)).tolist() == [1.0, 0.0, 0.0]


def test_crop_takes_the_margin_of_a_picture_in_pixels() -> None:
    voxels = np.zeros((1, 9, 9, 1))
    voxels[0, 4, 4] = 1
    assert CropForeground(margin_mm=2)(Volume(voxels, Geometry.of_picture(9, 9))).geometry.shape == (5, 5, 1)


def test_crop_without_a_threshold_takes_all_above_the_smallest_value() -> None:
    voxels = np.full((1, 6, 6, 6), -1024)
    voxels[0, 2, 2, 2] = -1000
    volume = Volume(voxels, Geometry.from_spacing((1, 1, 1), (6, 6, 6)))
    assert CropForeground()(volume).geometry.shape == (1, 1, 1)


@pytest.mark.parametrize(
    ("voxels", "threshold", "code"),
    [(np.zeros((1, 4, 4, 4)), None, "constant-image"), (np.arange(64.0).reshape(1, 4, 4, 4), 63.0, "no-foreground")],
)
def test_crop_refuses_a_volume_without_foreground(voxels: np.ndarray, threshold: float | None, code: str) -> None:
    with pytest.raises(InputError) as caught:
        CropForeground(threshold=threshold)(Volume(voxels, Geometry.from_spacing((1, 1, 1), (4, 4, 4))))
    assert caught.value.code == code


def test_crop_refuses_a_negative_margin() -> None:
    with pytest.raises(ValidationError):
        CropForeground(margin_mm=-1)


def test_pad_adds_on_both_sides_and_an_odd_voxel_at_the_end() -> None:
    padded = Pad(multiple=(4, 8, 1), minimum=(1, 1, 10), value=-5.0)(scan())
    assert padded.voxels.shape == (1, 12, 8, 10)
    assert (padded.voxels[0, 0] == -5).all()
    assert (padded.voxels[0, 10:] == -5).all()
    assert np.array_equal(padded.voxels[:, 1:10, :, 1:8], scan().voxels)


def test_pad_does_not_round_its_value_to_the_integers_of_the_image() -> None:
    assert Pad(minimum=(10, 8, 7), value=0.5)(scan()).voxels[0, -1, 0, 0] == 0.5


@pytest.mark.parametrize("sizes", [{"multiple": (0, 1, 1)}, {"minimum": (1, 1, 0)}, {"multiple": (2, 2)}])
def test_pad_refuses_sizes_below_1_and_other_than_three(sizes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ValidationError):
        Pad(**sizes)  # type: ignore[arg-type]


def test_labels_of_steps_that_move_nothing_must_lie_on_the_image() -> None:
    grid = Geometry.from_spacing((1, 1, 1), (4, 4, 4))
    labels = Labels(np.zeros((4, 4, 4), dtype=np.uint8), grid, {1: "a"})
    steps = [Clip(low=0, high=1)]
    assert apply_to_labels(steps, labels, grid) is labels
    with pytest.raises(GeometryError) as caught:
        apply_to_labels(steps, labels, Geometry.from_spacing((1, 1, 2), (4, 4, 4)))
    assert caught.value.code == "grid-differs"


def test_undo_fills_what_a_crop_left_out() -> None:
    volume = scan()
    cropped = CropForeground(threshold=300)(volume)
    back = undo(cropped.voxels[0], cropped.geometry, volume.geometry, order=0, fill=-1.0)
    inside = back >= 0
    assert np.array_equal(back[inside], volume.voxels[0][inside])
    assert (volume.voxels[0][~inside] <= 300).all()
    assert (~inside).any()


# what MONAI's transforms do


def monais(name: str, volume: Volume, **settings: object) -> tuple[np.ndarray, np.ndarray]:
    """Values and affine of MONAI's transform of that name."""
    import torch

    from medvision.frameworks import monai_module

    image = monai_module("data").MetaTensor(
        torch.from_numpy(volume.voxels.copy()), affine=volume.geometry.affine.copy()
    )
    done = getattr(monai_module("transforms"), name)(**settings)(image)
    return done.numpy(), np.asarray(done.affine)


def noise(grid: Geometry, channels: int = 1) -> Volume:
    return Volume(np.random.default_rng(0).normal(size=(channels, *grid.shape)).astype(np.float32), grid)


@settings(max_examples=40, deadline=None)
@given(grid=grids, wanted=spacings, corners=st.booleans())
def test_resample_from_the_first_voxel_without_blur_is_what_monais_spacing_does(
    grid: Geometry, wanted: tuple[float, float, float], corners: bool
) -> None:
    volume = noise(grid, channels=2)
    ours = Resample(spacing_mm=wanted, keeps="first_voxel", blur=False)(volume)
    values, affine = monais("Spacing", volume, pixdim=wanted, align_corners=corners)
    assert ours.geometry.shape == values.shape[1:]
    np.testing.assert_allclose(ours.geometry.affine, affine, atol=1e-6)
    np.testing.assert_allclose(ours.voxels, values, atol=2e-5)


def test_resample_from_the_first_voxel_keeps_it_and_goes_on_with_the_last_value_beyond_the_end() -> None:
    line = Volume(np.array([1.0, 2, 3, 4]).reshape(1, 4, 1, 1), Geometry.from_spacing((1, 1, 1), (4, 1, 1)))
    step = Resample(spacing_mm=(1.8, 1, 1), keeps="first_voxel", blur=False)
    found = step(line).voxels.ravel().tolist()
    assert found == pytest.approx([1.0, 2.8, 4.0]), "voxels at 0, 1.8 and 3.6 mm; the last centre is at 3"
    assert np.array_equal(step(line).geometry.to_world((0, 0, 0)), line.geometry.to_world((0, 0, 0)))
    faces = Resample(spacing_mm=(2, 1, 1), blur=False)(line)
    assert faces.voxels.ravel().tolist() == [1.5, 3.5]
    assert Resample(spacing_mm=(2, 1, 1))(line).voxels.ravel().tolist() != [1.5, 3.5], "blurred by default"


def test_a_spacing_that_is_nearly_the_wanted_one_is_left_where_the_first_voxel_is_kept() -> None:
    volume = noise(Geometry.from_spacing((1.0008, 1, 1), (5, 4, 4)))
    assert Resample(spacing_mm=(1, 1, 1), keeps="first_voxel")(volume).geometry.spacing[0] == 1.0008
    assert Resample(spacing_mm=(1, 1, 1))(volume).geometry.spacing[0] == 1


@pytest.mark.parametrize("shape", [(5, 4, 3), (20, 16, 14), (9, 8, 7), (1, 11, 3)])
@pytest.mark.parametrize(("mode", "given_"), [("area", {"average": True}), ("trilinear", {"blur": False})])
def test_resize_by_averages_or_without_blur_is_what_monais_resize_does(
    shape: tuple[int, int, int], mode: str, given_: dict[str, bool]
) -> None:
    volume = noise(Geometry.from_spacing((1.0, 1.5, 2.0), SHAPE), channels=2)
    values, affine = monais("Resize", volume, spatial_size=shape, mode=mode)
    ours = Resize(shape=shape, **given_)(volume)
    np.testing.assert_allclose(ours.voxels, values, atol=3e-6)  # MONAI's weights are float32
    np.testing.assert_allclose(ours.geometry.affine, affine, atol=1e-9)


def test_an_average_counts_every_old_voxel_that_is_touched() -> None:
    line = Volume(np.array([1.0, 2, 6]).reshape(1, 3, 1, 1), Geometry.from_spacing((1, 1, 1), (3, 1, 1)))
    assert Resize(shape=(2, 1, 1), average=True)(line).voxels.ravel().tolist() == [1.5, 4.0]
    assert Resize(shape=(6, 1, 1), average=True)(line).voxels.ravel().tolist() == [1, 1, 2, 2, 6, 6]
