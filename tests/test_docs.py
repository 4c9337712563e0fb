"""The documentation says what the program does: commands, settings, examples and generated pages."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import medvision as mv
from medvision.explain import SALIENCY
from medvision.networks import NETWORKS
from medvision.pipeline import PipelineFolder, builtin_names
from medvision.steps import STEPS
from medvision.training.losses import LOSSES
from medvision_cli.app import app

TOP = Path(__file__).resolve().parent.parent
README = TOP / "README.md"
DOCS = TOP / "docs"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
GROUP: Any = typer.main.get_command(app)


def commands_below(group: Any, *words: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        yield " ".join((*words, name)), command
        if hasattr(command, "commands"):
            yield from commands_below(command, *words, name)


def calls_of_medvision(page: Path) -> list[str]:
    """Return the commands that stand in a page's console and bash blocks, continued lines joined."""
    blocks = re.findall(r"^```(?:console|bash)\n(.*?)^```", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.removeprefix("$ ").startswith("medvision ")]


COMMANDS = dict(commands_below(GROUP))
CALLS = [(page, call) for page in PAGES for call in calls_of_medvision(page)]


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_help_and_stands_in_the_reference(words: str) -> None:
    command = COMMANDS[words]
    assert command.help
    assert f"## medvision {words}\n" in (DOCS / "reference" / "cli.md").read_text("utf-8")
    assert all(parameter.help for parameter in command.params)


@pytest.mark.parametrize("words", [words for words in COMMANDS if " " not in words])
def test_every_command_is_named_in_the_readme(words: str) -> None:
    assert re.search(rf"(medvision|make) {words}\b", README.read_text("utf-8"))


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("steps", STEPS),
        ("networks", NETWORKS),
        ("losses", LOSSES),
        ("saliency", SALIENCY),
        ("pipelines", builtin_names()),
    ],
)
def test_everything_that_a_pipeline_can_name_has_its_section(page: str, names: Any) -> None:
    text = (DOCS / "reference" / f"{page}.md").read_text("utf-8")
    assert [name for name in names if f"\n## {name}\n" not in text] == []


@pytest.mark.parametrize("name", builtin_names())
def test_every_shipped_pipeline_stands_in_the_readme(name: str) -> None:
    assert f"| `{name}` |" in README.read_text("utf-8")


def test_generated_pages_are_fresh_and_a_stale_one_is_named(tmp_path: Path) -> None:
    generate = generator()
    stale = [path.name for path, text in generate.generated().items() if path.read_text("utf-8") != text]
    assert stale == [], "run: python docs/generate.py"


def test_what_stands_between_the_marks_is_made_anew_and_the_rest_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    generate = generator()
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("Mine.\n<!-- generated: reasons -->\nold\n<!-- end -->\nMine too.\n")
    monkeypatch.setattr(generate, "DOCS", page.parent)
    monkeypatch.setattr(generate, "SCHEMA_FILE", page.parent / "schema.json")
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().out == "stale: docs/page.md\nstale: docs/schema.json\n"
    assert "\nold\n" in page.read_text()
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    text = page.read_text()
    assert text.startswith("Mine.\n")
    assert text.endswith("\nMine too.\n")
    assert "| `truncated` |" in text
    assert "\nold\n" not in text


def test_there_are_calls_to_check() -> None:
    assert len([page for page, _ in CALLS if page == README]) >= 8


@pytest.mark.parametrize(("page", "call"), CALLS, ids=lambda value: value if isinstance(value, str) else value.stem)
def test_every_call_in_the_documentation_is_one_that_the_program_takes(page: Path, call: str) -> None:
    line = re.split(r"\s(?:>|\|)\s", call)[0]
    words = shlex.split(line, comments=True)[1:]
    command: Any = GROUP
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    if words == ["--help"]:
        return
    context = command.make_context(call, words)  # raises where an option is unknown or an argument is missing
    assert not hasattr(command, "commands"), f"{page.name}: {call!r} names no command"
    named = context.params.get("pipeline")
    assert named is None or named.startswith(("my-", "disk-")) or named in (*builtin_names(), "settings", "NAME")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_page_names_a_place_on_somebody_s_machine(page: Path) -> None:
    assert re.findall(r"(?<![\w.])(?:/home|/Users|/root|/tmp|/work|/opt|[A-Z]:\\)\S*", page.read_text("utf-8")) == []


