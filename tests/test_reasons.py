"""Every reason code is explained, in use, and said in sentences; the code uses no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

import medvision
import medvision_cli.app
from medvision import errors
from medvision.reasons import REASONS, SECTIONS

FOLDERS = [Path(package.__file__).parent for package in (medvision, medvision_cli)]
LONGEST = 110


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for folder in FOLDERS:
        for path in sorted(folder.rglob("*.py")):
            if path.parent.name != "reasons":
                yield path, ast.parse(path.read_text("utf-8"))


def constants(node: ast.AST) -> set[str]:
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def kinds_of_error(base: type = errors.MedvisionError) -> Iterator[str]:
    yield base.__name__
    for kind in base.__subclasses__():
        yield from kinds_of_error(kind)


def test_a_code_stands_in_one_section_alone_and_in_small_letters() -> None:
    assert len(REASONS) == sum(map(len, SECTIONS.values()))
    assert all(code.replace("-", "").isalnum() and code.islower() for code in REASONS)


@pytest.mark.parametrize("part", ["what", "why", "cure"])
def test_meaning_consequence_and_cure_are_short_sentences(part: str) -> None:
    told = {code: getattr(reason, part) for code, reason in REASONS.items()}
    commands = ("pip install", "--")
    for code, text in told.items():
        last = text.split(": ")[-1]
        assert text.endswith(".") or last.startswith(commands), code
        assert text[0].isupper(), code
        assert " " in text, code
        assert len(text) <= LONGEST, code
    assert len(set(told.values())) > len(told) * 0.8, "most codes have their own words"


def test_no_two_codes_mean_the_same() -> None:
    meanings = [reason.what for reason in REASONS.values()]
    assert len(set(meanings)) == len(meanings)


def test_every_code_is_in_use() -> None:
    used = set().union(*(constants(tree) for _, tree in trees()))
    assert sorted(REASONS.keys() - used) == []


def test_every_code_that_is_raised_or_told_is_in_the_table() -> None:
    makers = {"Finding", *kinds_of_error()}
    seen = set()
    for path, tree in trees():
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in makers and call.args:
                code = call.args[0]
                if isinstance(code, ast.Constant):
                    assert code.value in REASONS, f"{path.name}, line {code.lineno}"
                    seen.add(code.value)
    assert len(seen) > len(REASONS) / 2  # the others are chosen from a table


def test_every_option_that_a_cure_names_is_one_of_a_command() -> None:
    known = {*options(get_command(medvision_cli.app.app)), "--help"}
    named = {word for reason in REASONS.values() for word in re.findall(r"--[a-z-]+", reason.cure)}
    assert named
    assert sorted(named - known) == []


def options(command: object) -> Iterator[str]:
    for parameter in getattr(command, "params", ()):
        yield from parameter.opts
    for inner in getattr(command, "commands", {}).values():
        yield from options(inner)
