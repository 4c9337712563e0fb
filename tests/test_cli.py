"""The command line: a thin shell whose exit codes, streams and words are as documented."""

from __future__ import annotations

import inspect
import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import SPHERES_TOML, write_sphere_data

from medvision import errors
from medvision_cli import app, shell


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command line in this process, and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["medvision", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        app.main()
    return int(caught.value.code or 0)


def test_help_answers_in_half_a_second_and_loads_neither_torch_nor_monai() -> None:
    script = (
        "import sys, time; from medvision_cli.app import app; from typer.testing import CliRunner; "
        "result = CliRunner().invoke(app, ['--help']); "
        "print(result.exit_code, sorted({'torch', 'monai', 'numpy', 'scipy', 'pydantic'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "0 []"
    seconds = []
    for _ in range(3):  # processor time: the wall clock also counts what else the machine does
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "medvision", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.5


def test_listing_pipelines_loads_neither_torch_nor_monai() -> None:
    script = (
        "import sys; from medvision_cli.app import app; from typer.testing import CliRunner; "
        "result = CliRunner().invoke(app, ['pipelines', 'list']); "
        "print(result.exit_code, 'mr-hippocampus' in result.output, sorted({'torch', 'monai'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "0 True []"


def test_a_run_prints_its_summary_for_people_and_json_for_machines(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sphere_pipeline: Path,
    sphere_inputs: Path,
    tmp_path: Path,
) -> None:
    (sphere_inputs / "notes.txt").write_text("notes")
    arguments = ("run", sphere_pipeline, sphere_inputs, "--out", tmp_path / "out")
    assert command(monkeypatch, *arguments) == 0
    shown = capsys.readouterr().out
    assert "4 cases: 4 analysed now" in shown
    assert "1 files or series were passed over" in shown
    assert command(monkeypatch, *arguments) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert command(monkeypatch, *arguments, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["cases"], found["analysed_now"], found["done_before"], found["exit_code"]) == (4, 0, 4, 0)
    assert found["skipped"][0]["path"].endswith("notes.txt")


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sphere_pipeline: Path,
    sphere_inputs: Path,
    tmp_path: Path,
) -> None:
    (sphere_inputs / "bad.dcm").write_text("no")
    arguments = ("run", sphere_pipeline, sphere_inputs, "--out", tmp_path / "out", "--dry-run")
    assert command(monkeypatch, *arguments) == 0
    shown = capsys.readouterr().out
    assert "4 cases, 1 refused, 0 passed over" in shown
    assert command(monkeypatch, *arguments, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["cases"]) == 4
    assert not (tmp_path / "out").exists()


def test_a_refused_case_is_told_with_its_cure_and_exit_code_4(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sphere_pipeline: Path,
    sphere_inputs: Path,
    tmp_path: Path,
) -> None:
    (sphere_inputs / "bad.dcm").write_text("no")
    assert command(monkeypatch, "run", sphere_pipeline, sphere_inputs, "--out", tmp_path / "out") == 4
    shown = capsys.readouterr().out
    assert "bad.dcm" in shown
    assert errors.REASONS["not-an-image"].cure in shown


def test_an_unknown_pipeline_is_told_on_stderr_with_exit_code_7(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command(monkeypatch, "run", "mr-hipocampus", tmp_path, "--out", tmp_path / "out") == 7
    shown = capsys.readouterr()
    assert "did you mean 'mr-hippocampus'" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("usage", "x"), 2),
        (errors.ExtraMissingError("extra-missing", "x"), 2),
        (errors.InputError("unreadable", "x"), 5),
        (errors.OutputError("output-unwritable", "x"), 6),
        (errors.PipelineError("pipeline-invalid", "x"), 7),
        (errors.BusyError("busy", "x"), 8),
        (RuntimeError("a bug"), None),
    ],
)
def test_every_kind_of_error_has_its_exit_code(error: Exception, code: int | None) -> None:
    assert shell.exit_code_of(error) == code


