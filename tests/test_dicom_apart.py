from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pydicom
import pytest
from phantoms import positional, write_dicom_series
from torture_dicom import transcoded

from medvision.errors import InputError
from medvision.geometry import Geometry
from medvision.io.dicom import apart
from medvision.io.dicom.apart import decoded_apart
from medvision.io.dicom.read import read_dicom

GRID = Geometry(np.diag([-1.0, -1.0, 2.0, 1.0]), (16, 12, 3))


@pytest.fixture
def lossless(tmp_path: Path) -> list[Path]:
    """Write a series in JPEG Lossless, which GDCM alone decodes."""
    files = write_dicom_series(tmp_path, positional(GRID).astype(np.uint16), GRID)
    for file in files:
        transcoded(pydicom.dcmread(file), "JPEGLosslessProcess14_1").save_as(file, enforce_file_format=True)
    return files


def test_frames_decoded_apart_are_those_that_were_packed(lossless: list[Path]) -> None:
    (pixels,) = decoded_apart(lossless[1], None, None)
    assert np.array_equal(pixels.T, positional(GRID).astype(np.uint16)[:, :, 1])
    assert np.array_equal(read_dicom(lossless).voxels[0], positional(GRID).astype(np.uint16))


def test_a_process_that_was_killed_is_started_again(lossless: list[Path]) -> None:
    decoded_apart(lossless[0], None, None)
    process = apart._DECODER._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (pixels,) = decoded_apart(lossless[0], None, None)
    assert pixels.shape == (12, 16)


def test_a_decoder_that_says_nothing_refuses_the_file_and_is_ended(
    lossless: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded_apart(lossless[0], None, None)
    process = apart._DECODER._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    monkeypatch.setattr(apart, "_SECONDS", 0.2)
    with pytest.raises(InputError, match="broke down") as caught:
        decoded_apart(lossless[0], None, None)
    assert caught.value.code == "bad-header"
    assert process.poll() is not None


def test_what_cannot_be_decoded_is_refused_and_the_process_goes_on(lossless: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bad-header"):
        decoded_apart(tmp_path / "absent.dcm", None, None)
    before = apart._DECODER._process
    assert len(decoded_apart(lossless[0], None, None)) == 1
    assert apart._DECODER._process is before


def test_a_frame_that_ends_the_decoder_refuses_its_file_alone(
    lossless: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded_apart(lossless[0], None, None)
    process = apart._DECODER._process
    assert process is not None
    real = apart._read
    os.kill(process.pid, signal.SIGSTOP)  # so that it has not answered yet

    def dying(*args: object) -> bytes:
        process.kill()
        process.wait()
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(apart, "_read", dying)
    with pytest.raises(InputError, match="broke down"):
        decoded_apart(lossless[0], None, None)
    monkeypatch.undo()
    assert len(decoded_apart(lossless[0], None, None)) == 1
