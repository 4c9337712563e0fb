"""int8: calibrated by inputs that belong to the network, the same in every run, and gated like the others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medvision.engines import Cache, Calibration, Model, Terms, choose, open_engine, table, to_openvino
from medvision.engines.convert import Ir, to_int8
from medvision.engines.protocol import Array
from medvision.errors import PipelineError, UsageError
from medvision.networks import DynUNet

IMAGES = [np.random.default_rng(seed).normal(size=(1, 16, 16, 16)).astype(np.float32) for seed in range(3)]


@pytest.fixture(autouse=True)
def _processor_with_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let int8 be a candidate: it computes the same on any processor, though not faster."""
    monkeypatch.setattr(table, "processor_features", lambda: {"avx512_vnni"})


def network() -> Any:
    torch.manual_seed(0)
    return DynUNet(channels=(8, 16, 16)).build(in_channels=1, out_channels=3, dimensions=3).eval()


def model(inputs: Sequence[Array] = IMAGES, identity: str = "images", build: Any = network) -> Model:
    return Model(build, "one", "segmentation", Calibration(lambda: inputs, identity))


def never() -> Any:
    raise RuntimeError("it was made again")


def test_int8_is_near_fp32_and_no_more_than_near(tmp_path: Path) -> None:
    wanted = np.array(list(open_engine("torch-fp32", model()).over(IMAGES)))
    found = np.array(list(open_engine("openvino-int8", model(), cache=Cache(tmp_path)).over(IMAGES)))
    off = float(np.abs(found - wanted).mean() / np.abs(wanted).mean())
    assert 0.001 < off < 0.2  # fp32 is off by millionths, and a wrong network by more than its own size


def test_its_bits_are_the_same_in_every_calibration_and_from_the_cache(tmp_path: Path) -> None:
    said = list(open_engine("openvino-int8", model(), cache=Cache(tmp_path)).over(IMAGES))
    anew = list(open_engine("openvino-int8", model(), threads=2).over(IMAGES))
    assert np.array_equal(said, anew)
    kept = Model(never, "one", "segmentation", Calibration(never, "images"))
    assert np.array_equal(said, list(open_engine("openvino-int8", kept, cache=Cache(tmp_path)).over(IMAGES)))
    others = model([10 * each for each in IMAGES], "others")
    assert not np.array_equal(said, list(open_engine("openvino-int8", others, cache=Cache(tmp_path)).over(IMAGES)))


def test_without_a_calibration_there_is_no_int8() -> None:
    bare = Model(network, "one", "segmentation")
    with pytest.raises(UsageError, match=r"no images by which int8 is calibrated \[engine-unavailable\]"):
        open_engine("openvino-int8", bare)
    rows = {row.name: row for row in choose(bare, IMAGES, Terms(0.0, 1.0), wanted="auto", seconds=0.0).rows}
    assert rows["openvino-int8"].why_not == "the pipeline has no images by which int8 is calibrated"


def test_a_calibration_of_another_shape_is_refused() -> None:
    with pytest.raises(PipelineError, match="of another shape than"):
        list(open_engine("openvino-int8", model([IMAGES[0][:, :8]])).over(IMAGES))


def test_int8_beyond_the_tolerance_is_refused_with_its_figures(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="the engine openvino-int8 is beyond the tolerance"):
        choose(model(), IMAGES, Terms(0.9999, 0.001), wanted="openvino-int8", cache=Cache(tmp_path))
    loose = choose(model(), IMAGES, Terms(0.5, 1.0), wanted="openvino-int8", cache=Cache(tmp_path))
    assert loose.engine == "openvino-int8"
    assert loose.used.closeness is not None
    assert loose.used.closeness.largest > 0.001


def test_what_cannot_be_calibrated_is_refused() -> None:
    ir = to_openvino(network(), IMAGES[0])
    with pytest.raises(PipelineError, match="cannot be converted to int8"):
        to_int8(Ir(ir.xml, ir.weights), [IMAGES[0][:, :3]])


def test_a_calibration_is_quiet_and_writes_nothing_into_the_home_folder(tmp_path: Path) -> None:
    script = """
import socket, sys
import numpy as np
from torch import nn
from medvision.engines import Calibration, Model, open_engine, table
socket.socket.connect = socket.getaddrinfo = lambda *args: sys.exit("a connection was tried")
table.processor_features = lambda: {"avx512_vnni"}
net = nn.Conv3d(1, 2, 3).eval()
image = np.random.default_rng(0).normal(size=(1, 8, 8, 8)).astype(np.float32)
given = Model(lambda: net, "one", "segmentation", Calibration(lambda: [image], "one"))
list(open_engine("openvino-int8", given).over([image]))
"""
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "matplotlib" not in path.parts]
    assert written == []