def test_an_error_is_json_on_stdout_where_that_is_asked_for_and_words_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    absent = tmp_path / "absent"
    assert command(monkeypatch, "evaluate", "cxr-pneumonia", absent, tmp_path, "--json") == 5
    shown = capsys.readouterr()
    cure = "Give the folder that --out named in `medvision run`."
    finding = {"code": "not-found", "grade": "error", "path": str(absent), "message": "no results of a run lie here"}
    assert json.loads(shown.out) == {
        "schema": "medvision.error/1",
        "error": finding | {"cure": cure},
        "exit_code": 5,
    }
    assert shown.err == f"medvision: {absent}: no results of a run lie here [not-found]\n  {cure}\n"
    assert command(monkeypatch, "evaluate", "cxr-pneumonia", absent, tmp_path) == 5
    assert capsys.readouterr().out == ""
    assert command(monkeypatch, "evaluate", "cxr-pneumonia", "--", absent, tmp_path, "--json") == 5
    assert capsys.readouterr().out == "", "what follows -- are names"


def with_json() -> list[str]:
    """Return the words of every command that knows --json."""
    groups = {"": app.app, **{f"{each.name} ": each.typer_instance for each in app.app.registered_groups}}
    found = [(prefix + str(one.name or getattr(one.callback, "__name__", "")), one.callback)
             for prefix, group in groups.items() if group is not None for one in group.registered_commands]  # fmt: skip
    return [name for name, callback in found if "as_json" in inspect.signature(callback or len).parameters]


@pytest.mark.parametrize("name", with_json())
def test_wrong_usage_of_every_command_is_json_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert command(monkeypatch, *name.split(), "--json", "--no-such-option") == 2
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert (found["schema"], found["error"]["code"], found["exit_code"]) == ("medvision.error/1", "usage", 2)
    assert "--no-such-option" in found["error"]["message"]
    assert "--no-such-option" in shown.err


def test_commands_that_do_work_know_json() -> None:
    assert len(with_json()) >= 15


def test_a_bug_is_json_without_its_words_and_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise KeyError("Doe")

    monkeypatch.setattr(sys, "argv", ["medvision", "doctor", "--json"])
    monkeypatch.setattr("medvision.workflows.doctor.doctor", broken)
    with pytest.raises(KeyError):
        app.main()
    found = json.loads(capsys.readouterr().out)
    assert (found["error"]["code"], found["exit_code"]) == ("internal", 1)
    assert found["error"]["message"].startswith("KeyError at test_cli.py")
    assert "Doe" not in json.dumps(found)


def test_a_result_that_ends_with_an_exit_code_is_one_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command(monkeypatch, "check", tmp_path / "absent", "--json") == 5
    assert json.loads(capsys.readouterr().out)["schema"] == "medvision.check/1"


def test_wrong_usage_has_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert command(monkeypatch, "run") == 2
    assert command(monkeypatch, "no-such-command") == 2


