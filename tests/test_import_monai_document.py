"""A bundle's configuration is data: what it refers to is followed, and an expression stays the words that it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medvision.errors import PipelineError
from medvision.importing.monai_bundle import document
from medvision.importing.monai_bundle.component import NEEDED, Component, Expression
from medvision.importing.monai_bundle.document import Document


def opened(tmp_path: Path, content: Any) -> Document:
    path = tmp_path / "inference.json"
    path.write_text(json.dumps(content))
    return Document.open(path)


def refused(tmp_path: Path, content: Any, name: str = "a") -> str:
    with pytest.raises(PipelineError) as caught:
        opened(tmp_path, content).part(name)
    assert caught.value.code == "import-unsupported"
    assert caught.value.path == tmp_path / "inference.json"
    return caught.value.finding.message


def test_plain_values_stand_as_they_are_and_what_is_not_there_is_none(tmp_path: Path) -> None:
    found = opened(tmp_path, {"a": {"b": [1, 2.5, None, True, "word"]}})
    assert found.part("a") == {"b": [1, 2.5, None, True, "word"]}
    assert found.part("b") is None


def test_references_are_followed_through_tables_lists_and_each_other(tmp_path: Path) -> None:
    content = {"a": ["@b", "@c#d#1", "@c::e"], "b": "@c#d", "c": {"d": [3, 4], "e": "@f"}, "f": "last"}
    assert opened(tmp_path, content).part("a") == [[3, 4], 4, "last"]


def test_a_table_with_a_target_is_a_component_at_its_own_place_wherever_it_was_referred_to(tmp_path: Path) -> None:
    content = {"a": {"inner": "@b"}, "b": {"_target_": "monai.transforms.Spacingd", "_desc_": "words", "pixdim": "@c"}}
    found = opened(tmp_path, content | {"c": 2.0}).part("a")["inner"]
    assert isinstance(found, Component)
    assert (found.name, found.place, found.arguments) == ("Spacingd", "b", {"pixdim": 2.0})


def test_an_expression_is_no_fault_until_its_value_is_needed_and_is_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    words = f"$__import__('pathlib').Path({str(mark)!r}).touch()"
    content = {"a": {"_target_": "T", "used": words, "unused": words}, "b": words, "c": "%other.json::x"}
    found = opened(tmp_path, content)
    component = found.part("a")
    assert (found.part("b"), found.part("c")) == (Expression(words), Expression("%other.json::x"))
    assert component.read({}, ignored=("used", "unused")) == {}
    with pytest.raises(PipelineError, match=r"a\.used is \$__import__.*nothing of a bundle is run here") as caught:
        component.read({"used": NEEDED}, ignored=("unused",))
    assert "Write the value itself" in str(caught.value.finding)
    assert not mark.exists()


def test_what_is_disabled_is_left_out(tmp_path: Path) -> None:
    off = {"_target_": "T", "_disabled_": True}
    content = {"a": [off, {"_target_": "U", "_disabled_": "@no"}], "no": False, "b": off, "c": {"d": off, "e": 1}}
    found = opened(tmp_path, content)
    assert [part.name for part in found.part("a")] == ["U"]
    assert found.part("b") is None
    assert found.part("c") == {"e": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": "@b", "b": "@a"}, "the reference '@b' leads back to itself"),
        ({"a": {"b": "@a"}}, "the reference '@a' leads back to itself"),
        ({"a": "@b"}, "a: the reference '@b' leads nowhere in this file"),
        ({"a": "@b#2", "b": [1]}, "leads nowhere"),
        ({"a": "@##b", "b": 1}, "leads nowhere"),
        ({"a": "@b#c", "b": "@d", "d": {"c": 1}}, "the reference '@b#c' leads through another one"),
        ({"a": {"_target_": "T", "_disabled_": "$1 > 0"}}, "a._disabled_: whether it is used cannot be told"),
        ({"a": {"_target_": "$T"}}, "a._target_: what it is cannot be told"),
        ({"a": {"_target_": "T", "_mode_": "debug"}}, "a._mode_: only the mode 'default' is read"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_its_place(tmp_path: Path, content: Any, words: str) -> None:
    assert words in refused(tmp_path, content)


def test_references_cannot_grow_without_end(tmp_path: Path) -> None:
    doubling = {f"x{n}": [f"@x{n + 1}"] * 8 for n in range(9)} | {"x9": 1, "a": "@x0"}
    assert "its references lead too far" in refused(tmp_path, doubling)
    deep: Any = 1
    for _ in range(60):
        deep = [deep]
    assert "its references lead too far" in refused(tmp_path, {"a": deep})


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe{", b"[" * 100_000])
def test_what_is_no_table_of_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(PipelineError, match="JSON") as caught:
        Document.open(tmp_path / "a.json")
    assert caught.value.code == "import-invalid"


def test_a_file_that_is_missing_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PipelineError, match="cannot be read"):
        Document.open(tmp_path / "none.json")
    monkeypatch.setattr(document, "LIMIT_BYTES", 2)
    with pytest.raises(PipelineError, match="more than 2 bytes"):
        opened(tmp_path, {"a": 1})


def component(**arguments: Any) -> Component:
    return Component(Path("inference.json"), "place", "Thing", arguments)


def test_every_argument_is_accounted_for() -> None:
    found = component(a=1, kept=[3, 3], word="CONSTANT", dtype="$np.float32", device="$x")
    read = found.read({"a": 0, "b": 7}, fixed={"kept": 3, "word": "constant"}, floats=("dtype",), ignored=("device",))
    assert read == {"a": 1, "b": 7}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"c": 1}, "place.c is 1: Thing with it is not known here"),
        ({}, "place.a: Thing needs it"),
        ({"a": {"deep": [Expression("$1")]}}, "only MONAI could work that out"),
        ({"a": 1, "kept": 4}, "place.kept is 4: only 3 can be done here"),
        ({"a": 1, "kept": Expression("$3")}, "place.kept is $3: only MONAI could work that out"),
        ({"a": 1, "dtype": "$np.float16"}, "place.dtype is '$np.float16': only numbers of 32 or 64 bits"),
        ({"a": 1, "dtype": Expression("$np.uint8")}, "place.dtype is $np.uint8: only numbers of 32 or 64 bits"),
        ({"a": 1, "dtype": 3}, "only numbers of 32 or 64 bits"),
        ({"b": "x\n" * 90, "a": 1}, "..."),
    ],
)
def test_an_argument_that_changes_what_is_done_is_refused_by_name(arguments: dict[str, Any], words: str) -> None:
    known = {"a": NEEDED} if "b" not in arguments else {"a": NEEDED, "z": 1}
    with pytest.raises(PipelineError) as caught:
        component(**arguments).read(known, fixed={"kept": 3}, floats=("dtype",))
    assert words in caught.value.finding.message
    assert caught.value.finding.message.isprintable()
