"""Paths that a list of cases names, turned into sources of voxels."""

from __future__ import annotations

from pathlib import Path

from medvision import archives
from medvision.errors import InputError
from medvision.io.dicom.segmentation import is_segmentation
from medvision.io.dicom.series import only_series, possible_slices
from medvision.io.kinds import kind_of
from medvision.io.located import located
from medvision.io.walk import refuse_results, walk
from medvision.study import AS_IT_STANDS, Reading, Source


def source_of(path: Path, reading: Reading = AS_IT_STANDS) -> Source:
    """Return the source that one file, or the one DICOM series of a folder, is, to be read as `reading` says.

    Raises
    ------
    InputError
        ``not-found``, ``no-image``, ``series-mixed``, ``unsupported`` (an archive of many cases), and what
        :func:`medvision.io.kinds.kind_of` refuses.
    """
    if not archives.exists(path):
        raise InputError("not-found", "there is no such file or folder", path=path)
    if archives.is_folder(path):
        refuse_results(path)
        found = walk(path)
        files = [file for file, kind in found.images if kind == "dicom"]
        return only_series(files, path, possible_slices((*found.rejected, *found.skipped)), reading)
    with located(path):
        kind = kind_of(path)
        if kind is None:
            raise InputError("no-image", "the file is no image")
        if kind == "npz":
            raise InputError("unsupported", "an archive holds many cases", cure="Name the archive itself as the input.")
    if kind == "dicom":
        return only_series([path], path, reading=reading)
    return Source(kind, (path,), reading=reading)


def label_source_of(path: Path, reading: Reading = AS_IT_STANDS) -> Source:
    """Return the source that a label is: as :func:`source_of`, and a DICOM SEG file, which is no image.

    Raises
    ------
    InputError
        As :func:`source_of`.
    """
    if archives.exists(path) and not archives.is_folder(path) and kind_of(path) == "dicom" and is_segmentation(path):
        return Source("dicom", (path,))
    return source_of(path, reading)
