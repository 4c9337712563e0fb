"""Loggers of a training: what they keep, and that none of them can stop it."""

from __future__ import annotations

import base64
import csv
import json
import sys
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer
from typing import Any

import pytest

from medvision.errors import ExtraMissingError, OutputError, UsageError
from medvision.training.loggers import CurvesLogger, Logs, MLflowLogger, TensorBoardLogger, mlflow, open_logs

ROWS = [
    {"epoch": 1.0, "learning_rate": 0.1, "loss": 0.9},
    {"epoch": 2.0, "learning_rate": 0.05, "loss": 0.5, "score": 0.7, "Dice (left)": 0.75},
    {"epoch": 3.0, "learning_rate": 0.01, "loss": 0.4},
]


class _Server(TCPServer):  # not HTTPServer, which asks for the name of the machine, for seconds where none answers
    """Answers as MLflow's tracking server does, and keeps what it was told."""

    experiments: dict[str, str]
    runs: dict[str, dict[str, Any]]
    fails_with: int | None
    authorisation: str | None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        if parts.path.endswith("runs/get"):
            self._answer({"run": query["run_id"]} if query["run_id"] in self.server.runs else None)
        else:
            known = self.server.experiments.get(query["experiment_name"])
            self._answer(None if known is None else {"experiment": {"experiment_id": known}})

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.authorisation = self.headers.get("Authorization")
        runs = self.server.runs
        if self.path.endswith("experiments/create"):
            self.server.experiments[content["name"]] = "7"
            self._answer({"experiment_id": "7"})
        elif self.path.endswith("runs/create"):
            name = f"run{len(runs)}"
            runs[name] = {"name": content["run_name"], "status": "RUNNING", "metrics": [], "params": {}}
            self._answer({"run": {"info": {"run_id": name}}})
        elif self.path.endswith("runs/log-batch"):
            run = runs[content["run_id"]]
            run["metrics"] += [(one["step"], one["key"], one["value"]) for one in content.get("metrics", [])]
            run["params"] |= {one["key"]: one["value"] for one in content.get("params", [])}
            self._answer({})
        else:
            runs[content["run_id"]]["status"] = content["status"]
            self._answer({})

    def _answer(self, content: Mapping[str, Any] | None) -> None:
        self.send_response(self.server.fails_with or (404 if content is None else 200))
        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()
        self.wfile.write(json.dumps(content or {}).encode())

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    for name in ("TRACKING_URI", "TRACKING_TOKEN", "TRACKING_USERNAME", "TRACKING_PASSWORD"):
        monkeypatch.delenv(f"MLFLOW_{name}", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with _Server(("127.0.0.1", 0), _Handler) as one:
        one.experiments, one.runs, one.fails_with, one.authorisation = {}, {}, None, None
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def _mlflow(server: _Server, folder: Path, **settings: str) -> MLflowLogger:
    return MLflowLogger(server.address, folder / "mlflow.json", title="spheres", settings=settings)


def _table(folder: Path) -> list[dict[str, str]]:
    with (folder / "curves.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_grows_with_every_epoch_and_the_picture_comes_at_the_end(tmp_path: Path) -> None:
    logger = CurvesLogger(tmp_path)
    logger.begin([])
    for number, row in enumerate(ROWS, start=1):
        logger.log(row)
        assert len(_table(tmp_path)) == number
    assert not (tmp_path / "curves.png").exists()
    logger.close(finished=True)
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert [row["Dice (left)"] for row in _table(tmp_path)] == ["", "0.75", ""]


def test_a_training_that_goes_on_replaces_what_lay_behind_its_checkpoint(tmp_path: Path) -> None:
    first = CurvesLogger(tmp_path)
    first.begin([])
    for row in ROWS:
        first.log(row)
    second = CurvesLogger(tmp_path)
    second.begin(ROWS[:1])
    second.log({**ROWS[1], "loss": 0.123})
    assert [(row["epoch"], row["loss"]) for row in _table(tmp_path)] == [("1", "0.9"), ("2", "0.123")]


def test_a_training_without_an_epoch_leaves_no_curves(tmp_path: Path) -> None:
    logger = CurvesLogger(tmp_path)
    logger.begin([])
    logger.close(finished=False)
    assert list(tmp_path.iterdir()) == []


class _Recorder:
    def __init__(self, fails_at: str = "", error: Exception | None = None) -> None:
        self.calls: list[str] = []
        self.fails_at, self.error = fails_at, error or ConnectionError("secret words of a server")

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fails_at:
            raise self.error

    def begin(self, rows: Any) -> None:
        self._called("begin")

    def log(self, row: Any) -> None:
        self._called("log")

    def close(self, *, finished: bool) -> None:
        self._called(f"close {finished}")


@pytest.mark.parametrize("moment", ["begin", "log", "close True"])
def test_a_logger_that_fails_is_said_once_and_the_others_go_on(moment: str) -> None:
    broken, good = _Recorder(moment), _Recorder()
    with Logs({"broken": broken, "good": good}) as logs:
        logs.begin([])
        for row in ROWS:
            logs.log(row)
    assert good.calls == ["begin", "log", "log", "log", "close True"]
    assert broken.calls[-1] == moment
    assert broken.calls.count(moment) == 1
    (finding,) = logs.findings
    assert finding.code == "logger-failed"
    assert finding.message == "broken is told no more of this training: ConnectionError"


def test_an_error_of_our_own_gives_its_message_and_a_failed_training_is_told_as_such() -> None:
    broken = _Recorder("log", OutputError("logger-failed", "the server answered 500"))
    other = _Recorder()
    logs = Logs({"broken": broken, "other": other})

    def training() -> None:
        with logs:
            logs.begin([])
            logs.log(ROWS[0])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        training()
    assert logs.findings[0].message.endswith(": the server answered 500")
    assert other.calls[-1] == "close False"
    logs.log(ROWS[1])
    assert other.calls[-1] == "close False", "closed loggers are told nothing"


def test_tensorboard_reads_what_was_logged_and_forgets_what_a_checkpoint_lacks(tmp_path: Path) -> None:
    first = TensorBoardLogger(tmp_path)
    first.begin([])
    for row in ROWS:
        first.log(row)
    second = TensorBoardLogger(tmp_path)  # killed before it could close: a second one goes on from epoch 1
    second.begin(ROWS[:1])
    second.log({**ROWS[1], "loss": 0.25})
    second.close(finished=True)
    first.close(finished=False)
    found = _events(tmp_path)
    assert found["training/loss"] == [(1, pytest.approx(0.9)), (2, 0.25)]
    assert found["validation/score"] == [(2, pytest.approx(0.7))]
    assert set(found) == {"training/loss", "training/learning_rate", "validation/score", "validation/Dice (left)"}


def _events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    reader = EventAccumulator(str(folder))
    reader.Reload()
    return {tag: [(one.step, one.value) for one in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def test_a_tensorboard_logger_that_never_began_can_be_closed(tmp_path: Path) -> None:
    TensorBoardLogger(tmp_path).close(finished=False)
    assert list(tmp_path.iterdir()) == []


def test_without_tensorboard_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ExtraMissingError, match=r"medvision-toolkit\[tensorboard\]"):
        open_logs("tensorboard", tmp_path, title="t", settings={})


def test_mlflow_gets_settings_figures_and_the_end(server: _Server, tmp_path: Path) -> None:
    logger = _mlflow(server, tmp_path, optimiser="sgd", **{"patch (voxels)": "8" * 7000})
    logger.begin([])
    logger.log(ROWS[0])
    logger.log(ROWS[1])
    assert server.runs["run0"]["status"] == "RUNNING"
    logger.close(finished=True)
    run = server.runs["run0"]
    assert (run["name"], run["status"]) == ("spheres", "FINISHED")
    assert run["params"] == {"optimiser": "sgd", "patch _voxels_": "8" * 6000}
    assert (2, "Dice _left_", 0.75) in run["metrics"]
    assert losses_of(server) == [1, 2]


def losses_of(server: _Server, run: str = "run0") -> list[int]:
    """Return the epochs whose loss a run has."""
    return [step for step, key, _ in server.runs[run]["metrics"] if key == "loss"]


def test_mlflow_goes_on_with_its_run_and_finds_the_experiment_of_earlier_ones(server: _Server, tmp_path: Path) -> None:
    _mlflow(server, tmp_path).begin([])
    again = _mlflow(server, tmp_path)
    again.begin(ROWS[:1])
    again.log(ROWS[1])
    again.close(finished=False)
    assert list(server.runs) == ["run0"]
    assert server.runs["run0"]["status"] == "FAILED"
    assert losses_of(server) == [1, 2]
    third = _mlflow(server, tmp_path)
    third.begin(ROWS[:2])
    third.close(finished=True)
    assert losses_of(server) == [1, 2], "what the server has is not sent again"
    _mlflow(server, tmp_path).begin([])
    assert list(server.runs) == ["run0", "run1"], "a training from the start is another run"


@pytest.mark.parametrize("kept", [None, "no json", "[]", '{"address": "http://else", "run": "run0"}', "lost"])
def test_mlflow_begins_a_run_with_all_rows_where_the_old_one_is_not_known(
    server: _Server, tmp_path: Path, kept: str | None
) -> None:
    if kept is not None:
        content = json.dumps({"address": server.address, "run": "run99"}) if kept == "lost" else kept
        (tmp_path / "mlflow.json").write_text(content)
    _mlflow(server, tmp_path).begin(ROWS[:2])
    assert losses_of(server) == [1, 2]


def test_a_run_that_never_began_is_not_ended(server: _Server, tmp_path: Path) -> None:
    _mlflow(server, tmp_path).close(finished=False)
    assert server.runs == {}


@pytest.mark.parametrize("status", [500, 302])
def test_an_answer_that_is_no_success_is_an_error_and_no_redirection_is_followed(
    server: _Server, tmp_path: Path, status: int
) -> None:
    server.fails_with = status
    with pytest.raises(OutputError, match=f"answered {status} to experiments/get-by-name"):
        _mlflow(server, tmp_path).begin([])


def test_a_server_that_is_away_does_not_stop_a_training(server: _Server, tmp_path: Path) -> None:
    with TCPServer(("127.0.0.1", 0), _Handler) as other:
        port = other.server_address[1]  # free again, and nobody listens
    with open_logs(f"mlflow=http://127.0.0.1:{port}", tmp_path, title="t", settings={}) as logs:
        logs.begin([])
        logs.log(ROWS[0])
    assert [finding.code for finding in logs.findings] == ["logger-failed"]
    assert "gave no answer to experiments/get-by-name (ConnectionRefusedError)" in logs.findings[0].message
    assert len(_table(tmp_path)) == 1


def test_a_server_that_is_silent_is_waited_for_once(
    server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow, "_SECONDS", 0.05)
    with TCPServer(("127.0.0.1", 0), _Handler) as deaf:  # listens, and nobody answers
        address = f"mlflow=http://127.0.0.1:{deaf.server_address[1]}"
        with open_logs(address, tmp_path, title="t", settings={}) as logs:
            logs.begin([])
            logs.log(ROWS[0])
    assert len(logs.findings) == 1


def test_the_token_or_the_name_and_password_of_the_environment_are_sent(
    server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _mlflow(server, tmp_path).begin([])
    assert server.authorisation is None
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "u")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "p")
    _mlflow(server, tmp_path).begin([])
    assert server.authorisation == "Basic " + base64.b64encode(b"u:p").decode()
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "abc")
    _mlflow(server, tmp_path).begin([])
    assert server.authorisation == "Bearer abc"


@pytest.mark.parametrize("address", ["file:///mlruns", "sqlite:///a.db", "localhost:5000", "http://", "http://u:p@h:1"])
def test_an_address_that_is_no_server_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="http or https address"):
        open_logs(f"mlflow={address}", tmp_path, title="t", settings={})


@pytest.mark.parametrize("word", ["wandb", "tensorboard=here"])
def test_an_unknown_logger_is_refused(word: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="which is no logger"):
        open_logs(f"mlflow, {word}", tmp_path, title="t", settings={})


def test_the_address_of_the_environment_is_used_and_one_that_is_given_goes_first(
    server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    with open_logs("mlflow", tmp_path, title="t", settings={}) as logs:
        logs.begin([])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with open_logs(f" mlflow={server.address}/ ,", tmp_path, title="t", settings={}) as others:
        others.begin([])
    assert list(server.runs) == ["run0", "run1"]
    assert logs.findings == others.findings == ()


def test_further_loggers_are_told_too(tmp_path: Path) -> None:
    page = _Recorder()
    with open_logs("", tmp_path, title="t", settings={}, also={"page": page}) as logs:
        logs.begin([])
        logs.log(ROWS[0])
    assert page.calls == ["begin", "log", "close True"]


def test_without_words_only_the_curves_are_written(tmp_path: Path) -> None:
    with open_logs("", tmp_path, title="t", settings={}) as logs:
        logs.begin([])
        logs.log(ROWS[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.csv", "curves.png"]
