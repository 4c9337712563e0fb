"""Write a pipeline for another program: the network as a graph, or all of it as a MONAI bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medvision.errors import Finding
from medvision.exporting.agreement import Agreement, drawn_input
from medvision.exporting.graph import SCHEMA, Form, described, input_shape, write_graph
from medvision.exporting.monai_bundle.configuration import configuration_of
from medvision.exporting.monai_bundle.writing import check_bundle, write_bundle
from medvision.files import write_json
from medvision.frameworks import versions
from medvision.importing.monai_bundle.reading import read_bundle
from medvision.io.folders import refuse_taken, replacing_folder
from medvision.pipeline import PipelineFolder

_LEAST = 32  # voxels a side, of the input on which a network that takes any size is checked


@dataclass(frozen=True)
class Exported:
    """What was written for another program.

    Parameters
    ----------
    form
        ``"onnx"``, ``"openvino"`` or ``"monai-bundle"``.
    pipeline
        Name and version.
    folder
        Where it lies.
    files
        Their names, with folders.
    agreement
        How far what was written says what the network says.
    findings
        Where the other program's results can differ from the pipeline's; all notes.
    """

    form: str
    pipeline: str
    folder: Path
    files: tuple[str, ...]
    agreement: Agreement
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what was written as JSON values."""
        return {
            "schema": SCHEMA,
            "form": self.form,
            "pipeline": self.pipeline,
            "folder": str(self.folder),
            "files": list(self.files),
            "agreement": asdict(self.agreement) | {"shape": list(self.agreement.shape)},
            "findings": [finding.to_json() for finding in self.findings],
        }


def export_graph(pipeline: PipelineFolder, form: Form, out: Path, *, shape: Sequence[int] | None = None) -> Exported:
    """Write a pipeline's network as ``model.onnx``, or ``model.xml`` and ``.bin``, and ``pipeline.json`` beside it.

    Parameters
    ----------
    pipeline
        With weights. An ensemble becomes one graph, which averages as the pipeline does.
    out
        The new folder.
    shape
        The spatial sizes of the input; None takes those of the pipeline's window or images.

    Raises
    ------
    PipelineError
        ``weights-missing``; ``export-unsupported``: no size is known; ``not-convertible``: see
        :func:`medvision.exporting.graph.write_graph`. Nothing is left.
    OutputError
        The folder is there already, or cannot be written.
    ExtraMissingError
        The packages for it are not installed.
    """
    refuse_taken(out)
    settings, network = pipeline.settings, pipeline.load_network()
    sizes = input_shape(settings, shape)
    with replacing_folder(out) as new:
        found = write_graph(form, new / f"model.{'onnx' if form == 'onnx' else 'xml'}", network, sizes)
        files = sorted(new.iterdir())
        origin = {"pipeline_sha256": pipeline.digest, "weights_sha256": pipeline.require_weights().sha256}
        about = described(settings, files, found, origin=origin | {"versions": dict(versions())})
        write_json(new / "pipeline.json", about)
        names = tuple(path.name for path in sorted(new.iterdir()))
    return Exported(form, pipeline.name, out, names, found)


def export_monai_bundle(pipeline: PipelineFolder, out: Path) -> Exported:
    """Write a pipeline as a MONAI bundle, and return what was written, with where results can differ.

    What was written is read again: MONAI's own network says what ours says, and the settings are those of the pipeline.

    Parameters
    ----------
    pipeline
        With weights, of one network.
    out
        The new folder.

    Raises
    ------
    PipelineError
        ``weights-missing``; ``export-unsupported``: the pipeline does what a bundle cannot hold, which is named;
        ``not-convertible``: MONAI's network says something else. Nothing is left.
    OutputError
        The folder is there already, or cannot be written.
    """
    refuse_taken(out)
    card, settings = pipeline.require_weights(), pipeline.settings
    configuration = configuration_of(settings, members=card.members, versions=versions())
    network = pipeline.load_network()
    with replacing_folder(out) as new:
        write_bundle(new, configuration, network, settings, card.sha256)
        found = check_bundle(new, network, drawn_input((1, *_checked_shape(pipeline))))
        read_bundle(new)
        files = tuple(path.relative_to(new).as_posix() for path in sorted(new.rglob("*")) if path.is_file())
    return Exported("monai-bundle", pipeline.name, out, files, found, configuration.findings)


def _checked_shape(pipeline: PipelineFolder) -> tuple[int, ...]:
    """Return the shape of an input that the network can take; of one that takes any, a small one."""
    settings = pipeline.settings
    divisor, dimensions = settings.network.divisor, settings.contract.dimensions
    each = (divisor,) * dimensions if isinstance(divisor, int) else divisor
    known = settings.predict.window or any(step.use == "resize" for step in settings.steps)
    return input_shape(settings, None if known else [-(-max(_LEAST, 2 * n) // n) * n for n in each])
