"""Rows as metrics of a run on an MLflow tracking server, by its REST interface (version 2.0).

No package is needed. MLflow's own client, even the small ``mlflow-skinny``, brings 28 packages, writes to no local file
without a database package besides, and tries for minutes to reach a server that is away, while the training waits.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from medvision.errors import OutputError, UsageError
from medvision.files import write_json
from medvision.training.loggers.logger import Row

DEFAULT_ADDRESS = "http://127.0.0.1:5000"
"""Where ``mlflow server`` listens by default."""

_SECONDS = 10.0  # that a training may wait for an answer, once: after that the server is told no more
_METRICS, _SETTINGS, _LETTERS = 1000, 100, 6000  # limits of one call, as MLflow documents them
_NOT_A_KEY = re.compile(r"[^\w\-. :/]")


@final
class MLflowLogger:
    """Tell a server of the training; a training that goes on continues the run that it began.

    Nothing but figures, settings and the pipeline's name is sent. ``MLFLOW_TRACKING_TOKEN``, or
    ``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD``, are used where they are set.

    Parameters
    ----------
    address
        Of the server, http or https.
    file
        Keeps which run is this training's, and the last epoch that the server has.
    title
        Name of the run.
    settings
        Shown as the run's parameters.
    experiment
        What the run belongs to; made where there is none of that name.

    Raises
    ------
    UsageError
        The address is no http or https address of a server, or holds a user's name: it is kept in `file`.
    """

    def __init__(
        self, address: str, file: Path, *, title: str, settings: Mapping[str, str], experiment: str = "medvision"
    ) -> None:
        parts = urllib.parse.urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            cure = f"Give that of an MLflow server, e.g. mlflow={DEFAULT_ADDRESS}; `mlflow server` starts one here."
            raise UsageError("usage", "MLflow is reached at an http or https address without a user's name", cure=cure)
        self._address = address.rstrip("/")
        self._file, self._title, self._experiment = file, title, experiment
        self._settings = dict(settings)
        self._run = ""

    def begin(self, rows: Sequence[Row]) -> None:
        """Begin a run, or go on with the one that `file` names; rows that the server lacks are sent."""
        if rows and (known := self._known_run()) is not None:
            self._run, sent = known
            self._call("runs/update", {"run_id": self._run, "status": "RUNNING"})
            self._send([row for row in rows if row["epoch"] > sent])
            return
        self._run = self._new_run()
        self._keep(sent=0)
        self._send_settings()
        self._send(rows)

    def log(self, row: Row) -> None:
        """Send the figures of an epoch."""
        self._send([row])

    def close(self, *, finished: bool) -> None:
        """End the run, as finished or failed."""
        if self._run:
            status = "FINISHED" if finished else "FAILED"
            self._call("runs/update", {"run_id": self._run, "status": status, "end_time": _now()})

    def _known_run(self) -> tuple[str, int] | None:
        """Return the run of this training and the last epoch that the server has of it."""
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            run = str(content["run"]) if content["address"] == self._address else None
            sent = int(content.get("sent", 0))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        known = run and self._call("runs/get", query={"run_id": run}, absent_ok=True)
        return (run, sent) if run and known else None

    def _keep(self, *, sent: int) -> None:
        write_json(self._file, {"address": self._address, "run": self._run, "sent": sent})

    def _new_run(self) -> str:
        found = self._call("experiments/get-by-name", query={"experiment_name": self._experiment}, absent_ok=True)
        made = found.get("experiment") or self._call("experiments/create", {"name": self._experiment})
        begun = {"experiment_id": made["experiment_id"], "run_name": self._title, "start_time": _now()}
        return str(self._call("runs/create", begun)["run"]["info"]["run_id"])

    def _send_settings(self) -> None:
        pairs = [{"key": _key(name), "value": value[:_LETTERS]} for name, value in self._settings.items()]
        for start in range(0, len(pairs), _SETTINGS):
            self._call("runs/log-batch", {"run_id": self._run, "params": pairs[start : start + _SETTINGS]})

    def _send(self, rows: Sequence[Row]) -> None:
        now = _now()
        metrics = [
            {"key": _key(name), "value": value, "timestamp": now, "step": int(row["epoch"])}
            for row in rows
            for name, value in row.items()
            if name != "epoch"
        ]
        for start in range(0, len(metrics), _METRICS):
            self._call("runs/log-batch", {"run_id": self._run, "metrics": metrics[start : start + _METRICS]})
        if rows:
            self._keep(sent=int(rows[-1]["epoch"]))

    def _call(
        self,
        name: str,
        content: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        absent_ok: bool = False,
    ) -> Any:
        """Return what the server answers; empty where it knows no such thing and `absent_ok`."""
        address = f"{self._address}/api/2.0/mlflow/{name}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        body = None if content is None else json.dumps(content, allow_nan=False).encode()
        headers = {"Content-Type": "application/json", **_authorisation()}
        request = urllib.request.Request(address, body, headers)  # noqa: S310 - http or https, see __init__
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=_SECONDS) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404 and absent_ok:
                return {}
            raise OutputError("logger-failed", f"the MLflow server answered {error.code} to {name}") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            message = f"the MLflow server gave no answer to {name} ({type(reason).__name__})"
            raise OutputError("logger-failed", message) from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Take a redirection for a failure: the token would go to whatever server it names."""

    def redirect_request(self, *_: Any) -> None:
        """Go nowhere."""


def _authorisation() -> dict[str, str]:
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _key(name: str) -> str:
    """Return a name in the letters that MLflow takes.

    >>> _key("Dice (left) %")
    'Dice _left_ _'
    """
    return _NOT_A_KEY.sub("_", name)


def _now() -> int:
    return int(time.time() * 1000)
