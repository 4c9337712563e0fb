"""The pictures of a case: where a known voxel lands, in which proportions, and what the maps beside it say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pages import page_of, ras_grid, record_on, spot_case, spot_map

from medvision.geometry import Geometry
from medvision.measure import measure
from medvision.report.display import AXIAL, Display, spread
from medvision.report.outlines import outlines, style_of
from medvision.report.wording import fixed
from medvision.results import Saliency
from medvision.volume import Labels, Volume

_ORDERS = [
    "".join(letters) for axes in itertools.permutations(["RL", "AP", "SI"]) for letters in itertools.product(*axes)
]


@pytest.mark.parametrize("order", _ORDERS)
def test_a_known_voxel_lands_where_a_radiologist_expects_it_in_any_axis_order(order: str) -> None:
    ras, at = ras_grid((1.0, 1.0, 1.0), (9, 11, 13)), (2, 3, 9)
    world = ras.to_world(at)
    turned = ras.reoriented(order)
    i, j, k = (round(float(index)) for index in turned.to_index(world))
    page = page_of(*spot_case(turned, (i, j, k)))
    x, y, z = at
    expected = {  # column, row: right, anterior and superior are left, up and up; anterior is left in sagittal cuts
        "Axial": (8 - x, 10 - y, "RLAP", f"z {fixed(world[2], 1)} mm"),
        "Coronal": (8 - x, 12 - z, "RLSI", f"y {fixed(world[1], 1)} mm"),
        "Sagittal": (10 - y, 12 - z, "APSI", f"x {fixed(world[0], 1)} mm"),
    }
    for plane, (column, row, letters, position) in expected.items():
        (cut,) = page.pictures(plane)
        bright = np.unravel_index(cut.pixels().argmax(), cut.pixels().shape)
        assert (int(bright[1]), int(bright[0])) == (column, row)
        assert "".join(cut.letter(side) for side in ("left", "right", "top", "bottom")) == letters
        assert cut.position == position
        assert cut.paths == [_square(column, row)]


def _square(column: int, row: int) -> str:
    """Return the line around one voxel: the corners of a diamond through the middles of its faces."""
    left, right, top, bottom = (
        (column, row + 0.5),
        (column + 1, row + 0.5),
        (column + 0.5, row),
        (column + 0.5, row + 1),
    )
    return "M" + "L".join(f"{x:.4g} {y:.4g}" for x, y in (bottom, left, top, right)) + "Z"


def test_cuts_have_the_proportions_of_the_body_and_not_of_the_voxels() -> None:
    page = page_of(*spot_case(ras_grid((0.5, 1.0, 3.0), (30, 20, 9)), (15, 10, 4)))
    sizes = {plane: page.pictures(plane)[0].size for plane in ("Axial", "Coronal", "Sagittal")}
    assert sizes == {"Axial": (15, 20), "Coronal": (15, 27), "Sagittal": (20, 27)}


def test_seven_cuts_are_spread_over_the_labels_and_surroundings_far_away_are_cropped() -> None:
    geometry = ras_grid((1.0, 1.0, 1.0), (60, 60, 60))
    mask = np.zeros(geometry.shape, np.uint8)
    mask[20:34, 20:34, 20:34] = 1
    labels, volume = Labels(mask, geometry, {1: "cube"}), Volume(np.zeros((1, 60, 60, 60)), geometry)
    page = page_of(record_on(geometry, measurements=measure(labels, volume)), volume, labels)
    cuts = page.pictures("Axial")
    expected = [geometry.to_world((0, 0, k))[2] for k in range(21, 34, 2)]
    assert [cut.position for cut in cuts] == [f"z {fixed(z, 1)} mm" for z in expected]
    assert {cut.size for cut in cuts} == {(34.0, 34.0)}  # 14 and 10 mm on each side
    assert "cropped" in page.text


def test_without_a_label_the_cuts_go_through_the_middle() -> None:
    geometry = ras_grid((1.0, 1.0, 1.0), (20, 20, 20))
    record, volume, labels = spot_case(geometry)
    for mask in (labels, None):
        page = page_of(record, volume, mask)
        places = [float(cut.position.split()[1].replace("\N{MINUS SIGN}", "-")) for cut in page.pictures("Axial")]
        assert len(places) == 7
        assert geometry.to_world((0, 0, 4))[2] <= min(places) < max(places) <= geometry.to_world((0, 0, 15))[2]
        assert "there is no label to outline" in page.text


def test_a_single_slice_is_shown_once_and_large() -> None:
    page = page_of(*spot_case(ras_grid((1.0, 1.0, 5.0), (40, 30, 1)), (3, 4, 0)))
    assert len(page.pictures("Axial")) == 1
    assert not page.pictures("Coronal")
    assert any(tag == "figure" and "alone" in (attrs.get("class") or "") for tag, attrs in page.tags)


def test_a_line_of_voxels_still_has_a_page() -> None:
    page = page_of(*spot_case(ras_grid((1.0, 1.0, 1.0), (9, 1, 1)), (3, 0, 0)))
    assert len(page.pictures("Axial")) == 1


def test_an_oblique_and_a_sheared_grid_are_said_to_be_so() -> None:
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    oblique = page_of(*spot_case(Geometry(turn, (9, 9, 9)), (4, 4, 4)))
    assert "The grid is oblique" in oblique.text
    assert "11.5 degrees" in oblique.text
    turn = np.eye(4)
    turn[1, 2] = 0.3
    sheared = page_of(*spot_case(Geometry(turn, (9, 9, 9)), (4, 4, 4)))
    assert "The grid is sheared" in sheared.text
    assert "The shear itself is not drawn" in sheared.text
    assert "nearest direction" not in page_of(*spot_case(ras_grid((1, 1, 1), (9, 9, 9)), (4, 4, 4))).text


def test_the_position_of_an_oblique_cut_is_that_of_its_middle() -> None:
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    display = Display(Geometry(turn, (9, 9, 9)))
    middle = display.geometry.to_world((4, 4, 7))
    assert display.position_mm(AXIAL, 7, display.whole) == pytest.approx(middle[2])


def test_a_picture_is_shown_as_stored_without_letters_or_millimetres() -> None:
    geometry = Geometry.of_picture(6, 4)
    record, volume, labels = spot_case(geometry, (5, 1, 0))
    page = page_of(record, volume, labels)
    (cut,) = page.pictures("Picture")
    assert cut.pixels().shape == (4, 6)
    assert np.unravel_index(cut.pixels().argmax(), (4, 6)) == (1, 5)
    assert (cut.letters, cut.position) == ([], "")
    assert ("image", "pixels") in [(tag, attrs.get("class")) for tag, attrs in page.tags]
    assert "states neither its orientation nor a size in mm" in page.text
    assert "Pixels" in page.text
    assert "Volume" not in page.text


def test_large_cuts_are_made_smaller_and_keep_their_outlines_in_mm() -> None:
    geometry = ras_grid((0.5, 0.5, 0.5), (600, 500, 3))
    mask = np.zeros(geometry.shape, np.uint8)
    mask[50:550, 50:450, 1] = 1
    labels, volume = Labels(mask, geometry, {1: "slab"}), Volume(np.zeros((1, *geometry.shape), np.uint8), geometry)
    cut = page_of(record_on(geometry), volume, labels).pictures("Axial")[0]
    assert cut.pixels().shape == (200, 240)
    assert cut.size == (300, 250)
    assert cut.paths[0].startswith("M") and "275 " in cut.paths[0]  # noqa: PT018  # the left face, in mm


def test_the_window_is_stated_and_fixed_for_hounsfield_units() -> None:
    geometry = ras_grid((1, 1, 1), (10, 10, 10))
    record, _, labels = spot_case(geometry, (5, 5, 5))
    values = np.full((1, 10, 10, 10), 40.0)
    values[0, 5, 5, 5] = -160.0
    page = page_of(record, Volume(values, geometry, "CT", "HU"), labels)
    assert "Grey from \N{MINUS SIGN}160 HU (black) to 240 HU (white)" in page.text
    assert page.pictures("Axial")[0].pixels().min() == 0
    assert page.pictures("Axial")[0].pixels().max() == 128
    ramp = Volume(np.arange(1000.0).reshape(1, 10, 10, 10), geometry)
    assert "Grey from 4.995 (black) to 994 (white), the 0.5 and 99.5 percentiles" in page_of(record, ramp, labels).text


def test_the_first_of_several_channels_is_shown_and_said_to_be() -> None:
    geometry = ras_grid((1, 1, 1), (5, 5, 5))
    assert "Channel 1 of 3." in page_of(record_on(geometry), Volume(np.zeros((3, 5, 5, 5)), geometry), None).text


@pytest.mark.parametrize("order", ["RAS", "LPS", "SAR", "IPL"])
def test_a_map_stands_beside_the_image_at_its_maximum_with_the_same_crop(order: str) -> None:
    ras = ras_grid((1.0, 1.0, 2.0), (40, 41, 42))
    turned = ras.reoriented(order)
    spot, peak = (
        tuple(int(i) for i in np.round(turned.to_index(ras.to_world(at)))) for at in ((9, 9, 9), (30, 20, 12))
    )
    page = page_of(*spot_case(turned, spot), spot_map(turned, peak))
    maps = page.pictures("map")
    assert len(maps) == 3
    for values in maps:
        image = page.cuts[page.cuts.index(values) - 1]
        assert "image" in (image.attributes["aria-label"] or "")
        assert (image.size, image.position, image.paths) == (values.size, values.position, values.paths)
        assert image.pixels().shape == values.pixels().shape
        assert values.pixels().max() == 255
    assert [values.position for values in maps] == [
        f"{axis} {fixed(at, 1)} mm" for axis, at in zip("zyx", ras.to_world((30, 20, 12))[::-1], strict=True)
    ]


def test_a_map_says_its_method_target_layer_cell_size_scale_and_that_it_is_untested() -> None:
    geometry = ras_grid((1, 1, 1), (9, 9, 9))
    page = page_of(*spot_case(geometry, (4, 4, 4)), spot_map(geometry, (4, 4, 4)))
    words = " ".join(page.text.split())
    for expected in (
        "HiResCAM: spot",
        "layer: decoder.2",
        "cell size mm: 2, 2, 2",
        "0 0.4 0.8",
        "relative, no unit",
        "Untested: a saliency map is a hypothesis",
    ):
        assert expected in words
    entropy = page_of(*spot_case(geometry, (4, 4, 4)), spot_map(geometry, (4, 4, 4), method="entropy", unit="bit"))
    assert "Predictive entropy: spot" in entropy.text
    assert "Untested: entropy shows where the network hesitates" in entropy.text
    other = page_of(
        *spot_case(geometry, (4, 4, 4)), spot_map(geometry, (4, 4, 4), method="my-method", parameters={"coarse": True})
    )
    assert "my-method: spot" in other.text
    assert "its borders say nothing" in other.text
    assert "its borders say nothing" not in words


def test_a_map_that_shows_nothing_is_named_and_not_drawn() -> None:
    geometry = ras_grid((1, 1, 1), (9, 9, 9))
    empty = Saliency(np.full(geometry.shape, 3.0, np.float32), geometry, "hirescam", "spot")
    page = page_of(*spot_case(geometry, (4, 4, 4)), empty)
    assert "No evidence map" in page.text
    assert not page.pictures("map")


def test_a_map_of_a_picture_is_shown_whole() -> None:
    geometry = Geometry.of_picture(6, 4)
    record, volume, _ = spot_case(geometry, (5, 1, 0))
    page = page_of(record, volume, None, spot_map(geometry, (2, 3, 0)))
    (values,) = page.pictures("map")
    assert np.unravel_index(values.pixels().argmax(), (4, 6)) == (3, 2)


def test_lines_of_28_labels_can_be_told_apart() -> None:
    assert len({(style_of(at).colour, style_of(at).dash) for at in range(28)}) == 28


def test_an_outline_keeps_holes_and_leaves_out_points_on_straight_lines() -> None:
    cut = np.zeros((7, 7), np.uint8)
    cut[1:6, 1:6] = 1
    cut[3, 3] = 0
    (line,) = outlines(cut, {2: "absent", 1: "ring"}, (14.0, 7.0))
    assert line.name == "ring"
    assert line.style == style_of(1)
    outer, hole = line.path.split("Z")[:2]
    assert outer.count("L") == 7  # a square with its corners cut
    assert hole.count("L") == 3


@pytest.mark.parametrize(("start", "stop", "count"), [(0, 1, 7), (3, 10, 7), (0, 256, 7), (5, 7, 3)])
def test_places_of_cuts_lie_inside_and_are_never_repeated(start: int, stop: int, count: int) -> None:
    places = spread(start, stop, count)
    assert len(places) == len(set(places)) == min(count, stop - start)
    assert start <= min(places) <= max(places) < stop
