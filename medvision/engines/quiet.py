"""Packages that would talk when they are used: imported and used without telemetry, warnings and log lines."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from medvision.errors import ExtraMissingError

_TELEMETRY = "openvino_telemetry"
# Of onnxruntime 1.32 the first is read; its sources name the second for later versions.
_DISABLING = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")


def openvino_module() -> Any:
    """Return ``openvino``, without its telemetry where it was not imported before.

    Importing it would write into the home folder and send a message to its makers. It goes without where the package
    ``openvino_telemetry`` cannot be imported.

    Raises
    ------
    ExtraMissingError
        It is not installed.
    """
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    with _not_importable(_TELEMETRY):
        return _imported("openvino", "openvino")


def onnxruntime_module() -> Any:
    """Return ``onnxruntime``, without its telemetry where it was not imported before.

    It reads from the environment, once, when it is imported, whether it may write an identifier and send messages.

    Raises
    ------
    ExtraMissingError
        It is not installed.
    """
    before = {name: os.environ.get(name) for name in _DISABLING}
    os.environ.update(dict.fromkeys(_DISABLING, "1"))
    try:
        return _imported("onnxruntime", "onnx")
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def nncf_module() -> Any:
    """Return ``nncf``, without its telemetry where neither it nor OpenVINO was imported with it before.

    Raises
    ------
    ExtraMissingError
        It is not installed.
    """
    openvino_module()
    with _not_importable(_TELEMETRY), contextlib.redirect_stdout(io.StringIO()):
        return _imported("nncf", "int8")


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Within the block, keep to itself what conversions warn of, log and print: deprecations, bars of progress."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "nncf")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _imported(name: str, extra: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        message = f"{name} cannot be imported, which this engine needs"
        raise ExtraMissingError("extra-missing", message, cure=f"pip install 'medvision-toolkit[{extra}]'") from error


@contextlib.contextmanager
def _not_importable(name: str) -> Iterator[None]:
    """Within the block, let an import of a package fail as if it were not installed."""
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # what Python itself takes for "not there"
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
