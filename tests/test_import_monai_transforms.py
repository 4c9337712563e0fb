"""MONAI's transforms become steps that give the same numbers, or are refused by name."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medvision.errors import PipelineError
from medvision.frameworks import monai_module
from medvision.geometry import Geometry
from medvision.importing.monai_bundle.document import Document
from medvision.importing.monai_bundle.transforms import Seen, steps_of
from medvision.steps import (
    Clip,
    CropForeground,
    Pad,
    Percentile,
    Reorient,
    Resample,
    Rescale,
    Resize,
    Standardise,
    Step,
    Window,
    ZScore,
    ZScoreNonzero,
    apply,
)
from medvision.volume import Volume

HEAD = Seen("image", channels=1, dimensions=3)
RANGE = {"a_min": -57, "a_max": 164, "b_min": 0, "b_max": 1, "clip": True}
PERCENTILES = {"lower": 1, "upper": 99, "b_min": 0, "b_max": 1, "clip": True}


def read(tmp_path: Path, transforms: Any, seen: Seen = HEAD) -> tuple[Step, ...]:
    path = tmp_path / "inference.json"
    path.write_text(json.dumps({"preprocessing": transforms}))
    return steps_of(Document.open(path).part("preprocessing"), seen)


def one(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": name, "keys": "image", **arguments}


def monais(transforms: list[dict[str, Any]], volume: Volume) -> Any:
    """What MONAI's own transforms make of a volume."""
    data, library = monai_module("data"), monai_module("transforms")
    image = data.MetaTensor(torch.from_numpy(volume.voxels.copy()), affine=volume.geometry.affine.copy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI warns of its own defaults
        made = [
            getattr(library, part["_target_"])(**{k: v for k, v in part.items() if k not in ("_target_", "dtype")})
            for part in transforms
        ]
        return library.Compose(made)({"image": image})["image"]


def scan(channels: int = 1, orientation: str = "LPS") -> Volume:
    voxels = np.random.default_rng(0).normal(40, 80, (channels, 12, 10, 9)).astype(np.float32)
    voxels[:, :2] = 0
    voxels[:, :, 7:] = -1
    return Volume(
        voxels,
        Geometry.from_spacing((1.0, 1.25, 2.0), (12, 10, 9)).reoriented(orientation).cropped((0,) * 3, (12, 10, 9)),
    )


MAPPED: list[tuple[dict[str, Any], tuple[Step, ...]]] = [
    (one("Orientationd", axcodes="RAS"), (Reorient(),)),
    (one("Orientationd", axcodes=["L", "P", "S"], labels=None), (Reorient(orientation="LPS"),)),
    (one("Orientationd", as_closest_canonical=True), (Reorient(),)),
    (one("Orientationd", axcodes="RAS", labels=[["L", "R"], ["P", "A"], ["I", "S"]]), (Reorient(),)),
    (
        one("Spacingd", pixdim=[1.5, 1.5, 2.0], mode="bilinear", align_corners=True, dtype="$np.float32"),
        (Resample(spacing_mm=(1.5, 1.5, 2.0), blur=False, keeps="first_voxel"),),
    ),
    (one("Spacingd", pixdim=[2, 3]), (Resample(spacing_mm=(2, 3, 3), blur=False, keeps="first_voxel"),)),
    (one("Spacingd", pixdim=1.5), (Resample(spacing_mm=(1.5, 1.5, 1.5), blur=False, keeps="first_voxel"),)),
    (one("ScaleIntensityRanged", **RANGE), (Window(center=53.5, width=221),)),
    (one("ScaleIntensityRanged", **RANGE | {"clip": False}), (Rescale(source=(-57, 164)),)),
    (
        one("ScaleIntensityRanged", **RANGE | {"b_min": -1}),
        (Clip(low=-57, high=164), Rescale(low=-1, high=1, source=(-57, 164))),
    ),
    (one("ScaleIntensityRanged", **RANGE | {"b_min": -57, "b_max": 164}), (Clip(low=-57, high=164),)),
    (one("ScaleIntensityRanged", **RANGE | {"b_min": -57, "b_max": 164, "clip": False}), ()),
    (one("ScaleIntensityRangePercentilesd", **PERCENTILES), (Percentile(lower=1, upper=99),)),
    (
        one("ScaleIntensityRangePercentilesd", **PERCENTILES | {"b_min": -1}),
        (Percentile(lower=1, upper=99), Rescale(low=-1, high=1, source=(0, 1))),
    ),
    (one("ScaleIntensityd"), (Rescale(),)),
    (one("ScaleIntensityd", minv=-1.0, maxv=1.0), (Rescale(low=-1),)),
    (one("NormalizeIntensityd"), (ZScore(),)),
    (one("NormalizeIntensityd", nonzero=True, channel_wise=True), (ZScoreNonzero(),)),
    (one("NormalizeIntensityd", subtrahend=40, divisor=80.0), (Standardise(mean=(40,), sd=(80,)),)),
    (
        one("NormalizeIntensityd", subtrahend=[40.0], divisor=[80.0], channel_wise=True),
        (Standardise(mean=(40,), sd=(80,)),),
    ),
    (one("CropForegroundd", source_key="image"), (CropForeground(threshold=0),)),
    (one("CropForegroundd", source_key="image", margin=[0, 0, 0], allow_smaller=True), (CropForeground(threshold=0),)),
    (one("SpatialPadd", spatial_size=[16, 9, 12]), (Pad(minimum=(16, 9, 12)),)),
    (one("SpatialPadd", spatial_size=16, value=-1), (Pad(minimum=(16, 16, 16), value=-1),)),
    (one("DivisiblePadd", k=[8, 8, 4], constant_values=2), (Pad(multiple=(8, 8, 4), value=2),)),
    (one("Resized", spatial_size=[8, 12, 9]), (Resize(shape=(8, 12, 9), average=True),)),
    (one("Resized", spatial_size=[8, 12, 9], mode="trilinear"), (Resize(shape=(8, 12, 9), blur=False),)),
    (one("EnsureTyped", dtype="$torch.float32", device="$@device", track_meta=True), ()),
    (one("CastToTyped", dtype="float32"), ()),
    (one("ToTensord"), ()),
    (one("LoadImaged", reader="ITKReader", ensure_channel_first=True), ()),
]


@pytest.mark.parametrize(
    ("transform", "steps"), MAPPED, ids=lambda part: part.get("_target_") if isinstance(part, dict) else ""
)
def test_a_transform_becomes_the_steps_that_do_the_same(
    tmp_path: Path, transform: dict[str, Any], steps: tuple[Step, ...]
) -> None:
    assert read(tmp_path, [transform]) == steps


@pytest.mark.parametrize(
    ("transform", "steps"),
    [(t, s) for t, s in MAPPED if s],
    ids=lambda part: part.get("_target_") if isinstance(part, dict) else "",
)
def test_the_steps_give_the_numbers_and_the_grid_of_monais_transform(
    tmp_path: Path, transform: dict[str, Any], steps: tuple[Step, ...]
) -> None:
    volume = scan()
    theirs = monais([transform], volume)
    ours = apply(read(tmp_path, [transform]), volume)
    assert ours.geometry.shape == tuple(theirs.shape[1:])
    np.testing.assert_allclose(ours.voxels, theirs.numpy(), rtol=1e-5, atol=1e-4)  # of values up to 300, in float32
    np.testing.assert_allclose(ours.geometry.affine, np.asarray(theirs.affine), atol=1e-6)


def test_all_of_a_zoo_bundle_in_a_row_gives_monais_numbers(tmp_path: Path) -> None:
    transforms = [
        one("EnsureTyped"),
        one("Orientationd", axcodes="RAS"),
        one("Spacingd", pixdim=[1.5, 1.5, 2.5], mode="bilinear"),
        one("ScaleIntensityRanged", **RANGE | {"b_min": -1}),
        one("CropForegroundd", source_key="image"),
        one("NormalizeIntensityd", nonzero=True),
        one("SpatialPadd", spatial_size=[16, 4, 16]),
    ]
    volume = scan(orientation="PSR")
    theirs = monais(transforms, volume)
    ours = apply(read(tmp_path, {"_target_": "Compose", "transforms": transforms}), volume)
    assert ours.geometry.shape == tuple(theirs.shape[1:])
    np.testing.assert_allclose(ours.voxels, theirs.numpy(), atol=2e-5)
    np.testing.assert_allclose(ours.geometry.affine, np.asarray(theirs.affine), atol=1e-6)


def test_several_channels_are_each_read_by_themselves_or_refused(tmp_path: Path) -> None:
    four = Seen("image", channels=4, dimensions=3)
    assert read(tmp_path, [one("NormalizeIntensityd", nonzero=True, channel_wise=True)], four) == (ZScoreNonzero(),)
    assert read(tmp_path, [one("CropForegroundd", source_key="image", channel_indices=0)], four)
    for name, more in (
        ("NormalizeIntensityd", {}),
        ("ScaleIntensityd", {}),
        ("ScaleIntensityRangePercentilesd", PERCENTILES),
    ):
        with pytest.raises(PipelineError, match="the 4 channels would be measured together"):
            read(tmp_path, [one(name, **more)], four)
    with pytest.raises(PipelineError, match="only the first channel says here what is foreground"):
        read(tmp_path, [one("CropForegroundd", source_key="image")], four)


def test_pictures_have_two_sizes_and_slices_three(tmp_path: Path) -> None:
    flat = Seen("image", channels=1, dimensions=2)
    assert read(tmp_path, [one("Resized", spatial_size=[8, 12])], flat) == (Resize(shape=(8, 12, 1), average=True),)
    assert read(tmp_path, [one("SpatialPadd", spatial_size=8)], flat) == (Pad(minimum=(8, 8, 1)),)
    with pytest.raises(PipelineError, match="Spacingd is for volumes"):
        read(tmp_path, [one("Spacingd", pixdim=[1, 1])], flat)
    with pytest.raises(PipelineError, match="Orientationd is for volumes"):
        read(tmp_path, [one("Orientationd", axcodes="RA")], flat)
    slices = Seen("image", channels=1, dimensions=2, slices=True)
    assert read(tmp_path, [one("Orientationd", axcodes="RAS")], slices) == (Reorient(),)
    with pytest.raises(PipelineError, match="3 sizes above 0 are wanted"):
        read(tmp_path, [one("Resized", spatial_size=[8, 12])], slices)


def test_transforms_of_other_entries_are_passed_over_and_each_entry_has_its_own_mode(tmp_path: Path) -> None:
    both = {"_target_": "Spacingd", "keys": ["label", "image"], "pixdim": [2, 2, 2], "mode": ["nearest", "bilinear"]}
    label = {"_target_": "Lambdad", "keys": ["label"], "func": "$lambda x: x"}
    assert len(read(tmp_path, [label, both])) == 1
    with pytest.raises(PipelineError, match="only 'linear' or 'bilinear' or 'trilinear' can be done here"):
        read(tmp_path, [both | {"keys": ["image", "label"]}])


def test_all_forms_of_a_name_are_the_same_and_another_programs_is_none(tmp_path: Path) -> None:
    for name in (
        "SpacingD",
        "SpacingDict",
        "monai.transforms.Spacingd",
        "monai.transforms.spatial.dictionary.Spacingd",
    ):
        assert len(read(tmp_path, [one(name, pixdim=[1, 1, 1])])) == 1
    with pytest.raises(PipelineError, match=r"the transform scripts\.mine\.Spacingd is not known here"):
        read(tmp_path, [one("scripts.mine.Spacingd", pixdim=[1, 1, 1])])


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (one("GaussianSmoothd", sigma=1), "preprocessing.0: the transform GaussianSmoothd is not known here"),
        (one("Lambdad", func="$lambda x: x + 1"), "the transform Lambdad is not known here"),
        (one("Spacingd", pixdim="$[1.5] * 3"), "preprocessing.0.pixdim is $[1.5] * 3: only MONAI could work that out"),
        (one("Spacingd"), "preprocessing.0.pixdim: Spacingd needs it"),
        (one("Spacingd", pixdim=[1, -1, 1]), "a spacing above 0 is wanted"),
        (one("Spacingd", pixdim=[1, 1, 1], mode=3), "preprocessing.0.mode is 3: only 'linear'"),
        (one("Spacingd", pixdim=[1, 1, 1], padding_mode="zeros"), "padding_mode is 'zeros': only 'border'"),
        (one("Spacingd", pixdim=[1, 1, 1], diagonal=True), "diagonal is True: only False can be done here"),
        (one("Spacingd", pixdim=[1, 1, 1], scale_extent=True), "scale_extent is True"),
        (one("Spacingd", pixdim=[1, 1, 1], lazy=True), "lazy is True"),
        (one("Spacingd", pixdim=[1, 1, 1], min_pixdim=[1, 1, 1]), "min_pixdim is [1, 1, 1]"),
        (one("Orientationd", axcodes="RAS", labels=[["R", "L"], ["P", "A"], ["I", "S"]]), "L to R, P to A and I to S"),
        (one("Orientationd"), "preprocessing.0.axcodes: three letters are wanted"),
        (one("Orientationd", axcodes="RAX"), "Orientationd does not make a step"),
        (one("Resized", spatial_size=[8, 8, 8], mode="nearest"), "mode is 'nearest': only 'area'"),
        (one("Resized", spatial_size=[8, 8, 8], mode="bilinear", align_corners=True), "align_corners is True"),
        (one("Resized", spatial_size=[8, -1, 8]), "3 sizes above 0 are wanted"),
        (one("Resized", spatial_size=64, size_mode="longest"), "size_mode is 'longest': only 'all'"),
        (one("Resized", spatial_size=64, anti_aliasing=True), "anti_aliasing is True"),
        (one("CropForegroundd", source_key="label"), "only the image itself, 'image', says here what is foreground"),
        (
            one("CropForegroundd", source_key="image", select_fn="$lambda x: x > -600"),
            "select_fn is $lambda x: x > -600",
        ),
        (one("CropForegroundd", source_key="image", margin=5), "margin is 5: only 0 can be done here"),
        (one("CropForegroundd", source_key="image", k_divisible=[16, 16, 16]), "k_divisible is [16, 16, 16]: only 1"),
        (one("SpatialPadd", spatial_size=16, mode="reflect"), "mode is 'reflect': only 'constant'"),
        (one("SpatialPadd", spatial_size=16, method="end"), "method is 'end': only 'symmetric'"),
        (one("ScaleIntensityRanged", a_min=0, a_max=9), "a_min, a_max, b_min and b_max are all wanted"),
        (one("ScaleIntensityRanged", a_min=9, a_max=0, b_min=0, b_max=1, clip=True), "does not make a step"),
        (one("ScaleIntensityRangePercentilesd", **PERCENTILES | {"clip": False}), "clip is False: only True"),
        (one("ScaleIntensityRangePercentilesd", lower=1, upper=99, b_min=0, b_max=1), "clip: only true"),
        (one("ScaleIntensityRangePercentilesd", **PERCENTILES, relative=True), "relative is True: only False"),
        (one("ScaleIntensityd", factor=0.1), "factor is 0.1: only None can be done here"),
        (one("ScaleIntensityd", minv=None), "minv is None: minv and maxv are both wanted"),
        (one("NormalizeIntensityd", subtrahend=1), "subtrahend and divisor are wanted both or not at all"),
        (
            one("NormalizeIntensityd", subtrahend=1, divisor=2, nonzero=True),
            "nonzero is True: with a stated subtrahend",
        ),
        (
            one("NormalizeIntensityd", subtrahend=[1], divisor=[2]),
            "numbers for each channel are wanted with true alone",
        ),
        (one("NormalizeIntensityd", subtrahend="a", divisor=2), "numbers are wanted, as many as of divisor"),
        (one("NormalizeIntensityd", subtrahend=1, divisor=0), "does not make a step"),
        (one("EnsureTyped", dtype="$torch.float16"), "dtype is $torch.float16: only numbers of 32 or 64 bits"),
        (one("LoadImaged", dtype="uint8"), "dtype is 'uint8'"),
        ({"_target_": "Spacingd", "keys": "$@keys", "pixdim": 1}, "keys is $@keys"),
        ({"_target_": "Spacingd", "pixdim": 1}, "preprocessing.0.keys: Spacingd needs it"),
    ],
)
def test_what_no_step_does_is_refused_with_its_place(tmp_path: Path, transform: dict[str, Any], words: str) -> None:
    with pytest.raises(PipelineError) as caught:
        read(tmp_path, [transform])
    assert caught.value.code == "import-unsupported"
    assert words in caught.value.finding.message


@pytest.mark.parametrize(
    ("transforms", "words"),
    [
        ("$@a + @b", "transforms with a _target_ each are wanted"),
        ({"_target_": "Compose", "transforms": "$@a + @b"}, "preprocessing.transforms is $@a + @b"),
        ({"_target_": "Compose", "transforms": [], "lazy": True}, "preprocessing.lazy is True"),
        ({"_target_": "Compose", "transforms": ["$x"]}, "preprocessing.transforms is [$x]"),
        (["a"], "transforms with a _target_ each are wanted"),
    ],
)
def test_a_list_of_transforms_that_cannot_be_read_is_refused(tmp_path: Path, transforms: Any, words: str) -> None:
    with pytest.raises(PipelineError) as caught:
        read(tmp_path, transforms)
    assert words in caught.value.finding.message


def test_a_bundle_without_preprocessing_has_no_steps_and_a_single_transform_is_one(tmp_path: Path) -> None:
    assert read(tmp_path, None) == ()
    assert read(tmp_path, one("ScaleIntensityd")) == (Rescale(),)
