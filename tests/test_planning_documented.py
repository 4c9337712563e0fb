"""The page of the rules says what the code does."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import medvision.planning


def constants() -> dict[str, str]:
    """Return the value of every constant that a module of the rules states itself."""
    found = {}
    for module in pkgutil.iter_modules(medvision.planning.__path__):
        loaded = importlib.import_module(f"medvision.planning.{module.name}")
        tree = ast.parse(Path(str(loaded.__file__)).read_text(encoding="utf-8"))
        names = [target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]  # type: ignore[attr-defined]
        for name in names:
            if name.isupper() and not name.startswith("_") and module.name != "decision":
                found[f"{module.name}.{name}"] = repr(getattr(loaded, name))
    return found


def test_the_page_of_the_rules_states_every_constant_as_the_code_has_it(docs: Path) -> None:
    page = (docs / "explanation" / "planning.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+\.\w+)` \| `(.+?)` \|", page, re.MULTILINE)
    assert dict(rows) == constants()
    assert len(rows) == len(constants())
