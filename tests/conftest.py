"""Fixtures that more than one test file needs."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fault_runs import untried
from phantoms import spheres, write_nifti

from medvision.geometry import Geometry
from medvision.pipeline import PipelineFolder
from medvision.resampling import resample
from medvision.workflows import run
from medvision.workflows.train import train

_SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"

# Tiny networks are slower on two threads than on one, and much slower beside another load. torch is not imported yet.
os.environ.setdefault("OMP_NUM_THREADS", "1")

collect_ignore_glob = ["torture*.py"]  # builders: the search for doctests would enter them a second time

SPHERES_TOML = """
name = "spheres"
task = "segmentation"
description = "Two spheres"
[contract]
shows = "two bright spheres"
modality = "MR"
[labels]
1 = "dim"
2 = "bright"
[[steps]]
use = "reorient"
[[steps]]
use = "resample"
spacing_mm = [2.0, 2.0, 2.0]
[[steps]]
use = "rescale"
source = [0.0, 200.0]
[network]
use = "dynunet"
channels = [8, 8, 8]
[predict]
window = [16, 16, 16]
[[explain]]
use = "seg-hirescam"
[train]
epochs = 4
steps_per_epoch = 40
batch = 2
patch = [16, 16, 16]
optimiser = "adamw"
learning_rate = 0.01
precision = "fp32"
"""

TURN = np.array([[0.96, -0.28, 0.0, 12.0], [0.28, 0.96, 0.0, -30.0], [0.0, 0.0, 1.0, 5.0], [0.0, 0.0, 0.0, 1.0]])
OBLIQUE = Geometry(TURN @ np.diag([2.0, 2.0, 2.0, 1.0]), (24, 14, 12))


def write_sphere_data(folder: Path) -> Path:
    """Write eight images of spheres with their labels, two a patient, and return the manifest."""
    grid = Geometry.from_spacing((2, 2, 2), (24, 14, 12))
    rows = []
    for number in range(8):
        image, labels = spheres(grid, noise=5, seed=number)
        write_nifti(folder / f"image{number}.nii.gz", image, grid)
        write_nifti(folder / f"label{number}.nii.gz", labels, grid)
        names = (f"image{number}.nii.gz", f"label{number}.nii.gz")
        rows.append({"image": names[0], "label": names[1], "patient": f"p{number // 2}", "modality": "MR"})
    with (folder / "cases.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "cases.csv"


@pytest.fixture(scope="session", autouse=True)
def engines_untried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """Let runs take torch in fp32 without trying engines, each of which takes seconds; they have tests of their own.

    Nothing is kept in the user's own cache.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patched.setattr(run, "chosen_engine", untried)
        yield patched


@pytest.fixture(scope="module", autouse=True)
def in_this_process(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let runs analyse in this process where no number of workers is asked for: another one loads torch for seconds.

    But for the tests on what other processes and machines do.
    """
    if any(word in request.module.__name__ for word in ("faults", "cluster", "workers", "engine")):
        yield
        return
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run, "workers_for", lambda cases, engine, wanted=None: wanted or 0)
        yield


@pytest.fixture(scope="session")
def shared_data(request: pytest.FixtureRequest) -> Path:
    """Return the folder of real data beside the repository; the test is left out where there is none."""
    folder = request.config.getoption("--data")
    path = Path(folder) if folder else _SHARED
    if not path.is_dir():
        pytest.skip("no folder of real data: give one with --data")
    return path


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--data", default=None, help="folder of real data (default: shared/data beside the repository)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = [r for r in terminalreporter.stats.get("skipped", []) if "no folder of real data" in str(r.longrepr)]
    if left_out:
        terminalreporter.write_line(f"{len(left_out)} tests on real data were left out: no such folder here")


@pytest.fixture(scope="session")
def docs() -> Path:
    """Return the folder of documentation; the test is left out where the tests lie beside an installed wheel alone."""
    path = Path(__file__).resolve().parent.parent / "docs"
    if not path.is_dir():
        pytest.skip("docs/ is not here")
    return path


@pytest.fixture(scope="session")
def sphere_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a pipeline folder trained, for seconds, to find two spheres by their brightness."""
    folder = tmp_path_factory.mktemp("spheres")
    (folder / "settings").mkdir()
    (folder / "settings" / "pipeline.toml").write_text(SPHERES_TOML, encoding="utf-8")
    train(PipelineFolder.open(folder / "settings"), [write_sphere_data(folder / "data")], folder / "trained")
    return folder / "trained"


@pytest.fixture
def sphere_inputs(tmp_path: Path) -> Path:
    """Return a folder of four images of spheres, each stored in another order of axes, on an oblique grid."""
    for number, orientation in enumerate(("RAS", "LPS", "SAR", "PIL")):
        grid = OBLIQUE.reoriented(orientation)
        image, _ = spheres(OBLIQUE, noise=5, seed=100 + number)
        write_nifti(tmp_path / "in" / f"case{number}.nii.gz", resample(image, OBLIQUE, grid), grid)
    return tmp_path / "in"
