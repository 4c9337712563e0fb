"""Torture: transfer syntaxes: byte orders, deflated, compressed with and without loss, and streams that are cut."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from pydicom.encaps import encapsulate, generate_fragmented_frames
from pydicom.uid import UID
from torture import Expect, Truth, add, lattice, refused, right, torture, warned
from torture_dicom import SLOPE, every, save, slices, transcoded, write
from torture_values import deep

AXIAL = lattice()

_SYNTAXES = {"implicit_little_endian": "1.2.840.10008.1.2", "deflated": "1.2.840.10008.1.2.1.99"}


def _syntax(folder: Path, uid: str) -> Expect:
    datasets = slices(AXIAL)
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = UID(uid)
    write(folder, datasets)
    return right(AXIAL)


for _name, _uid in _SYNTAXES.items():
    add(_name, partial(_syntax, uid=_uid))


@torture
def deflated_to_a_fiftieth(folder: Path) -> Expect:
    """A plain background packs well: the file is far smaller than its pixels."""
    flat = lattice(shape=(256, 256, 3), spacing=(1e-4, 1e-4, 3.0))
    datasets = slices(flat, slope=1.0)
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1.99")
    write(folder, datasets)
    return right(Truth(flat, tolerance=1.1))


def _big_endian(folder: Path, allocated: int) -> Expect:
    slope, intercept = (2.0, -200.0) if allocated == 8 else (SLOPE, -4096.0)
    for k, dataset in enumerate(deep(allocated, allocated, slope, intercept)):
        dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.2")
        size = allocated // 8
        dataset.PixelData = np.frombuffer(dataset.PixelData, f"<u{size}").astype(f">u{size}").tobytes()
        save(folder / f"{9 - k}.dcm", dataset)
    return right(Truth(AXIAL, tolerance=slope * 0.51 + 1e-3))


add("big_endian", partial(_big_endian, allocated=16))
add("big_endian_8_bit", partial(_big_endian, allocated=8))
add("big_endian_32_bit", partial(_big_endian, allocated=32))

_LOSSLESS = ("JPEGLosslessProcess14", "JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless")
NO_CODEC = "codec-missing"


def _lossless(folder: Path, syntax: str, *, signed: bool, bits: int, some: bool = False) -> Expect:
    slope = 2 if bits == 8 else SLOPE
    datasets = deep(8 if bits == 8 else 16, bits, slope, 0 if signed else -200, signed=signed)
    write(folder, [transcoded(d, syntax) if not some or k % 3 else d for k, d in enumerate(datasets)])
    return right(Truth(AXIAL, tolerance=slope * 0.51 + 1e-3))


for _name in _LOSSLESS:
    add(f"{_name}_12_bit", partial(_lossless, syntax=_name, signed=False, bits=12))
    add(f"{_name}_16_bit_signed", partial(_lossless, syntax=_name, signed=True, bits=16))
    add(f"{_name}_8_bit", partial(_lossless, syntax=_name, signed=False, bits=8))
add("a_series_of_two_transfer_syntaxes", partial(_lossless, syntax="JPEGLSLossless", signed=False, bits=12, some=True))


@torture
def run_length_encoded(folder: Path) -> Expect:
    datasets = slices(AXIAL)
    for dataset in datasets:
        dataset.compress(UID("1.2.840.10008.1.2.5"), encoding_plugin="pydicom", generate_instance_uid=False)
    write(folder, datasets)
    return right(AXIAL)


@torture
def compressed_in_several_fragments(folder: Path) -> Expect:
    datasets = [transcoded(dataset, "JPEGLSLossless") for dataset in deep(16, 12, SLOPE, -200)]
    for dataset in datasets:
        stream = b"".join(next(generate_fragmented_frames(dataset.PixelData, number_of_frames=1)))
        dataset.PixelData = encapsulate([stream], fragments_per_frame=3, has_bot=False)
    write(folder, datasets)
    return right(AXIAL)


@torture
def high_throughput_jpeg_2000_without_a_codec(folder: Path) -> Expect:
    datasets = [transcoded(dataset, "JPEG2000Lossless") for dataset in deep(16, 12, SLOPE, -200)]
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.201")
    write(folder, datasets)
    return refused(NO_CODEC, "unsupported", "bad-header")


def _lossy(folder: Path, syntax: str, bits: int) -> Expect:
    slope = 2 if bits == 8 else SLOPE
    datasets = deep(8 if bits == 8 else 16, bits, slope, -200)
    write(folder, [transcoded(dataset, syntax) for dataset in datasets])
    expect = warned(Truth(AXIAL, tolerance=slope * 16), codes=("lossy-compressed",))
    if syntax == "JPEG2000":  # it may be coded without loss
        return replace(expect, warning="free")
    return expect.or_refused("codec-missing", "unsupported") if bits == 12 and "Extended" in syntax else expect


add("jpeg_baseline", partial(_lossy, syntax="JPEGBaselineProcess1", bits=8))
add("jpeg_extended_12_bit", partial(_lossy, syntax="JPEGExtendedProcess2_4", bits=12))
add("jpeg_2000_that_may_lose", partial(_lossy, syntax="JPEG2000", bits=12))
add("jpeg_ls_near_lossless", partial(_lossy, syntax="JPEGLSNearLossless", bits=12))


@torture
def lossy_by_its_tag_alone(folder: Path) -> Expect:
    write(folder, every(slices(AXIAL), LossyImageCompression="01"))
    return warned(AXIAL, codes=("lossy-compressed",))


@torture
def lossy_on_one_slice(folder: Path) -> Expect:
    datasets = slices(AXIAL)
    every([datasets[6]], LossyImageCompression="01", LossyImageCompressionRatio="12")
    write(folder, datasets)
    return warned(AXIAL, codes=("lossy-compressed",))


def _cut_stream(folder: Path, syntax: str) -> Expect:
    """Half of a compressed picture: some decoders fill the rest with grey and say nothing."""
    datasets = [transcoded(dataset, syntax) for dataset in deep(16, 12, SLOPE, -200)]
    stream = b"".join(next(generate_fragmented_frames(datasets[4].PixelData, number_of_frames=1)))
    datasets[4].PixelData = encapsulate([stream[: len(stream) * 2 // 3]])
    write(folder, datasets)
    return refused(
        "truncated", "bad-header", "unreadable", *([NO_CODEC, "unsupported"] if "Extended" in syntax else [])
    )


for _name in (*_LOSSLESS, "JPEGExtendedProcess2_4"):
    add(f"{_name}_cut_within_its_stream", partial(_cut_stream, syntax=_name))


@torture
def run_length_encoded_and_cut(folder: Path) -> Expect:
    datasets = slices(AXIAL)
    for dataset in datasets:
        dataset.compress(UID("1.2.840.10008.1.2.5"), encoding_plugin="pydicom", generate_instance_uid=False)
    stream = b"".join(next(generate_fragmented_frames(datasets[2].PixelData, number_of_frames=1)))
    datasets[2].PixelData = encapsulate([stream[:-60]])
    write(folder, datasets)
    return refused("truncated", "bad-header", "unreadable")


@torture
def compressed_picture_of_another_size(folder: Path) -> Expect:
    datasets = [transcoded(dataset, "JPEGLSLossless") for dataset in deep(16, 12, SLOPE, -200)]
    write(folder, every(datasets, Rows=12, Columns=10))
    return refused("bad-header", "truncated", "unreadable")
