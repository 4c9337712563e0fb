"""What a training keeps of itself is read whole, or refused with the file's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from medvision.errors import PipelineError, UsageError
from medvision.workflows.training_folder.state import state_in


def test_a_block_gets_what_a_file_holds(tmp_path: Path) -> None:
    (tmp_path / "done.json").write_text('{"seconds": 3}')
    with state_in(tmp_path / "done.json") as content:
        assert content == {"seconds": 3}


@pytest.mark.parametrize("text", [None, "", "{", "[]", "[" * 100_000, "{}", '{"cases": null}', '{"cases": [{}]}'])
def test_a_file_that_is_damaged_or_lacks_what_is_looked_for_is_refused_by_its_name(
    tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "done.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PipelineError, match="cannot be read") as caught, state_in(path) as content:
        assert [entry["case"] for entry in content["cases"]]
    assert (caught.value.code, caught.value.path) == ("weights-mismatch", path)
    assert "remove this one" in str(caught.value.finding.cure)


def test_what_a_block_refuses_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "done.json").write_text("{}")
    refusal = UsageError("usage", "another")
    with pytest.raises(UsageError) as caught, state_in(tmp_path / "done.json"):
        raise refusal
    assert caught.value is refusal
