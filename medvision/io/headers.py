"""What an image's headers say of its size, before any voxel is read."""

from __future__ import annotations

import io
from dataclasses import dataclass

from medvision.archives import read_bytes
from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.io.dicom.read import stack_of
from medvision.io.located import located
from medvision.io.nifti.content import content_of
from medvision.io.nifti.header import fields_of, header_of
from medvision.io.npz import header_of_member
from medvision.io.pictures import header_of_picture
from medvision.study import Case, Source

_HEAD = 1 << 16


@dataclass(frozen=True)
class ImageHeader:
    """What headers say of an image.

    Parameters
    ----------
    geometry
        Its grid.
    channels
        How many there are.
    voxel_bytes
        Of a value as it is held once it was read.
    """

    geometry: Geometry
    channels: int
    voxel_bytes: int

    @property
    def voxels(self) -> int:
        """How many voxels there are, each with all channels."""
        i, j, k = self.geometry.shape
        return i * j * k


def read_header(case: Case) -> ImageHeader:
    """Return what the headers of a case's image say; its voxels are not read, and can still be refused.

    Raises
    ------
    InputError, GeometryError
        As :func:`medvision.io.read_volume`, for what headers show.
    """
    headers = [_header(source) for source in case.images]
    most = max(header.voxel_bytes for header in headers)
    return ImageHeader(headers[0].geometry, sum(header.channels for header in headers), most)


def _header(source: Source) -> ImageHeader:
    file = source.files[0]
    if source.kind == "dicom":
        stack = stack_of(source.files, source.part, source.reading)
        first = stack.frames[0]
        # Integers stay what they are only where no slope is a fraction, which is known once all were read.
        return ImageHeader(stack.geometry, first.samples or 1, 4 if (first.bits_allocated or 16) > 16 else 2)
    with located(file):
        if source.kind == "nifti":
            header = header_of(fields_of(content_of(io.BytesIO(read_bytes(file, _HEAD)))), file, source.reading)
            return ImageHeader(header.geometry, 1, 4 if header.scaling else header.kind.itemsize)
        if source.kind == "picture":
            columns, rows, channels, size = header_of_picture(file)
            return ImageHeader(Geometry.of_picture(columns, rows), channels, size)
        if source.member is None:
            raise InputError("unsupported", "an archive holds many pictures, and none is named")
        geometry, channels, size = header_of_member(file, source.member[0])
        return ImageHeader(geometry, channels, size)
