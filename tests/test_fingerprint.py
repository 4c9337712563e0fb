"""What training data are like: figures known by hand, a value that is kept whole, and cases that are unlike."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from phantoms import ORIENTATIONS
from pydantic import ValidationError

from medvision.errors import Finding, InputError, PipelineError
from medvision.fingerprint import (
    CaseFigures,
    Fingerprint,
    Pooled,
    Spread,
    check,
    compare,
    doubts,
    measure_case,
    summarise,
)
from medvision.fingerprint.limits import scaled, shifted
from medvision.geometry import Geometry
from medvision.resampling import resample
from medvision.sides import sided_pairs
from medvision.volume import Labels, Volume

GRID = Geometry.from_spacing((1.0, 1.0, 2.0), (16, 18, 10))
NAMES = {1: "near", 2: "far"}


def image(seed: int = 0, grid: Geometry = GRID, *, modality: str | None = "MR", scale: float = 1.0) -> Volume:
    """Return a bright block on darker, smooth ground with noise: values of 50 to 250 times `scale`."""
    generator = np.random.default_rng(seed)
    voxels = 100 + generator.normal(0, 10, grid.shape) + 20 * np.linspace(0, 1, grid.shape[0])[:, None, None]
    voxels[4:10, 5:12, 3:7] += 100
    return Volume((voxels * scale)[None].astype(np.float32), grid, modality)


def blocks(grid: Geometry = GRID) -> Labels:
    """Return label 1 of 2 x 3 x 4 voxels, and label 2 of 3 x 3 x 2 with a single voxel apart from them."""
    voxels = np.zeros(grid.shape, dtype=np.uint8)
    voxels[1:3, 1:4, 1:5] = 1
    voxels[8:11, 8:11, 2:4] = 2
    voxels[15, 17, 9] = 2
    return Labels(voxels, grid, NAMES)


def case(seed: int = 0, **fields: Any) -> CaseFigures:
    return measure_case(image(seed), blocks(), id=str(seed), **fields)


def fingerprint(count: int = 12) -> Fingerprint:
    return summarise([case(seed) for seed in range(count)], task="segmentation", names=NAMES)


def found(given: CaseFigures | Volume, known: Fingerprint) -> list[tuple[str, str]]:
    return [(finding.code, finding.grade) for finding in check(given, known)]


def picture(voxels: NDArray[Any]) -> Volume:
    return Volume(voxels[None, :, :, None], Geometry.of_picture(*voxels.shape))


# one case


def test_labels_are_measured_in_voxels_ml_and_mm_by_their_largest_part() -> None:
    figures = case()
    assert figures.labels is not None
    near, far = figures.labels[1], figures.labels[2]
    assert (near.voxels, near.volume_ml, near.parts) == (24, 0.048, 1)
    assert (near.box, near.box_mm, near.centroid_ras_mm) == ((2, 3, 4), (2.0, 3.0, 8.0), (1.5, 2.0, 5.0))
    assert (far.voxels, far.parts, far.box, far.box_mm) == (19, 2, (3, 3, 2), (3.0, 3.0, 4.0))
    assert figures.all_labels is not None
    assert (figures.all_labels.voxels, figures.all_labels.parts) == (43, 3)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_figures_are_the_same_in_any_order_of_axes(orientation: str) -> None:
    grid = GRID.reoriented(orientation)
    turned = Volume(resample(image().voxels[0], GRID, grid)[None], grid, "MR")
    labels = Labels(resample(blocks().voxels, GRID, grid, order=0), grid, NAMES)
    one, other = measure_case(turned, labels), case()
    assert other.labels is not None
    assert one.orientation == orientation
    assert (one.shape, one.spacing_mm, one.extent_mm) == (other.shape, other.spacing_mm, other.extent_mm)
    assert one.labels is not None
    for number, measure in one.labels.items():
        assert measure.box_mm == pytest.approx(other.labels[number].box_mm)
        assert measure.centroid_ras_mm == pytest.approx(other.labels[number].centroid_ras_mm)
    assert one.whole[0].intensity.median == other.whole[0].intensity.median
    assert one.whole[0].edge_z == pytest.approx(other.whole[0].edge_z, abs=1e-6)


def test_the_foreground_is_measured_apart_from_the_whole() -> None:
    voxels = np.zeros(GRID.shape)
    voxels[blocks().voxels == 1], voxels[blocks().voxels == 2] = 10, 20
    figures = measure_case(Volume(voxels[None], GRID), blocks())
    assert figures.foreground[0].intensity.least == 10
    assert figures.foreground[0].intensity.mean == pytest.approx((24 * 10 + 19 * 20) / 43)
    assert figures.foreground[0].share_zero == 0
    assert figures.whole[0].share_zero == pytest.approx(1 - 43 / voxels.size)


def test_a_case_without_any_labelled_voxel_has_no_foreground() -> None:
    empty = Labels(np.zeros(GRID.shape, int), GRID, NAMES)
    figures = measure_case(image(), empty)
    assert (figures.foreground, figures.labels, figures.all_labels) == ((), {}, None)
    known = summarise([figures], task="segmentation", names=NAMES)
    assert (known.labels[0].cases, known.labels[0].voxels, known.foreground_box) == (0, None, None)
    assert known.channels[0].foreground is None


def test_what_stands_for_a_case_depends_on_its_id_alone() -> None:
    one, same, other = (measure_case(image(), id=name).whole[0].sample for name in ("a", "a", "b"))
    assert one == same != other
    assert len(measure_case(image()).whole[0].drawn) == 1000
    small = image(grid=Geometry.from_spacing((1, 1, 1), (10, 12, 8)))
    assert sorted(measure_case(small).whole[0].drawn) == sorted(small.voxels.ravel())


def test_bright_things_on_dark_ground_change_the_sign_of_edges_when_inverted() -> None:
    volume = image()
    upside = volume.with_voxels(300 - volume.voxels)
    one, other = measure_case(volume).whole[0], measure_case(upside).whole[0]
    assert one.edge_z == pytest.approx(-other.edge_z)
    assert abs(one.edge_z) > 0.2


def test_a_constant_image_has_no_edges() -> None:
    values = measure_case(image().with_voxels(np.full((1, *GRID.shape), 7))).whole[0]
    assert (values.edge_z, values.z(9.0), values.intensity.sd) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("voxels", "expected"),
    [
        (np.full((4, 5), 9, np.uint8), True),
        (np.full((4, 5), 255.0), True),
        (np.full((4, 5), 256), False),
        (np.full((4, 5), -1), False),
        (np.full((4, 5), 0.5), False),
        (np.full((4, 5), 9, np.int16), True),
    ],
)
def test_eight_bits_are_told_by_the_values_whatever_their_type(voxels: NDArray[Any], expected: bool) -> None:
    assert measure_case(picture(voxels)).eight_bits is expected


def test_figures_are_kept_as_text_without_the_patient() -> None:
    figures = measure_case(image(), blocks(), id="x", patient="Doe")
    assert "Doe" not in figures.to_text()
    assert CaseFigures.from_text(figures.to_text(), patient="Doe") == figures
    assert CaseFigures.from_text(figures.to_text()).patient is None
    with pytest.raises(ValueError, match="JSON"):
        CaseFigures.from_text(figures.to_text()[:-9])


# all cases


def test_the_fingerprint_of_known_cases_is_as_by_hand() -> None:
    known = summarise(
        [case(seed, patient=patient) for seed, patient in enumerate(["a", "a", None, None])],
        task="segmentation",
        names=NAMES,
        channels=["T1"],
    )
    assert (known.task, known.dimensions, known.cases, known.patients) == ("segmentation", 3, 4, 3)
    assert (known.modalities, known.modality, known.orientations) == ({"MR": 4}, "MR", {"RAS": 4})
    assert (known.absolute, known.physical, known.slabs) == (False, True, 0)
    assert known.spacing_mm is not None
    assert known.extent_mm is not None
    assert known.anisotropy is not None
    assert [axis.p50 for axis in known.shape] == [16, 18, 10]
    assert [axis.p50 for axis in known.spacing_mm] == [1, 1, 2]
    assert [axis.p50 for axis in known.extent_mm] == [16, 18, 20]
    assert known.anisotropy == Spread.of([2])
    assert known.channels[0].name == "T1"
    assert [(label.name, label.cases) for label in known.labels] == [("near", 4), ("far", 4)]
    assert known.labels[0].share == pytest.approx(24 / (16 * 18 * 10))
    assert known.labels[0].box_mm == tuple(Spread.of([side]) for side in (2, 3, 8))
    assert known.foreground_share == Spread.of([43 / (16 * 18 * 10)])


def test_every_case_counts_alike_where_values_are_put_together() -> None:
    small = Geometry.from_spacing((1, 1, 1), (2, 2, 2))
    cases = [
        measure_case(Volume(np.full((1, *grid.shape), value), grid), 0, id=str(value))
        for grid, value in ((GRID, 10), (small, 20))
    ]
    pooled = summarise(cases, task="classification", names={0: "a"}).channels[0].whole
    assert (pooled.mean, pooled.sd, pooled.least, pooled.greatest) == (15, 5, 10, 20)
    assert pooled.median == pytest.approx(15, abs=5.1)
    assert (pooled.low, pooled.high) == (10, 20)


def test_classes_are_counted_with_their_imbalance() -> None:
    cases = [measure_case(picture(np.eye(4)), number) for number in (0, 0, 0, 1)]
    known = summarise(cases, task="classification", names={0: "no", 1: "yes", 2: "never"})
    assert [(entry.name, entry.cases, entry.share) for entry in known.classes] == [
        ("no", 3, 0.75),
        ("yes", 1, 0.25),
        ("never", 0, 0.0),
    ]
    assert (known.imbalance, known.dimensions, known.physical, known.spacing_mm) == (3.0, 2, False, None)
    assert known.orientations == {}


def test_labels_that_a_case_can_have_at_once_are_counted_one_by_one() -> None:
    cases = [measure_case(picture(np.eye(4)), target) for target in ([1, 1], [1, np.nan], [1, None])]
    known = summarise(cases, task="multilabel", names={0: "fluid", 1: "air"})
    assert [entry.cases for entry in known.classes] == [3, 1]
    none = summarise([measure_case(picture(np.eye(4)), [0])], task="multilabel", names={0: "fluid"})
    assert none.imbalance is None


def test_targets_of_a_regression_have_mean_and_range_over_the_known() -> None:
    cases = [measure_case(picture(np.eye(4)), target) for target in ([60.0, 1.0], [70.0, None])]
    known = summarise(cases, task="regression", names={0: "age", 1: "score"})
    assert [(t.name, t.mean, t.sd) for t in known.targets] == [("age", 65, 5), ("score", 1, 0)]
    assert (known.targets[0].spread.least, known.targets[0].spread.greatest) == (60, 70)
    with pytest.raises(InputError, match="no case states the target 'score'"):
        summarise(cases[1:], task="regression", names={0: "age", 1: "score"})


@pytest.mark.parametrize(
    ("task", "target"),
    [
        ("segmentation", 0),
        ("classification", None),
        ("classification", 5),
        ("multilabel", [2, 0]),
        ("regression", [1]),
    ],
)
def test_a_target_of_another_task_is_refused(task: Any, target: Any) -> None:
    figures = measure_case(picture(np.eye(4)), target)
    with pytest.raises(InputError, match=f"1 of 1 cases have no target of a {task}"):
        summarise([figures], task=task, names={0: "a", 1: "b"})


def test_no_case_and_cases_of_other_channels_are_refused() -> None:
    with pytest.raises(InputError, match="got none"):
        summarise([], task="segmentation", names=NAMES)
    two = image().with_voxels(np.repeat(image().voxels, 2, axis=0))
    with pytest.raises(InputError, match=r"\[1, 2\]") as caught:
        summarise([case(), measure_case(two, blocks())], task="segmentation", names=NAMES)
    assert caught.value.code == "channels-differ"


@pytest.mark.parametrize(
    ("modality", "unit", "factor", "absolute"),
    [
        ("CT", None, 1, True),
        ("MR", None, 1, False),
        (None, None, 1, False),
        ("PT", "g/ml", 1, True),
        ("MR", "x", 1, False),
    ],
)
def test_values_are_absolute_where_they_mean_the_same_in_every_case(
    modality: str | None, unit: str | None, factor: float, absolute: bool
) -> None:
    volumes = [replace(image(seed, modality=modality, scale=2.0), unit=unit) for seed in (0, 1)]
    known = summarise([measure_case(v, 0) for v in volumes], task="classification", names={0: "a"})
    assert known.absolute is absolute


def test_pictures_of_eight_bits_are_absolute_and_magnetic_resonance_of_eight_bits_is_not() -> None:
    voxels = np.arange(30, dtype=np.uint8).reshape(5, 6)
    for modality, absolute in ((None, True), ("MR", False)):
        figures = measure_case(picture(voxels), 0, modality=modality)
        assert summarise([figures], task="classification", names={0: "a"}).absolute is absolute


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_a_spread_rises_and_holds_the_extremes(values: list[float]) -> None:
    spread = Spread.of(values)
    assert list(spread.percentiles) == sorted(spread.percentiles)
    assert (spread.least, spread.greatest) == (min(values), max(values))


# left and right


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["Left kidney", "Right kidney"], (("Left kidney", "Right kidney"),)),
        (["lung_L", "lung_R", "heart"], (("lung_L", "lung_R"),)),
        (["right-eye", "left-eye"], (("left-eye", "right-eye"),)),
        (["Left kidney", "Right lung"], ()),
        (["LKidney", "RKidney", "lungl", "lungr"], (("LKidney", "RKidney"), ("lungl", "lungr"))),
        (
            ["oculus os", "oculus od", "ren sinister", "ren dexter"],
            (("oculus os", "oculus od"), ("ren sinister", "ren dexter")),
        ),
        (
            ["left lobe of left lung", "right lobe of right lung"],
            (("left lobe of left lung", "right lobe of right lung"),),
        ),
        (["bright", "cleft", "Anterior", "Posterior", "left"], ()),
    ],
)
def test_pairs_of_left_and_right_are_told_by_their_names(names: list[str], pairs: tuple[Any, ...]) -> None:
    assert sided_pairs(names) == pairs


def test_left_labels_that_lie_to_the_right_are_told() -> None:
    voxels = np.zeros(GRID.shape, np.uint8)
    voxels[2, 5, 5], voxels[12, 5, 5] = 1, 2
    right_way = measure_case(image(), Labels(voxels, GRID, {1: "kidney left", 2: "kidney right"}))
    wrong_way = measure_case(image(), Labels(voxels, GRID, {1: "kidney right", 2: "kidney left"}))
    one_only = measure_case(image(), Labels(np.minimum(voxels, 1), GRID, {1: "kidney right", 2: "kidney left"}))
    assert doubts([right_way, one_only]) == ()
    (finding,) = doubts([wrong_way, wrong_way, right_way, one_only])
    assert (finding.code, finding.grade) == ("sides-swapped", "warning")
    assert finding.message == "'kidney left' lies to the right of 'kidney right' in 2 of 3 cases that have both"
    assert doubts([wrong_way, right_way]) == ()
    known = summarise([right_way], task="segmentation", names={1: "kidney left", 2: "kidney right"})
    assert known.sided == (("kidney left", "kidney right"),)


# the file


def test_a_fingerprint_is_the_same_after_it_was_kept(tmp_path: Path) -> None:
    known = fingerprint(3)
    known.save(tmp_path / "fingerprint.json")
    assert Fingerprint.open(tmp_path / "fingerprint.json") == known


def test_no_id_and_no_patient_is_in_the_file() -> None:
    figures = measure_case(image(), blocks(), id="Doe_Jane", patient="19700101")
    text = json.dumps(summarise([figures], task="segmentation", names=NAMES).to_json())
    assert "Doe" not in text
    assert "19700101" not in text


def changed(key: str, value: Any) -> dict[str, Any]:
    return {**fingerprint(2).to_json(), key: value}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "no readable JSON"),
        (b"[]", "schema"),
        (json.dumps(changed("schema", "medvision.fingerprint/0")).encode(), "schema"),
        (json.dumps(changed("more", 1)).encode(), "damaged"),
        (json.dumps(changed("cases", "2")).encode(), "damaged"),
        (json.dumps(changed("cases", 3)).encode(), "damaged"),
        (json.dumps(changed("labels", [])).encode(), "damaged"),
        (json.dumps(changed("physical", False)).encode(), "damaged"),
    ],
)
def test_a_damaged_fingerprint_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "fingerprint.json").write_bytes(content)
    with pytest.raises(PipelineError, match=words) as caught:
        Fingerprint.open(tmp_path / "fingerprint.json")
    assert (caught.value.code, caught.value.path) == ("fingerprint-invalid", tmp_path / "fingerprint.json")


def test_a_fingerprint_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no readable JSON"):
        Fingerprint.open(tmp_path / "fingerprint.json")


def test_figures_that_do_not_rise_are_no_values() -> None:
    with pytest.raises(ValidationError, match="rise"):
        Spread(0, 1, 2, 3, 4, 5, 4)
    with pytest.raises(ValidationError, match="rise"):
        Pooled(mean=0, sd=1, low=2, median=1, high=3, least=0, greatest=9)


def test_modalities_that_differ_or_are_unknown_are_no_modality() -> None:
    for others in ("CT", None):
        figures = [measure_case(image(modality=modality), blocks()) for modality in ("MR", others)]
        assert summarise(figures, task="segmentation", names=NAMES).modality is None


# new cases


def test_a_case_like_the_others_gives_no_finding() -> None:
    known = fingerprint()
    assert [found(image(seed), known) for seed in range(50, 60)] == [[]] * 10
    assert found(image(50, scale=400.0), known) == []  # MR has no unit


@pytest.mark.parametrize(
    ("volume", "code"),
    [
        (image(50, modality="CT"), "modality-differs"),
        (image(50, Geometry.from_spacing((1, 1, 3.2), (16, 18, 6))), "spacing-outside"),
        (image(50, Geometry.from_spacing((0.6, 1, 2), (27, 18, 10))), "spacing-outside"),
        (image(50, Geometry.from_spacing((1, 1, 2), (40, 40, 40))), "size-outside"),
        (replace(image(50), geometry=Geometry(np.eye(4), GRID.shape, physical=False)), "spacing-outside"),
        (image(50).with_voxels(300 - image(50).voxels), "values-outside"),
        (image(50).with_voxels(image(50).voxels - 1024), "values-outside"),
        (image(50).with_voxels(np.repeat(image(50).voxels, 2, axis=0)), "channels-differ"),
    ],
)
def test_a_case_unlike_the_others_is_for_review_with_the_measure_that_is_off(volume: Volume, code: str) -> None:
    findings = check(volume, fingerprint())
    assert (code, "warning") in [(finding.code, finding.grade) for finding in findings]


def test_directions_that_no_training_volume_stated_are_doubted() -> None:
    arrays = [replace(image(seed), geometry=Geometry(np.eye(4), GRID.shape, physical=False)) for seed in range(12)]
    known = summarise([measure_case(array, 0) for array in arrays], task="classification", names={0: "a"})
    assert found(image(50), known) == [("orientation-doubted", "warning")]
    assert found(replace(image(50), geometry=arrays[0].geometry), known) == []


def test_the_measure_that_is_off_is_named_with_its_value_and_the_known_range() -> None:
    wide = image(50, Geometry.from_spacing((1, 1, 3.2), (16, 18, 6)))
    (finding,) = [entry for entry in check(wide, fingerprint()) if entry.code == "spacing-outside"]
    assert finding.message == "spacing foot-head is 3.2 mm, known is 1.333 to 3 mm, by 12 training cases"


def test_values_far_below_zero_are_told_where_no_training_case_has_any() -> None:
    low = image(50, modality=None).with_voxels(image(50).voxels - 120)
    (finding,) = [entry for entry in check(low, fingerprint()) if entry.code == "values-outside"]
    assert "the least value is -" in finding.message
    assert "or more" in finding.message


@pytest.mark.parametrize(("axis", "first"), [(2, 0), (2, 4), (2, 7), (0, 5), (1, 6)])
def test_slices_of_zeros_are_told_along_any_axis(axis: int, first: int) -> None:
    voxels = image(50).voxels.copy()
    voxels[(slice(None), *[slice(None)] * axis, slice(first, first + 3))] = 0
    findings = [
        finding for finding in check(image(50).with_voxels(voxels), fingerprint()) if finding.code == "slab-constant"
    ]
    assert len(findings) == 1
    assert findings[0].message.startswith(f"along {'ijk'[axis]}, slices {first + 1} to {first + 3}, ")


def test_slices_of_zeros_are_not_told_where_training_cases_have_them() -> None:
    voxels = image(0).voxels.copy()
    voxels[..., :2] = 0
    filled = image(0).with_voxels(voxels)
    known = summarise(
        [measure_case(filled, blocks()), *(case(seed) for seed in range(1, 12))], task="segmentation", names=NAMES
    )
    assert known.slabs == 1
    assert "slab-constant" not in [code for code, _ in found(filled, known)]


def test_several_slabs_are_one_finding_with_their_number_and_channel() -> None:
    two = image(50).with_voxels(np.repeat(image(50).voxels, 2, axis=0))
    cases = [measure_case(two, blocks(), id=str(seed)) for seed in range(3)]
    known = summarise(cases, task="segmentation", names=NAMES, channels=["T1", "T2"])
    voxels = two.voxels.copy()
    voxels[1, :, :, 2] = voxels[1, :, :, 6] = 0
    findings = {finding.code: finding.message for finding in check(two.with_voxels(voxels), known)}
    assert findings["slab-constant"].endswith(" of channel 2, and 1 more such places")
    assert any(entry.figure.endswith(" of T2") for entry in compare(measure_case(two), known))


def test_an_unknown_modality_is_a_note() -> None:
    assert found(image(50, modality=None), fingerprint()) == [("modality-unknown", "note")]


def test_an_unknown_modality_is_no_matter_where_training_cases_have_none() -> None:
    known = summarise(
        [measure_case(image(s, modality=None), blocks()) for s in range(9)], task="segmentation", names=NAMES
    )
    assert found(image(50, modality=None), known) == found(image(50), known) == []


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_absolute_values_times_ten_are_told_and_relative_ones_are_not(factor: float) -> None:
    volumes = [image(seed, modality="CT") for seed in range(12)]
    known = summarise([measure_case(v, blocks()) for v in volumes], task="segmentation", names=NAMES)
    assert found(image(50, modality="CT"), known) == []
    assert found(image(50, modality="CT", scale=factor), known) == [("values-outside", "warning")]
    assert found(image(50, scale=factor), fingerprint()) == []


def test_another_unit_is_told_where_the_training_data_have_one() -> None:
    volumes = [replace(image(seed, modality="PT"), unit="g/ml") for seed in range(9)]
    known = summarise([measure_case(v, blocks()) for v in volumes], task="segmentation", names=NAMES)
    assert known.units == {"g/ml": 9}
    assert found(replace(volumes[0], unit="BQML"), known) == [("unit-differs", "warning")]
    assert found(replace(volumes[0], unit=None), known) == []
    computed = summarise(
        [measure_case(image(s, modality="CT"), blocks()) for s in range(9)], task="segmentation", names=NAMES
    )
    assert found(replace(image(50, modality="CT"), unit="HU"), computed) == []


def texture(columns: int = 20, rows: int = 24, seed: int = 0) -> Volume:
    ramp = np.linspace(0, 200, columns)[:, None] + np.random.default_rng(seed).integers(0, 20, (columns, rows))
    return picture(ramp.astype(np.uint8))


def test_pictures_are_told_by_their_shape_and_too_few_pixels() -> None:
    known = summarise([measure_case(texture(seed=s), 0) for s in range(9)], task="classification", names={0: "a"})
    assert found(texture(seed=50), known) == []
    assert found(texture(200, 240), known) == []
    assert ("size-outside", "warning") in found(texture(10, 12), known)
    (finding,) = [entry for entry in check(texture(60, 24), known) if entry.code == "size-outside"]
    assert "the ratio of width to height is 2.5" in finding.message


@pytest.mark.parametrize("plane", [(0, 1), (0, 2), (1, 2)], ids=["axial", "coronal", "sagittal"])
def test_flat_images_of_any_plane_are_known_by_what_lies_in_it(plane: tuple[int, int]) -> None:
    (thin,) = {0, 1, 2} - {*plane}
    affine = np.zeros((4, 4))
    affine[3, 3], affine[thin, 2] = 1, 5.0  # thick slices of small pixels
    affine[plane[0], 0], affine[plane[1], 1] = 0.2, 0.2
    volumes = [Volume(texture(seed=seed).voxels, Geometry(affine, (20, 24, 1))) for seed in range(9)]
    known = summarise([measure_case(volume, 0) for volume in volumes], task="classification", names={0: "a"})
    assert known.plane == plane
    assert known.anisotropy == Spread.of([1])
    assert known.aspect.p50 == pytest.approx(20 / 24)
    assert found(volumes[0], known) == []
    assert {code for code, _ in found(texture(), known)} == {"spacing-outside"}, "a picture that states no size"
    assert "size-outside" in {code for code, _ in found(texture(10, 12), known)}


def test_the_thickness_of_a_single_slice_is_not_compared() -> None:
    def slice_of(thickness: float, seed: int) -> Volume:
        grid = Geometry.from_spacing((1, 1, thickness), (20, 24, 1))
        return Volume(texture(seed=seed).voxels, grid, "CR")

    known = summarise([measure_case(slice_of(1, s), 0) for s in range(9)], task="classification", names={0: "a"})
    assert found(slice_of(30, 50), known) == []
    assert known.anisotropy == Spread.of([1])


def test_a_finding_names_one_training_case_as_one() -> None:
    (finding,) = [
        entry
        for entry in check(image(50, Geometry.from_spacing((1, 1, 9), GRID.shape)), fingerprint(1))
        if entry.code == "spacing-outside"
    ]
    assert finding.message.endswith("by 1 training case")


# limits


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60), st.floats(0, 10))
def test_the_median_and_nearly_all_training_cases_lie_within_the_limits(values: list[float], floor: float) -> None:
    spread = Spread.of(values)
    low, high = shifted(spread, len(values), floor=floor)
    assert low <= spread.p2 <= spread.p50 <= spread.p98 <= high
    assert low <= spread.p50 - floor
    assert high >= spread.p50 + floor


def test_no_one_of_up_to_fifty_training_cases_is_outside() -> None:
    for count in (30, 50):
        spread = Spread.of([1.0] * (count - 1) + [3.0])
        assert scaled(spread, count, factor=1.5)[1] == pytest.approx(3.0)
    assert scaled(Spread.of([1.0] * 199 + [3.0]), 200, factor=1.5)[1] == pytest.approx(1.5)


def test_limits_of_ratios_lie_as_far_on_both_sides() -> None:
    low, high = scaled(Spread.of([2.0] * 9), 9, factor=1.5)
    assert (low, high) == pytest.approx((2 / 1.5, 2 * 1.5))


def test_few_cases_have_wider_limits_than_many() -> None:
    spread = Spread.of(np.arange(101.0))
    few, many = (shifted(spread, cases, floor=0.0) for cases in (5, 5000))
    assert few[0] < many[0] < many[1] < few[1]


def test_comparisons_are_rounded_json_values() -> None:
    entries = [entry.to_json() for entry in compare(measure_case(image(50)), fingerprint())]
    assert {"value", "least", "greatest"} == set(entries[0])
    assert entries[0]["value"] == 1.0
    assert any(entry["greatest"] is None for entry in entries)
    assert isinstance(check(image(50, modality="CT"), fingerprint())[0], Finding)


# real data


def test_other_crops_of_the_hippocampus_are_alike_and_inverted_ones_are_not(shared_data: Path) -> None:
    from medvision import io

    cases = io.scan([shared_data / "msd_hippocampus"]).cases[::4]
    volumes = [replace(io.read_volume(case), modality="MR") for case in cases]
    known = summarise([measure_case(v, 0) for v in volumes[::2]], task="classification", names={0: "a"})
    assert sum(bool(found(volume, known)) for volume in volumes[1::2]) <= 1
    turned = [v.with_voxels(float(v.voxels.max()) - v.voxels.astype(np.float64)) for v in volumes[1::2]]
    assert all(("values-outside", "warning") in found(volume, known) for volume in turned)
