"""Packages that would talk when they are used: imported and used without telemetry, warnings and log lines."""

from __future__ import annotations

import contextlib
import importlib
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


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Within the block, keep to itself what conversions warn of and log: deprecations within other packages."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


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
