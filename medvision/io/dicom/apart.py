"""Decoding in a process of its own, for decoders that can end a process on damaged pixels.

The process is started once, when it is first needed, and again where it ended. It is asked by a line of JSON, and
answers each frame by a line of JSON and the bytes of the pixels: nothing that it sends is ever run.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from medvision.errors import InputError, MedvisionError

_MEMORY_BYTES = 16_000_000_000  # of addresses: twice what one volume may take
_SECONDS = 120.0  # without a byte
_KINDS = ("u1", "i1", "<u2", "<i2", "<u4", "<i4")
_LONGEST_LINE = 1 << 12
_MODULE = "medvision.io.dicom.apart"


def decoded_apart(file: Path, numbers: Sequence[int] | None, syntax: str | None) -> list[NDArray[Any]]:
    """Return frames of a file, decoded by GDCM in a process of its own.

    Parameters
    ----------
    file
        The file, on disk or in an archive.
    numbers
        Which frames, from 0; None where the file has one.
    syntax
        The Transfer Syntax where the file does not state it.

    Raises
    ------
    InputError
        ``bad-header``: the pixels cannot be decoded, or the decoder ended or took too long.
    """
    with _LOCK:
        return _DECODER.frames({"file": os.fsdecode(file), "numbers": numbers, "syntax": syntax})


class _Decoder:
    """The process, as long as it lives."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def frames(self, request: dict[str, Any]) -> list[NDArray[Any]]:
        process = self._running()
        try:
            _pipe(process.stdin).write(json.dumps(request).encode() + b"\n")
            _pipe(process.stdin).flush()
            frames = []
            while (frame := self._frame(_pipe(process.stdout))) is not None:
                frames.append(frame)
            return frames
        except _AnswerError:
            self.end()
            raise InputError("bad-header", "its decoder broke down on Pixel Data") from None
        except OSError:
            self.end()
            raise InputError("bad-header", "its decoder cannot be reached") from None

    def end(self) -> None:
        """End the process, if it is one of ours."""
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.communicate()
        self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self.end()
            self._owner = os.getpid()
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-c", f"from {_MODULE} import serve; serve()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        return self._process

    def _frame(self, answer: BinaryIO) -> NDArray[Any] | None:
        """Return the next frame; None where there are no more."""
        line = b""
        while not line.endswith(b"\n"):
            line += _read(answer, 1)
            if len(line) > _LONGEST_LINE:
                raise _AnswerError
        try:
            told = json.loads(line)
            kind = np.dtype(_KINDS[_KINDS.index(told.get("kind", "u1"))])
            shape = tuple(int(size) for size in told.get("shape", ()))
        except (ValueError, TypeError, AttributeError):
            raise _AnswerError from None
        if "error" in told:
            raise InputError("bad-header", "Pixel Data cannot be decoded")
        if "shape" not in told:
            return None
        content = _read(answer, int(np.prod(shape, dtype=object)) * kind.itemsize)
        return np.frombuffer(bytearray(content), dtype=kind).reshape(shape)


class _AnswerError(Exception):
    """The process ended, or says nothing."""


def _pipe(pipe: Any) -> Any:
    if pipe is None:
        raise _AnswerError
    return pipe


def _read(answer: BinaryIO, count: int) -> bytes:
    """Return exactly `count` bytes, waiting no longer than the limit for more of them."""
    parts = bytearray()
    while len(parts) < count:
        ready, _, _ = select.select([answer], [], [], _SECONDS)
        part = answer.read(min(count - len(parts), 1 << 20)) if ready else b""
        if not part:
            raise _AnswerError
        parts += part
    return bytes(parts)


_LOCK = threading.Lock()
_DECODER = _Decoder()
atexit.register(_DECODER.end)


def serve() -> None:
    """Answer requests until there are no more; this is what the process runs."""
    import resource

    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries that print must not print into the answer
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    for line in sys.stdin.buffer:
        try:
            for pixels in _decoded(**json.loads(line)):
                head = {"shape": pixels.shape, "kind": pixels.dtype.str.replace("|", "")}
                answer.write(json.dumps(head).encode() + b"\n" + np.ascontiguousarray(pixels).tobytes())
            told: dict[str, bool] = {"end": True}
        except (MedvisionError, MemoryError):
            told = {"error": True}
        answer.write(json.dumps(told).encode() + b"\n")
        answer.flush()


def _decoded(file: str, numbers: Sequence[int] | None, syntax: str | None) -> list[NDArray[Any]]:
    from pydicom.pixels import iter_pixels

    from medvision.io.dicom.codestream import keep_all_bits
    from medvision.io.dicom.content import opened
    from medvision.io.dicom.header import read_dataset
    from medvision.io.located import decoding, located, quiet

    with quiet(), located(Path(file)):
        with opened(Path(file)) as content:
            dataset = read_dataset(content, with_pixels=True)
        if syntax is not None:
            dataset.file_meta.TransferSyntaxUID = syntax
        with decoding("Pixel Data"):
            keep_all_bits(dataset)
            return list(iter_pixels(dataset, indices=numbers, decoding_plugin="gdcm"))
