"""Torture: inputs that lie about sizes or unpack to far more than they are; each must end soon and cheaply.

Run as a program, with a folder to write to, it tries each of them in turn and prints what came, how long it took and
how far memory rose, as JSON; so that one that eats the machine ends a child and not the tests.
"""

from __future__ import annotations

import gzip
import json
import resource
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID
from torture import CASES, Expect, add, faults_of, lattice, refused, right
from torture_dicom import base, enhanced, every, put, save, slices, transcoded, write
from torture_frames import ALIKE, _frames

AXIAL = lattice()
HOSTILE: list[str] = []
_REFUSED = refused(
    "too-large",
    "truncated",
    "bad-header",
    "unreadable",
    "unsupported",
    "slices-missing",
    "not-an-image",
    "codec-missing",
)


def _add(name: str, builder: object) -> None:
    HOSTILE.append(name)
    add(name, builder)  # type: ignore[arg-type]


def _claims(folder: Path, rows: int, columns: int, frames: int | None, *, one: bool) -> Expect:
    datasets = slices(AXIAL)
    for dataset in datasets[4:5] if one else datasets:
        every([dataset], Rows=rows, Columns=columns, NumberOfFrames=frames)
        for keyword in ("Rows", "Columns"):
            dataset[keyword].VR = "US"
    write(folder, datasets)
    return refused(*(_REFUSED.refusal or ()), "series-mixed")


_add("claims_65535_rows_and_columns", partial(_claims, rows=65535, columns=65535, frames=None, one=False))
_add("claims_65535_rows_and_columns_on_one", partial(_claims, rows=65535, columns=65535, frames=None, one=True))
_add("claims_two_billion_frames", partial(_claims, rows=512, columns=512, frames=2**31 - 1, one=False))
_add("claims_no_rows", partial(_claims, rows=0, columns=0, frames=None, one=False))


def _wide(folder: Path) -> Expect:
    """100,000 x 100,000 cannot be said in 16 bits: the tags are written as UL."""
    dataset = slices(AXIAL)[0]
    for keyword in ("Rows", "Columns"):
        dataset[keyword].VR = "UL"
        dataset[keyword].value = 100_000
    save(folder / "wide.dcm", dataset)
    return _REFUSED


_add("claims_100000_rows_and_columns", _wide)


def _enhanced_claims(folder: Path) -> Expect:
    every([dataset := enhanced(_frames(), shared=ALIKE)], NumberOfFrames=2_000_000_000)
    save(folder / "e.dcm", dataset)
    return refused(*(_REFUSED.refusal or ()), "bad-geometry")


_add("enhanced_claims_two_billion_frames", _enhanced_claims)


def _length(folder: Path, tag: bytes, length: int) -> Expect:
    for file in write(folder, slices(AXIAL)):
        content = file.read_bytes()
        at = content.index(tag) + 8
        file.write_bytes(content[:at] + struct.pack("<I", length) + content[at + 4 :])
    return refused(*(_REFUSED.refusal or ()), "no-image")


_add("pixels_of_length_fffffff0", partial(_length, tag=b"\xe0\x7f\x10\0OW\0\0", length=0xFFFFFFF0))
_add("pixels_of_undefined_length_uncompressed", partial(_length, tag=b"\xe0\x7f\x10\0OW\0\0", length=0xFFFFFFFF))
_add("pixels_of_length_zero", partial(_length, tag=b"\xe0\x7f\x10\0OW\0\0", length=0))


def _element_length(folder: Path) -> Expect:
    dataset = slices(AXIAL)[0]
    dataset.add_new(0x00091001, "OB", b"x" * 64)
    dataset.add_new(0x00090010, "LO", "SOMEONE")
    save(folder / "a.dcm", dataset)
    content = (folder / "a.dcm").read_bytes()
    at = content.index(b"\x09\0\x01\x10OB\0\0") + 8
    (folder / "a.dcm").write_bytes(content[:at] + struct.pack("<I", 0xFFFFFFF0) + content[at + 4 :])
    return _REFUSED


_add("element_of_length_fffffff0", _element_length)


def _run_length_bomb(folder: Path) -> Expect:
    """A segment of runs of zeros that unpacks to 64 times what the picture holds, and one that is true to 4 GB."""
    dataset = slices(AXIAL)[0]
    packed = struct.pack("<16I", 2, 64, 64 + 2_000_000, *[0] * 13) + b"\x81\0" * 1_000_000 + b"\x81\0" * 1_000_000
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.5")
    every([dataset], PixelData=encapsulate([packed]))
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    save(folder / "rle.dcm", dataset)
    return _REFUSED


_add("run_length_bomb", _run_length_bomb)


