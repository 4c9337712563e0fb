"""Write the generated parts of the reference from the code itself.

    python docs/generate.py            writes them
    python docs/generate.py --check    writes nothing, names what is stale, and then exits with 1

In a page, what stands between ``<!-- generated: words -->`` and ``<!-- end -->`` is made here; the words say by which
function of `BLOCKS`, and with which arguments. What stands outside is written by hand.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from medvision import archives, pipeline
from medvision.explain import SALIENCY
from medvision.io.dicom import (
    admission,
    content,
    directory,
    grid,
    mosaic,
    multiframe,
    objects,
    pixels,
    placing,
    volumes,
)
from medvision.io.nifti import header as nifti_header
from medvision.io.nifti import read as nifti_read
from medvision.networks import NETWORKS
from medvision.reasons import SECTIONS
from medvision.steps import STEPS
from medvision.study import Reading
from medvision.training.losses import LOSSES
from medvision_cli.app import app

DOCS = Path(__file__).resolve().parent
SCHEMA_FILE = DOCS / "reference" / "pipeline.schema.json"
_BLOCK = re.compile(r"(<!-- generated: (?P<words>[^>]*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write what is stale, or only name it; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the generated parts of the reference.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where something is stale")
    check = parser.parse_args(arguments).check
    stale = {path: text for path, text in generated().items() if not path.is_file() or path.read_text("utf-8") != text}
    for path, text in stale.items():
        if not check:
            path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{'stale' if check else 'written'}: {path.relative_to(DOCS.parent)}\n")
    return 1 if check and stale else 0


def generated() -> dict[Path, str]:
    """Return the text that each file with generated parts should have."""
    pages = {path: path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md"))}
    texts = {path: _BLOCK.sub(_filled, text) for path, text in pages.items() if _BLOCK.search(text)}
    return texts | {SCHEMA_FILE: json.dumps(pipeline.schema(), indent=2, ensure_ascii=False) + "\n"}


def _filled(block: re.Match[str]) -> str:
    name, *arguments = block["words"].split()
    return f"{block[1]}\n{BLOCKS[name](*arguments).strip()}\n\n{block[3]}"


# the command line


def commands() -> str:
    """Return every command with its arguments and options."""
    return "\n".join(_command(words, command) for words, command in walk(typer.main.get_command(app)))


def walk(command: Any, *words: str) -> Iterator[tuple[str, Any]]:
    """Give each command below a group, and the words that call it."""
    for name, inner in getattr(command, "commands", {}).items():
        yield " ".join((*words, name)), inner
        yield from walk(inner, *words, name)


def _command(words: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    wanted = [p.metavar or p.name.upper() for p in arguments]
    wanted += [f"{p.opts[0]} {p.metavar}" for p in options if p.required]
    call = " ".join(["medvision", words, *wanted, *(["[OPTIONS]"] if options else [])])
    rows = [[f"`{p.metavar}`", p.help, "required"] for p in arguments]
    rows += [[", ".join(f"`{o}`" for o in (*p.opts, *p.secondary_opts)), p.help, _given(p)] for p in options]
    table = _table(["", "Meaning", "Default"], rows) if rows else ""
    return f"## medvision {words}\n\n{inspect.cleandoc(command.help)}\n\n```text\n{call}\n```\n\n{table}"


def _given(option: Any) -> str:
    if option.required:
        return "required"
    if option.is_flag:
        return "on" if option.default else "off"
    return f"`{option.default}`" if option.default is not None else "none"


# what a pipeline.toml may say


def settings_of(kind: str) -> str:
    """Return every step, network, loss or saliency method (`kind`) with its settings, by name."""
    registries = {"steps": STEPS, "networks": NETWORKS, "saliency": SALIENCY, "losses": LOSSES}
    registry: Mapping[str, type] = registries[kind]
    parts = []
    for name, cls in registry.items():
        tasks = getattr(cls, "tasks", ())
        told = f"For the task{'s' if len(tasks) > 1 else ''} {', '.join(tasks)}.\n\n" if tasks else ""
        parts.append(f"## {name}\n\n{told}{settings(cls.__name__)}")
    return "\n".join(parts)


def settings(title: str) -> str:
    """Return a settings class of the schema: what it is for, its keys, and its sources."""
    whole = pipeline.schema()
    node = whole if title == "Settings" else whole["$defs"][title]
    sections = sections_of(node["description"])
    meanings = parameters_of(sections)
    required = node.get("required", [])
    rows = []
    for key, entry in node["properties"].items():
        if key != "use":
            default = "required" if key in required else _toml(entry.get("default"), entry)
            rows.append([f"`{key}`", _kind(entry), default, meanings[key]])
    keys = _table(["Key", "Value", "Default", "Meaning"], rows) if rows else "It has no settings."
    sources = f"\nSource: {_flowing(sections['References'])}\n" if "References" in sections else ""
    return f"{_markdown(sections[''])}\n\n{keys}{sources}"


def _kind(node: Mapping[str, Any]) -> str:
    """Return in words what JSON values a node of the schema takes."""
    if "$ref" in node:
        return "a table, see below"
    if "discriminator" in node:
        return "a table, named by `use`"
    if "anyOf" in node:
        return " or ".join(_kind(part) for part in node["anyOf"] if part != {"type": "null"})
    if "enum" in node:
        return " or ".join(f"`{json.dumps(value)}`" for value in node["enum"])
    if node["type"] == "array":
        return _array(node)
    if node["type"] == "object":
        return "a table"
    words = {"number": "number", "integer": "whole number", "string": "text", "boolean": "`true` or `false`"}
    return words[node["type"]] + _limits(node)


def _array(node: Mapping[str, Any]) -> str:
    fixed = node.get("prefixItems")
    if fixed:
        return f"list of {len(fixed)}: {_kind(fixed[0])}"
    return f"list: {_kind(node['items'])}"


def _limits(node: Mapping[str, Any]) -> str:
    signs = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
        "multipleOf": "multiple of",
    }
    found = [f"{sign} {node[key]:g}" for key, sign in signs.items() if key in node]
    return " " + ", ".join(found) if found else ""


def _toml(value: Any, node: Mapping[str, Any]) -> str:
    if value is None:
        return "none" if "default" in node else "see below"
    return f"`{json.dumps(value)}`"


# reasons, results, pipelines


def reasons() -> str:
    """Return every reason code with its meaning, consequence and cure, by section."""
    titles = ["Code", "What it means", "Why it matters", "What to do"]
    return "\n".join(
        f"## {section}\n\n{_table(titles, [[f'`{code}`', r.what, r.why, r.cure] for code, r in reasons.items()])}"
        for section, reasons in SECTIONS.items()
    )


def fields(place: str) -> str:
    """Return the fields of a dataclass, e.g. ``medvision.results.Record``, with their meaning."""
    module, _, name = place.rpartition(".")
    documented = parameters_of(sections_of(inspect.getdoc(getattr(import_module(module), name)) or ""))
    shared: dict[str, list[str]] = {}
    for field, meaning in documented.items():
        shared.setdefault(meaning, []).append(f"`{field}`")
    return _table(["Field", "Meaning"], [[", ".join(names), meaning] for meaning, names in shared.items()])


def pipelines() -> str:
    """Return every shipped pipeline: what it is for, what it takes, and where it ends."""
    return "\n".join(_pipeline(pipeline.PipelineFolder.open(name).settings) for name in pipeline.builtin_names())


def _pipeline(known: pipeline.Settings) -> str:
    contract, card = known.contract, known.card
    rows = [
        ["Version", known.version],
        ["Task", known.task],
        ["Shows", contract.shows],
        ["Input", f"{contract.dimensions}D, {contract.modality or 'any modality'}"],
        ["Channels", ", ".join(contract.channels)],
        ["Spacing", _range(contract.spacing_mm)],
        ["Field of view", _range(contract.extent_mm)],
        ["Side", f"known as {contract.side}; the other is mirrored" if contract.side else "not asked for"],
        ["Labels", ", ".join(f"{number} {name}" for number, name in known.labels.items())],
        ["Steps", ", ".join(f"[{step.use}](steps.md#{step.use})" for step in known.steps)],
        ["Network", f"[{known.network.use}](networks.md#{known.network.use})"],
        ["Saliency", ", ".join(f"[{method.use}](saliency.md#{method.use})" for method in known.explain)],
        ["Intended use", card.intended_use],
        ["Training data", card.training_data],
        ["Licence of the weights", card.licence],
    ]
    limits = "\n".join(f"- {limit}" for limit in card.limits)
    return f"## {known.name}\n\n{known.description}.\n\n{_table(['', ''], rows)}\nLimits:\n\n{limits}\n"


def _range(limits: Sequence[float] | None) -> str:
    return f"{limits[0]:g} to {limits[1]:g} mm; outside it, for review" if limits else "any"


# how images are read


def objects_read() -> str:
    """Return every kind of DICOM object whose pixels are read."""
    forms = {"slices": "slices in space", "projection": "radiograph", "frames": "pictures", "dose": "dose grid"}
    rows = [[k.name, forms[k.form], ", ".join(k.modalities) or "any", f"`{u}`"] for u, k in objects.IMAGES.items()]
    return _table(["Object", "Read as", "Modality", "SOP class"], rows)


def objects_refused() -> str:
    """Return every kind of DICOM image that is known and refused."""
    return _table(["Object", "SOP class"], [[name, f"`{uid}`"] for uid, name in objects.NOT_READ.items()])


def objects_left_out() -> str:
    """Return every kind of DICOM object that is known and left out."""
    names = [objects._OTHERS[start] for start in sorted(objects._OTHERS)]
    return "".join(f"- {name}\n" for name in dict.fromkeys((*names, objects.other_object(objects.DICOMDIR) or "")))


def choices() -> str:
    """Return what a person can decide about reading, in Python and on the command line."""
    convert = dict(walk(typer.main.get_command(app)))["convert"]
    options = {p.name: p.opts[0] + (f" {p.metavar}" if p.metavar else "") for p in convert.params}
    options["suv"] = options["bqml"]
    meanings = parameters_of(sections_of(inspect.getdoc(Reading) or ""))
    given = {name: str(getattr(Reading(), name)) for name in meanings}
    rows = [[f"`{name}`", f"`{given[name]}`", f"`{options[name]}`", text] for name, text in meanings.items()]
    return _table(["`Reading`", "Default", "Option", "Meaning"], rows)


def order() -> str:
    """Return by what volumes at one place are told apart."""
    return "".join(f"{number}. {name}\n" for number, name in enumerate(volumes._ORDER, start=1))


def tolerances() -> str:
    """Return by how much a geometry may be off before that is told, and before it is refused."""
    spacing = "`spacing-differs`"
    rounding = f"{grid._ROUNDING_MM} mm"
    rows = [
        [
            "A slice off its place on an even grid, or a distance off the usual (median) one",
            f"above {grid.WARN_FROM:.0%} of the spacing (never below {rounding})",
            f"above {grid.REFUSE_FROM:.0%} of the spacing (never below {rounding})",
            "`slices-uneven`; `slices-missing` where all odd distances are whole multiples of the usual one",
        ],
        ["Two slices at one position", "", f"closer than {rounding}", "`slices-duplicate`"],
        [
            "Slices that move sideways",
            f"above {grid._TILT_DEGREES} degrees, or {grid._SIDEWAYS_MM} mm in all",
            f"above {grid._MOST_TILT_DEGREES:.0f} degrees",
            "`gantry-tilt`; refused: `bad-geometry`",
        ],
        ["Slices that `--allow-gaps` makes", "", f"more than {grid._MOST_FILLED} for each measured", "`slices-uneven`"],
        ["A slice beside the line through all", "", f"above {grid._SIDEWAYS_MM} mm", "`bad-geometry`"],
        ["Rows and columns at right angles", "", f"cosines off by {grid._ORTHONORMAL_WITHIN}", "`bad-geometry`"],
        [
            "Orientation or Pixel Spacing not the same for all slices",
            "",
            f"above {grid._CLOSE_WITHIN:g} (of a cosine; mm); from {volumes._APART_DEGREES:.0f} degrees on they are "
            "stacks of their own",
            "`series-mixed`",
        ],
        ["Spacing Between Slices is not that of the positions", f"note above {grid.WARN_FROM:.0%}", "", spacing],
        ["Mosaic: spacing that is not the protocol's", "", f"above {mosaic._SPACING_WITHIN:.0%}", "`bad-geometry`"],
        ["Mosaic: stated normal and orientation", "", f"cosine below {mosaic._PARALLEL}", "`bad-geometry`"],
        ["Segmentation frames off the voxels of the image", "", f"above {placing._ON_GRID} voxels", "`grid-differs`"],
        [
            "Segmentation frames off an even grid of their own",
            "",
            f"above {placing._EVEN:.0%} of the spacing (never below {placing._ROUNDING_MM} mm)",
            "`slices-missing`",
        ],
        ["NIfTI: sform and qform", f"corners more than {nifti_header._FORMS_APART_MM} mm apart", "", "`forms-differ`"],
        ["NIfTI: pixdim is not the sform's spacing", f"note above {nifti_header._STEPS_APART:.0%}", "", spacing],
        ["NIfTI: a place in the world", "", f"beyond {nifti_header._FAR_MM / 1e6:,.0f} km", "`bad-geometry`"],
    ]
    return _table(["What", "Told, for review", "Refused", "Code"], rows)


def limits() -> str:
    """Return how much is accepted before memory is taken for it."""
    rows = [
        ["Pixels of one DICOM file, or of one volume", _bytes(admission.MAX_BYTES)],
        ["Frames of one DICOM file", f"{multiframe._MOST_FRAMES:,}"],
        ["Tiles of a mosaic", f"{mosaic._MAX_TILES:,}"],
        [
            "Compressed pixels that unpack to more than " + _bytes(admission._SMALL),
            f"{admission._MOST_RATIO:,} times the file's size",
        ],
        ["A deflated DICOM file", f"{_bytes(content._LEAST_CAP)}, or {content._RATIO} times its size"],
        ["Zeros behind the pixels of a DICOM file", f"{pixels.PADDING:,} bytes"],
        ["Voxels of one NIfTI file, all volumes together", _bytes(nifti_header.MAX_BYTES)],
        ["Between header and voxels of a NIfTI file", _bytes(nifti_header._MAX_EXTENSIONS)],
        ["Behind the voxels of a NIfTI file", f"less than a plane of voxels, and {_bytes(nifti_read._MOST_EXCESS)}"],
        ["A file in a zip archive, unpacked", _bytes(archives.MAX_MEMBER_BYTES)],
        ["All files of an archive, unpacked", _bytes(archives.MAX_TOTAL_BYTES)],
        ["Files in an archive", f"{archives.MAX_MEMBERS:,}"],
        [
            f"A file in an archive that unpacks to more than {_bytes(archives._RATIO_FROM)}",
            f"{archives.MAX_RATIO} times its packed size",
        ],
        ["A DICOMDIR", _bytes(directory._MAX_BYTES)],
    ]
    return _table(["What", "At most"], rows)


def _bytes(count: int) -> str:
    size, unit = next((size, unit) for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")) if count >= size)
    return f"{count / size:.3g} {unit}"


# numpydoc and Markdown


def sections_of(docstring: str) -> dict[str, str]:
    """Return the sections of a numpydoc docstring by title; what comes before the first has the title ''."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", docstring.strip() + "\n", flags=re.MULTILINE)
    return dict(zip(["", *parts[1::2]], (part.strip() for part in parts[::2]), strict=True))


def parameters_of(sections: Mapping[str, str]) -> dict[str, str]:
    """Return the meaning of each parameter; parameters that are described together share theirs."""
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", sections.get("Parameters", "")):
        names, _, meaning = entry.partition("\n")
        found |= {name.strip(): _flowing(meaning) for name in names.split(",") if name.strip()}
    return found


def _flowing(text: str) -> str:
    return _markdown(" ".join(text.split()))


def _markdown(text: str) -> str:
    """Return reStructuredText of our docstrings as Markdown: roles and double backticks become code."""
    return re.sub(r"``(.+?)``", r"`\1`", re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text))


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


BLOCKS: Mapping[str, Callable[..., str]] = {
    "commands": commands,
    "settings_of": settings_of,
    "settings": settings,
    "reasons": reasons,
    "fields": fields,
    "objects_read": objects_read,
    "objects_refused": objects_refused,
    "objects_left_out": objects_left_out,
    "choices": choices,
    "order": order,
    "tolerances": tolerances,
    "limits": limits,
    "pipelines": pipelines,
}

if __name__ == "__main__":
    sys.exit(main())