def test_an_interrupted_run_says_how_to_go_on_and_the_same_command_does(
    sphere_pipeline: Path, sphere_inputs: Path, tmp_path: Path
) -> None:
    for number in range(4, 16):
        shutil.copy(sphere_inputs / "case0.nii.gz", sphere_inputs / f"case{number}.nii.gz")
    arguments = [sys.executable, "-m", "medvision", "run", sphere_pipeline, sphere_inputs, "--out", tmp_path / "out"]
    process = subprocess.Popen(
        arguments,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A job in the background is started with this signal ignored, and its children with it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not list((tmp_path / "out").glob("cases/*/record.json")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on where this one stopped" in said
    assert subprocess.run(arguments, capture_output=True, check=False).returncode == 0


def test_pipelines_can_be_copied_edited_and_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    assert command(monkeypatch, "pipelines", "copy", "cxr-pneumonia", mine) == 0
    assert command(monkeypatch, "pipelines", "check", mine) == 0
    assert "is valid; no weights yet" in capsys.readouterr().out
    toml = mine / "pipeline.toml"
    toml.write_text(toml.read_text().replace('use = "zscore"', 'use = "zscor"'))
    assert command(monkeypatch, "pipelines", "check", mine) == 7
    shown = capsys.readouterr().err
    assert "steps.2" in shown
    assert "'zscore'" in shown
    assert command(monkeypatch, "pipelines", "copy", "cxr-pneumonia", mine) == 6


def test_pipelines_are_listed_and_shown_and_their_schema_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "pipelines", "list", "--json") == 0
    assert {entry["name"] for entry in json.loads(capsys.readouterr().out)} >= {"mr-hippocampus", "cxr-pneumonia"}
    assert command(monkeypatch, "pipelines", "show", "mr-hippocampus") == 0
    assert 'side = "left"' in capsys.readouterr().out
    assert command(monkeypatch, "pipelines", "schema") == 0
    assert "properties" in json.loads(capsys.readouterr().out)


def test_the_doctor_answers_in_words_and_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "doctor") == 0
    assert "torch" in capsys.readouterr().out
    assert command(monkeypatch, "doctor", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cores"] >= 1
    assert set(found["extras"]) == {"demo", "codecs"}


def test_the_version_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from medvision import __version__

    assert command(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.strip() == __version__


def test_progress_off_a_terminal_is_quiet_for_two_seconds_then_a_line_every_ten(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with shell.progress("analysing") as progress:
        for second in range(25):
            now[0] = 100.0 + second
            progress(second, 25, "case")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert [line.split()[1] for line in shown.err.splitlines()] == ["2", "12", "22"]


def test_the_cases_that_a_warning_is_about_are_named_and_of_many_the_first() -> None:
    warning = errors.Finding("duplicate", "warning", "two")
    assert shell.cases_of(warning, {}) == ""
    assert shell.cases_of(warning, {"duplicate": ["a"]}) == "case a"
    assert shell.cases_of(warning, {"duplicate": [("b", "a"), ["d", "c"]]}) == "cases b, a, d, c"
    assert shell.cases_of(warning, {"duplicate": list("abcdef")}) == "cases a, b, c, d, 2 more"
    assert shell.cases_of(errors.Finding("duplicate", "note", "two"), {"duplicate": ["a"]}) == ""


def test_cases_that_several_warnings_are_about_are_named_once_below_the_last() -> None:
    one, two = (errors.Finding("duplicate", "warning", f"fold {number}: 1 image") for number in (1, 2))
    leak, note = errors.Finding("split-leak", "warning", "a copy"), errors.Finding("duplicate", "note", "see above")
    assert shell.noticed([one, leak, two, note], {"duplicate": ["a", "b"], "split-leak": [("c", "d")]}) == [
        "warning: fold 1: 1 image [duplicate]",
        "warning: a copy [split-leak]",
        "  cases c, d",
        "warning: fold 2: 1 image [duplicate]",
        "  duplicate, in all: cases a, b",
        "note: see above [duplicate]",
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--prove-transfer",), "--prove-transfer needs --from"),
        (("--prove-transfer", "--from", "x", "--folds", "2"), "--prove-transfer and --folds exclude each other"),
        (("--tune", "head"), "--tune and --partial need --from"),
        (("--partial",), "--tune and --partial need --from"),
        (("--max-minutes", "0"), "a time above 0 is wanted"),
        (("--folds", "1"), "--folds"),
        (("--seeds", "0"), "--seeds"),
        (("--seed", "-1"), "equal to 0 "),
        (("--seed", "4294967296"), "4294967295 "),
        (("--seeds", "4"), "--seeds needs --prove-transfer"),
        (("--devices", "2", "--folds", "2"), "share one training, and not those of --folds"),
        (("--devices", "2", "--prove-transfer", "--from", "x"), "share one training, and not those of --folds"),
    ],
)
def test_options_of_a_training_that_make_no_sense_together_are_wrong_usage(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    options: tuple[str, ...],
    said: str,
) -> None:
    arguments = ("train", "cxr-pneumonia", tmp_path / "data.csv", "--out", tmp_path / "out", *options)
    assert command(monkeypatch, *arguments) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_training_by_the_command_line_is_told_in_words_and_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = SPHERES_TOML.replace("epochs = 4", "epochs = 1").replace("steps_per_epoch = 40", "steps_per_epoch = 1")
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "pipeline.toml").write_text(text, encoding="utf-8")
    data = write_sphere_data(tmp_path / "data")
    arguments = ("train", tmp_path / "settings", data, "--out", tmp_path / "out", "--seed", "4")
    arguments = (*arguments, "--cache", tmp_path / "cache", "--no-deterministic")
    assert command(monkeypatch, *arguments) == 0
    shown = capsys.readouterr().out
    assert "mean Dice " in shown
    assert f"Pipeline: {tmp_path / 'out'}" in shown
    assert command(monkeypatch, *arguments, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == str(tmp_path / "out")
    assert len(found["split"]["train"] + found["split"]["val"]) == 8
    assert list((tmp_path / "cache").rglob("*.safetensors"))
    assert command(monkeypatch, *arguments, "--max-minutes", "5") == 7
    assert "other settings or data" in capsys.readouterr().err
