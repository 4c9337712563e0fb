"""A training that shows left as right is refused where that matters, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_pipeline import CLASSIFIER, pipeline

from medvision.errors import PipelineError
from medvision.pipeline import Settings, read_settings
from medvision.pipeline.sides import voxel_axis
from medvision.sides import sided

PICTURE = CLASSIFIER.replace('"yes"', '"effusion on the left"') + "\n[train.augmentation]\n"


def opened(folder: Path, augmentation: str, *changes: tuple[str, str], no_side: bool = True) -> Settings:
    side = ('side = "left"\n', "") if no_side else ('side = "left"\n', 'side = "left"\n\n')
    return read_settings(pipeline(folder, ("epochs = 3", f"augmentation = {{ {augmentation} }}"), side, *changes))


def refusal(folder: Path, augmentation: str, *changes: tuple[str, str], no_side: bool = True) -> str:
    with pytest.raises(PipelineError) as caught:
        opened(folder, augmentation, *changes, no_side=no_side)
    assert caught.value.code == "pipeline-invalid"
    return caught.value.finding.message


SIDED = (('1 = "one"', '1 = "Left kidney"'), ('2 = "two"', '2 = "Right kidney"'))


@pytest.mark.parametrize(("orientation", "axis"), [("RAS", 0), ("LPS", 0), ("PIR", 2), ("ARS", 1), ("SLP", 1)])
def test_mirroring_left_to_right_is_refused_along_the_axis_that_the_last_reorient_gives(
    tmp_path: Path, orientation: str, axis: int
) -> None:
    turned = ('orientation = "RAS"', f'orientation = "{orientation}"')
    told = refusal(tmp_path, f"mirror_axes = [{axis}]", *SIDED, turned)
    assert "train.augmentation.mirror_axes: " in told
    assert f"axis {axis}, which runs from left to right" in told
    assert "'Left kidney', 'Right kidney'" in told
    others = [other for other in range(3) if other != axis]
    assert opened(tmp_path / "others", f"mirror_axes = {others}", *SIDED, turned)


def test_the_last_reorient_counts(tmp_path: Path) -> None:
    twice = (
        '[[steps]]\nuse = "resample"',
        '[[steps]]\nuse = "reorient"\norientation = "SAR"\n[[steps]]\nuse = "resample"',
    )
    settings = opened(tmp_path, "mirror_axes = [0]", *SIDED, twice)
    assert (voxel_axis(settings, 0), voxel_axis(settings, 1)) == (2, 1)
    assert "axis 2" in refusal(tmp_path / "refused", "mirror_axes = [2]", *SIDED, twice)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_mirroring_is_refused_where_no_step_fixes_the_orientation(tmp_path: Path, axis: int) -> None:
    loose = ('[[steps]]\nuse = "reorient"\norientation = "RAS"\n', "")
    assert "no step `reorient` fixes the axes" in refusal(tmp_path, f"mirror_axes = [{axis}]", *SIDED, loose)
    assert opened(tmp_path / "plain", f"mirror_axes = [{axis}]", loose)


def test_a_network_that_knows_one_side_is_never_shown_the_other(tmp_path: Path) -> None:
    told = refusal(tmp_path, "mirror_axes = [0]", no_side=False)
    assert "as a left one (contract.side)" in told
    assert opened(tmp_path / "front", "mirror_axes = [1, 2]", no_side=False)


def test_without_sides_every_axis_may_be_mirrored_and_every_angle_turned(tmp_path: Path) -> None:
    assert opened(tmp_path, "mirror_axes = [0, 1, 2], rotation_degrees = 180.0")


def test_what_strength_and_probability_leave_out_is_not_refused(tmp_path: Path) -> None:
    assert opened(tmp_path, "mirror_axes = [0], rotation_degrees = 180.0, strength = 0.0", *SIDED)
    assert opened(tmp_path / "never", "mirror_axes = [0], probabilities.mirror = 0.0", *SIDED)
    assert opened(tmp_path / "still", "rotation_degrees = 180.0, probabilities.rotation = 0.0", *SIDED)


@pytest.mark.parametrize(
    ("augmentation", "refused"),
    [
        ("rotation_degrees = 89.0", False),
        ("rotation_degrees = 90.0", True),
        ("rotation_degrees = 45.0, strength = 2.0", True),  # it is what is drawn that counts
        ("rotation_degrees = 180.0, rotation_axes = [0]", False),  # a nod: left stays left
        ("rotation_degrees = 180.0, rotation_axes = [2]", True),
    ],
)
def test_turning_left_to_the_right_is_refused_too(tmp_path: Path, augmentation: str, refused: bool) -> None:
    if refused:
        told = refusal(tmp_path, augmentation, *SIDED)
        assert "can turn round axis 0, which runs from left to right, but labels have sides" in told
    else:
        assert opened(tmp_path, augmentation, *SIDED)


def test_three_rotations_together_bring_the_middle_axis_across_at_less_than_90_degrees(tmp_path: Path) -> None:
    middle = ('orientation = "RAS"', 'orientation = "ARS"')
    assert opened(tmp_path, "rotation_degrees = 48.0", *SIDED, middle)
    assert "50 degrees can turn round axis 1" in refusal(tmp_path / "more", "rotation_degrees = 50.0", *SIDED, middle)


@pytest.mark.parametrize(
    ("augmentation", "told"),
    [
        ("mirror_axes = [0]", "from left to right, but such an image could no longer be told from an upright one"),
        ("mirror_axes = [1]", "axis 1, which runs from front to back, but such an image"),
        ("rotation_degrees = 180.0, rotation_axes = [2]", "can turn round axis 1"),
        ("mirror_axes = [2]", None),
    ],
)
def test_what_the_check_of_the_orientation_tries_is_not_trained_on(
    tmp_path: Path, augmentation: str, told: str | None
) -> None:
    checked = ('shows = "anything"', 'shows = "anything"\norientation_check = true')
    if told is None:
        assert opened(tmp_path, augmentation, checked)
    else:
        assert told in refusal(tmp_path, augmentation, checked)


@pytest.mark.parametrize("augmentation", ["mirror_axes = [0]", "mirror_axes = [1]", "rotation_degrees = 120.0"])
def test_a_picture_with_sided_classes_states_no_orientation_and_is_never_mirrored(
    tmp_path: Path, augmentation: str
) -> None:
    with pytest.raises(PipelineError, match="'effusion on the left'"):
        read_settings(pipeline(tmp_path, text=PICTURE + augmentation))
    assert read_settings(pipeline(tmp_path / "upright", text=PICTURE + "rotation_degrees = 80.0"))


def test_a_picture_has_no_axes_to_choose_for_its_rotation(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="a picture turns about one axis only"):
        read_settings(pipeline(tmp_path, text=PICTURE + "rotation_axes = [2]"))


@pytest.mark.parametrize(
    "name",
    [
        "Left kidney", "RIGHT LUNG", "kidney_left", "kidney-right", "HippocampusLeft", "leftAtrium", "rightmost",
        "leftventricle", "lh", "RH", "l.", "R", "Kidney_L", "L kidney", "kidneyR", "LKidney", "lung lt", "Rt parotid",
        "ventriculus sinister", "Atrium dextrum", "V1L",
    ],
)  # fmt: skip
def test_a_name_that_tells_a_side_is_known(name: str) -> None:
    assert sided([name]) == (name,)


@pytest.mark.parametrize(
    "names",
    [
        ("Anterior", "Posterior"), ("upright", "level"), ("cleft", "bright"), ("L4", "L5"), ("T1", "T2"), ("liver",),
        ("os sacrum", "odontoid"), ("artery", "altery"), ("normal", "pneumonia"), ("RV",), ("",), ("x", "lx"),
    ],
)  # fmt: skip
def test_other_names_are_not_taken_for_sided(names: tuple[str, ...]) -> None:
    assert sided(names) == ()


@pytest.mark.parametrize(
    "names",
    [
        ("LV", "RV"), ("lkidney", "rkidney"), ("kidneyleft", "kidneyright"), ("OD", "OS"), ("lungl", "lungr"),
        ("hippo_L1", "hippo_R1"), ("eye od", "eye os"),
    ],
)  # fmt: skip
def test_two_names_that_differ_by_the_side_alone_are_known(names: tuple[str, ...]) -> None:
    assert sided((*names, "background")) == names


def test_the_axes_that_a_step_puts_into_another_order_are_followed(tmp_path: Path) -> None:
    order = '[[steps]]\nuse = "transpose"\naxes = [1, 2, 0]\n'
    fixed = read_settings(
        pipeline(tmp_path / "fixed", ('[[steps]]\nuse = "resample"', f'{order}[[steps]]\nuse = "resample"'))
    )
    assert [voxel_axis(fixed, world) for world in range(3)] == [2, 0, 1]
    unfixed = pipeline(tmp_path / "unfixed", ('[[steps]]\nuse = "reorient"\norientation = "RAS"\n', order))
    assert voxel_axis(read_settings(unfixed), 0) is None