def _big_run_length(folder: Path) -> Expect:
    _run_length_bomb(folder)
    dataset = slices(AXIAL)[0]
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.5")
    packed = struct.pack("<16I", 2, 64, 66, *[0] * 13) + b"\x81\0\x81\0"
    every([dataset], Rows=60_000, Columns=60_000, PixelData=encapsulate([packed]))
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    save(folder / "rle.dcm", dataset)
    return _REFUSED


_add("run_length_of_7_gigabytes_claimed", _big_run_length)


def _deflate_bomb(folder: Path, *, image: bool) -> Expect:
    """The data set unpacks to 600 MB of zeros, behind an image or without any."""
    dataset = slices(AXIAL)[0]
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1.99")
    save(folder / "bomb.dcm", dataset)
    content = (folder / "bomb.dcm").read_bytes()
    start = 144 + struct.unpack("<I", content[140:144])[0]
    inner = zlib.decompress(content[start:], -15) if image else b""
    inner += struct.pack("<HH2sHI", 0x7FE1, 0x1010, b"OB", 0, 600 << 20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(inner) + b"".join(packer.compress(bytes(10 << 20)) for _ in range(60)) + packer.flush()
    (folder / "bomb.dcm").write_bytes(content[:start] + packed)
    return right(AXIAL.part(0, 1), warning="free").or_refused(*(_REFUSED.refusal or ())) if image else _REFUSED


_add("deflate_bomb_behind_an_image", partial(_deflate_bomb, image=True))
_add("deflate_bomb", partial(_deflate_bomb, image=False))


def _nested(folder: Path, *, undefined: bool) -> Expect:
    """4,000 sequences in each other, written by hand: libraries run out of stack."""
    dataset = slices(AXIAL)[0]
    dataset.SourceImageSequence = Sequence()
    save(folder / "deep.dcm", dataset)
    content = (folder / "deep.dcm").read_bytes()
    at = content.index(b"\x08\0\x12\x21SQ\0\0")
    inner = b""
    for _ in range(4000):
        if undefined:
            opened = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
            closing = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
            inner = b"\x08\0\x12\x21SQ\0\0" + struct.pack("<I", 0xFFFFFFFF) + opened + closing
        else:
            item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
            inner = b"\x08\0\x12\x21SQ\0\0" + struct.pack("<I", len(item)) + item
    (folder / "deep.dcm").write_bytes(content[:at] + inner + content[at + 12 :])
    return right(AXIAL.part(0, 1)).or_refused(*(_REFUSED.refusal or ()))


_add("4000_nested_sequences", partial(_nested, undefined=False))
_add("4000_nested_sequences_of_undefined_length", partial(_nested, undefined=True))


def _codestream(folder: Path, syntax: str, marker: bytes, sizes: bytes) -> Expect:
    """A compressed picture whose own header claims 60,000 x 60,000."""
    dataset = transcoded(slices(AXIAL)[0], syntax)
    data = bytes(dataset.PixelData)
    at = data.index(marker) + len(marker)
    dataset.PixelData = data[:at] + sizes + data[at + len(sizes) :]
    save(folder / "huge.dcm", dataset)
    return _REFUSED


_SIDE = 60_000
# JPEG: SOF3 and SOF55 with length, precision, rows, columns; JPEG 2000: SIZ with length, capability, columns, rows.
_add(
    "jpeg_lossless_claims_60000",
    partial(
        _codestream,
        syntax="JPEGLosslessProcess14_1",
        marker=b"\xff\xc3\0\x0b\x10",
        sizes=struct.pack(">HH", _SIDE, _SIDE),
    ),
)
_add(
    "jpeg_ls_claims_60000",
    partial(_codestream, syntax="JPEGLSLossless", marker=b"\xff\xf7\0\x0b\x10", sizes=struct.pack(">HH", _SIDE, _SIDE)),
)
_add(
    "jpeg_2000_claims_60000",
    partial(
        _codestream, syntax="JPEG2000Lossless", marker=b"\xff\x51\0\x29\0\0", sizes=struct.pack(">II", _SIDE, _SIDE)
    ),
)


def _many_fragments(folder: Path) -> Expect:
    dataset = transcoded(slices(AXIAL)[0], "JPEGLSLossless")
    dataset.PixelData = (
        bytes(dataset.PixelData)[:-8]
        + struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 300_000
        + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    )
    save(folder / "many.dcm", dataset)
    return right(AXIAL.part(0, 1)).or_refused(*(_REFUSED.refusal or ()))


_add("300000_empty_fragments", _many_fragments)


def _nifti(sizes: tuple[int, ...], data: bytes, *, gz: bool) -> bytes:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, len(sizes), *sizes, *[1] * (7 - len(sizes)))
    struct.pack_into("<hh", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, *[1.0] * 8)
    struct.pack_into("<f", header, 108, 352)
    header[123] = 2
    struct.pack_into("<hh", header, 252, 0, 1)
    struct.pack_into("<12f", header, 280, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    header[344:348] = b"n+1\0"
    content = bytes(header) + data
    return gzip.compress(content, 9, mtime=0) if gz else content


def _nifti_bomb(folder: Path, sizes: tuple[int, ...], zeros: int, *, gz: bool) -> Expect:
    (folder / ("bomb.nii.gz" if gz else "bomb.nii")).write_bytes(_nifti(sizes, bytes(zeros), gz=gz))
    return refused("too-large", "truncated", "bad-header", "not-3d", "unsupported")


_BIG = (32767, 32767, 32767, 32767, 32767, 32767, 32767)
_add("nifti_of_all_sizes_32767", partial(_nifti_bomb, sizes=_BIG, zeros=100, gz=False))
_add("nifti_of_three_sizes_32767", partial(_nifti_bomb, sizes=_BIG[:3], zeros=100, gz=True))
_add("nifti_with_400_mb_behind_its_voxels", partial(_nifti_bomb, sizes=(4, 4, 4), zeros=400 << 20, gz=True))
_add("nifti_of_6_gb_claimed", partial(_nifti_bomb, sizes=(1500, 1500, 1400), zeros=1000, gz=True))


def _zip_bomb(folder: Path) -> Expect:
    bomb = zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9)
    with bomb as archive, archive.open("image.dcm", "w") as member:
        member.write(bytes(128) + b"DICM")
        for _ in range(60):
            member.write(bytes(10 << 20))
    return refused("too-large", "bad-header", "unsupported", "no-image", "not-an-image", "bad-archive")


