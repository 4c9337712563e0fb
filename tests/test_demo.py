"""The demo: both hippocampi of the template, the right one mirrored, plausible volumes, a page that says what it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medvision.geometry import Geometry
from medvision.volume import Volume
from medvision.workflows.demo import CENTRES_MM, cut_around, demo


def test_a_cut_lies_around_its_centre_in_whole_voxels() -> None:
    grid = Geometry.from_spacing((1, 1, 1), (120, 120, 120)).cropped((-60, -60, -60), (60, 60, 60))
    volume = Volume(np.arange(120**3, dtype=np.float32).reshape(1, 120, 120, 120), grid)
    for centre in CENTRES_MM.values():
        for orientation in ("RAS", "LPI"):
            cut = cut_around(volume.onto(grid.reoriented(orientation)), centre)
            assert cut.geometry.shape == (36, 52, 36)
            middle = cut.geometry.to_world([(size - 1) / 2 for size in cut.geometry.shape])
            assert np.abs(middle - centre).max() <= 0.5
            assert np.isin(cut.voxels, volume.voxels).all()


def test_the_demo_finds_two_plausible_hippocampi_and_says_that_this_is_a_template(tmp_path: Path) -> None:
    pytest.importorskip("nilearn", reason="the extra [demo] is not installed")
    result = demo(tmp_path)
    assert (result.count("done"), result.exit_code()) == (2, 0)
    volumes = {}
    for side in ("left", "right"):
        folder = tmp_path / "cases" / f"mni152_{side}"
        record = json.loads((folder / "record.json").read_text())
        assert record["checks"]["orientation"] == ("as stored" if side == "left" else "mirrored left to right")
        warnings = {finding["code"] for finding in record["findings"] if finding["grade"] == "warning"}
        # The template's hippocampus is longer than the field of view, and an average of heads is smoother than a head.
        assert warnings <= {"label-at-edge", "values-outside"}
        volumes[side] = sum(entry["volume_ml"] for entry in record["measurements"])
        front, back = (np.array(entry["centroid_ras_mm"]) for entry in record["measurements"])
        assert front[1] > back[1] + 10
        assert np.sign(front[0]) == np.sign(CENTRES_MM[side][0])
        assert "template" in (folder / "report.html").read_text(encoding="utf-8")
    assert all(3.2 < volume < 6.0 for volume in volumes.values())  # a template larger than most heads
    assert abs(volumes["left"] - volumes["right"]) < 0.6
    assert "template" in (tmp_path / "index.html").read_text(encoding="utf-8")
