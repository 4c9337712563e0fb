"""A network of torch as a model of OpenVINO or as ONNX, each compared with torch before it is handed on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from medvision.engines.protocol import Array
from medvision.engines.quiet import nncf_module, onnxruntime_module, openvino_module, quietly
from medvision.engines.torch_cpu import array_of, refuse_training, tensor_of
from medvision.errors import ExtraMissingError, PipelineError
from medvision.files import write_bytes

Made = TypeVar("Made")

_LARGEST = 0.005
"""The largest difference from torch that a conversion may have, as a share of the largest output. A right one has some
millionths; a graph that kept a number of the example where it should compute one has far more."""
_CURE = "Choose another engine; torch takes every network."


@dataclass(frozen=True)
class Ir:
    """A model in the intermediate representation of OpenVINO, for inputs of one shape.

    Parameters
    ----------
    xml
        The graph.
    weights
        The constants that the graph refers to, as bytes.
    """

    xml: bytes
    weights: NDArray[np.uint8]

    def save(self, path: Path) -> None:
        """Write the graph to `path`, which ends in ``.xml``, and the constants beside it, to ``.bin``.

        Raises
        ------
        OutputError
            They cannot be written.
        """
        write_bytes(path.with_suffix(".bin"), self.weights.tobytes())
        write_bytes(path, self.xml)

    def model(self) -> Any:
        """Return the ``openvino.Model``."""
        openvino = openvino_module()
        return openvino.Core().read_model(model=self.xml, weights=openvino.Tensor(self.weights))


def to_openvino(network: Any, example: Array) -> Ir:
    """Return a network as a model of OpenVINO, in fp32.

    Parameters
    ----------
    network
        A ``torch.nn.Module`` in evaluation mode, from (1, C, *spatial) to one tensor.
    example
        An input (C, *spatial). The model is for inputs of its shape alone: a network can compute with sizes that the
        conversion keeps as they were. The model's output is compared with torch's on it, so it must not be of one value
        throughout: norms divide what is left of such an image, rounding alone, by nearly nothing. See
        :func:`example_of`.

    Raises
    ------
    PipelineError
        ``not-convertible``: the conversion fails, or the model says something else than the network.
    ExtraMissingError
        OpenVINO is not installed.
    """
    openvino_module()
    return _converted("OpenVINO", network, example, _traced)


def example_of(shape: tuple[int, ...]) -> Array:
    """Return noise (C, *spatial) of mean 0 and deviation 1, always the same: an input to convert and compare with."""
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def to_int8(ir: Ir, inputs: Sequence[Array]) -> Ir:
    """Return a model of OpenVINO that computes in int8, its ranges set by inputs of the model's shape.

    What it says is not compared with the network: int8 changes it, by how much :func:`medvision.engines.choose` says.

    Raises
    ------
    PipelineError
        ``not-convertible``: it fails.
    ExtraMissingError
        NNCF is not installed.
    """
    nncf = nncf_module()
    data = nncf.Dataset([np.ascontiguousarray(values, np.float32)[None] for values in inputs])
    try:
        with quietly():
            return _stored(nncf.quantize(ir.model(), data, subset_size=len(inputs)))
    except Exception as error:  # as with other conversions
        message = f"the network cannot be converted to int8 ({type(error).__name__})"
        raise PipelineError("not-convertible", message, cure=_CURE) from error


def to_onnx(network: Any, example: Array) -> bytes:
    """Return a network as the bytes of an ONNX file, in fp32; see :func:`to_openvino`.

    The input is called ``image``, the output ``output``.

    Raises
    ------
    PipelineError
        ``not-convertible``: the conversion fails, or the model says something else than the network.
    ExtraMissingError
        ONNX, its exporter or its runtime is not installed.
    """
    onnxruntime_module()
    return _converted("ONNX", network, example, _exported)


def _converted(
    form: str, network: Any, example: Array, convert: Callable[[Any, Any], tuple[Made, Array, Array]]
) -> Made:
    """Return what `convert` makes of a network, after a comparison of what both say of the example."""
    import torch

    refuse_training(network)
    try:
        with quietly(), torch.no_grad():
            made, said, wanted = convert(network, tensor_of(example, channels_last=False))
    except ImportError as error:
        message = f"{error.name} cannot be imported, which a conversion to {form} needs"
        raise ExtraMissingError("extra-missing", message, cure="pip install 'medvision-toolkit[onnx]'") from error
    except Exception as error:  # converters fail in as many ways as there are operations
        message = f"the network cannot be converted to {form} ({type(error).__name__})"
        raise PipelineError("not-convertible", message, cure=_CURE) from error
    _compare(form, said, wanted)
    return made


def _compare(form: str, said: Array, wanted: Array) -> None:
    """Raise PipelineError where a model's output is not that of the network."""
    if said.shape != wanted.shape:
        message = f"its model for {form} gives {said.shape} where the network gives {wanted.shape}"
        raise PipelineError("not-convertible", message, cure=_CURE)
    largest = float(np.abs(said - wanted).max())
    if not largest <= _LARGEST * max(float(np.abs(wanted).max()), 1e-6):  # so worded, NaN is refused too
        message = f"its model for {form} differs from the network by {largest:.3g} on one input"
        raise PipelineError("not-convertible", message, cure=_CURE)


def _traced(network: Any, image: Any) -> tuple[Ir, Array, Array]:
    """Return the model of OpenVINO, what it says of an image, and what the network says."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    openvino = openvino_module()
    heard: list[Any] = []
    # The frontend itself, and not `openvino.convert_model`, which sends telemetry. One run records the network; a check
    # of the record by torch would be a second, and is no check of the conversion.
    decoder = TorchScriptPythonDecoder(_listening(network, heard), example_input=image, trace_kwargs=_ONE_RUN)
    frontend = FrontEndManager().load_by_framework("pytorch")
    model = frontend.convert(frontend.load(decoder))
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError("one input and one output are wanted")
    model.reshape({0: list(image.shape)})
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    said = compiled({0: image.numpy()})[0]
    return _stored(model), said, array_of(heard[0])


_ONE_RUN = {"check_trace": False}


def _stored(model: Any) -> Ir:
    """Return an ``openvino.Model`` as it would be stored."""
    with tempfile.TemporaryDirectory(prefix="medvision-") as folder:
        path = Path(folder) / "model.xml"
        openvino_module().save_model(model, path, compress_to_fp16=False)
        return Ir(path.read_bytes(), np.fromfile(path.with_suffix(".bin"), np.uint8))


def _listening(network: Any, heard: list[Any]) -> Any:
    """Return a module that does what `network` does, and adds what it says to `heard`."""
    from torch import nn

    class Listening(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.eval()

        def forward(self, image: Any) -> Any:
            output = self.network(image)
            heard.append(output)
            return output

    return Listening()


def _exported(network: Any, image: Any) -> tuple[bytes, Array, Array]:
    """Return the ONNX file, what its model says of an image, and what the network says."""
    import torch

    wanted = array_of(network(image))
    program = torch.onnx.export(
        network, (image,), dynamo=True, verbose=False, input_names=["image"], output_names=["output"]
    )
    made = program.model_proto.SerializeToString(deterministic=True)
    session = onnxruntime_module().InferenceSession(made, providers=["CPUExecutionProvider"])
    return made, session.run(None, {"image": image.numpy()})[0], wanted
