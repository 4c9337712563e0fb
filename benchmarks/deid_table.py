"""Build the table of de-identification from its public sources, or compare it with them.

    pip install dicom-anonymizer==2.1.0
    python benchmarks/deid_table.py [--options FILE] [--check]

The table is that of DICOM PS3.15, table E.1-1. The basic actions are taken from the lists of edition 2026c in the
package dicom-anonymizer (BSD), the keywords from pydicom. No package that is free to use carries the columns of the
options of that edition: they stay as they are in profile.json (edition 2024c), unless FILE holds them in the form of
``confidentiality_profile_attributes.json``, which the parser of https://github.com/innolitics/dicom-standard makes of
the standard's page. ``--check`` writes nothing, and ends with 1 where the table would change.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent.parent / "medvision" / "deid" / "profile.json"
EDITION = "2026c"
LISTS = {
    "D_TAGS": "D",
    "Z_TAGS": "Z",
    "X_TAGS": "X",
    "U_TAGS": "U",
    "Z_D_TAGS": "Z/D",
    "X_Z_TAGS": "X/Z",
    "X_D_TAGS": "X/D",
    "X_Z_D_TAGS": "X/Z/D",
    "X_Z_U_STAR_TAGS": "X/Z/U*",
}
GROUPS = {(0x5000, 0x0000): "50xxxxxx", (0x6000, 0x3000): "60xx3000", (0x6000, 0x4000): "60xx4000"}
KEYWORDS = {"50xxxxxx": "CurveData", "60xx3000": "OverlayData", "60xx4000": "OverlayComments"}
COLUMNS = {
    "rtnUIDsOpt": "retain-uids",
    "rtnDevIdOpt": "retain-device-identity",
    "rtnInstIdOpt": "retain-institution-identity",
    "rtnPatCharsOpt": "retain-patient-characteristics",
    "rtnLongFullDatesOpt": "retain-dates-full",
    "rtnLongModifDatesOpt": "retain-dates-modified",
    "cleanDescOpt": "clean-descriptors",
    "cleanStructContOpt": "clean-structured-content",
    "cleanGraphOpt": "clean-graphics",
}


def main() -> None:
    """Write the table, or say where it differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--options", type=Path)
    parser.add_argument("--check", action="store_true")
    wanted = parser.parse_args()
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    old = {row["tag"]: row for row in table["attributes"]}
    options = options_of(wanted.options) if wanted.options else {tag: _options(row) for tag, row in old.items()}
    rows = [
        {"tag": tag, "keyword": old.get(tag, {}).get("keyword") or keyword_of(tag), "basic": action}
        | options.get(tag, {})
        for tag, action in sorted(basic_actions())
    ]
    changed = sorted({row["tag"] for row in rows if old.get(row["tag"]) != row} | old.keys() - {r["tag"] for r in rows})
    print(f"{len(rows)} rows, {len(changed)} of them changed", *changed)
    if wanted.check:
        sys.exit(1 if changed else 0)
    head = {**{name: text for name, text in table.items() if name != "attributes"}, "basic_edition": EDITION}
    lines = [f"{json.dumps(name)}: {json.dumps(text)}" for name, text in head.items()]
    attributes = ",\n".join(json.dumps(row) for row in rows)
    TABLE.write_text("{\n" + ",\n".join([*lines, f'"attributes": [\n{attributes}\n]']) + "\n}\n", encoding="utf-8")


def basic_actions() -> Iterator[tuple[str, str]]:
    """Give tag and basic action of every row; groups that repeat are written with x."""
    module = import_module(f"dicomanonymizer.dicom_anonymization_databases.dicomfields_{EDITION}")
    for name, action in LISTS.items():
        for group, element, *_ in getattr(module, name):
            masked = GROUPS.get((group, element))
            yield masked or f"{group:04X}{element:04X}", action


def keyword_of(tag: str) -> str:
    """Return the keyword of a tag; empty where pydicom's dictionary is older than the row."""
    from pydicom.datadict import keyword_for_tag

    return KEYWORDS.get(tag) or keyword_for_tag(int(tag, 16))


def options_of(file: Path) -> dict[str, dict[str, str]]:
    """Return the options of each tag that keep (K) or clean (C); X, which is the basic action, is no option."""
    found = {}
    for row in json.loads(file.read_text(encoding="utf-8")):
        tag = "".join(c for c in row["tag"].upper() if c not in "(,) ").replace("X", "x")
        found[tag] = {name: row[column] for column, name in COLUMNS.items() if row.get(column) in ("K", "C")}
    return found


def _options(row: dict[str, Any]) -> dict[str, str]:
    return {name: action for name, action in row.items() if name in COLUMNS.values()}


if __name__ == "__main__":
    main()