_add("zip_bomb", _zip_bomb)


def _noise(folder: Path) -> Expect:
    noise = np.random.default_rng(0).integers(0, 256, 300_000, np.uint8).tobytes()
    (folder / "noise.dcm").write_bytes(bytes(128) + b"DICM" + noise)
    (folder / "noise.nii").write_bytes(noise)
    return refused("bad-header", "not-an-image", "truncated", "unsupported", "no-image")


_add("noise", _noise)


def _many_frames_of_nothing(folder: Path) -> Expect:
    dataset = put(base("US"), np.zeros((1, 1)), allocated=8, bits=8)
    every([dataset], NumberOfFrames=3_000_000, PixelData=bytes(100))
    save(folder / "frames.dcm", dataset)
    return _REFUSED


_add("ultrasound_claims_three_million_frames", _many_frames_of_nothing)


def _peak_mb() -> float:
    """Return the most memory held since :func:`_reset`."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _reset() -> float:
    """Forget the peak of memory; return what is held now, in MB."""
    Path("/proc/self/clear_refs").write_text("5")
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _main(folder: Path, done: set[str]) -> None:
    import torture

    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    load, measured = torture.loaded, {}

    def timed(path: Path) -> object:
        before, start, cpu = _reset(), time.perf_counter(), time.process_time()
        try:
            return load(path)
        finally:
            took = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
            measured.update(took, peak_mb=_peak_mb() - before)

    torture.loaded = timed  # type: ignore[assignment]
    load(write(folder / f"warm {len(done)}", slices(AXIAL))[0])
    for name in HOSTILE:
        if name in done:
            continue
        try:
            found = faults_of(name, folder / name)
        except Exception as error:  # noqa: BLE001 - any of them is a fault
            found = [f"CRASH: {type(error).__name__}: {error}"]
        sys.stdout.write(json.dumps({"name": name, "faults": found, **measured}) + "\n")
        sys.stdout.flush()


def outcomes(folder: Path, environment: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return what came of each hostile input, tried in a child; one that ends the child counts as a crash."""
    found: dict[str, dict[str, Any]] = {}
    while left := [name for name in HOSTILE if name not in found]:
        command = [sys.executable, __file__, str(folder), *found]
        child = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
        for line in child.stdout.splitlines():
            outcome = json.loads(line)
            found[outcome["name"]] = outcome
        stopped = next((name for name in left if name not in found), None)
        if stopped is not None:
            last = child.stderr.strip().splitlines()[-1:]
            crash = f"CRASH: the process ended with {child.returncode}: {last}"
            found[stopped] = {"faults": [crash], "seconds": 0.0, "cpu": 0.0, "peak_mb": 0.0}
    return found


if __name__ == "__main__":
    assert CASES
    _main(Path(sys.argv[1]), set(sys.argv[2:]))
