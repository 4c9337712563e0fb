"""The network alone as ONNX or for OpenVINO, and beside it what the graph cannot say: steps, windows, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medvision.engines import to_onnx, to_openvino
from medvision.engines.quiet import onnxruntime_module, openvino_module
from medvision.exporting.agreement import Agreement, agreement, drawn_input
from medvision.exporting.refusal import unsupported
from medvision.files import sha256_of, write_bytes
from medvision.pipeline import Settings, input_spacing_mm

Form = Literal["onnx", "openvino"]
SCHEMA = "medvision.export/1"


def input_shape(settings: Settings, stated: Sequence[int] | None = None) -> tuple[int, ...]:
    """Return the shape (C, *spatial) of what a network takes.

    Parameters
    ----------
    stated
        The spatial sizes; None takes those of the sliding window, of the network, or of the last step that sets them.

    Raises
    ------
    PipelineError
        ``export-unsupported``: nothing says them, or the network cannot take those that are stated.
    """
    dimensions = settings.contract.dimensions
    sizes, each = tuple(stated) if stated else _own_sizes(settings), _divisors(settings)
    if sizes is None:
        cure = "State the sizes: --shape."
        raise unsupported("predict.window", "images of any size go in, and a graph has one", cure)
    if len(sizes) != dimensions or any(size % n for size, n in zip(sizes, each, strict=False)):
        wanted = " x ".join(map(str, each))
        cure = f"State {dimensions} sizes that are multiples of {wanted}: --shape."
        raise unsupported("--shape", f"the network cannot take {list(sizes)}", cure)
    return (len(settings.contract.channels), *sizes)


def _own_sizes(settings: Settings) -> tuple[int, ...] | None:
    found: Any = settings.predict.window or getattr(settings.network, "image_size", None)
    if found is None:
        shapes = [step.shape for step in settings.steps if step.use == "resize"]
        found = shapes[-1][: settings.contract.dimensions] if shapes else None
    if found is None:
        return None
    return tuple(-(-size // n) * n for size, n in zip(found, _divisors(settings), strict=True))


def _divisors(settings: Settings) -> tuple[int, ...]:
    """Return what must divide each side of the network's input."""
    divisor = settings.network.divisor
    return (divisor,) * settings.contract.dimensions if isinstance(divisor, int) else divisor


def write_graph(form: Form, path: Path, network: Any, shape: tuple[int, ...]) -> Agreement:
    """Write a network as ``.onnx``, or as ``.xml`` with its ``.bin``, and return how far the file agrees with it.

    Raises
    ------
    PipelineError
        ``not-convertible``: the conversion fails, or what was written says something else than the network.
    ExtraMissingError
        The packages for it are not installed.
    """
    import torch

    example = drawn_input(shape)
    if form == "onnx":
        write_bytes(path, to_onnx(network, example))
    else:
        to_openvino(network, example).save(path)
    said = (_onnx if form == "onnx" else _openvino)(path, example[None])
    with torch.inference_mode():
        wanted = network(torch.from_numpy(example[None])).numpy()
    program = "ONNX Runtime" if form == "onnx" else "OpenVINO"
    return agreement(program, said, wanted, (1, *shape))


def described(
    settings: Settings, files: Sequence[Path], found: Agreement, *, origin: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a program must know that is to use a graph: what goes in, what comes out, and all around it.

    Parameters
    ----------
    files
        Those of the graph.
    found
        How the graph was checked.
    origin
        The pipeline's hash and that of its weights, and the versions of what wrote the graph.
    """
    values = settings.to_json()
    first = 1 if settings.task == "segmentation" else 0
    names = (["background"] if first else []) + [settings.labels[number] for number in sorted(settings.labels)]
    keys = ("name", "version", "task", "description", "contract", "predict", "regression", "card")
    return {
        "schema": SCHEMA,
        **{key: values[key] for key in keys if key in values},
        "steps": [asdict(step) for step in settings.steps],
        "files": {path.name: sha256_of(path) for path in files},
        "input": {
            "name": "image",
            "shape": list(found.shape),
            "axes": ["batch", "channel", "i", "j", "k"][: len(found.shape)],
            "type": "float32",
            "channels": list(settings.contract.channels),
            "spacing_mm": input_spacing_mm(settings),
        },
        "output": {"name": "output", "values": _values(settings.task), "of": names},
        "checked": asdict(found) | {"shape": list(found.shape)},
        **origin,
    }


def _values(task: str) -> str:
    return {
        "segmentation": "logits of each voxel; softmax over the channels gives probabilities",
        "classification": "logits; softmax gives probabilities",
        "multilabel": "logits; the sigmoid of each gives its probability",
        "regression": "standardised values; mean + sd * value is the value in the unit",
    }[task]


def _onnx(path: Path, image: NDArray[np.float32]) -> NDArray[Any]:
    session = onnxruntime_module().InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": image})[0])


def _openvino(path: Path, image: NDArray[np.float32]) -> NDArray[Any]:
    core = openvino_module().Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(compiled({0: image})[0])
