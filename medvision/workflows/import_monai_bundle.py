"""Make a pipeline of a MONAI bundle."""

from __future__ import annotations

from pathlib import Path

from medvision.files import sha256_of
from medvision.importing.monai_bundle.metadata import Metadata
from medvision.importing.monai_bundle.reading import read_bundle
from medvision.transfer import locate_weights
from medvision.workflows.imported import Imported, Provenance, write_imported

_VERSIONS = (("monai", "monai_version"), ("torch", "pytorch_version"), ("numpy", "numpy_version"))


def import_monai_bundle(folder: Path, out: Path) -> Imported:
    """Write the pipeline that does what a bundle does, and return it.

    Parameters
    ----------
    folder
        The bundle: ``configs/metadata.json``, ``configs/inference.json``, and ``models/model.pt`` or
        ``models/model.safetensors``. Nothing of it is ever run.
    out
        The new pipeline's folder.

    Raises
    ------
    PipelineError
        The bundle cannot be read, or does what no pipeline does; see
        :func:`medvision.importing.monai_bundle.reading.read_bundle`.
    OutputError
        The folder is there already, or cannot be written.
    """
    bundle = read_bundle(folder)
    files = (folder / "configs" / "metadata.json", folder / "configs" / "inference.json", locate_weights(folder).path)
    source = Provenance(
        program="MONAI bundle",
        name=bundle.origin.source,
        version=bundle.settings.version,
        sha256={path.relative_to(folder).as_posix(): sha256_of(path) for path in files},
        licence=bundle.origin.licence,
        stated=tuple(_stated(bundle.metadata)),
        trained_with=_trained_with(bundle.metadata),
    )
    return write_imported(out, bundle.settings, [bundle.network], source, bundle.findings)


def _stated(metadata: Metadata) -> list[str]:
    """Return the figures that a bundle states of itself, as sentences."""
    figures = metadata.content.get("eval_metrics")
    if not isinstance(figures, dict):
        return []
    return [f"The bundle states {name} {value:g}." for name, value in figures.items() if isinstance(value, int | float)]


def _trained_with(metadata: Metadata) -> dict[str, str]:
    found = {name: metadata.words(key) for name, key in _VERSIONS}
    return {name: version for name, version in found.items() if version}
