"""Make a pipeline of a model that nnU-Net has trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medvision.errors import PipelineError, UsageError
from medvision.frameworks import set_state
from medvision.geometry import parse_orientation
from medvision.importing.nnunet import Model, model_of, trained_in
from medvision.workflows.imported import Imported, Provenance, write_imported


def import_nnunet(
    folder: Path,
    out: Path,
    *,
    configuration: str | None = None,
    folds: Sequence[str] = (),
    checkpoint: str = "final",
    mirroring: bool = True,
    orientation: str | None = None,
) -> Imported:
    """Write the pipeline that labels as a training of nnU-Net does, and return it.

    Parameters
    ----------
    folder
        A results folder of nnU-Net, version 2: that of a configuration, or that of its data set above it.
    out
        The new pipeline's folder.
    configuration
        Which one is meant, where the folder holds several.
    folds
        Which folds, e.g. ``("0", "1")`` or ``("all",)``; several are an ensemble. None takes all that were trained.
    checkpoint
        ``"final"`` or ``"best"``.
    mirroring
        Whether mirrored images are predicted too, along the axes that the weights allow.
    orientation
        How the images of the training were stored, as three letters; None takes axes as each file stores them.

    Raises
    ------
    UsageError
        `checkpoint` is another word.
    GeometryError
        `orientation` is none.
    PipelineError
        The model cannot be read, or does what no pipeline does; see :func:`medvision.importing.nnunet.model_of`.
    OutputError
        The folder is there already, or cannot be written.
    """
    if checkpoint not in ("final", "best"):
        raise UsageError("usage", f"there is no checkpoint {checkpoint!r}", cure="Choose final or best.")
    if orientation is not None:
        parse_orientation(orientation)
    trained = trained_in(
        folder, configuration=configuration, folds=folds, which="best" if checkpoint == "best" else "final"
    )
    model = model_of(trained, mirroring=mirroring, orientation=orientation)
    networks = [_network(model, state, path) for state, path in zip(model.states, trained.checkpoints, strict=True)]
    source = Provenance(
        program="nnU-Net training",
        name=f"{trained.plans.dataset_name} {trained.folder.resolve().name}",
        version=None,
        sha256=model.sha256,
        trained_with=model.trained_with,
    )
    return write_imported(out, model.settings, networks, source, model.findings, mirror_axes=model.mirror_axes)


def _network(model: Model, state: Mapping[str, Any], path: Path) -> Any:
    """Return a network of the settings with the weights of a fold."""
    settings = model.settings
    network = settings.network.build(
        in_channels=len(settings.contract.channels),
        out_channels=settings.outputs,
        dimensions=settings.contract.dimensions,
    )
    try:
        set_state(network, state)
    except ValueError as error:
        message = f"the weights are not those of the network that the plans name: {error}"
        raise PipelineError("import-invalid", message, path=path) from error
    return network.eval()
