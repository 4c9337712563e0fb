"""The card of a pretraining is read again as it was written, or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medvision.errors import Finding, PipelineError
from medvision.workflows.pretrain import PretrainingResult
from medvision.workflows.training_folder.pretraining_card import PretrainingCard

CARD = PretrainingCard(
    sha256="0" * 64,
    licence=None,
    method="masked",
    method_settings={"ratio": 0.75},
    pipeline="blobs",
    left_out=("output_block.",),
    network={"use": "dynunet"},
    steps=[{"use": "zscore"}],
    contract={"modality": "MR"},
    data={"images": 6},
    results=("Of what is hidden ...",),
    trained_with={"seed": "0"},
)


def test_a_card_is_read_as_it_was_written_also_with_another_licence(tmp_path: Path) -> None:
    for card in (CARD, replace(CARD, licence="CC0")):
        card.save(tmp_path / "weights.json")
        assert PretrainingCard.read(tmp_path / "weights.json") == card
    assert next(iter(json.loads((tmp_path / "weights.json").read_text()).items())) == (
        "schema",
        "medvision.pretraining/1",
    )


@pytest.mark.parametrize(
    "changes", [{"schema": "medvision.pretraining/2"}, {"schema": None}, {"results": 3}, {"unknown": 1}, {"data": None}]
)
def test_a_card_of_anything_else_or_damaged_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    CARD.save(tmp_path / "weights.json")
    content = json.loads((tmp_path / "weights.json").read_text())
    (tmp_path / "weights.json").write_text(json.dumps(content | changes))
    with pytest.raises(PipelineError, match="no readable card"):
        PretrainingCard.read(tmp_path / "weights.json")


def test_a_result_without_a_folder_is_written_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    PretrainingResult(None, "masked", refused=(Finding("unreadable", "error", "no image"),)).write()
    assert list(tmp_path.iterdir()) == []
