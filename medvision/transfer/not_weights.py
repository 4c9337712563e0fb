"""Files that are named for weights and hold none, or none that can be read: each is told for what it is."""

from __future__ import annotations

import zipfile
from pathlib import Path

from medvision.errors import PipelineError

_ARRAYS = (
    "Weights are read from safetensors or a checkpoint of torch: store them with `safetensors.numpy.save_file`. Images"
    " and labels go to `medvision train PIPELINE DATA`."
)
_CONVERT = "Store its tensors as safetensors, with the program that wrote it."
_IMAGES = "Name the file with the weights; images go to `medvision run` or `medvision train`."
_STARTS: tuple[tuple[bytes, int, str, str], ...] = (
    (b"\x93NUMPY", 0, "an array of numpy (.npy)", _ARRAYS),
    (b"\x89HDF\r\n\x1a\n", 0, "an HDF5 file, as Keras writes", _CONVERT),
    (b"GGUF", 0, "a GGUF file", _CONVERT),
    (b"\x1f\x8b", 0, "a file packed by gzip", "Unpack it, and name what comes out; images go to `medvision run`."),
    (b"\x89PNG", 0, "a picture", _IMAGES),
    (b"\xff\xd8\xff", 0, "a picture", _IMAGES),
    (b"DICM", 128, "a DICOM file", _IMAGES),
)
"""What stands in a file, at which byte, what such a file is, and what to do with it."""


def refuse_not_weights(path: Path) -> None:
    """Refuse a file that is known to be something else than weights that can be read here.

    Raises
    ------
    PipelineError
        ``weights-unreadable``: it is; what it is, is named.
    """
    with path.open("rb") as file:
        start = file.read(256)
    for mark, place, words, cure in _STARTS:
        if start[place : place + len(mark)] == mark:
            raise PipelineError("weights-unreadable", f"this is {words}, and no file of weights", path=path, cure=cure)
    if start[:2] == b"PK" and _holds_arrays(path):
        words = "this is an archive of numpy arrays (.npz), and no checkpoint of torch"
        raise PipelineError("weights-unreadable", words, path=path, cure=_ARRAYS)


def _holds_arrays(path: Path) -> bool:
    """Whether every member of a zip archive is a numpy array; an archive that is broken has no say here."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)
