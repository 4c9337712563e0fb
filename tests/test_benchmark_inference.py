"""What benchmarks/inference.py measures and compares, on answers that are known by hand; nnU-Net is not needed."""

from __future__ import annotations

import json
import sqlite3
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import write_nifti

from medvision.geometry import Geometry

ROOT = Path(__file__).resolve().parent.parent
GIB = 2**30


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that imports; a run on an installed wheel has no benchmarks beside its tests."""
    if not (ROOT / "benchmarks" / "inference.py").exists():
        pytest.skip("benchmarks/ is not here")
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: import_module(f"benchmarks.{name}")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def run_of(module: Any, wall_s: float = 10.0, **more: Any) -> Any:
    given = {"cpu_s": 4.0, "peak_bytes": GIB, "status": 0, "over_limit": False, "lines": ()} | more
    return module("inference_process").Measured(wall_s, **given)


def test_memory_and_time_of_child_processes_count(module: Any) -> None:
    child = "import time; kept = b'x' * 300_000_000; time.sleep(1.0)"
    busy = "import time; start = time.process_time()\nwhile time.process_time() - start < 0.5: pass"
    code = f"import subprocess, sys; a = subprocess.Popen([sys.executable, '-c', {child!r}]);"
    code += f"b = subprocess.Popen([sys.executable, '-c', {child!r}]); a.wait(); b.wait();"
    code += f"subprocess.run([sys.executable, '-c', {busy!r}]); print('said')"
    run = module("inference_process").measured(python(code))
    assert run.status == 0
    assert not run.over_limit
    assert 600e6 < run.peak_bytes < 900e6
    assert 0.5 < run.cpu_s < 5.0
    assert run.wall_s > 1.5
    assert [line for _, line in run.lines] == ["said"]
    assert 1.5 < (run.second_of("sa") or 0) <= run.wall_s
    assert run.second_of("nothing") is None


def test_a_command_beyond_its_memory_is_killed(module: Any) -> None:
    code = "import time; kept = b'x' * 300_000_000; time.sleep(60)"
    run = module("inference_process").measured(python(code), limit_bytes=200_000_000)
    assert run.over_limit
    assert run.status == -9
    assert run.wall_s < 30


def test_memory_of_a_process_that_has_ended_is_none(module: Any) -> None:
    assert module("inference_process").memory_of(2**22 + 1) == 0


def test_the_parts_of_a_run_of_nnunet_add_up_to_its_time(module: Any) -> None:
    said = [
        (5.0, "There are 2 cases in the source folder"),
        (15.0, "Predicting a:"),
        (20.0, "sending off prediction to background worker for resampling and export"),
        (21.0, "Predicting b:"),
        (27.0, "sending off prediction to background worker for resampling and export"),
        (30.0, "Segmentation export complete."),
    ]
    parts = module("nnunet.predict").parts(run_of(module, 32.0, lines=tuple(said)))
    assert parts == module("nnunet.predict").Parts(5.0, 10.0, 11.0, 1.0, 3.0, 2.0)
    assert module("nnunet.predict").parts(run_of(module, lines=tuple(said[:-1]))) is None


def write_mask(path: Path, values: list[int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.array(values, dtype=np.uint8).reshape(2, 2, 2)
    return write_nifti(path, voxels, Geometry.from_spacing((1, 1, 1), (2, 2, 2)))


def test_dice_is_the_mean_over_the_labels_of_the_truth(module: Any, tmp_path: Path) -> None:
    truth = write_mask(tmp_path / "truth" / "a.nii", [1, 1, 2, 2, 0, 0, 0, 0])
    found = write_mask(tmp_path / "found" / "a.nii", [1, 0, 2, 2, 0, 0, 0, 3])
    scores = module("inference_scores").scores({"a": found}, {"a": truth}, {"a": truth})
    assert scores.dice == {"a": pytest.approx((2 / 3 + 1) / 2)}
    assert scores.same == {"a": 6 / 8}
    assert scores.mean_dice == pytest.approx(5 / 6)
    assert module("inference_scores").scores({"a": found}, {}, {}).mean_dice is None


def test_a_difference_of_dice_is_signed_and_paired(module: Any) -> None:
    scores = module("inference_scores")
    worse = scores.Scores({str(n): 0.5 + n / 100 for n in range(8)}, {})
    better = scores.Scores({str(n): 0.6 + n / 100 for n in range(8)}, {})
    found = scores.dice_difference(better, worse)
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert scores.dice_difference(scores.Scores({}, {}), worse) is None


def made(module: Any, name: str, seconds: list[float], values: list[int], status: int = 0) -> Any:
    """Return a contender that took so long in each round, and found so."""
    left = iter(seconds)

    def go(out: Path) -> Any:
        for case in ("a", "b"):
            write_mask(out / f"{case}.nii", values)
        return run_of(module, next(left), status=status)

    contenders = module("inference_contenders")
    return contenders.Contender(name, go, lambda out, case: out / f"{case}.nii", lambda run, out: {"network": 2.0})


def test_contenders_take_turns_and_are_held_against_the_first(module: Any, tmp_path: Path) -> None:
    inference = module("inference")
    truth = {case: write_mask(tmp_path / "truth" / f"{case}.nii", [1, 1, 0, 0, 0, 0, 0, 0]) for case in "ab"}
    pair = [
        made(module, "slow", [10.0, 30.0, 20.0], [1, 1, 0, 0, 0, 0, 0, 0]),
        made(module, "quick", [5.0, 3.0, 2.0], [1, 1, 1, 0, 0, 0, 0, 0]),
        made(module, "broken", [1.0, 1.0, 1.0], [0] * 8, status=-9),
    ]
    turns = inference.in_turns(pair, ["a", "b"], truth, 3, tmp_path)
    text = inference.table(turns)
    assert "| slow | 20.0 (10.0 to 30.0) | 1.0 (1.0 to 1.0) | 4.0 | 1.00 | 1.0000 |  |  |" in text
    assert "| quick | 3.0 (2.0 to 5.0) | 10.0 (2.0 to 10.0) | 4.0 | 1.00 | 0.8000 | -0.2000 | 87.5000 %" in text
    assert "| failed (-9) |" in text
    assert "| quick |  | network 2.0 |" in inference.where_table(turns)
    assert "| broken |  | not told |" in inference.where_table(turns)
    figures = json.loads(json.dumps(inference.as_json(turns)))
    assert figures["quick"][0]["same"] == {"a": 0.875, "b": 0.875}
    assert "dice" not in figures["broken"][0]
    assert not (tmp_path / "out").exists()


def test_the_truth_of_a_case_may_be_unknown(module: Any, tmp_path: Path) -> None:
    write_mask(tmp_path / "a.nii.gz", [0] * 8)
    assert module("inference").truths(tmp_path, ["a", "b"]) == {"a": tmp_path / "a.nii.gz"}
    assert module("inference").truths(None, ["a"]) == {}


def test_the_ledger_tells_what_start_and_end_took(module: Any, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.sqlite") as ledger:
        ledger.execute("create table runs (seconds)")
        ledger.execute("create table cases (seconds)")
        ledger.execute("insert into runs values (7.5)")
        ledger.executemany("insert into cases values (?)", [(3.0,), (4.0,), (None,)])
    ledger.close()
    found = module("inference_contenders").ledger_parts(run_of(module, 10.0), tmp_path)
    assert found == {"start and end": 2.5, "batch": 7.5, "cases together": 7.0}


def test_the_records_tell_which_engines_were_used(module: Any, tmp_path: Path) -> None:
    for case, engine in {"a": "torch-fp32", "b": "openvino-bf16", "c": "torch-fp32"}.items():
        (tmp_path / "cases" / case).mkdir(parents=True)
        (tmp_path / "cases" / case / "record.json").write_text(json.dumps({"manifest": {"engine": engine}}))
    assert module("inference_contenders").engines_of(tmp_path) == "openvino-bf16, torch-fp32"


def test_images_are_linked_by_the_names_of_their_cases(module: Any, tmp_path: Path) -> None:
    images = tmp_path / "imagesTs"
    for name in ("b_0000.nii.gz", "a_0000.nii.gz", "notes.txt"):
        images.mkdir(exist_ok=True)
        (images / name).write_text(name)
    contenders = module("inference_contenders")
    work = contenders.Work(tmp_path, [0], images, True, Path("python"), tmp_path / "scratch")
    assert work.cases == ["a", "b"]
    assert (contenders.linked(work) / "a.nii.gz").read_text() == "a_0000.nii.gz"


def test_an_enlarged_image_has_the_shape_and_spacing_asked_for(module: Any, tmp_path: Path) -> None:
    import nibabel

    small = write_nifti(
        tmp_path / "a.nii.gz", np.arange(24.0).reshape(2, 3, 4), Geometry.from_spacing((1, 1, 1), (2, 3, 4))
    )
    made = module("nnunet.cases").enlarged(small, tmp_path / "out" / "b", (8, 9, 10), 0.5)
    image = nibabel.load(made)
    assert made.name == "b_0000.nii.gz"
    assert image.shape == (8, 9, 10)
    assert np.allclose(image.header.get_zooms(), 0.5)


def test_the_cases_kept_apart_share_no_head_with_the_training(module: Any, tmp_path: Path) -> None:
    data = tmp_path / "data"
    listed = []
    for number in range(24):
        image, label = f"imagesTr/h_{number:03d}.nii.gz", f"labelsTr/h_{number:03d}.nii.gz"
        listed.append({"image": f"./{image}", "label": f"./{label}", "subject": f"pair{(number + 1) // 2:03d}"})
        for path in (image, label):
            (data / path).parent.mkdir(parents=True, exist_ok=True)
            (data / path).write_text(path)
    described = {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "one"}, "training": listed}
    (data / "dataset.json").write_text(json.dumps(described))
    hippocampus = module("nnunet.hippocampus")
    hippocampus.raw_dataset(hippocampus.TRAININGS["coarse"], data, tmp_path)
    apart = sorted(path.name for path in (tmp_path / "imagesTs").iterdir())
    raw = tmp_path / "raw" / "Dataset004_Hippocampus"
    assert apart == [f"h_{number:03d}_0000.nii.gz" for number in range(4, 24)]
    assert sorted(path.name for path in (raw / "imagesTr").iterdir()) == [f"h_{n:03d}_0000.nii.gz" for n in range(3)]
    assert json.loads((raw / "dataset.json").read_text())["labels"] == {"background": 0, "one": 1}


def test_torchvision_finds_its_operators_named(module: Any, tmp_path: Path) -> None:
    environment = module("nnunet.environment")
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    environment._shim(tmp_path)
    (site / "torch").mkdir()
    (site / "torch" / "__init__.py").write_text("from torch import library\n")
    library = "named = []\nclass Library:\n    def __init__(self, *of): named.append(of)\n"
    library += "    def define(self, words): named.append(words.partition('(')[0])\n"
    (site / "torch" / "library.py").write_text(library)
    (site / "torchvision.py").write_text("import torch\nprint(*torch.library.named[1:])\n")
    code = "import sys; assert 'torch' not in sys.modules; import torchvision"
    run = module("inference_process").measured(python(code), {"PYTHONPATH": str(site)})
    assert [line for _, line in run.lines] == ["nms qnms"]


def test_nnunet_keeps_what_it_writes_below_one_folder(module: Any, tmp_path: Path) -> None:
    found = module("nnunet.environment").variables(tmp_path, threads=1)
    assert found["nnUNet_results"] == str(tmp_path / "results")
    assert found["OMP_NUM_THREADS"] == "1"
    assert Path(found["nnUNet_extTrainer"], "short.py").exists()
