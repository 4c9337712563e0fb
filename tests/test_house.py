"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import medvision

PACKAGE = Path(medvision.__file__).parent
ALLOWED = {
    # the one place that reads checkpoints of torch, and only as data
    "transfer/torch_file.py": (
        "from pickle import UnpicklingError\n",
        'torch.load(file, map_location="cpu", weights_only=True)',
    ),
    # between a process and its own children, over a pipe that nobody else holds
    "workers/messages.py": ("from pickle import dumps, loads\n",),
}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_file_is_short_and_uses_nothing_that_runs_code_from_data(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    runs_code = r"torch\.load|jit\.load|\bpickle\b|joblib|allow_pickle=True|yaml\.load|shell=True|extractall"
    runs_code += r"|(?<![.\w])(eval|exec)\("
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("#", '"')))
    for line in ALLOWED.get(path.relative_to(PACKAGE).as_posix(), ()):
        assert code.count(line) == 1, line
        code = code.replace(line, "")
    assert not re.findall(runs_code, code)
    assert not re.search(r"^\s*(assert |print\(|sys\.exit)", text, re.MULTILINE)


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_public_class_that_refuses_values_says_so(path: Path) -> None:
    assert silent_refusers(path.read_text(encoding="utf-8")) == []


def test_a_class_that_does_not_say_that_it_refuses_values_is_found() -> None:
    told = '    """Told.\n\n    Raises\n    ------\n    ValueError\n        Always.\n    """\n'
    refuses = "    def __post_init__(self):\n        if True:\n            raise ValueError\n"
    accepts = "    def __post_init__(self):\n        pass\n"
    classes = [("Silent", '    """Nothing is told."""\n' + refuses), ("Told", told + refuses), ("_Private", refuses)]
    checks = "    @model_validator(mode='after')\n    def _in_order(self):\n        raise ValueError\n"
    classes += [("Bare", refuses), ("Accepting", accepts), ("Checking", checks)]
    code = "".join(f"class {name}:\n{body}" for name, body in classes)
    assert silent_refusers(code) == ["Silent", "Bare", "Checking"]


def silent_refusers(code: str) -> list[str]:
    """Return the public classes that refuse values when they are made, and whose docstring has no section about it."""
    return [
        each.name
        for each in ast.walk(ast.parse(code))
        if isinstance(each, ast.ClassDef)
        and not each.name.startswith("_")
        and any(isinstance(node, ast.Raise) for node in ast.walk(ast.Module(checks_of(each), [])))
        and "\nRaises\n------\n" not in (ast.get_docstring(each) or "")
    ]


def checks_of(each: ast.ClassDef) -> list[ast.stmt]:
    """Return what runs when a value is made: `__post_init__`, and the validators of pydantic."""
    methods = [part for part in each.body if isinstance(part, ast.FunctionDef)]
    return [
        part
        for part in methods
        if part.name == "__post_init__" or any("_validator" in ast.unparse(name) for name in part.decorator_list)
    ]


def test_importing_every_module_loads_nothing_heavy() -> None:
    modules = [
        ".".join(("medvision", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for path in sources()
        if path.name != "__main__.py"
    ]
    heavy = {"torch", "monai", "scipy", "skimage", "nibabel", "pydicom", "PIL", "matplotlib", "nilearn"}
    script = f"import sys; [__import__(m) for m in {modules!r}]; print(sorted({heavy!r} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_every_public_name_exists_and_an_unknown_one_is_an_attribute_error() -> None:
    for name in medvision.__all__:
        assert getattr(medvision, name) is not None
    assert dir(medvision) == sorted(medvision.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = medvision.nonsense


def test_public_names_are_not_hidden_by_modules_of_the_same_name() -> None:
    import medvision.training
    import medvision.workflows.train

    assert callable(medvision.train)


def test_the_version_is_that_of_the_distribution() -> None:
    assert metadata.version("medvision-toolkit") == medvision.__version__


def test_shipped_pipelines_are_small_complete_and_valid() -> None:
    from medvision.pipeline import PipelineFolder, builtin_folder, builtin_names

    assert {"mr-hippocampus", "cxr-pneumonia", "ct-adrenal"} <= set(builtin_names())
    for name in builtin_names():
        folder = builtin_folder() / name
        opened = PipelineFolder.open(name)
        opened.check_weights()
        assert opened.weights is not None
        assert opened.weights.results
        assert sum(path.stat().st_size for path in folder.iterdir()) < 25e6
        assert "interval" in (folder / "card.md").read_text(encoding="utf-8")