def test_links_of_the_readme_into_the_documentation_lead_somewhere() -> None:
    links = re.findall(r"\]\((docs/[^)#]+)", README.read_text("utf-8"))
    assert links
    assert [link for link in links if not (TOP / link).is_file()] == []


def test_python_blocks_of_the_documentation_are_python() -> None:
    blocks = [
        (page.name, block)
        for page in PAGES
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    ]
    assert blocks
    for name, block in blocks:
        compile(block, name, "exec")


def test_every_example_script_is_shown_whole() -> None:
    shown = re.findall(r'^--8<-- "(.*)"$', (DOCS / "how-to" / "python.md").read_text("utf-8"), flags=re.MULTILINE)
    assert sorted(TOP / path for path in shown) == sorted((DOCS / "examples").glob("*.py"))


def test_every_public_name_stands_in_the_how_to_of_python() -> None:
    text = (DOCS / "how-to" / "python.md").read_text("utf-8")
    assert [name for name in mv.__all__ if not name.startswith("_") and f"mv.{name}" not in text] == []


def test_the_architecture_names_every_module_of_the_package_and_of_dicom() -> None:
    text = (DOCS / "explanation" / "architecture.md").read_text("utf-8")
    rows = " ".join(line for line in text.splitlines() if line.startswith("|"))
    package = Path(mv.__file__).parent
    parts = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    modules = {path.stem for path in (package / "io" / "dicom").glob("*.py")}
    assert len(modules) > 30
    assert sorted(name for name in parts | modules if not re.search(rf"`(medvision/)?{name}(\.py|/)?`", rows)) == [
        "__init__",
        "__main__",
    ]


def test_the_pipeline_that_the_how_to_shows_is_valid(tmp_path: Path) -> None:
    text = (DOCS / "how-to" / "write-a-pipeline.md").read_text("utf-8")
    (block,) = re.findall(r"^```toml\n(#:schema.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "pipeline.toml").write_text(block)
    assert PipelineFolder.open(tmp_path).settings.name == "ct-liver"


def test_the_example_of_an_own_classifier_tells_disks_from_noise(tmp_path: Path) -> None:
    printed = run_example("own_classifier.py", tmp_path / "out")
    figure = re.search(r"^test: AUC (\d\.\d+)", printed, flags=re.MULTILINE)
    assert figure is not None
    assert float(figure[1]) > 0.9
    assert (tmp_path / "out" / "results" / "index.html").is_file()


def test_the_example_of_a_cohort_finds_the_ratio_of_volumes_that_it_made(tmp_path: Path) -> None:
    pytest.importorskip("nilearn")
    printed = run_example("cohort_volumes.py", tmp_path / "out")
    rows = dict(line.split(maxsplit=1) for line in printed.splitlines() if line.startswith(("shrunk", "temp", "grown")))
    volumes = {name: [float(cell) for cell in row.split()[:2]] for name, row in rows.items()}
    assert list(volumes) == ["grown", "shrunk", "template"]
    for left, right in volumes.values():
        assert left == pytest.approx(right, rel=0.1)  # the template is symmetric
    for side in (0, 1):
        assert volumes["shrunk"][side] / volumes["template"][side] == pytest.approx(0.95**3, rel=0.1)
        assert volumes["grown"][side] / volumes["template"][side] == pytest.approx(1.05**3, rel=0.1)


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_example(name: str, out: Path) -> str:
    """Return what an example prints; one thread, so that a busy machine does not make it slow."""
    done = subprocess.run(
        [sys.executable, DOCS / "examples" / name, "--out", out],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
