"""A small part of the fuzz run of benchmarks/, and what the run itself must hold to."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module; a run on an installed wheel has no benchmarks beside its tests."""
    if not (ROOT / "benchmarks" / "fuzz.py").exists():
        pytest.skip("benchmarks/ is not here")
    monkeypatch.syspath_prepend(ROOT)
    return import_module("benchmarks.fuzz")


def test_four_hundred_damaged_files_end_in_values_or_reasoned_refusals(fuzz: Any) -> None:
    good = fuzz.seeds()
    results = fuzz.fuzz([fuzz.draw(good, number, 3) for number in range(400)])
    assert len(results) == 400
    assert [fuzz.summary([result]) for result in results if not result.is_good] == []
    assert max(result.grown_mb for result in results) < 200


def test_undamaged_seeds_are_read_or_passed_over_for_what_they_are(fuzz: Any) -> None:
    results = fuzz.fuzz([fuzz.Recipe(name, ()) for name in fuzz.seeds()])
    outcomes = {result.recipe.seed: (result.outcome, result.detail) for result in results}
    read = {name for name, (outcome, _) in outcomes.items() if outcome == "values"}
    assert set(outcomes) - read <= {"rt-struct"}, outcomes


def test_a_recipe_makes_the_same_file_again_after_json(fuzz: Any) -> None:
    good, anew = fuzz.seeds(), fuzz.seeds()
    for number in range(200):
        recipe = fuzz.draw(good, number, 5)
        again = fuzz.Recipe.of_json(json.loads(json.dumps(recipe.as_json())))
        assert again.made(anew[recipe.seed]) == recipe.made(good[recipe.seed])


def test_a_breach_is_counted_kept_and_replayed(
    fuzz: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--count", "3", "--out", str(tmp_path), "--memory-mb", "-1"]
    assert fuzz.main(arguments) == 1
    assert "3  too much memory" in capsys.readouterr().out
    kept = sorted(tmp_path.glob("*.json"))
    assert len(kept) == 3
    assert fuzz.main(["--replay", *map(str, kept), "--memory-mb", "-1"]) == 1
    assert fuzz.main(["--replay", *map(str, kept)]) == 0
