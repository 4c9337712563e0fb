"""Lists of cases: one a line, as CSV, TSV or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from medvision.errors import Finding, InputError, MedvisionError
from medvision.io.kinds import case_id, stem_of
from medvision.io.located import located
from medvision.io.sources import label_source_of, source_of
from medvision.io.stated import stated_label
from medvision.study import AS_IT_STANDS, Case, Collection, Label, Reading

_OWN = ("image", "id", "label", "patient", "split", "modality")
_SPLITS = ("train", "val", "test")
_HEADER = "Let the first line name the columns, each once, and one of them 'image'."
_LABEL = "Give the path of a label image, or the number of the class, from 0 on; [labels] of the pipeline names them."
_SEPARATORS = (";", "\t", ",", "|")


def cases_in_manifest(path: Path, reading: Reading = AS_IT_STANDS, *, labels: bool = True) -> Collection:
    """Return the cases that a manifest lists, their images and labels to be read as `reading` says.

    The column ``image`` is required: paths relative to the manifest, several channels separated by ``;``. The columns
    ``id``, ``label`` (a path, or numbers: see :func:`medvision.io.stated.stated_label`), ``patient``, ``split`` and
    ``modality`` are as in :class:`medvision.study.Case`; all others, ``side`` among them, become attributes. A line
    that cannot be used is rejected with its number, and the others stay. Without `labels`, that column is passed over.

    Raises
    ------
    InputError
        ``bad-manifest``: the list as a whole cannot be read.
    """
    cases, rejected = [], []
    for number, row in _rows(path):
        try:
            known = row if labels else {name: cell for name, cell in row.items() if name != "label"}
            cases.append(_case(known, path.parent, reading))
        except MedvisionError as error:
            finding = error.finding
            text = f"line {number} of {path.name}: {finding.message}"
            rejected.append(Finding(finding.code, "error", text, finding.path or path, finding.cure))
    if not cases and not rejected:
        raise InputError("bad-manifest", "it lists no case", path=path)
    return Collection(tuple(cases), tuple(rejected))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Give the number and the filled cells of each line."""
    with located(path):
        try:
            text = path.read_text("utf-8-sig")
        except UnicodeDecodeError:
            raise InputError("bad-manifest", "it is not UTF-8 text") from None
        if "\0" in text:
            raise InputError("bad-manifest", "it is not text")
        rows = _json_lines(text) if path.suffix.lower() == ".jsonl" else _table(text, path.suffix.lower())
        for number, row in rows:
            yield number, {name: value.strip() for name, value in row.items() if value.strip()}


def _table(text: str, suffix: str) -> Iterator[tuple[int, dict[str, str]]]:
    lines = csv.reader(text.splitlines(keepends=True), delimiter="\t" if suffix == ".tsv" else ",", strict=True)
    try:
        names = [_column(name.strip()) for name in next(lines, [])]
        _check_header(names, separator="\t" if suffix == ".tsv" else ",")
        for row in lines:
            if not any(row):
                continue
            if len(row) != len(names):
                raise InputError("bad-manifest", f"line {lines.line_num} has {len(row)} cells, the header {len(names)}")
            yield lines.line_num, dict(zip(names, row, strict=True))
    except csv.Error:
        raise InputError("bad-manifest", f"line {lines.line_num} has an open quote or the like") from None


def _column(name: str) -> str:
    """Return the name of a column; those that mean something are known in capitals too."""
    return name.lower() if name.lower() in (*_OWN, "side") else name


def _check_header(names: Sequence[str], *, separator: str) -> None:
    """Refuse the names without quoting them: in a list without a header they are the first case's cells."""
    if "image" not in names:
        text = f"the first line has {len(names)} cell{'' if len(names) == 1 else 's'}, and none is 'image'"
        if len(names) == 1 and (other := next((mark for mark in _SEPARATORS if mark in names[0]), None)):
            text += f"; it holds {other!r}, and cells are told apart by {separator!r}"
        raise InputError("bad-manifest", text, cure=_HEADER)
    for place, name in enumerate(names):
        if (first := names.index(name)) < place:
            text = f"the cells {first + 1} and {place + 1} of the first line name the same column"
            raise InputError("bad-manifest", text, cure=_HEADER)


def _json_lines(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError("bad-manifest", f"line {number} is not JSON") from None
        if not isinstance(row, dict) or not all(_is_cell(name, cell) for name, cell in row.items()):
            raise InputError("bad-manifest", f"line {number} is not one object of texts and numbers")
        yield number, {_column(name): _text_of(cell) for name, cell in row.items() if cell is not None}


def _is_cell(name: str, cell: object) -> bool:
    """Whether a value of a JSON line can be a cell: a text or a number, and for the label a list of them."""
    items = cell if isinstance(cell, list) and _column(name) == "label" else [cell]
    return all(isinstance(item, str | int | float | None) for item in items)


def _text_of(cell: Any) -> str:
    if isinstance(cell, list):
        return "[" + ";".join("?" if item is None else str(item) for item in cell) + "]"
    return str(cell)


def _case(row: Mapping[str, str], folder: Path, reading: Reading) -> Case:
    paths = [folder / part.strip() for part in row.get("image", "").split(";") if part.strip()]
    if not paths:
        raise InputError("bad-manifest", "no image is named")
    split = row.get("split")
    if split not in (None, *_SPLITS):
        raise InputError("bad-manifest", f"a split is one of {', '.join(_SPLITS)}")
    return Case(
        id=row["id"] if "id" in row else case_id(stem_of(paths[0])),
        images=tuple(source_of(path, reading) for path in paths),
        label=_label(row.get("label"), folder, reading),
        patient=row.get("patient"),
        split=split,
        modality=row.get("modality"),
        attributes={name: value for name, value in row.items() if name not in _OWN},
    )


def _label(text: str | None, folder: Path, reading: Reading) -> Label | None:
    if text is None:
        return None
    stated = stated_label(text)
    if stated is not None:
        return stated
    if not Path(text).suffix and not (folder / text).exists():
        raise InputError("bad-labels", "the label is neither a number nor a file that is there", cure=_LABEL)
    return label_source_of(folder / text, reading)
