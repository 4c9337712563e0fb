"""Reads checkpoints of torch as data: tensors come out, and nothing of the file is ever run.

No other module does so; its one call of the loader has ``weights_only=True`` (tests/test_house.py holds it to that).
"""

from __future__ import annotations

import re
import struct
import warnings
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from medvision.errors import PipelineError

_HARMLESS = (
    "argparse.Namespace",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    *(f"numpy.dtypes.{kind}DType" for kind in ("Float32", "Float64", "Int32", "Int64", "Bool")),
    "pathlib.PosixPath",
    "_codecs.encode",
)
"""What trainings keep beside the weights: arguments, figures. A stand-in that does nothing takes the place of each."""

_FAULTS = (
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    AssertionError,
    EOFError,
    OSError,
    OverflowError,
    MemoryError,
    struct.error,
)


def read_torch(path: Path, *, limit_bytes: int) -> Any:
    """Return what a checkpoint holds (zip, or the form before torch 1.6): containers, numbers and CPU tensors.

    Raises
    ------
    PipelineError
        ``weights-unsafe``: it asks for functions or classes beyond tensors and containers, which are named, or is a
        TorchScript program; nothing was run. ``weights-unreadable``: it is damaged, no checkpoint, or too large.
    """
    import torch

    if zipfile.is_zipfile(path):
        _check_archive(path, limit_bytes)
    stand_ins: Any = [(_StandIn, name) for name in _HARMLESS]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(stand_ins), path.open("rb") as file:
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        asked = _asked_for(str(error))
        if asked is None:
            raise PipelineError("weights-unreadable", "this is no whole checkpoint of torch", path=path) from None
        message = f"reading it would call {asked}; nothing of it was run"
        raise PipelineError("weights-unsafe", message, path=path) from None
    except _FAULTS:
        # The library's words can quote the file, and name its own cures, which are unsafe ones.
        raise PipelineError("weights-unreadable", "this is no whole checkpoint of torch", path=path) from None


class _StandIn:
    """Takes the place of a value that is no weight; whatever it is given, it drops."""

    def __new__(cls, *_: object, **__: object) -> _StandIn:
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _check_archive(path: Path, limit_bytes: int) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except NotImplementedError as error:
        message = "the archive is packed in a way that is newer than this Python's zipfile, and torch does not write"
        raise PipelineError("weights-unreadable", message, path=path) from error
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise PipelineError("weights-unreadable", "the archive is damaged", path=path) from error
    if any(member.filename.endswith("/constants.pkl") for member in members):
        message = "this is a TorchScript program, not weights alone; nothing of it was run"
        raise PipelineError("weights-unsafe", message, path=path)
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        message = "the archive is compressed, which torch does not write: it could unpack to any size"
        raise PipelineError("weights-unreadable", message, path=path)
    if sum(member.file_size for member in members) > limit_bytes:
        raise PipelineError("weights-unreadable", f"it unpacks to more than {limit_bytes:,} bytes", path=path)


def _asked_for(words: str) -> str | None:
    """Return the name of what a checkpoint asked for, out of torch's refusal; None where it refused something else."""
    found = re.search(r"GLOBAL ([A-Za-z_][\w.]{0,100})", words)
    if found:
        return found[1]
    return "a function" if re.search(r"\b(reduce|new object|Can only build)\b", words) else None
